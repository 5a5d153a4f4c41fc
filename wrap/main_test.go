package wrap_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/stdio"
	"github.com/rohitgs28/mcpx/wrap"
)

// The test binary is also a wrapper (`as-wrap DIR COMMAND…`, everything of it kept in DIR) and the server that it
// wraps (`as-server`). A command that is a URL is a remote server, by HTTP+SSE where it ends in /sse.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "as-wrap" {
		os.Exit(asWrap(os.Args[2], os.Args[3:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "as-server" {
		os.Exit(asServer())
	}
	os.Exit(m.Run())
}

const hello = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}` + "\n" +
	`{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n"

// rules are the wrapper's own.
var rules = policy.Config{DenyTools: []string{"rm"}}

// hubOf is the wrapper's hub: TEST_HUB_SOCKET is that on this machine, TEST_HUB_URL another one.
func hubOf(dir string) *wrap.Hub {
	hub := &wrap.Hub{Dir: filepath.Join(dir, "state"), Rules: rules, Required: os.Getenv("TEST_HUB_REQUIRED") != "", Version: "test"}
	if socket := os.Getenv("TEST_HUB_SOCKET"); socket != "" {
		hub.Destination, hub.Principal = audit.LocalHub, uplink.LocalPrincipal
		hub.Connect = func() (*uplink.Client, error) {
			if _, err := os.Stat(socket); err != nil {
				return nil, uplink.ErrNoHub
			}
			return uplink.NewClient(uplink.Options{Socket: socket, Version: "test"})
		}
		return hub
	}
	if url := os.Getenv("TEST_HUB_URL"); url != "" {
		hub.Destination = url
		hub.Connect = func() (*uplink.Client, error) {
			return uplink.NewClient(uplink.Options{URL: url, Version: "test", Token: func() (string, error) { return "secret", nil }})
		}
		hub.Key, _ = uplink.ParseKey(os.Getenv("TEST_HUB_KEY"))
		return hub
	}
	return nil
}

func asWrap(dir string, argv []string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "as-wrap:", err)
		return wrap.ExitCode(err)
	}
	limit, _ := strconv.Atoi(os.Getenv("TEST_MAX_MESSAGE"))
	log, err := audit.Open(audit.Options{DefaultDir: filepath.Join(dir, "audit"), StateDir: filepath.Join(dir, "heads"), Source: "wrap", Stderr: os.Stderr, Hub: os.Getenv("TEST_HUB_URL")})
	if err != nil {
		return fail(err)
	}
	defer log.Close()
	file, err := integrity.Open(filepath.Join(dir, "mcpx.lock"))
	if err != nil {
		return fail(err)
	}
	engine, err := policy.Compile(rules)
	if err != nil {
		return fail(err)
	}
	var remote *wrap.Remote
	if strings.Contains(argv[0], "://") {
		remote = &wrap.Remote{URL: argv[0], SSE: strings.HasSuffix(argv[0], "/sse"), Headers: map[string]string{"X-Test": "1"}}
	}
	code, err := wrap.Run(context.Background(), wrap.Options{
		Command: stdio.Command{Args: argv},
		Remote:  remote,
		Hub:     hubOf(dir),
		Guard:   policy.GuardOptions{Server: "srv", Engine: engine, Pins: file.Server("srv", integrity.Config{}), Log: log},
		In:      os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Limits: wrap.Limits{MaxMessage: limit},
		Log:    zerolog.New(os.Stderr).Level(zerolog.WarnLevel),
	})
	if err != nil {
		return fail(err)
	}
	return code
}

// asServer answers like an MCP server. What it is told to do is the name of the tool that is called. Each call that it
// sees it notes in the file TEST_SEEN before anything else.
func asServer() int {
	seen, err := os.OpenFile(os.Getenv("TEST_SEEN"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		seen = nil
	}
	fmt.Fprintln(os.Stderr, "server is up")
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			if code, err := strconv.Atoi(os.Getenv("TEST_EXIT")); err == nil {
				return code
			}
			return 0
		}
		var r struct {
			ID     json.RawMessage
			Method string
			Params struct {
				Name      string
				Arguments struct{ Size int }
			}
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			fmt.Println("cannot read that")
			continue
		}
		result := `{}`
		switch r.Method {
		case "initialize":
			result = fmt.Sprintf(`{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":%t}},"serverInfo":{"name":"srv","version":"1"}}`,
				os.Getenv("TEST_ANNOUNCES") != "")
		case "tools/list":
			result = `{"tools":[{"name":"echo"},{"name":"big"},{"name":"crash"},{"name":"kill"},{"name":"hang"},{"name":"env"},{"name":"chatter"},{"name":"deaf"},{"name":"flood"},{"name":"rm"}]}`
		case "tools/call":
			if seen != nil {
				fmt.Fprintf(seen, "%s %s\n", r.ID, r.Params.Name)
			}
			text := ""
			switch r.Params.Name {
			case "big":
				text = strings.Repeat("x", r.Params.Arguments.Size)
			case "crash":
				fmt.Fprintln(os.Stderr, "panic: it hurts")
				return 3
			case "kill":
				self, _ := os.FindProcess(os.Getpid())
				_ = self.Kill()
				select {}
			case "hang":
				continue
			case "flood":
				for {
					if _, err := io.WriteString(os.Stdout, `{"jsonrpc":"2.0","method":"notifications/message","params":{}}`+"\n"); err != nil {
						return 1
					}
				}
			case "deaf":
				select {}
			case "env":
				text = strings.Join(os.Environ(), " ")
			case "chatter":
				fmt.Println("Loading…")
			}
			quoted, _ := json.Marshal(text)
			result = `{"content":[{"type":"text","text":` + string(quoted) + `}]}`
		}
		if r.ID != nil {
			if _, err := io.WriteString(os.Stdout, `{"jsonrpc":"2.0","id":`+string(r.ID)+`,"result":`+result+"}\n"); err != nil {
				return 1
			}
		}
	}
}
