package hub

import (
	"context"
	"slices"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A cargo is a message to be written to the server: in a parcel, or in pieces that are the client's own memory.
type cargo struct {
	parcel  *parcel
	pieces  [][]byte
	written chan struct{} // closed when the pieces are not needed any more
	id      int64         // of the call whose request it is; 0: no request
}

func (c *cargo) size() int {
	if c.parcel != nil {
		return len(c.parcel.msg.Raw)
	}
	n := 0
	for _, piece := range c.pieces {
		n += len(piece)
	}
	return n
}

// push queues a message for the server. m.mu is held.
func (m *mux) push(load cargo) {
	m.queue = append(m.queue, load)
	m.queued += load.size()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// unqueue takes the request of a call out of the queue, and reports whether it was there. m.mu is held.
func (m *mux) unqueue(c *muxCall) bool {
	i := slices.IndexFunc(m.queue, func(load cargo) bool { return load.id == c.id })
	if i < 0 {
		return false
	}
	load := m.queue[i]
	m.queued -= load.size()
	m.queue = slices.Delete(m.queue, i, i+1)
	m.landed(&load)
	return true
}

// landed gives back the memory of a message that was written, or will not be.
func (m *mux) landed(load *cargo) {
	if load.parcel != nil {
		m.parcels.give(load.parcel)
	}
	if load.written != nil {
		close(load.written)
	}
}

// write sends what is queued, all that waits at once, until the server has ended.
func (m *mux) write() {
	var batch []cargo
	var short []*jsonrpc.Message
	for {
		select {
		case <-m.wake:
		case <-m.ended:
			m.mu.Lock()
			defer m.mu.Unlock()
			for i := range m.queue {
				m.landed(&m.queue[i])
			}
			m.queue, m.queued = nil, 0
			return
		}
		m.mu.Lock()
		batch, m.queue = m.queue, batch[:0]
		m.queued = 0
		m.mu.Unlock()
		var err error
		short, err = m.send(batch, short[:0])
		for i := range batch {
			m.landed(&batch[i])
		}
		clear(batch)
		clear(short)
		if err != nil {
			m.stop() // the reader learns how it ended; what is queued is dropped then
		}
	}
}

// send writes a batch: short messages together, long ones where they lie.
func (m *mux) send(batch []cargo, short []*jsonrpc.Message) ([]*jsonrpc.Message, error) {
	ctx := context.Background() // a message that was begun is to be ended; stop is what ends a write
	for i := range batch {
		if batch[i].parcel != nil {
			short = append(short, &batch[i].parcel.msg)
			continue
		}
		if len(short) > 0 {
			if err := m.conn.Write(ctx, short...); err != nil {
				return short, err
			}
			short = short[:0]
		}
		if err := m.pieces.WritePieces(batch[i].pieces); err != nil {
			return short, err
		}
	}
	if len(short) == 0 {
		return short, nil
	}
	return short, m.conn.Write(ctx, short...)
}
