package hub

import (
	"context"
	"net/http"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/streamable"
)

// headerMismatch is the code for a header that is not what the body says (2026-07-28, basic, "Error Codes").
const headerMismatch = -32020

// A mirror stands before a server that cannot see HTTP headers. It learns from the lists of tools which arguments their calls
// repeat in headers, and refuses a call where the two differ, as the server would (2026-07-28, Streamable HTTP, "Server
// Validation").
type mirror struct {
	transport.Upstream
	params *streamable.ParamHeaders // of all links to the server
}

// Call implements [transport.Upstream].
func (m *mirror) Call(ctx context.Context, request *jsonrpc.Message, yield transport.Yield) error {
	switch request.Method {
	case "tools/list":
		return m.Upstream.Call(ctx, request, func(a transport.Arrival) error {
			if a.Message != nil && a.Message.Kind == jsonrpc.Result {
				a.Message = m.params.Learn(a.Message)
			}
			return yield(a)
		})
	case "tools/call":
		if reason := m.params.Check(request, streamable.ParamsOf(ctx)); reason != "" {
			refusal := jsonrpc.NewError(request.ID, headerMismatch, reason, nil)
			refusal.Own = false // it is the server's to say
			return yield(transport.Arrival{Message: refusal, Status: http.StatusBadRequest})
		}
	}
	return m.Upstream.Call(ctx, request, yield)
}
