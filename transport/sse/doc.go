// Package sse reads and writes server-sent events, as the HTML standard defines text/event-stream, and is a client of
// the deprecated HTTP+SSE transport of MCP (revision 2024-11-05).
//
// The codec does not know what an event's data mean, does not reconnect and does not keep the last event id: that is for
// whoever owns the stream. There is no server of the deprecated transport.
package sse
