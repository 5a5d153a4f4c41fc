package streamable_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

const (
	modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	modernCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo",` + modernMeta + `}}`
	modernList = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + modernMeta + `}}`
	legacyList = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
)

// heads makes a header of "Name: value" lines; Content-Type is JSON unless one says otherwise.
func heads(lines ...string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if h.Get(name) == "application/json" && value != "application/json" {
			h.Del(name)
		}
		h.Add(name, value)
	}
	return h
}

var modernHeads = []string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: echo"}

func with(lines []string, more ...string) []string {
	return append(append([]string(nil), lines...), more...)
}

// Each row is a POST that must be refused, or one that must pass (status 0).
func TestIncoming(t *testing.T) {
	named := func(name string) string {
		return strings.Replace(modernCall, `"echo"`, name, 1)
	}
	for _, row := range []struct {
		name   string
		heads  []string
		body   string
		status int
		code   int
	}{
		{"legacy", nil, legacyList, 0, 0},
		{"legacy with its revision", []string{"MCP-Protocol-Version: 2025-06-18"}, legacyList, 0, 0},
		{"legacy, unknown revision", []string{"MCP-Protocol-Version: 2025-01-01"}, legacyList, 400, -32600},
		{"legacy, no date at all", []string{"MCP-Protocol-Version: 1"}, legacyList, 400, -32600},
		{"white space is taken out", nil, "\n{ \"jsonrpc\": \"2.0\",\r\n\"method\": \"ping\", \"id\": 1 }\n", 0, 0},

		{"curl -d", []string{"Content-Type: application/x-www-form-urlencoded"}, legacyList, 0, 0},
		{"a form of a page", []string{"Content-Type: application/x-www-form-urlencoded", "Origin: http://localhost"}, legacyList, 415, -32600},
		{"no type", []string{"Content-Type: "}, legacyList, 0, 0},
		{"text/plain", []string{"Content-Type: text/plain"}, legacyList, 415, -32600},
		{"charset", []string{"Content-Type: application/json; charset=UTF-8"}, legacyList, 0, 0},
		{"another charset", []string{"Content-Type: application/json; charset=utf-16"}, legacyList, 415, -32600},
		{"json with a suffix", []string{"Content-Type: application/jsonp"}, legacyList, 415, -32600},
		{"two types", []string{"Content-Type: application/json", "Content-Type: application/json"}, legacyList, 400, -32600},
		{"gzip", []string{"Content-Encoding: gzip"}, legacyList, 415, -32600},
		{"identity", []string{"Content-Encoding: identity"}, legacyList, 0, 0},

		{"empty", nil, ``, 400, -32700},
		{"no JSON", nil, `hello`, 400, -32700},
		{"two messages", nil, legacyList + legacyList, 400, -32700},
		{"a batch", nil, `[` + legacyList + `]`, 400, -32600},
		{"twice the same name", nil, `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}`, 400, -32700},
		{"a twin by case", nil, `{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}`, 400, -32600},
		{"an id that is null", nil, `{"jsonrpc":"2.0","id":null,"method":"ping"}`, 400, -32600},
		{"too deep", nil, `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":` + strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40) + `}}`, 400, -32600},
		{"too long", nil, `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"` + strings.Repeat("x", 5000) + `"}}`, 413, -32600},

		{"modern", modernHeads, modernCall, 0, 0},
		{"name in base64", []string{modernHeads[0], modernHeads[1], "Mcp-Name: =?base64?ZWNobw==?="}, modernCall, 0, 0},
		{"name beyond ASCII in base64", []string{modernHeads[0], modernHeads[1], "Mcp-Name: =?base64?w7w=?="}, named(`"ü"`), 0, 0},
		{"escaped name", modernHeads, named(`"\u0065cho"`), 0, 0},
		{"loose base64", []string{modernHeads[0], modernHeads[1], "Mcp-Name: =?base64?ZWNobw?="}, modernCall, 400, -32020},
		{"base64 without its end", []string{modernHeads[0], modernHeads[1], "Mcp-Name: =?base64?ZWNobw=="}, modernCall, 400, -32020},
		{"another name", []string{modernHeads[0], modernHeads[1], "Mcp-Name: safe"}, modernCall, 400, -32020},
		{"a name in other letters", []string{modernHeads[0], modernHeads[1], "Mcp-Name: Echo"}, modernCall, 400, -32020},
		{"two names", with(modernHeads, "Mcp-Name: echo"), modernCall, 400, -32600},
		{"names in a list", []string{modernHeads[0], modernHeads[1], "Mcp-Name: echo, echo"}, modernCall, 400, -32020},
		{"no name", modernHeads[:2], modernCall, 400, -32020},
		{"another method", []string{modernHeads[0], "Mcp-Method: tools/list", modernHeads[2]}, modernCall, 400, -32020},
		{"no method", []string{modernHeads[0], modernHeads[2]}, modernCall, 400, -32020},
		{"no revision in the head", modernHeads[1:], modernCall, 400, -32020},
		{"another revision in the head", []string{"MCP-Protocol-Version: 2025-11-25", modernHeads[1], modernHeads[2]}, modernCall, 400, -32020},
		{"two revisions", with(modernHeads, "MCP-Protocol-Version: 2026-07-28"), modernCall, 400, -32600},
		{"no revision in the body", modernHeads, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}`, 400, -32602},
		{"no capabilities", modernHeads, strings.Replace(modernCall, `,"io.modelcontextprotocol/clientCapabilities":{}`, ``, 1), 400, -32602},
		{"an unknown revision", []string{"MCP-Protocol-Version: 2027-01-01", modernHeads[1], modernHeads[2]}, strings.Replace(modernCall, "2026-07-28", "2027-01-01", 1), 400, -32022},
		{"a legacy revision in the body", []string{"MCP-Protocol-Version: 2025-11-25", modernHeads[1], modernHeads[2]}, strings.Replace(modernCall, "2026-07-28", "2025-11-25", 1), 400, -32022},
		{"an answer", modernHeads[:1], `{"jsonrpc":"2.0","id":1,"result":{}}`, 400, -32600},
		{"a notification", modernHeads[:1], `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, 0, 0},
		{"a list needs no name", []string{modernHeads[0], "Mcp-Method: tools/list"}, modernList, 0, 0},
		{"two params headers", with(modernHeads, "Mcp-Param-X: 1", "Mcp-Param-X: 2"), modernCall, 400, -32600},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/mcp/x", strings.NewReader(row.body))
			r.Header = heads(row.heads...)
			var in streamable.Incoming
			rejected := in.Read(r, streamable.ServerLimits{MaxBody: 4096, MaxDepth: 32})
			if rejected == nil {
				if row.status != 0 {
					t.Fatalf("passed, want status %d", row.status)
				}
				return
			}
			var answer struct {
				ID    json.RawMessage
				Error struct{ Code int }
			}
			if err := json.Unmarshal(rejected.Answer.Raw, &answer); err != nil {
				t.Fatal(err)
			}
			if rejected.Status != row.status || answer.Error.Code != row.code {
				t.Errorf("refused with %d and %s, want %d and %d", rejected.Status, rejected.Answer.Raw, row.status, row.code)
			}
		})
	}
}

// What is forwarded is what was judged, byte for byte, and the params headers with it.
func TestIncomingKeepsTheBytes(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/mcp/x", strings.NewReader(modernCall))
	r.Header = heads(with(modernHeads, "Mcp-Param-Region: us", "mcp-param-size: 3")...)
	in := streamable.Incoming{}
	for range 2 { // its memory is used again
		in.Reset()
		r.Body = http.NoBody
		r.Body = readCloser{strings.NewReader(modernCall)}
		if rejected := in.Read(r, streamable.ServerLimits{MaxBody: 4096, MaxDepth: 32}); rejected != nil {
			t.Fatal(rejected.Reason)
		}
		params := strings.Join(in.Params, " ")
		if string(in.Message.Raw) != modernCall || !in.Modern || len(in.Params) != 4 || !strings.Contains(params, "Mcp-Param-Region us") || !strings.Contains(params, "Mcp-Param-Size 3") {
			t.Errorf("got %s, modern %v, params %q", in.Message.Raw, in.Modern, in.Params)
		}
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func arrival(line string) transport.Arrival {
	m := new(jsonrpc.Message)
	jsonrpc.Scan([]byte(line), m)
	return transport.Arrival{Message: m}
}

const progress = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`

func TestReplyIsOneBodyOrAStream(t *testing.T) {
	answer := `{"jsonrpc":"2.0","id":1,"result":{"x":"` + "a\u2028b" + `"}}`
	for _, row := range []struct {
		name     string
		reply    streamable.Reply
		arrivals []transport.Arrival
		kind     string
		body     string
	}{
		{"an answer", streamable.Reply{}, []transport.Arrival{arrival(answer)}, "application/json", answer},
		{"something before it", streamable.Reply{}, []transport.Arrival{arrival(progress), arrival(answer)}, "text/event-stream", "data: " + progress + "\n\ndata: " + strings.Replace(answer, "\u2028", `\u2028`, 1) + "\n\n"},
		{"a client that takes one body", streamable.Reply{OneBody: true}, []transport.Arrival{arrival(progress), arrival(answer)}, "application/json", answer},
		{"what is said unasked", streamable.Reply{Stream: true}, []transport.Arrival{{}, arrival(progress)}, "text/event-stream", "data: " + progress + "\n\n"},
		{"an id to resume behind", streamable.Reply{}, []transport.Arrival{{EventID: "7", Retry: 1500 * time.Millisecond}}, "text/event-stream", "id: 7\nretry: 1500\ndata: \n\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			reply := row.reply
			reply.W = w
			for _, a := range row.arrivals {
				if err := reply.Deliver(a); err != nil {
					t.Fatal(err)
				}
			}
			reply.End()
			if got := w.Header().Get("Content-Type"); got != row.kind {
				t.Errorf("Content-Type %q", got)
			}
			if got := w.Body.String(); got != row.body {
				t.Errorf("body\n%q, want\n%q", got, row.body)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	ours := func(code int, rule string) transport.Arrival {
		return transport.Arrival{Message: jsonrpc.NewError(jsonrpc.StringID("a"), code, "m", fmt.Appendf(nil, `{"source":"mcpx","rule":%q,"retry_after_ms":1200}`, rule))}
	}
	failed := func(cause transport.FailureCause) transport.Arrival {
		a := ours(-32603, "")
		a.Failure = &transport.Failure{Cause: cause, Err: errors.New("x")}
		return a
	}
	theirs := func(code, status int) transport.Arrival {
		a := arrival(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"error":{"code":%d,"message":"m"}}`, code))
		a.Status = status
		return a
	}
	for _, row := range []struct {
		name           string
		a              transport.Arrival
		legacy, modern int
	}{
		{"result", arrival(`{"jsonrpc":"2.0","id":1,"result":{}}`), 200, 200},
		{"denied", ours(-32600, "policy.deny_tools[0]"), 403, 403},
		{"drifted", ours(-32600, "inspection.tool_integrity"), 403, 403},
		{"rate limit", ours(-32600, "rate_limit.rps"), 429, 429},
		{"unknown tool", ours(-32602, "inspection.unknown_tool"), 200, 400},
		{"unknown method", ours(-32601, "methods"), 200, 404},
		{"id in flight", ours(-32600, "jsonrpc.id"), 400, 400},
		{"handshake", ours(-32600, "protocol.handshake"), 400, 400},
		{"audit log", ours(-32603, "audit.on_failure"), 503, 503},
		{"unreachable", failed(transport.Unreachable), 502, 502},
		{"invalid", failed(transport.BadAnswer), 502, 502},
		{"timeout", failed(transport.TimedOut), 504, 504},
		{"breaker", failed(transport.Overloaded), 503, 503},
		{"session", failed(transport.SessionGone), 404, 404},
		{"the server's own status", theirs(-32602, 400), 400, 400},
		{"a child's unknown method", theirs(-32601, 0), 200, 404},
		{"a child's bad params", theirs(-32602, 0), 200, 400},
		{"a child's capability", theirs(-32021, 0), 200, 400},
		{"a child's own code", theirs(-1, 0), 200, 200},
	} {
		if got := streamable.Status(row.a, false); got != row.legacy {
			t.Errorf("%s: legacy %d, want %d", row.name, got, row.legacy)
		}
		if got := streamable.Status(row.a, true); got != row.modern {
			t.Errorf("%s: modern %d, want %d", row.name, got, row.modern)
		}
	}
}

// Whatever comes, an Incoming that is not refused holds a message that scans to itself, and the headers agree with it.
func FuzzIncoming(f *testing.F) {
	f.Add("2026-07-28", "tools/call", "echo", "application/json", []byte(modernCall))
	f.Add("2025-11-25", "", "", "", []byte(legacyList))
	f.Add("", "", "=?base64?ZWNobw==?=", "application/json; charset=utf-8", []byte("{}"))
	f.Fuzz(func(t *testing.T, version, method, name, kind string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/mcp/x", strings.NewReader(string(body)))
		r.Header = http.Header{"Mcp-Protocol-Version": {version}, "Mcp-Method": {method}, "Mcp-Name": {name}, "Content-Type": {kind}}
		var in streamable.Incoming
		if in.Read(r, streamable.ServerLimits{MaxBody: 4096, MaxDepth: 32}) != nil {
			return
		}
		var again jsonrpc.Message
		if fault := jsonrpc.Scan(append([]byte(nil), in.Message.Raw...), &again); fault != nil {
			t.Fatalf("passed what does not scan: %v", fault)
		}
		if in.Modern && (version != "2026-07-28" || again.Kind == jsonrpc.Request && method != again.Method) {
			t.Fatalf("passed %q under %q, %q", in.Message.Raw, version, method)
		}
	})
}
