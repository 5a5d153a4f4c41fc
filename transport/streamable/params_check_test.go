package streamable_test

import (
	"testing"

	"github.com/rohitgs28/mcpx/transport/streamable"
)

func TestParamsCheck(t *testing.T) {
	var p streamable.ParamHeaders
	p.Learn(message(t, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"t","inputSchema":{"type":"object","properties":{`+
		`"region":{"type":"string","x-mcp-header":"Region"},"o":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"Size"}}}}}}]}}`))
	for _, row := range []struct {
		name, arguments string
		given           []string
		ok              bool
	}{
		{"none of both", `{}`, nil, true},
		{"both", `{"region":"eu"}`, []string{"Mcp-Param-Region", "eu"}, true},
		{"in other letters", `{"region":"eu"}`, []string{"mcp-param-REGION", "eu"}, true},
		{"missing", `{"region":"eu"}`, nil, false},
		{"too much", `{}`, []string{"Mcp-Param-Region", "eu"}, false},
		{"null is absent", `{"region":null}`, nil, true},
		{"another value", `{"region":"eu"}`, []string{"Mcp-Param-Region", "us"}, false},
		{"values have case", `{"region":"eu"}`, []string{"Mcp-Param-Region", "EU"}, false},
		{"base64", `{"region":"zürich"}`, []string{"Mcp-Param-Region", "=?base64?esO8cmljaA==?="}, true},
		{"bad base64", `{"region":"zürich"}`, []string{"Mcp-Param-Region", "=?base64?esO8cmljaA=?="}, false},
		{"a number", `{"o":{"n":42}}`, []string{"Mcp-Param-Size", "42"}, true},
		{"a number, spelled otherwise", `{"o":{"n":42.0}}`, []string{"Mcp-Param-Size", "042"}, true},
		{"another number", `{"o":{"n":42}}`, []string{"Mcp-Param-Size", "43"}, false},
		{"what nobody asked for", `{}`, []string{"Mcp-Param-Other", "x"}, true},
	} {
		call := message(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":`+row.arguments+`}}`)
		if reason := p.Check(call, row.given); (reason == "") != row.ok {
			t.Errorf("%s: %q", row.name, reason)
		}
	}
	if reason := p.Check(message(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"unknown"}}`), nil); reason != "" {
		t.Errorf("an unknown tool: %q", reason)
	}
}
