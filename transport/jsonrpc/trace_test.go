package jsonrpc

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

const someParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

var traced = []string{
	`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`,
	`{"method":"tools/list","params":{},"id":"a","jsonrpc":"2.0"}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":[1e400,{"_meta":{"traceparent":"not this one"}}]}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{},"name":"x"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":7}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"traceparent":"` + someParent + `","baggage":"a=b"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"a":"é\u0001","tracep\u0061rent":"x","tracestate":"a=1,b=2"},"name":"x"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"tracestate":"a=1"}}}`,
	`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.5}}`,
	`{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"traceparent":17}}}`,
	`{"params":{"_meta":{"tracestate":null,"x":[1,{}],"traceparent":{"a":"b"}},"uri":"u"},"method":"x","id":"é","jsonrpc":"2.0"}`,
	` { "jsonrpc" : "2.0" , "id" : 1 , "method" : "x" , "params" : { } } `,
	` { "jsonrpc" : "2.0" , "id" : 1 , "method" : "x" , "params" : { "_meta" : { } , "name" : "é" } } `,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"text":"` + strings.Repeat("1234567890", 50_000) + `"},"_meta":{"progressToken":"p"}}}`,
}

// Only the two members differ, all other bytes are there in their order, and what is known of the message is where it is.
func checkTraced(t *testing.T, raw []byte, context TraceContext) {
	var m Message
	if fault := Scan(bytes.Clone(raw), &m); fault != nil || m.Kind != Request && m.Kind != Notification {
		return
	}
	before := bytes.Clone(m.Raw)
	out := m.WithTraceContext(context)
	if out == &m { // there is no place
		return
	}
	if !bytes.Equal(m.Raw, before) {
		t.Fatalf("the message itself was changed: %s", m.Raw)
	}
	var again Message
	if fault := Scan(bytes.Clone(out.Raw), &again); fault != nil {
		t.Fatalf("%s: %v", out.Raw, fault)
	}
	if !reflect.DeepEqual(again.fields, out.fields) || again.params != out.params || again.id != out.id || again.ID.Key() != m.ID.Key() || again.Kind != m.Kind || again.Method != out.Method {
		t.Fatalf("%s: parts are not where they are", out.Raw)
	}
	if got := out.TraceContext(); !bytes.Equal(got.Traceparent, context.Traceparent) || !bytes.Equal(got.Tracestate, context.Tracestate) {
		t.Fatalf("%s: %q", out.Raw, got)
	}
	if want, got := stripped(t, before), stripped(t, out.Raw); !reflect.DeepEqual(want, got) {
		t.Fatalf("%s became %s", before, out.Raw)
	}
	if len(out.Raw)-len(before) > len(context.Traceparent)*6+len(context.Tracestate)*6+80 {
		t.Fatalf("%s became %s", before, out.Raw)
	}
}

// stripped is what a message says but for its trace context.
func stripped(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var all map[string]any
	if err := decoder.Decode(&all); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	params, ok := all["params"].(map[string]any)
	if !ok {
		return all
	}
	if meta, ok := params["_meta"].(map[string]any); ok {
		delete(meta, "traceparent")
		delete(meta, "tracestate")
		if len(meta) == 0 {
			delete(params, "_meta")
		}
	}
	if len(params) == 0 {
		delete(all, "params")
	}
	return all
}

func TestWithTraceContext(t *testing.T) {
	for _, raw := range traced {
		for _, state := range []string{"", "vendor=1"} {
			checkTraced(t, []byte(raw), TraceContext{[]byte(someParent), []byte(state)})
		}
	}
	var m Message
	if fault := Scan([]byte(traced[2]), &m); fault != nil {
		t.Fatal(fault)
	}
	const want = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"traceparent":"` + someParent + `"},"name":"x","arguments":{"a":[1e400,{"_meta":{"traceparent":"not this one"}}]}}}`
	if got := m.WithTraceContext(TraceContext{Traceparent: []byte(someParent)}); string(got.Raw) != want {
		t.Errorf("got  %s\nwant %s", got.Raw, want)
	}
}

func TestTraceContextBeside(t *testing.T) {
	var m Message
	if fault := Scan([]byte(traced[0]), &m); fault != nil {
		t.Fatal(fault)
	}
	m.Beside = &TraceContext{Traceparent: []byte(someParent)}
	if got := m.Clone().TraceContext(); string(got.Traceparent) != someParent {
		t.Errorf("beside: %q", got)
	}
	in := m.WithTraceContext(TraceContext{Traceparent: []byte("other")})
	if got := in.TraceContext(); string(got.Traceparent) != "other" || in.Beside != m.Beside {
		t.Errorf("what the message says itself goes first: %q", got)
	}
}

func FuzzWithTraceContext(f *testing.F) {
	for _, raw := range traced {
		f.Add([]byte(raw), someParent, "")
		f.Add([]byte(raw), "\"\\\u2028", "a=1")
		f.Add([]byte(strings.Replace(raw, `{}`, `"}"`, 1)), someParent, "a=1")
	}
	f.Fuzz(func(t *testing.T, raw []byte, parent, state string) {
		if parent == "" || !utf8.ValidString(parent) || !utf8.ValidString(state) {
			return
		}
		checkTraced(t, raw, TraceContext{[]byte(parent), []byte(state)})
	})
}

// What has no object to put members into, or more than one, is refused by the scan, or stays as it is.
func TestContextHasNoPlace(t *testing.T) {
	for _, value := range []string{`5`, `null`, `""`, `"}"`, `[]`, `[{"traceparent":"a"}]`} {
		raw := `{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":` + value + `}}`
		var m Message
		if fault := Scan([]byte(raw), &m); fault != nil {
			t.Fatal(fault)
		}
		if got := m.WithTraceContext(TraceContext{Traceparent: []byte(someParent)}); string(got.Raw) != raw {
			t.Errorf("%s became %s", raw, got.Raw)
		}
	}
	for _, raw := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}`,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":null}`,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"traceparent":"a","tracep\u0061rent":"b"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"Traceparent":"a"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{}},"params":{}}`,
	} {
		var m Message
		if Scan([]byte(raw), &m) == nil || m.Kind != Invalid {
			t.Errorf("%s is no fault", raw)
		}
	}
}

func BenchmarkWithTraceContext(b *testing.B) {
	for _, raw := range []string{traced[2], traced[5], traced[len(traced)-1]} {
		var m Message
		if fault := Scan([]byte(raw), &m); fault != nil {
			b.Fatal(fault)
		}
		b.Run(strconv.Itoa(len(raw)), func(b *testing.B) {
			b.ReportAllocs()
			context := TraceContext{Traceparent: []byte(someParent)}
			for b.Loop() {
				m.WithTraceContext(context)
			}
		})
	}
}
