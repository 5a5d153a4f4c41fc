package jsonrpc_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// edited returns m with another id and other tokens in place of what is known to identify a request, as a gateway needs it.
func edited(m *jsonrpc.Message, token string) (*jsonrpc.Message, []jsonrpc.Edit) {
	var edits []jsonrpc.Edit
	for _, f := range []jsonrpc.Field{jsonrpc.MetaSubscription, jsonrpc.ProgressToken, jsonrpc.MetaProgress, jsonrpc.RequestID} {
		if m.Field(f) != nil {
			edits = append(edits, m.Edit(f, []byte(token)))
		}
	}
	if !m.ID.IsZero() {
		edits = append(edits, m.EditID([]byte(token)))
	}
	var out jsonrpc.Message
	m.EditInto(&out, nil, edits...)
	return &out, edits
}

func TestEdit(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"request", `{"jsonrpc":"2.0","id":"abc","method":"tools/call","params":{"_meta":{"progressToken":"p"},"name":"x"}}`,
			`{"jsonrpc":"2.0","id":1234567,"method":"tools/call","params":{"_meta":{"progressToken":1234567},"name":"x"}}`},
		{"id at the end", `{"method":"tools/call","params":{"name":"x","_meta":{"a":"id","progressToken":[1,"2"]}},"jsonrpc":"2.0","id":7}`,
			`{"method":"tools/call","params":{"name":"x","_meta":{"a":"id","progressToken":1234567}},"jsonrpc":"2.0","id":1234567}`},
		{"result", `{"jsonrpc":"2.0","result":{"tools":[],"_meta":{"io.modelcontextprotocol/subscriptionId":1}},"id":-1}`,
			`{"jsonrpc":"2.0","result":{"tools":[],"_meta":{"io.modelcontextprotocol/subscriptionId":1234567}},"id":1234567}`},
		{"error", `{"id":900000000000,"jsonrpc":"2.0","error":{"code":-32601,"message":"id"}}`, `{"id":1234567,"jsonrpc":"2.0","error":{"code":-32601,"message":"id"}}`},
		{"progress", `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"1","progress":0.5}}`,
			`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1234567,"progress":0.5}}`},
		{"cancelled", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"reason":"1","requestId":1}}`,
			`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"reason":"1","requestId":1234567}}`},
		{"nothing to edit", `{"jsonrpc":"2.0","method":"n"}`, `{"jsonrpc":"2.0","method":"n"}`},
	} {
		var m jsonrpc.Message
		if fault := jsonrpc.Scan([]byte(row.in), &m); fault != nil {
			t.Fatal(row.name, fault)
		}
		got, edits := edited(&m, "1234567")
		if string(got.Raw) != row.want {
			t.Errorf("%s:\ngot  %s\nwant %s", row.name, got.Raw, row.want)
		}
		if pieces := bytes.Join(m.AppendPieces(nil, edits...), nil); string(pieces) != row.want {
			t.Errorf("%s in pieces:\ngot  %s\nwant %s", row.name, pieces, row.want)
		}
	}
}

// sees is what a message says to those who judge it.
func sees(m *jsonrpc.Message) map[string]string {
	s := map[string]string{"raw": string(m.Raw), "kind": m.Kind.String(), "method": m.Method, "id": string(m.ID.Token()),
		"params": string(m.Params()), "result": string(m.Result()), "failure": string(m.Failure())}
	for f := jsonrpc.Name; f <= jsonrpc.ErrorMessage; f++ {
		s["field "+string(rune('a'+f))] = string(m.Field(f))
	}
	return s
}

// FuzzEdit checks that an edited message is what a scan of its text makes of it.
func FuzzEdit(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":"abc","method":"tools/call","params":{"_meta":{"progressToken":"p"},"name":"x","arguments":{"id":3}}}`,
		`{"jsonrpc":"2.0","result":{"tools":[],"_meta":{"io.modelcontextprotocol/subscriptionId":1,"progressToken":{}}},"id":-1}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"reason":"1","requestId":1}}`,
		`{ "error": {"code": 1, "message": "" }, "id":null, "jsonrpc":"2.0"}`,
	} {
		f.Add(seed, int64(42))
	}
	f.Fuzz(func(t *testing.T, text string, number int64) {
		var m jsonrpc.Message
		if jsonrpc.Scan([]byte(text), &m) != nil {
			return
		}
		token := `"x\u00e9"`
		if number&1 == 0 {
			token = "9007199254740991"[:1+uint64(number)%16]
		}
		got, _ := edited(&m, token)
		var want jsonrpc.Message
		if fault := jsonrpc.Scan(bytes.Clone(got.Raw), &want); fault != nil {
			t.Fatalf("%s: %v", got.Raw, fault)
		}
		if diff := cmp.Diff(sees(&want), sees(got)); diff != "" {
			t.Errorf("%s: a scan sees otherwise (-scan +edit):\n%s", got.Raw, diff)
		}
	})
}

func BenchmarkEditInto(b *testing.B) {
	var m, out jsonrpc.Message
	jsonrpc.Scan([]byte(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","arguments":{"text":"`+strings.Repeat("x", 100)+`"}}}`), &m)
	token := []byte("123456")
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = m.EditInto(&out, buf, m.EditID(token))
	}
}
