package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	traces "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"github.com/rohitgs28/mcpx/transport/stdio"
)

// tracedServerName is a server that makes a span of each call below the one that params._meta.traceparent names.
const tracedServerName = "traced-server"

func tracedServerMain() {
	if err := serveTraced(os.Stdin, os.Stdout, os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serveTraced(in io.Reader, out io.Writer, collector string) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var m struct {
			ID     json.RawMessage
			Method string
			Params struct {
				Name string
				Meta struct{ Traceparent string } `json:"_meta"`
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return err
		}
		if m.ID == nil {
			continue
		}
		result := `{}`
		switch m.Method {
		case "initialize":
			result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"traced","version":"1"}}`
		case "tools/list":
			result = `{"tools":[{"name":"echo","inputSchema":{"type":"object"}},{"name":"fail","inputSchema":{"type":"object"}},{"name":"rm","inputSchema":{"type":"object"}}]}`
		case "tools/call":
			parent := strings.Split(m.Params.Meta.Traceparent, "-")
			if len(parent) != 4 {
				return fmt.Errorf("traceparent %q", m.Params.Meta.Traceparent)
			}
			err := handSpan{collector, "server", spanByHand(parent[1], parent[2], traces.Span_SPAN_KIND_SERVER, "tools/call "+m.Params.Name)}.end()
			if err != nil {
				return err
			}
			result = `{"content":[],"isError":` + fmt.Sprint(m.Params.Name == "fail") + `}`
		}
		if _, err := fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", m.ID, result); err != nil {
			return err
		}
	}
	return lines.Err()
}

// spanByHand begins a span; parent "": it has none.
func spanByHand(trace, parent string, kind traces.Span_SpanKind, name string) *traces.Span {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // it never fails
	traceID, _ := hex.DecodeString(trace)
	above, _ := hex.DecodeString(parent)
	return &traces.Span{TraceId: traceID, SpanId: id, ParentSpanId: above, Kind: kind, Name: name, StartTimeUnixNano: uint64(time.Now().UnixNano())}
}

func newTrace() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it never fails
	return hex.EncodeToString(id)
}

const tracedConfig = `servers:
  - name: traced
    command: traced-server
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: "${OTEL_EXPORTER_OTLP_ENDPOINT}" }
    policy: { deny_tools: [rm] }
`

// tracedMachine is one with a collector that the environment names.
func tracedMachine(t *testing.T, c *collector, config string) *machine {
	t.Helper()
	m := newMachine(t)
	m.env = append(m.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_RESOURCE_ATTRIBUTES=", "OTEL_SERVICE_NAME=")
	if err := os.WriteFile(filepath.Join(m.folder, "mcpx.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

// checkCalls wants three calls as one sees them that is traced all the way: each a trace of its own.
func checkCalls(t *testing.T, c *collector, m *machine, calls map[string]string, transport string) {
	t.Helper()
	for tool, want := range map[string]string{
		"echo": `CLIENT tools/call echo (agent)
  SERVER tools/call echo (mcpx)
    CLIENT tools/call echo (mcpx)
      SERVER tools/call echo (server)
`,
		"fail": `CLIENT tools/call fail (agent)
  SERVER tools/call fail (mcpx) failed: tool_error
    CLIENT tools/call fail (mcpx) failed: tool_error
      SERVER tools/call fail (server)
`,
		"rm": `CLIENT tools/call rm (agent)
  SERVER tools/call rm (mcpx) failed: -32600
`,
	} {
		trace := calls[tool]
		t.Logf("the trace of %s\n%s", tool, c.tree(trace, true))
		if diff := cmp.Diff(want, c.tree(trace, false)); diff != "" {
			t.Errorf("the trace of %s (-want +got)\n%s", tool, diff)
		}
		checkNested(t, c.of(trace))
		for _, s := range c.of(trace) {
			if s.service != "mcpx" {
				continue
			}
			wantValues := map[string]string{
				"mcp.method.name": "tools/call", "gen_ai.tool.name": tool, "gen_ai.operation.name": "execute_tool", "mcpx.server": "traced", "network.transport": "pipe",
			}
			if s.Kind == traces.Span_SPAN_KIND_SERVER {
				wantValues["network.transport"] = transport
			}
			if tool == "rm" {
				wantValues["mcpx.decision"], wantValues["mcpx.rule"], wantValues["rpc.response.status_code"] = "deny", "policy.deny_tools[0]", "-32600"
			}
			for key, want := range wantValues {
				if s.values[key] != want {
					t.Errorf("%v %s: %s is %q, want %q", s.Kind, s.Name, key, s.values[key], want)
				}
			}
			if text := fmt.Sprint(s.values); strings.Contains(text, "hunter2") {
				t.Errorf("a span holds an argument: %s", text)
			}
		}
	}
	out, _ := m.run(t, 0, "", "audit", "query", "--json")
	for tool, trace := range calls {
		if n := strings.Count(out, `"trace_id":"`+trace+`"`); n == 0 || tool != "rm" && n != 2 {
			t.Errorf("%d events of the call of %s hold its trace %s:\n%s", n, tool, trace, out)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.problems) > 0 {
		t.Errorf("the collector objects: %q", c.problems)
	}
	for _, name := range []string{"mcp.server.operation.duration", "mcp.client.operation.duration"} {
		one := c.metrics[name]
		var echo uint64
		for _, p := range one.GetHistogram().GetDataPoints() {
			if attributes(p.Attributes)["gen_ai.tool.name"] == "echo" {
				echo += p.Count
			}
		}
		if echo != 1 || one.GetUnit() != "s" || len(one.GetHistogram().GetDataPoints()[0].ExplicitBounds) != 14 {
			t.Errorf("%s: %v", name, one)
		}
	}
}

// checkNested wants every span inside the one above it; clocks of different processes may differ by a little.
func checkNested(t *testing.T, all []toldSpan) {
	t.Helper()
	const little = uint64(2 * time.Millisecond)
	for _, s := range all {
		for _, above := range all {
			if above.id() == hex.EncodeToString(s.ParentSpanId) && (s.StartTimeUnixNano+little < above.StartTimeUnixNano || s.EndTimeUnixNano > above.EndTimeUnixNano+little) {
				t.Errorf("%s of %s is not inside %s of %s", s.Name, s.service, above.Name, above.service)
			}
		}
	}
}

func traceableCall(id int, tool, traceparent string) string {
	meta := ""
	if traceparent != "" {
		meta = `,"_meta":{"traceparent":"` + traceparent + `"}`
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{"password":"hunter2"}%s}}`, id, tool, meta)
}

// TestTraceThroughWrap is one trace of a call: of a client, of a wrapper on both of its sides, and of a server; three processes.
func TestTraceThroughWrap(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	m := tracedMachine(t, c, tracedConfig)
	command := exec.CommandContext(t.Context(), "mcpx", "wrap", "--name", "traced")
	command.Dir, command.Env = m.folder, m.env
	var stderr bytes.Buffer
	command.Stderr = &stderr
	stdin, inErr := command.StdinPipe()
	stdout, outErr := command.StdoutPipe()
	if err := errors.Join(inErr, outErr, command.Start()); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewScanner(stdout)
	ask := func(line string) string {
		if _, err := io.WriteString(stdin, line+"\n"); err != nil || !answers.Scan() {
			t.Fatalf("%v, %v: %s", err, answers.Err(), stderr.String())
		}
		return answers.Text()
	}
	ask(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"agent","version":"1"}}}`)
	if _, err := io.WriteString(stdin, `{"jsonrpc":"2.0","method":"notifications/initialized"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	calls := map[string]string{}
	for i, tool := range []string{"echo", "fail", "rm"} {
		trace := newTrace()
		calls[tool] = trace
		span := spanByHand(trace, "", traces.Span_SPAN_KIND_CLIENT, "tools/call "+tool)
		answer := ask(traceableCall(i+2, tool, "00-"+trace+"-"+hex.EncodeToString(span.SpanId)+"-01"))
		if err := (handSpan{c.URL, "agent", span}).end(); err != nil || strings.Contains(answer, `"result"`) == (tool == "rm") {
			t.Errorf("%v: %s", err, answer)
		}
	}
	stdin.Close()
	if err := command.Wait(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v: %s", err, stderr.String())
	}
	checkCalls(t, c, m, calls, "pipe")
	for _, name := range []string{"mcp.server.session.duration", "mcp.client.session.duration"} {
		if points := c.metrics[name].GetHistogram().GetDataPoints(); len(points) != 1 || points[0].Count != 1 {
			t.Errorf("%s: %v", name, points)
		}
	}
}

// TestTraceThroughHub is the same by HTTP, where the context comes in a header.
func TestTraceThroughHub(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	m := tracedMachine(t, c, tracedConfig)
	hub, address := m.startHub(t, "--listen", "127.0.0.1:0", "--socket", "none")
	calls := map[string]string{}
	for i, tool := range []string{"echo", "fail", "rm"} {
		trace := newTrace()
		calls[tool] = trace
		span := spanByHand(trace, "", traces.Span_SPAN_KIND_CLIENT, "tools/call "+tool)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/mcp/traced", strings.NewReader(traceableCall(i+1, tool, "")))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("Traceparent", "00-"+trace+"-"+hex.EncodeToString(span.SpanId)+"-01")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		if err = errors.Join(err, answer.Body.Close(), handSpan{c.URL, "agent", span}.end()); err != nil || strings.Contains(string(text), `"result"`) == (tool == "rm") {
			t.Errorf("%v: %s %s", err, answer.Status, text)
		}
	}
	if code := hub.end(t, os.Interrupt); code != 0 {
		t.Errorf("the hub ends with %d: %s", code, hub.text())
	}
	checkCalls(t, c, m, calls, "tcp")
}

// TestWrapWithoutCollector says so once, and nothing else is different.
func TestWrapWithoutCollector(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	c.Close()
	m := tracedMachine(t, c, "")
	if err := os.Remove(filepath.Join(m.folder, "mcpx.yaml")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	out, all := m.run(t, 0, conversation, "wrap", "--", mockName)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if !strings.Contains(out, `"id":2,"result"`) || strings.Count(all, "cannot be used") != 2 || strings.Count(all, "did not reach the collector") != 1 {
		t.Errorf("%s", all)
	}
}

// TestTelemetryOffIsNothing holds that without section and variables a wrapper gets neither tracer nor a start of its own.
func TestTelemetryOffIsNothing(t *testing.T) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	a := &app{err: io.Discard}
	off := a.wrapTelemetry(defaults(), wrapped{name: "s"}, zerolog.Nop())
	if off != nil || off.Tracer() != nil {
		t.Errorf("there is a tracer: %v", off)
	}
	started := false
	start := off.after(func(stdio.Command) (*stdio.Child, error) { started = true; return nil, nil })
	if _, err := start(stdio.Command{}); err != nil || !started {
		t.Error("the server is not started")
	}
	off.close()
}
