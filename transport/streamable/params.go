package streamable

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// ParamHeaders knows which arguments of which tools a server wants in headers too (2026-07-28, Streamable HTTP, "Custom
// Headers from Tool Parameters"). A client that speaks over a pipe does not send such headers, so its Conn must; a server that
// does cannot look at them, so the gateway before it must. It is safe for concurrent use.
type ParamHeaders struct {
	mu    sync.Mutex
	tools map[string][]paramHeader // by tool; guarded by mu
}

type paramHeader struct {
	path   []string // of the argument
	header string
}

// maxParamTools bounds the tools that are known, and that have such headers.
const maxParamTools = 10_000

// Learn reads a list of tools. It returns the list without those that ask for headers in a way that the specification
// forbids: a client must leave them out ("Schema Extension").
func (p *ParamHeaders) Learn(m *jsonrpc.Message) *jsonrpc.Message {
	list := []byte{'['}
	whole := true
	for tool := range jsonrpc.Elements(m.Field(jsonrpc.Tools)) {
		headers, ok := headersOf(jsonrpc.Member(tool, "inputSchema"))
		if !ok {
			whole = false
			continue
		}
		if name, named := jsonrpc.Text(jsonrpc.Member(tool, "name")); named {
			p.set(string(name), headers)
		}
		if len(list) > 1 {
			list = append(list, ',')
		}
		list = append(list, tool...)
	}
	if whole {
		return m
	}
	return m.Replace(jsonrpc.Tools, append(list, ']'))
}

func (p *ParamHeaders) set(tool string, headers []paramHeader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(headers) == 0 {
		delete(p.tools, tool)
		return
	}
	if p.tools == nil {
		p.tools = make(map[string][]paramHeader)
	}
	if len(p.tools) < maxParamTools {
		p.tools[tool] = headers
	}
}

// headersOf collects what a schema asks for, and reports whether it may.
func headersOf(schema []byte) (headers []paramHeader, ok bool) {
	ok = collect(schema, nil, &headers)
	for i, h := range headers {
		ok = ok && !slices.ContainsFunc(headers[:i], func(other paramHeader) bool { return strings.EqualFold(h.header, other.header) })
	}
	return headers, ok
}

func collect(schema []byte, path []string, headers *[]paramHeader) bool {
	for name, property := range jsonrpc.Members(jsonrpc.Member(schema, "properties")) {
		at := append(slices.Clip(path), string(name))
		if header := jsonrpc.Member(property, "x-mcp-header"); header != nil {
			text, ok := jsonrpc.Text(header)
			kind, _ := jsonrpc.Text(jsonrpc.Member(property, "type"))
			if !ok || !token(text) || string(kind) != "string" && string(kind) != "integer" && string(kind) != "boolean" {
				return false
			}
			*headers = append(*headers, paramHeader{at, headerParam + string(text)})
		}
		if !collect(property, at, headers) {
			return false
		}
	}
	return true
}

// of returns the headers of a call: name, value, name, value…
func (p *ParamHeaders) of(call *jsonrpc.Message) []string {
	name, _ := call.Text(jsonrpc.Name)
	p.mu.Lock()
	headers := p.tools[string(name)]
	p.mu.Unlock()
	var pairs []string
	for _, h := range headers {
		if text, ok := headerText(h.argument(call)); ok {
			pairs = append(pairs, h.header, string(text))
		}
	}
	return pairs
}

// headerText returns an argument as a header carries it: null and what is absent are left out.
func headerText(value []byte) ([]byte, bool) {
	if text, ok := jsonrpc.Text(value); ok {
		return appendEncoded(nil, text), true
	}
	switch {
	case len(value) == 0 || value[0] == '{' || value[0] == '[' || value[0] == 'n':
		return nil, false
	case value[0] == 't' || value[0] == 'f' || !bytes.ContainsAny(value, ".eE"):
		return value, true
	}
	const safe = 1<<53 - 1
	number, err := strconv.ParseFloat(string(value), 64)
	if err != nil || number != float64(int64(number)) || number < -safe || number > safe {
		return nil, false
	}
	return strconv.AppendInt(nil, int64(number), 10), true
}
