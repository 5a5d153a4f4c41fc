package hub

import "github.com/rohitgs28/mcpx/transport/jsonrpc"

// introduction is what the gateway says of itself to a server: an Implementation (schema, "Implementation").
func introduction(name, version string) []byte {
	b := jsonrpc.AppendString([]byte(`{"name":`), name)
	b = jsonrpc.AppendString(append(b, `,"version":`...), version)
	return append(b, '}')
}

// greeting is the params of an initialize of our own. We can be asked nothing.
func greeting(name, version string) []byte {
	b := append([]byte(`{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":`), introduction(name, version)...)
	return append(b, '}')
}
