package jsonrpc

import "time"

// An Outbox collects what is to be released to the two peers of a link, in order.
type Outbox struct {
	ToClient, ToServer []*Message

	// After is run when everything is written, while the messages are still valid: work that no peer need wait for.
	After []func()

	now time.Time
}

// Now returns the time of the batch: one reading of the clock serves all messages that came together.
func (o *Outbox) Now(clock func() time.Time) time.Time {
	if o.now.IsZero() {
		o.now = clock()
	}
	return o.now
}

// Reset empties the outbox and keeps its memory.
func (o *Outbox) Reset() {
	clear(o.ToClient)
	clear(o.ToServer)
	clear(o.After)
	o.now = time.Time{}
	o.ToClient, o.ToServer, o.After = o.ToClient[:0], o.ToServer[:0], o.After[:0]
}
