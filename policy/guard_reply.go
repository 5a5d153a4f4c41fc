package policy

import (
	"strconv"
	"strings"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// Rules of the guard itself, which no configuration spells but the last two.
const (
	scanRule      = "jsonrpc.scan"
	idRule        = "jsonrpc.id"
	handshakeRule = "protocol.handshake"
	eraRule       = "protocol.era"
	paramsRule    = "protocol.params"
	inputRule     = "protocol.input_required"
	directionRule = "protocol.direction"
	cancelledRule = "protocol.cancelled"
	exitedRule    = "server.exited"
	unknownRule   = "inspection.unknown_tool"
	integrityRule = "inspection.tool_integrity"
	auditRule     = "audit.on_failure"
)

// denial answers a request that was denied: the reason for people, the rule for programs, never a value.
func (g *Guard) denial(c *call, d Decision) *jsonrpc.Message {
	if c.method.Kinds == 0 {
		return denialError(c, jsonrpc.MethodNotFound, d)
	}
	byRule := !strings.HasPrefix(d.Rule, "protocol.") && d.Rule != idRule
	switch {
	case byRule && g.engine().HideDenied() && c.method.Target == ToolTarget:
		return jsonrpc.NewError(c.id, jsonrpc.InvalidParams, "Unknown tool: "+string(c.target), nil)
	case byRule && g.engine().HideDenied() && c.method.Target == PromptTarget:
		return jsonrpc.NewError(c.id, jsonrpc.InvalidParams, "Unknown prompt: "+string(c.target), nil)
	case d.Rule == unknownRule: // what a server says of a tool that it does not have (server/tools, "Error Handling")
		return denialError(c, jsonrpc.InvalidParams, d)
	case byRule && c.method.Target == ToolTarget && g.engine().OnDeny() == OnDenyToolError:
		return jsonrpc.NewResult(c.id, toolError(denialText(d)+" (rule "+d.Rule+")", c.modern))
	}
	return denialError(c, jsonrpc.InvalidRequest, d)
}

// denialError is the error answer to a request that was denied.
func denialError(c *call, code int, d Decision) *jsonrpc.Message {
	return jsonrpc.NewError(c.id, code, denialText(d), data(d))
}

func denialText(d Decision) string { return "denied by mcpx: " + d.Reason }

// failure answers a request that mcpx itself could not serve.
func failure(id jsonrpc.ID, text, rule string) *jsonrpc.Message {
	return jsonrpc.NewError(id, jsonrpc.InternalError, text, data(Decision{Rule: rule}))
}

// data tells a program that the error is ours and which rule made it.
func data(d Decision) []byte {
	b := append([]byte(nil), `{"source":"mcpx","rule":`...)
	b = jsonrpc.AppendString(b, d.Rule)
	if d.RetryAfter > 0 {
		b = append(b, `,"retry_after_ms":`...)
		b = strconv.AppendInt(b, max(1, d.RetryAfter.Milliseconds()), 10)
	}
	return append(b, '}')
}

// toolError is a tool result that the model can read (CallToolResult with isError).
func toolError(text string, modern bool) []byte {
	b := []byte(`{"content":[{"type":"text","text":`)
	b = jsonrpc.AppendString(b, text)
	b = append(b, `}],"isError":true`...)
	if modern {
		b = append(b, `,"resultType":"complete"`...)
	}
	return append(b, '}')
}
