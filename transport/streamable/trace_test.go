package streamable_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

const (
	onePath     = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	anotherPath = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

// What came beside a message is its context where the message has none of its own, in either era; what is not valid, comes twice or is
// too long is none.
func TestTraceContextComesInHeaders(t *testing.T) {
	long := strings.Repeat("a=1,", 128) + "b=1"
	inBody := strings.Replace(legacyList, `"tools/list"`, `"tools/list","params":{"_meta":{"traceparent":"`+onePath+`"}}`, 1)
	for _, row := range []struct {
		name          string
		heads         []string
		body          string
		parent, state string
	}{
		{"none", nil, legacyList, "", ""},
		{"legacy", []string{"traceparent: " + onePath, "tracestate: a=1"}, legacyList, onePath, "a=1"},
		{"modern", with(modernHeads, "traceparent: "+onePath), modernCall, onePath, ""},
		{"a notification", []string{"traceparent: " + onePath}, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, onePath, ""},
		{"two parents", []string{"traceparent: " + onePath, "traceparent: " + anotherPath}, legacyList, "", ""},
		{"two states", []string{"traceparent: " + onePath, "tracestate: a=1", "tracestate: b=2"}, legacyList, onePath, "a=1,b=2"},
		{"a state alone", []string{"tracestate: a=1"}, legacyList, "", ""},
		{"a long state", []string{"traceparent: " + onePath, "tracestate: " + long}, legacyList, onePath, ""},
		{"no traceparent", []string{"traceparent: " + strings.ToUpper(onePath), "tracestate: a=1"}, legacyList, "", ""},
		{"a later version", []string{"traceparent: cc" + onePath[2:] + "-more"}, legacyList, "cc" + onePath[2:] + "-more", ""},
		{"a long one of a later version", []string{"traceparent: cc" + onePath[2:] + "-" + strings.Repeat("x", 512)}, legacyList, "", ""},
		{"the message says it itself", []string{"traceparent: " + anotherPath, "tracestate: a=1"}, inBody, onePath, ""},
	} {
		var in streamable.Incoming
		r := httptest.NewRequest(http.MethodPost, "/mcp/s", strings.NewReader(row.body))
		r.Header = heads(row.heads...)
		if rejected := in.Read(r, streamable.ServerLimits{MaxBody: 1 << 20}); rejected != nil {
			t.Errorf("%s: %+v", row.name, rejected)
			continue
		}
		if got := in.Message.TraceContext(); string(got.Traceparent) != row.parent || string(got.Tracestate) != row.state {
			t.Errorf("%s: %q, %q", row.name, got.Traceparent, got.Tracestate)
		}
		if in.Reset(); in.Message.Beside != nil {
			t.Errorf("%s: the next message has what came beside this one", row.name)
		}
	}
}

// The POST of a message says in headers what the message says of its trace, or what came beside it, and nothing that a header cannot
// hold or that is no trace context.
func TestTraceContextLeavesInHeaders(t *testing.T) {
	call := func(meta string) string {
		return strings.Replace(callTool, `"name":"t"`, `"name":"t","_meta":{`+meta+`}`, 1)
	}
	beside := &jsonrpc.TraceContext{Traceparent: []byte(anotherPath), Tracestate: []byte("b=2")}
	long := strings.Repeat("x", 600)
	for _, row := range []struct {
		name   string
		body   string
		beside *jsonrpc.TraceContext
		want   string
	}{
		{"none", callTool, nil, ""},
		{"its own", call(`"traceparent":"` + onePath + `","tracestate":"a=1"`), beside, " Traceparent=" + onePath + " Tracestate=a=1"},
		{"without a state", call(`"traceparent":"` + onePath + `"`), beside, " Traceparent=" + onePath},
		{"beside it", callTool, beside, " Traceparent=" + anotherPath + " Tracestate=b=2"},
		{"a notification", `{"jsonrpc":"2.0","method":"notifications/x"}`, beside, " Traceparent=" + anotherPath + " Tracestate=b=2"},
		{"not valid", call(`"traceparent":"` + onePath + `x"`), beside, ""},
		{"no string", call(`"traceparent":7`), nil, ""},
		{"another header inside", call(`"traceparent":"cc` + onePath[2:] + `-\r\nX: y"`), nil, ""},
		{"another header inside the state", call(`"traceparent":"` + onePath + `","tracestate":"a=1\r\nX: y"`), nil, " Traceparent=" + onePath},
		{"a state that is not ASCII", call(`"traceparent":"` + onePath + `","tracestate":"a=\u00e9"`), nil, " Traceparent=" + onePath},
		{"too long", call(`"traceparent":"cc` + onePath[2:] + `-` + long + `"`), nil, ""},
		{"a state that is too long", call(`"traceparent":"` + onePath + `","tracestate":"a=` + long + `"`), nil, " Traceparent=" + onePath},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := serve(t, always(jsonResponse(answer)))
			client := newClient(t, streamable.ClientOptions{URL: b.url})
			m := message(t, row.body)
			m.Beside = row.beside
			if m.Kind == jsonrpc.Notification {
				_ = client.Send(testContext(t), m) // this server answers too much
			} else if err := client.Call(testContext(t), m, func(transport.Arrival) error { return nil }); err != nil {
				t.Fatal(err)
			}
			got, _ := b.seen()
			if want := "POST /mcp" + row.want + " " + row.body; len(got) != 1 || got[0] != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
