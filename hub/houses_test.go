package hub

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// An obedient upstream answers everything and counts how often it was closed.
type obedient struct {
	transport.Upstream
	closed atomic.Int32
}

func (*obedient) Call(_ context.Context, m *jsonrpc.Message, yield transport.Yield) error {
	return yield(transport.Arrival{Message: jsonrpc.NewResult(m.ID, []byte(`{}`))})
}
func (*obedient) Send(context.Context, *jsonrpc.Message) error { return nil }
func (o *obedient) Close() error {
	o.closed.Add(1)
	return nil
}

// With more principals than sessions are kept for, one gives way that is not in use. All are closed in the end, once.
func TestHousesInUseDoNotGiveWay(t *testing.T) {
	opened := map[string]*obedient{}
	all := houses{open: func(key openKey) (transport.Upstream, error) {
		opened[key.principal] = new(obedient)
		return opened[key.principal], nil
	}}
	visit := func(principal string) *house {
		h := all.of(principal)
		if err := h.Call(t.Context(), message(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`), func(transport.Arrival) error { return nil }); err != nil {
			t.Fatal(err)
		}
		return h
	}
	busy := visit("busy")
	for i := range 2 * maxHouses {
		_ = visit(fmt.Sprint(i)).Close()
	}
	if visit("busy") != busy || opened["busy"].closed.Load() != 0 {
		t.Error("a session in use gave way")
	}
	if n := len(all.all); n != maxHouses {
		t.Errorf("%d sessions are kept", n)
	}
	all.close()
	for principal, up := range opened {
		if n := up.closed.Load(); n != 1 {
			t.Errorf("the session of %s was closed %d times", principal, n)
		}
	}
	if _, _, err := all.of("late").enter(t.Context()); err == nil {
		t.Error("a session was opened after the end")
	}
}
