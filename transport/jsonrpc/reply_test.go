package jsonrpc_test

import (
	"testing"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

func TestOwnMessages(t *testing.T) {
	id, _ := jsonrpc.ParseID([]byte(`"a\u0062"`))
	for _, row := range []struct {
		name string
		m    *jsonrpc.Message
		kind jsonrpc.Kind
		want string
	}{
		{"error", jsonrpc.NewError(id, -32600, "no \"x\"\n", []byte(`{"rule":1}`)), jsonrpc.Error, `{"jsonrpc":"2.0","id":"a\u0062","error":{"code":-32600,"message":"no \"x\"\n","data":{"rule":1}}}`},
		{"error without id", jsonrpc.NewError(jsonrpc.ID{}, -32700, "no", nil), jsonrpc.Error, `{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}`},
		{"result", jsonrpc.NewResult(id, []byte(`{"a":1}`)), jsonrpc.Result, `{"jsonrpc":"2.0","id":"a\u0062","result":{"a":1}}`},
		{"request", jsonrpc.NewRequest(jsonrpc.StringID("m1"), "tools/list", nil), jsonrpc.Request, `{"jsonrpc":"2.0","id":"m1","method":"tools/list"}`},
		{"notification", jsonrpc.NewRequest(jsonrpc.ID{}, "n", []byte(`{}`)), jsonrpc.Notification, `{"jsonrpc":"2.0","method":"n","params":{}}`},
	} {
		if row.m.Kind != row.kind || string(row.m.Raw) != row.want {
			t.Errorf("%s: %v %s, want %s", row.name, row.m.Kind, row.m.Raw, row.want)
		}
	}
}

func TestReplace(t *testing.T) {
	var m jsonrpc.Message
	jsonrpc.Scan([]byte(`{"jsonrpc":"2.0","id":1,"result":{"z":1e999,"tools":[{"a":1},{"b":2}],"nextCursor":"<"}}`), &m)
	got := m.Replace(jsonrpc.Tools, []byte(`[{"b":2}]`))
	if want := `{"jsonrpc":"2.0","id":1,"result":{"z":1e999,"tools":[{"b":2}],"nextCursor":"<"}}`; string(got.Raw) != want {
		t.Errorf("Replace: %s, want %s", got.Raw, want)
	}
	got = m.ReplaceResult(jsonrpc.Without(m.Result(), "tools"))
	if want := `{"jsonrpc":"2.0","id":1,"result":{"z":1e999,"nextCursor":"<"}}`; string(got.Raw) != want {
		t.Errorf("Without: %s, want %s", got.Raw, want)
	}
}
