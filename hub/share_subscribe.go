package hub

import (
	"context"
	"errors"
	"strconv"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// subscribe carries out resources/subscribe for one of many clients: the server tells the mux of changes, the mux the
// clients that asked for them. Each request goes to the server, which decides about the resource.
func (m *mux) subscribe(ctx context.Context, l *lane, request *jsonrpc.Message, yield transport.Yield) error {
	token, _ := request.Text(jsonrpc.URI)
	uri, ok := string(token), false
	err := m.callIf(ctx, l, request, func(a transport.Arrival) error {
		ok = ok || a.Message.Kind == jsonrpc.Result
		return yield(a)
	}, func() bool { return m.crowd.subscribe(l, uri) })
	if errors.Is(err, errWithheld) {
		return &transport.Failure{Cause: transport.Overloaded, Err: errors.New("too many subscriptions of one client")}
	}
	if !ok {
		m.crowd.unsubscribe(l, uri)
	}
	return err
}

// unsubscribe carries out resources/unsubscribe. The server hears of it when no other client wants the resource.
func (m *mux) unsubscribe(ctx context.Context, l *lane, request *jsonrpc.Message, yield transport.Yield) error {
	token, _ := request.Text(jsonrpc.URI)
	uri := string(token)
	err := m.callIf(ctx, l, request, yield, func() bool { return m.crowd.unsubscribe(l, uri) })
	if errors.Is(err, errWithheld) {
		return yield(transport.Arrival{Message: jsonrpc.NewResult(request.ID, []byte(`{}`))})
	}
	return err
}

// resubscribe tells a server that was started again what its clients are subscribed to.
func (m *mux) resubscribe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, uri := range m.crowd.resources() {
		m.request("resources/subscribe", uri)
	}
}

// request asks for something of our own whose answer means nothing. m.mu is held.
func (m *mux) request(method, uri string) {
	if m.cause != nil {
		return
	}
	id := m.last.Add(1)
	m.forget(id)
	token, _ := jsonrpc.ParseID(strconv.AppendInt(nil, id, 10))
	params := append(jsonrpc.AppendString([]byte(`{"uri":`), uri), '}')
	m.push(cargo{parcel: own(jsonrpc.NewRequest(token, method, params))})
}
