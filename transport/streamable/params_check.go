package streamable

import (
	"context"
	"net/http"
	"strconv"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// ParamsOf returns the headers that WithParams has put into a context.
func ParamsOf(ctx context.Context) []string {
	pairs, _ := ctx.Value(paramsKey{}).([]string)
	return pairs
}

// Check holds the Mcp-Param-* headers of a call, name, value, name, value…, against its arguments. It says what does not
// agree, "" if all does. Headers that the tool does not ask for are nobody's business.
func (p *ParamHeaders) Check(call *jsonrpc.Message, given []string) string {
	name, _ := call.Text(jsonrpc.Name)
	p.mu.Lock()
	headers := p.tools[string(name)]
	p.mu.Unlock()
	for _, h := range headers {
		want, has := headerText(h.argument(call))
		value, sent := lookUp(given, h.header)
		switch {
		case !has && !sent:
		case !sent:
			return "the header " + h.header + " is missing"
		case !has:
			return "the header " + h.header + " names an argument that the body does not have"
		case !sameValue(value, string(want)):
			return "the header " + h.header + " is not what the body says"
		}
	}
	return ""
}

// argument returns the raw value that the header repeats, nil for none.
func (h *paramHeader) argument(call *jsonrpc.Message) []byte {
	value := call.Field(jsonrpc.Arguments)
	for _, step := range h.path {
		value = jsonrpc.Member(value, step)
	}
	return value
}

// lookUp finds a header by its name without case.
func lookUp(pairs []string, name string) (value string, ok bool) {
	name = http.CanonicalHeaderKey(name)
	for i := 0; i+1 < len(pairs); i += 2 {
		if http.CanonicalHeaderKey(pairs[i]) == name {
			return pairs[i+1], true
		}
	}
	return "", false
}

// sameValue compares header values decoded, integers by what they are ("Server Validation").
func sameValue(got, want string) bool {
	a, okA := decodeHeader(got)
	b, okB := decodeHeader(want)
	if !okA || !okB {
		return false
	}
	if a == b {
		return true
	}
	m, errM := strconv.ParseInt(a, 10, 64)
	n, errN := strconv.ParseInt(b, 10, 64)
	return errM == nil && errN == nil && m == n
}
