package hub

import (
	"math/bits"
	"sync"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	smallParcel = 16 << 10 // bytes; what is larger is kept apart, or every message would soon hold as much
	hugeParcel  = 4 << 20  // bytes; what is larger is left to the garbage collector
)

// A parcel is a message in memory of its own, which is used again.
type parcel struct {
	msg jsonrpc.Message
	buf []byte
	own bool // the memory is somebody else's
}

// parcels are those that rest. The zero value is ready.
type parcels struct{ small, large sync.Pool }

// edit returns a copy of m with the edits.
func (p *parcels) edit(m *jsonrpc.Message, edits ...jsonrpc.Edit) *parcel {
	const slack = 1 << 10 // for longer tokens; more is taken where it is needed
	c := p.take(len(m.Raw) + slack)
	c.buf = m.EditInto(&c.msg, c.buf, edits...)
	return c
}

func (p *parcels) take(size int) *parcel {
	if size <= smallParcel {
		if c, ok := p.small.Get().(*parcel); ok {
			return c
		}
		return &parcel{}
	}
	if c, ok := p.large.Get().(*parcel); ok && cap(c.buf) >= size {
		return c
	}
	if size > hugeParcel {
		return &parcel{}
	}
	return &parcel{buf: make([]byte, 0, 1<<bits.Len(uint(size)))}
}

// give takes a parcel back that nobody looks at any more.
func (p *parcels) give(c *parcel) {
	c.msg = jsonrpc.Message{}
	switch {
	case c.own || cap(c.buf) > 2*hugeParcel:
	case cap(c.buf) <= smallParcel:
		p.small.Put(c)
	default:
		p.large.Put(c)
	}
}

// own returns a message of ours as a parcel.
func own(m *jsonrpc.Message) *parcel { return &parcel{msg: *m, own: true} }
