package hub

import (
	"bytes"
	"context"
	"errors"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// errRefused is why a child does not serve that answers initialize with an error.
var errRefused = &transport.Failure{Cause: transport.BadAnswer, Err: errors.New("the server refused initialize")}

// shakeHands opens the one legacy session that a child has. Where all its clients are one principal's, the first of them
// introduces itself and says what it can be asked; else we do, and it can be asked nothing.
func (k *keeper) shakeHands(ctx context.Context, m *mux) error {
	k.mu.Lock()
	hello := k.hello
	k.mu.Unlock()
	if hello == nil {
		hello = greeting("mcpx", k.of.opt.Version)
	}
	request := jsonrpc.NewRequest(jsonrpc.StringID("initialize"), "initialize", hello)
	var answer *jsonrpc.Message
	if err := m.call(ctx, nil, request, func(a transport.Arrival) error {
		answer = a.Message.Clone()
		return nil
	}); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.intro, k.refusal = nil, nil
	if answer.Kind != jsonrpc.Result {
		k.refusal, k.hello = answer, nil
		return errRefused
	}
	k.intro = answer
	m.post(jsonrpc.NewRequest(jsonrpc.ID{}, "notifications/initialized", nil))
	return nil
}

// introduce answers a session's initialize with what the server said to the one that it was sent.
func (k *keeper) introduce(ctx context.Context, request *jsonrpc.Message, yield transport.Yield) error {
	if !k.shared {
		k.mu.Lock()
		if k.hello == nil {
			k.hello = bytes.Clone(request.Params())
		}
		k.mu.Unlock()
	}
	_, err := k.acquire(ctx)
	k.mu.Lock()
	said := k.intro
	if err != nil {
		said = k.refusal
	}
	k.mu.Unlock()
	if said == nil {
		return err
	}
	var answer jsonrpc.Message
	said.EditInto(&answer, nil, said.EditID(request.ID.Token()))
	return yield(transport.Arrival{Message: &answer})
}
