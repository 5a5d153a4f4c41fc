package jsonrpc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

func TestScanKinds(t *testing.T) {
	for in, want := range map[string]jsonrpc.Kind{
		`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`:                              jsonrpc.Request,
		`{"method":"tools/call","params":{"name":"x"},"id":"a","jsonrpc":"2.0"}`:      jsonrpc.Request,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`:                      jsonrpc.Notification,
		`{"result":{},"jsonrpc":"2.0","id":0}`:                                        jsonrpc.Result,
		`{"jsonrpc":"2.0","id":-7,"error":{"code":-32601,"message":"no"}}`:            jsonrpc.Error,
		`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}`:          jsonrpc.Error,
		`{"jsonrpc":"2.0","error":{"code":-32700,"message":"no","data":[1e400]}}`:     jsonrpc.Error,
		`{"jsonrpc":"2.0","id":9007199254740991,"method":"vendor/x","extra":{"a":1}}`: jsonrpc.Request,
	} {
		var m jsonrpc.Message
		if fault := jsonrpc.Scan([]byte(in), &m); fault != nil || m.Kind != want || string(m.Raw) != in {
			t.Errorf("%s: %v, %v, want %v", in, m.Kind, fault, want)
		}
	}
}

// Each row is an attack or a defect that two mainstream parsers read differently, or that one of them reads as
// something else than it looks like.
func TestScanRefuses(t *testing.T) {
	call := func(params string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":` + params + `}`
	}
	for _, row := range []struct {
		name, in, reason string
		code             int
	}{
		{"E1 two methods", `{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}`, "twice", -32700},
		{"E1 two ids", `{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`, "twice", -32700},
		{"E1 two names", call(`{"name":"a","name":"b"}`), "twice", -32700},
		{"E1 escaped twin", call(`{"name":"a","n\u0061me":"b"}`), "twice", -32700},
		{"E1 deep twin", call(`{"name":"a","arguments":{"x":[{"y":1,"y":2}]}}`), "twice", -32700},
		{"E1 twin among many", call(`{"name":"a","arguments":{` + manyNames(40) + `,"k7":0}}`), "twice", -32700},
		{"E2 upper case envelope", `{"jsonrpc":"2.0","id":1,"METHOD":"tools/call"}`, "only by case", -32600},
		{"E2 Name beside name", call(`{"name":"a","Name":"b"}`), "only by case", -32600},
		{"E2 long s in params", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"},"paramſ":{"name":"b"}}`, "only by case", -32600},
		{"E2 escaped long s", `{"jsonrpc":"2.0","id":1,"method":"tools/call","param\u017f":{"name":"b"}}`, "only by case", -32600},
		{"E2 Kelvin sign", call(`{"name":"a","progressTo\u212Aen":1}`), "only by case", -32600},
		{"E2 _META", call(`{"name":"a","_META":{}}`), "only by case", -32600},
		{"E2 in _meta", call(`{"_meta":{"Io.modelcontextprotocol/protocolVersion":"x"}}`), "only by case", -32600},
		{"E2 in ref", `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"Name":"x"}}}`, "only by case", -32600},
		{"E2 in a result", `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"Tools":[]}}`, "only by case", -32600},
		{"E2 in an error", `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"","Message":""}}`, "only by case", -32600},
		{"E4 NUL in a name", call(`{"name":"a\u0000b"}`), "NUL", -32600},
		{"E4 NUL in a member's name", call(`{"name":"a","x\u0000":1}`), "NUL", -32600},
		{"E4 NUL in a URI", call(`{"uri":"file:///\u0000"}`), "NUL", -32600},
		{"E4 NUL in the method", `{"jsonrpc":"2.0","id":1,"method":"a\u0000"}`, "method", -32600},
		{"E4 NUL in the id", `{"jsonrpc":"2.0","id":"\u0000","method":"a"}`, "id", -32600},
		{"E4 lone high surrogate", call(`{"name":"\ud800"}`), "surrogate", -32700},
		{"E4 lone low surrogate", call(`{"name":"\udc00x"}`), "surrogate", -32700},
		{"E4 swapped surrogates", call(`{"name":"\udc00\ud800"}`), "surrogate", -32700},
		{"E4 bad UTF-8", call("{\"name\":\"\xff\"}"), "UTF-8", -32700},
		{"E4 overlong UTF-8", call("{\"name\":\"\xc0\xaf\"}"), "UTF-8", -32700},
		{"E4 surrogate in UTF-8", call("{\"name\":\"\xed\xa0\x80\"}"), "UTF-8", -32700},
		{"E4 UTF-8 cut short", call("{\"name\":\"\xe2\x82\"}"), "UTF-8", -32700},
		{"E6 two messages", `{"jsonrpc":"2.0","method":"a"}{"jsonrpc":"2.0","method":"b"}`, "after the message", -32700},
		{"E6 byte order mark", "\ufeff" + `{"jsonrpc":"2.0","method":"a"}`, "not a JSON object", -32700},
		{"E6 NaN", call(`{"x":NaN}`), "not a JSON value", -32700},
		{"E6 comment", call(`{/**/"x":1}`), "name is missing", -32700},
		{"E6 trailing comma", call(`{"x":1,}`), "name is missing", -32700},
		{"E6 single quotes", call(`{'x':1}`), "name is missing", -32700},
		{"E6 leading zero", call(`{"x":01}`), "comma or }", -32700},
		{"E6 plus sign", call(`{"x":+1}`), "not a JSON value", -32700},
		{"E6 bare point", call(`{"x":1.}`), "number", -32700},
		{"E6 control character", call("{\"x\":\"a\tb\"}"), "control character", -32700},
		{"E6 vertical tab as space", call("{\v\"x\":1}"), "name is missing", -32700},
		{"E7 null id", `{"jsonrpc":"2.0","id":null,"method":"a"}`, "id must be", -32600},
		{"E7 true", `{"jsonrpc":"2.0","id":true,"method":"a"}`, "id must be", -32600},
		{"E7 1.0", `{"jsonrpc":"2.0","id":1.0,"method":"a"}`, "id must be", -32600},
		{"E7 1e0", `{"jsonrpc":"2.0","id":1e0,"method":"a"}`, "id must be", -32600},
		{"E7 -0", `{"jsonrpc":"2.0","id":-0,"method":"a"}`, "id must be", -32600},
		{"E7 2^53", `{"jsonrpc":"2.0","id":9007199254740992,"method":"a"}`, "id must be", -32600},
		{"E7 -2^53", `{"jsonrpc":"2.0","id":-9007199254740992,"method":"a"}`, "id must be", -32600},
		{"E7 object", `{"jsonrpc":"2.0","id":{},"method":"a"}`, "id must be", -32600},
		{"E7 array", `{"jsonrpc":"2.0","id":[1],"method":"a"}`, "id must be", -32600},
		{"E7 long", `{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 257) + `","method":"a"}`, "id must be", -32600},
		{"E8 method and result", `{"jsonrpc":"2.0","id":1,"method":"a","result":{}}`, "exactly one", -32600},
		{"E8 result and error", `{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}`, "exactly one", -32600},
		{"E8 nothing", `{"jsonrpc":"2.0","id":1}`, "exactly one", -32600},
		{"E8 no version", `{"id":1,"method":"a"}`, "jsonrpc", -32600},
		{"E8 version 1.0", `{"jsonrpc":"1.0","id":1,"method":"a"}`, "jsonrpc", -32600},
		{"E8 version a number", `{"jsonrpc":2.0,"id":1,"method":"a"}`, "jsonrpc", -32600},
		{"E8 params an array", `{"jsonrpc":"2.0","id":1,"method":"a","params":[]}`, "params must", -32600},
		{"E8 params null", `{"jsonrpc":"2.0","id":1,"method":"a","params":null}`, "params must", -32600},
		{"E8 method a number", `{"jsonrpc":"2.0","id":1,"method":1}`, "method must", -32600},
		{"E8 empty method", `{"jsonrpc":"2.0","id":1,"method":""}`, "method must", -32600},
		{"E8 result a string", `{"jsonrpc":"2.0","id":1,"result":"x"}`, "one object", -32600},
		{"E8 result without id", `{"jsonrpc":"2.0","result":{}}`, "without an id", -32600},
		{"E8 result with params", `{"jsonrpc":"2.0","id":1,"result":{},"params":{}}`, "no params", -32600},
		{"E8 error without code", `{"jsonrpc":"2.0","id":1,"error":{"message":""}}`, "integer code", -32600},
		{"E8 error with code 1.5", `{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":""}}`, "integer code", -32600},
		{"E9 batch", `[{"jsonrpc":"2.0","id":1,"method":"a"}]`, "batches", -32600},
		{"E9 empty batch", `[]`, "batches", -32600},
		{"E13 deep", call(strings.Repeat(`{"a":`, 63) + `{}` + strings.Repeat(`}`, 63)), "deeply", -32600},
		{"E13 deep arrays", call(`{"a":` + strings.Repeat(`[`, 100_000)), "deeply", -32600},
		{"E13 many names", call(`{` + manyNames(10_001) + `}`), "too many", -32600},
		{"E13 long name", call(`{"` + strings.Repeat("x", 1025) + `":1}`), "too long", -32600},
		{"cut short", `{"jsonrpc":"2.0","id":1,"meth`, "ends inside", -32700},
		{"empty", ``, "not a JSON object", -32700},
		{"banner", `Server listening on stdio`, "not a JSON object", -32700},
	} {
		t.Run(row.name, func(t *testing.T) {
			var m jsonrpc.Message
			fault := jsonrpc.Scan([]byte(row.in), &m)
			if fault == nil {
				t.Fatalf("accepted %.200s", row.in)
			}
			if m.Kind != jsonrpc.Invalid || m.Fault != fault || fault.Code != row.code || !strings.Contains(fault.Reason, row.reason) {
				t.Errorf("%v, %d %q, want %d %q", m.Kind, fault.Code, fault.Reason, row.code, row.reason)
			}
		})
	}
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"k%d":%d`, i, i)
	}
	return b.String()
}

func TestScanDepthLimit(t *testing.T) {
	in := `{"jsonrpc":"2.0","method":"a","params":` + strings.Repeat(`{"a":`, 62) + `{}` + strings.Repeat(`}`, 62) + `}`
	var m jsonrpc.Message
	if fault := jsonrpc.Scan([]byte(in), &m); fault != nil {
		t.Errorf("64 levels: %v", fault)
	}
	if s := (jsonrpc.Scanner{MaxDepth: 63}); s.Scan([]byte(in), &m) == nil {
		t.Error("64 levels accepted where 63 are allowed")
	}
}

func TestFields(t *testing.T) {
	var m jsonrpc.Message
	in := `{"jsonrpc":"2.0","id":"x","method":"tools\/call","params":{"\u006eame":"d\u0061nger","arguments":{"name":"no","uri":[1]},` +
		`"_meta":{"progressToken":7,"io.modelcontextprotocol/protocolVersion":"2026-07-28","traceparent":"00-1"},"other":{"name":"no"}}}`
	if fault := jsonrpc.Scan([]byte(in), &m); fault != nil {
		t.Fatal(fault)
	}
	for f, want := range map[jsonrpc.Field]string{
		jsonrpc.Name: `"d\u0061nger"`, jsonrpc.Arguments: `{"name":"no","uri":[1]}`, jsonrpc.MetaProgress: `7`,
		jsonrpc.MetaVersion: `"2026-07-28"`, jsonrpc.MetaTraceparent: `"00-1"`, jsonrpc.URI: ``, jsonrpc.Cursor: ``,
	} {
		if got := string(m.Field(f)); got != want {
			t.Errorf("field %d = %s, want %s", f, got, want)
		}
	}
	if text, _ := m.Text(jsonrpc.Name); string(text) != "danger" || m.Method != "tools/call" {
		t.Errorf("name %q, method %q", text, m.Method)
	}
}

func TestForwardedBytes(t *testing.T) {
	for in, want := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"result":{"n":12345678901234567890.5e-400,"s":"<&>` + "\u2028é" + `\u2028\/","x":{}}}`: "",
		" {\t\"jsonrpc\" : \"2.0\",\r\"id\": 1 , \"result\":{ \"a b\" : [ 1 , \" x \\\" \" ] } } ":                      `{"jsonrpc":"2.0","id":1,"result":{"a b":[1," x \" "]}}`,
	} {
		if want == "" {
			want = in
		}
		var m jsonrpc.Message
		if fault := jsonrpc.Scan([]byte(in), &m); fault != nil || string(m.Raw) != want {
			t.Errorf("%s: %v, forwards %s, want %s", in, fault, m.Raw, want)
		}
		if r := m.Result(); !json.Valid(r) || r[0] != '{' {
			t.Errorf("result %s", r)
		}
	}
}

func TestSalvage(t *testing.T) {
	for in, want := range map[string]string{
		`{"jsonrpc":"2.0","id":7,"method":"a","params":{"x":1,"x":2}}`: "7 a false",
		`{"jsonrpc":"2.0","id":7,"id":8,"method":"a"}`:                 " a false",
		`{"jsonrpc":"2.0","id":7,"ID":8,"method":"a"}`:                 " a false",
		`{"jsonrpc":"2.0","id":7,"method":"a","params":{"x":`:          "7 a false",
		`{"jsonrpc":"2.0","id":7.5,"method":"a"}`:                      " a false",
		`{"jsonrpc":"2.0","id":7,"result":[]}`:                         "7  true",
		`{"jsonrpc":"2.0","method":"a","params":[]}`:                   " a true",
		`[{"id":7}]`: "  false",
		`hello`:      "  false",
	} {
		var m jsonrpc.Message
		if jsonrpc.Scan([]byte(in), &m) == nil {
			t.Fatalf("%s accepted", in)
		}
		if got := fmt.Sprintf("%s %s %v", m.ID.Token(), m.Method, m.Fault.Silent); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestIDKeys(t *testing.T) {
	key := func(token string) jsonrpc.Key {
		id, ok := jsonrpc.ParseID([]byte(token))
		if !ok {
			t.Fatalf("%s is no id", token)
		}
		return id.Key()
	}
	if (jsonrpc.ID{}).Key() == key(`0`) || (jsonrpc.ID{}).Key() == key(`"none"`) {
		t.Error("no id is taken for one")
	}
	if key(`1`) == key(`"1"`) || key(`"a"`) != key(`"\u0061"`) || key(`1`) == key(`2`) {
		t.Error("ids are told apart by something else than type and value")
	}
}

// FuzzScan holds Scan against an independent strict parser: what one accepts and the other does not must be one of the
// rules that Scan adds, and what is forwarded must mean what was received.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":[1,-2.5e3,true,null,"x\ud83d\ude00\n"]}}}`,
		" { \"jsonrpc\" : \"2.0\" , \"id\" : \"a\" , \"result\" : { \"tools\" : [ { } ] } } ",
		`{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"é\u00e9"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"a","paramſ":{}}`, `{"a":{"b":1,"\u0062":2}}`, `[{}]`, `{"x":"\ud800"}`, "{\"x\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		received := bytes.Clone(in)
		var m jsonrpc.Message
		fault := jsonrpc.Scan(in, &m)
		strict := jsontext.Value(bytes.Clone(received))
		if fault == nil {
			if !strict.IsValid() {
				t.Fatalf("accepted what jsontext refuses: %q", received)
			}
			if bytes.ContainsAny(m.Raw, "\r\n") {
				t.Fatalf("forwards a line break: %q", m.Raw)
			}
			if err := strict.Compact(); err != nil || !bytes.Equal(strict, m.Raw) {
				t.Fatalf("forwards %q for %q (%v)", m.Raw, received, err)
			}
			sameAsEncodingJSON(t, &m)
			var again jsonrpc.Message
			if fault := jsonrpc.Scan(bytes.Clone(m.Raw), &again); fault != nil || again.Kind != m.Kind || again.Method != m.Method || !bytes.Equal(again.ID.Token(), m.ID.Token()) {
				t.Fatalf("what is forwarded reads differently: %q: %v", m.Raw, fault)
			}
			return
		}
		if m.Kind != jsonrpc.Invalid || m.Fault != fault {
			t.Fatalf("a refused message of kind %v", m.Kind)
		}
		if fault.Code == jsonrpc.ParseError && strict.IsValid() && strict.Kind() == '{' {
			t.Fatalf("a parse error (%s) for what jsontext accepts: %q", fault.Reason, received)
		}
	})
}

// sameAsEncodingJSON checks that a parser that folds case and takes the last duplicate reads the same message.
func sameAsEncodingJSON(t *testing.T, m *jsonrpc.Message) {
	t.Helper()
	var other struct {
		JSONRPC string
		ID      json.RawMessage
		Method  string
		Params  *struct {
			Name, URI any
			Arguments json.RawMessage
		}
		Result, Error json.RawMessage
	}
	if err := json.Unmarshal(m.Raw, &other); err != nil {
		t.Fatalf("encoding/json: %v: %q", err, m.Raw)
	}
	name, _ := m.Text(jsonrpc.Name)
	if other.Method != m.Method || !bytes.Equal(other.Result, m.Result()) || !bytes.Equal(other.Error, m.Failure()) {
		t.Fatalf("encoding/json reads %+v from %q", other, m.Raw)
	}
	if m.Kind == jsonrpc.Request && !bytes.Equal(other.ID, m.ID.Token()) {
		t.Fatalf("encoding/json reads id %s from %q", other.ID, m.Raw)
	}
	if other.Params == nil || m.Method == "" {
		return
	}
	if text, ok := other.Params.Name.(string); ok && text != string(name) || !bytes.Equal(other.Params.Arguments, m.Field(jsonrpc.Arguments)) {
		t.Fatalf("encoding/json reads %+v from %q", other.Params, m.Raw)
	}
}

func BenchmarkScan(b *testing.B) {
	const line = "The quick brown fox jumps over the \\\"lazy\\\" dog, and the café notes that down: 0123456789 abcdefghijklmnopqrstuvwxyz.\\n"
	for _, size := range []int{100, 10_000, 1_000_000} {
		raw := []byte(`{"jsonrpc":"2.0","id":100000001,"method":"tools/call","params":{"name":"echo","arguments":{"text":"` +
			strings.Repeat(line, size/len(line)+1) + `"}}}`)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var s jsonrpc.Scanner
			var m jsonrpc.Message
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if fault := s.Scan(raw, &m); fault != nil {
					b.Fatal(fault)
				}
			}
		})
		b.Run(fmt.Sprint("jsontext/", size), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if !jsontext.Value(raw).IsValid() {
					b.Fatal()
				}
			}
		})
	}
}
