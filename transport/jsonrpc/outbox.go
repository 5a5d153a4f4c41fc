package jsonrpc

// An Outbox collects what is to be released to the two peers of a link, in order.
type Outbox struct {
	ToClient, ToServer []*Message
}

// Reset empties the outbox and keeps its memory.
func (o *Outbox) Reset() {
	clear(o.ToClient)
	clear(o.ToServer)
	o.ToClient, o.ToServer = o.ToClient[:0], o.ToServer[:0]
}
