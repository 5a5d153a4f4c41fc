package jsonrpc_test

import (
	"fmt"
	"testing"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

func TestMembers(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:                                    ``,
		`[1]`:                                   ``,
		`{"a":1,"b":{"c":[1,"}"]},"d":"x\\"}`:   `a=1 b={"c":[1,"}"]} d="x\\" `,
		" { \"a\" : 1 ,\n\"b\": [ ] } ":         `a=1 b=[ ] `,
		`{"n\u0061me":"\"","":null,"é\/":-1e5}`: `name="\"" =null é/=-1e5 `,
		`{"a":"\\\\\"","b":true}`:               `a="\\\\\"" b=true `,
	} {
		got := ""
		for name, value := range jsonrpc.Members([]byte(in)) {
			got += fmt.Sprintf("%s=%s ", name, value)
		}
		if got != want {
			t.Errorf("Members(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestElements(t *testing.T) {
	for in, want := range map[string]string{
		`[]`:                       ``,
		`{"a":1}`:                  ``,
		`[1,"a,]",[2,3],{"b":[]}]`: `1;"a,]";[2,3];{"b":[]};`,
		" [ 1 , 2 ] ":              `1;2;`,
	} {
		got := ""
		for value := range jsonrpc.Elements([]byte(in)) {
			got += string(value) + ";"
		}
		if got != want {
			t.Errorf("Elements(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		`"abc"`:                       "abc",
		`"\"\\\/\b\f\n\r\t"`:          "\"\\/\b\f\n\r\t",
		`"\u0061\u00e9\uD83D\uDE00x"`: "aé😀x",
		`""`:                          "",
	} {
		if got, ok := jsonrpc.Text([]byte(in)); !ok || string(got) != want {
			t.Errorf("Text(%s) = %q, %v, want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{``, `"`, `1`, `null`, `"\x"`, `"\u12"`, `"\ud800"`, `"\ud800\u0041"`} {
		if got, ok := jsonrpc.Text([]byte(in)); ok {
			t.Errorf("Text(%s) = %q, want no string", in, got)
		}
	}
}
