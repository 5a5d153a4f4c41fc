package hub

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// What /health says of the state of a server that is asked over the network. Either is healthy.
const (
	stateUp        = "up"        // it speaks MCP with us
	stateReachable = "reachable" // it answers, but wants something else of us: a credential, another path
)

// askOverNetwork returns the checkup of a server that is reached over the network. open gives an upstream of its own, which no
// guard, breaker or client shares: a probe is no client's doing. A server of the modern era is asked with server/discover,
// which costs it nothing; one of the legacy era is greeted and its session ended again.
func askOverNetwork(open func() (transport.Upstream, error), version string) checkup {
	a := asker{open: open}
	const name = "mcpx-health"
	a.discover = jsonrpc.NewRequest(jsonrpc.StringID(name), "server/discover", []byte(`{"_meta":{`+
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28",`+
		`"io.modelcontextprotocol/clientInfo":`+string(introduction(name, version))+`,`+
		`"io.modelcontextprotocol/clientCapabilities":{}}}`))
	a.initialize = jsonrpc.NewRequest(jsonrpc.StringID(name), "initialize", greeting(name, version))
	return a.check
}

// An asker asks one server in the era that it has spoken last.
type asker struct {
	open                 func() (transport.Upstream, error)
	discover, initialize *jsonrpc.Message
	legacy               atomic.Bool
}

func (a *asker) check(ctx context.Context) (string, error) {
	if a.legacy.Load() {
		if state, err := a.ask(ctx, a.initialize); state == stateUp || isDown(err) {
			return state, err
		}
		a.legacy.Store(false) // it may have been replaced by one of the other era
	}
	state, err := a.ask(ctx, a.discover)
	var failure *transport.Failure
	barred := errors.As(err, &failure) && (failure.Status == 401 || failure.Status == 403)
	switch {
	case state == stateUp || isDown(err):
		return state, err
	case barred: // no evidence of an era, and another request would be barred as well
		return stateReachable, nil
	}
	if state, err = a.ask(ctx, a.initialize); state == stateUp {
		a.legacy.Store(true)
		return state, nil
	}
	if err != nil && (isDown(err) || !isRefused(err)) {
		return "down", err
	}
	return stateReachable, nil
}

// ask makes one request in a session of its own. An error that is answered is no error of ours: the state says it.
func (a *asker) ask(ctx context.Context, request *jsonrpc.Message) (string, error) {
	up, err := a.open()
	if err != nil {
		return "down", err
	}
	defer func() { _ = up.Close() }() // the server ends idle sessions as well
	state := stateReachable
	err = up.Call(ctx, request, func(arrived transport.Arrival) error {
		if arrived.Message != nil && arrived.Message.Kind == jsonrpc.Result {
			state = stateUp
		}
		return nil
	})
	if err != nil {
		return "down", err
	}
	return state, nil
}

// isDown reports whether a failure says that the server cannot answer at all, so that asking otherwise is no use.
func isDown(err error) bool {
	if err == nil {
		return false
	}
	var failure *transport.Failure
	if !errors.As(err, &failure) {
		return true
	}
	switch failure.Cause {
	case transport.BadAnswer, transport.SessionGone:
		return false
	case transport.Refused:
		return failure.Status >= 500
	case transport.Unreachable, transport.TimedOut, transport.Overloaded, transport.Unsupported:
	}
	return true
}

// isRefused reports whether somebody answered with a status that is not the server's failure.
func isRefused(err error) bool {
	var failure *transport.Failure
	if !errors.As(err, &failure) {
		return false
	}
	return failure.Cause == transport.Refused && failure.Status < 500 || failure.Cause == transport.SessionGone
}
