package hub

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// roleVariable says what server the test binary is to be.
const roleVariable = "HUB_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "":
		os.Exit(m.Run())
	case "sdk":
		playSDK()
	case "echo":
		playEcho()
	default:
		playRaw()
	}
}

// playSDK is a server by the official Go SDK, of both eras.
func playSDK() {
	server := mcp.NewServer(&mcp.Implementation{Name: "sdk", Version: "1"}, nil)
	type say struct{ Text string }
	mcp.AddTool(server, &mcp.Tool{Name: "say"}, func(_ context.Context, _ *mcp.CallToolRequest, args say) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: args.Text}}}, nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{Name: "ask"}, func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		roots, err := r.Session.ListRoots(ctx, nil) //nolint:staticcheck // deprecated, and in use
		if err != nil {
			return nil, nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: roots.Roots[0].URI}}}, nil, nil
	})
	if err := server.Run(context.Background(), &mcp.StdioTransport{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// playEcho answers every request with its params, as fast as it can.
func playEcho() {
	in, out := bufio.NewReaderSize(os.Stdin, 1<<20), bufio.NewWriterSize(os.Stdout, 64<<10)
	var s jsonrpc.Scanner
	for {
		line, err := in.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			var more []byte
			line = append([]byte(nil), line...)
			more, err = in.ReadSlice('\n')
			line = append(line, more...)
		}
		if err != nil {
			return
		}
		var m jsonrpc.Message
		if s.Scan(line[:len(line)-1], &m) != nil || m.Kind != jsonrpc.Request {
			continue
		}
		result := m.Params()
		if m.Method == "initialize" {
			result = []byte(`{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"echo","version":"1"}}`)
		}
		out.WriteString(`{"jsonrpc":"2.0","id":`)
		out.Write(m.ID.Token())
		out.WriteString(`,"result":`)
		out.Write(result)
		out.WriteString("}\n")
		if in.Buffered() == 0 {
			out.Flush()
		}
	}
}

// playRaw does what the name of the tool that is called says, and answers in the reverse order of the requests when they
// come fast.
func playRaw() {
	fmt.Fprintln(os.Stderr, "up")
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		var r struct {
			ID     json.RawMessage
			Method string
			Params struct{ Name string }
		}
		_ = json.Unmarshal([]byte(line), &r)
		answer := func(result string) { fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", r.ID, result) }
		switch r.Method {
		case "initialize":
			answer(`{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"raw","version":"1"}}`)
		case "tools/call":
			switch r.Params.Name {
			case "twice":
				answer(`{"n":1}`)
				answer(`{"n":2}`)
			case "junk":
				fmt.Println("Loading…")
				fmt.Println(`{"jsonrpc":`)
				answer(`{}`)
			case "other":
				fmt.Println(`{"jsonrpc":"2.0","id":99999,"result":{"secret":true}}`)
			case "repeated":
				fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"a":1,"a":2}}`+"\n", r.ID)
			case "exit":
				fmt.Fprintln(os.Stderr, "it hurts")
				os.Exit(3)
			case "environ":
				text, _ := json.Marshal(map[string]any{"environ": os.Environ()})
				answer(string(text))
			case "hang":
			default:
				answer(`{}`)
			}
		}
	}
}

func startChildren(t testing.TB, role, isolation string, opt childOptions) *children {
	t.Helper()
	return startPatient(t, role, isolation, time.Minute, opt)
}

// startPatient starts a server that may take the timeout to answer.
func startPatient(t testing.TB, role, isolation string, timeout time.Duration, opt childOptions) *children {
	t.Helper()
	opt.Log = zerolog.New(io.Discard)
	c := newChildren(Server{
		Name: "s", Command: os.Args[0], Env: map[string]string{roleVariable: role, "GORACE": "atexit_sleep_ms=0"},
		Transport: "stdio", Isolation: isolation, RequestTimeout: timeout,
	}, Limits{}, opt)
	t.Cleanup(c.close)
	return c
}

func opened(t testing.TB, c *children, key openKey) transport.Upstream {
	t.Helper()
	up, err := c.open(key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = up.Close() })
	return up
}

// asked makes a call and returns all that came of it, a line each.
func asked(t testing.TB, up transport.Upstream, text string) (string, error) {
	var b strings.Builder
	err := up.Call(t.Context(), message(t, text), func(a transport.Arrival) error {
		b.Write(a.Message.Raw)
		b.WriteByte('\n')
		return nil
	})
	return b.String(), err
}

// Two hundred clients use the same ids and progress tokens at the same time, and each gets its own answers.
func TestManyClientsWithEqualIDs(t *testing.T) {
	c := startChildren(t, "echo", Shared, childOptions{Stray: func(m *jsonrpc.Message, reason string) { t.Errorf("%s: %s", reason, m.Raw) }})
	var clients sync.WaitGroup
	for i := range 200 {
		clients.Go(func() {
			up, err := c.open(openKey{modern: i%2 == 0, principal: fmt.Sprint(i)})
			if err != nil {
				t.Error(err)
				return
			}
			defer up.Close()
			for id := range 20 {
				size := 10
				if (i+id)%100 == 0 {
					size = 1 << 20
				}
				params := fmt.Sprintf(`{"_meta":{"progressToken":%d},"name":"%d/%d","pad":%q}`, id, i, id, strings.Repeat(string(rune('a'+i%26)), size))
				got, err := asked(t, up, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":%s}`, id, params))
				// The echo of the progress token is the mux's own: what a result says is not changed.
				_, rest, _ := strings.Cut(params, `,`)
				if err != nil || !strings.HasPrefix(got, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":`, id)) || !strings.HasSuffix(got, rest+"}\n") {
					t.Errorf("client %d, call %d: %.100s, %v", i, id, got, err)
					return
				}
			}
		})
	}
	clients.Wait()
}

func TestWhatAChildMayDo(t *testing.T) {
	type told struct {
		mu  sync.Mutex
		all []string
	}
	for _, row := range []struct {
		tool    string
		want    string // answer
		failure transport.FailureCause
		strays  int
	}{
		{tool: "twice", want: `{"jsonrpc":"2.0","id":7,"result":{"n":1}}`, strays: 1},
		{tool: "junk", want: `{"jsonrpc":"2.0","id":7,"result":{}}`, strays: 2},
		{tool: "other", failure: transport.TimedOut, strays: 1},
		{tool: "repeated", failure: transport.BadAnswer, strays: 1},
		{tool: "hang", failure: transport.TimedOut},
		{tool: "exit", failure: transport.Unreachable},
	} {
		t.Run(row.tool, func(t *testing.T) {
			t.Parallel()
			var strays told
			ended := make(chan string, 10)
			timeout := time.Minute
			if row.failure == transport.TimedOut {
				timeout = 2 * time.Second
			}
			c := startPatient(t, "raw", Shared, timeout, childOptions{
				Stray: func(_ *jsonrpc.Message, reason string) {
					strays.mu.Lock()
					defer strays.mu.Unlock()
					strays.all = append(strays.all, reason)
				},
				Ended: func(cause error, stderr []byte) { ended <- fmt.Sprint(cause, " ", string(stderr)) },
			})
			up := opened(t, c, openKey{principal: "ann", session: "1"})
			got, err := asked(t, up, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"`+row.tool+`"}}`)
			if strings.TrimSpace(got) != row.want {
				t.Errorf("answer %q, want %q", got, row.want)
			}
			var f *transport.Failure
			if row.failure == 0 && err != nil || row.failure != 0 && (!asFailure(err, &f) || f.Cause != row.failure) {
				t.Errorf("%v, want cause %q", err, row.failure)
			}
			if row.tool == "exit" {
				if how := <-ended; !strings.Contains(how, "exit status 3") || !strings.Contains(how, "it hurts") {
					t.Errorf("ended with %q", how)
				}
				deadline := time.Now().Add(5 * time.Second)
				for again := time.NewTicker(50 * time.Millisecond); time.Now().Before(deadline); <-again.C {
					if _, err = asked(t, up, `{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"ok"}}`); err == nil {
						return
					}
				}
				t.Errorf("the child does not come back: %v", err)
				return
			}
			if _, err := asked(t, up, `{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"ok"}}`); err != nil {
				t.Errorf("the next call: %v", err)
			}
			strays.mu.Lock()
			defer strays.mu.Unlock()
			if len(strays.all) != row.strays {
				t.Errorf("told of %q, want %d", strays.all, row.strays)
			}
		})
	}
}

func asFailure(err error, f **transport.Failure) bool {
	return errors.As(err, f)
}

func TestChildSeesNothingOfOurSecrets(t *testing.T) {
	t.Setenv("MCPX_TOKEN", "hush")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	got, err := asked(t, opened(t, startChildren(t, "raw", Shared, childOptions{}), openKey{}), `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"environ"}}`)
	if err != nil || strings.Contains(got, "hush") || !strings.Contains(got, roleVariable+"=raw") || !strings.Contains(got, "PATH=") {
		t.Errorf("%s, %v", got, err)
	}
}

func TestCommandThatDoesNotExist(t *testing.T) {
	c := newChildren(Server{Name: "s", Command: "no-such-program-here"}, Limits{}, childOptions{Log: zerolog.Nop()})
	defer c.close()
	up := opened(t, c, openKey{})
	_, err := asked(t, up, callTool)
	var f *transport.Failure
	if !asFailure(err, &f) || f.Cause != transport.Unreachable || f.RetryAfter <= 0 || strings.Contains(f.Public(), "no-such") {
		t.Errorf("%+v", err)
	}
	if state, err := c.check(t.Context()); state != childFailed || err == nil {
		t.Errorf("state %s, %v", state, err)
	}
}

// The official SDK's server answers clients of both eras, each on a child of its own.
func TestSDKServerServesBothEras(t *testing.T) {
	c := startChildren(t, "sdk", Shared, childOptions{})
	legacy := opened(t, c, openKey{principal: "ann", session: "1"})
	if got, err := asked(t, legacy, initialize); err != nil || !strings.Contains(got, `"name":"sdk"`) {
		t.Errorf("initialize: %s, %v", got, err)
	}
	got, err := asked(t, legacy, `{"jsonrpc":"2.0","id":"s","method":"tools/call","params":{"name":"say","arguments":{"Text":"legacy"}}}`)
	if err != nil || !strings.Contains(got, `"text":"legacy"`) || strings.Contains(got, "resultType") {
		t.Errorf("legacy call: %s, %v", got, err)
	}
	modern := opened(t, c, openKey{modern: true})
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	got, err = asked(t, modern, `{"jsonrpc":"2.0","id":"s","method":"tools/call","params":{`+meta+`,"name":"say","arguments":{"Text":"modern"}}}`)
	if err != nil || !strings.Contains(got, `"text":"modern"`) || !strings.Contains(got, "resultType") {
		t.Errorf("modern call: %s, %v", got, err)
	}
	got, err = asked(t, modern, `{"jsonrpc":"2.0","id":"d","method":"server/discover","params":{`+meta+`}}`)
	if err != nil || !strings.Contains(got, `2026-07-28`) {
		t.Errorf("discover: %s, %v", got, err)
	}
}

// What a server asks of its client reaches it where there is one, and its answer comes back.
func TestSDKServerAsksItsClient(t *testing.T) {
	const call = `{"jsonrpc":"2.0","id":"s","method":"tools/call","params":{"name":"ask","arguments":{}}}`
	const hello = `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{}},"clientInfo":{"name":"c","version":"1"}}}`
	for _, isolation := range []string{PerSession, PerClient, Shared} {
		up := opened(t, startChildren(t, "sdk", isolation, childOptions{}), openKey{principal: "ann", session: "1"})
		if _, err := asked(t, up, hello); err != nil {
			t.Fatal(err)
		}
		var last string
		questions := 0
		if err := up.Call(t.Context(), message(t, call), func(a transport.Arrival) error {
			last = string(a.Message.Raw)
			if a.Message.Kind == jsonrpc.Request {
				questions++
				return up.Send(t.Context(), jsonrpc.NewResult(a.Message.ID, []byte(`{"roots":[{"uri":"file:///ann"}]}`)))
			}
			return nil
		}); err != nil {
			t.Errorf("%s: %v", isolation, err)
		}
		if isolation == Shared && (questions != 0 || !strings.Contains(last, `"isError":true`)) ||
			isolation != Shared && (questions != 1 || !strings.Contains(last, "file:///ann")) {
			t.Errorf("%s: asked %d times, answer %s", isolation, questions, last)
		}
	}
}

// BenchmarkMux is what a call costs beyond the gateway: through the mux, the pipes and a trivial server.
func BenchmarkMux(b *testing.B) {
	for _, size := range []int{200, 10_000, 1_000_000} {
		for _, flight := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%dB/%d in flight", size, flight), func(b *testing.B) {
				c := startChildren(b, "echo", Shared, childOptions{})
				up := opened(b, c, openKey{modern: true})
				text := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","pad":"` + strings.Repeat("x", max(0, size-100)) + `"}}`
				request := message(b, text)
				ctx := context.Background()
				yield := func(transport.Arrival) error { return nil }
				if err := up.Call(ctx, request, yield); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(2 * len(text)))
				b.ReportAllocs()
				b.ResetTimer()
				var calls sync.WaitGroup
				var next = make(chan struct{}, flight)
				for range flight {
					calls.Go(func() {
						for range next {
							if err := up.Call(ctx, request, yield); err != nil {
								b.Error(err)
							}
						}
					})
				}
				for b.Loop() {
					next <- struct{}{}
				}
				close(next)
				calls.Wait()
			})
		}
	}
}
