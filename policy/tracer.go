package policy

import (
	"net/url"
	"strconv"
	"time"
)

// A Tracer makes a span of each request of one link, in either direction. It is called by the guard beside the relay: it never
// waits. It is safe for concurrent use.
type Tracer interface {
	// Begin is told of a request when the guard has begun to judge it. Nothing of r is kept after it returns.
	Begin(r *TracedRequest) Span
}

// A SessionTracer is the Tracer of a link that may be a session: it is told when the link is closed ([Guard.Closed]).
type SessionTracer interface {
	Tracer
	Closed()
}

// A TracedRequest is what a span says from its beginning. Its slices live as long as the message.
type TracedRequest struct {
	Start      time.Time
	FromServer bool   // the server asks its client, such as for sampling
	Method     string // as received: of an unknown method it comes from outside
	Known      bool   // Method is one of the protocol's
	Target     []byte // of TargetKind, decoded
	TargetKind Target
	Prompt     bool   // Target is a prompt also where TargetKind is RefTarget
	RequestID  []byte // the raw JSON token
	Modern     bool   // the era
	Version    string // of the protocol: what the request or the session's initialize says; "": it is not known (yet)

	// The caller's context, decoded: of params._meta, else what came beside the message. Not validated; nil: none.
	Traceparent, Tracestate []byte
}

// A Span is one request on its way through the guard. Each method is called by one goroutine at a time; End is the last.
type Span interface {
	// TraceID is the trace that the span belongs to: 32 lower-case hex digits (W3C Trace Context), for the audit log.
	TraceID() []byte

	// Forward returns what params._meta must say to the other side instead of what it says. It is called at most once, when the
	// request is about to be forwarded. A nil tracestate: there is none, and none may stay. A nil traceparent: there is no context of
	// ours, and the message stays as it is.
	Forward() (traceparent, tracestate []byte)

	End(e SpanEnd)
}

// A SpanEnd is how a request ended, in the words of the audit log.
type SpanEnd struct {
	Time    time.Time
	Outcome string // ok, tool_error, error, denied, timeout, cancelled or dropped
	Rule    string // that decided
	Reason  string // names rules and targets, never values; may be empty
	Code    int    // of the JSON-RPC error that was answered; 0: none
	Shadow  bool   // Rule would have denied it, but is in shadow mode
}

// A LinkInfo describes a link to whoever makes its Tracer.
type LinkInfo struct {
	Server, Client string // as in GuardOptions
	SessionID      string // of a legacy session over HTTP; "": none
	Inbound        Peer   // the side of the client
	Outbound       Peer   // the side of the server
}

// PeerAt describes the server at a URL; "": a child, over stdio.
func PeerAt(address string) Peer {
	if address == "" {
		return Peer{Transport: "pipe"}
	}
	p := Peer{Transport: "tcp", Protocol: "http"}
	u, err := url.Parse(address)
	if err != nil {
		return p
	}
	p.Address = u.Hostname()
	if p.Port, err = strconv.Atoi(u.Port()); err != nil {
		p.Port = map[string]int{"http": 80, "https": 443}[u.Scheme]
	}
	return p
}

// A Peer is how one side is reached.
type Peer struct {
	Transport string // pipe or tcp (OpenTelemetry's network.transport)
	Protocol  string // http, or "" for stdio
	Address   string // host of the server's URL; "": none
	Port      int
}
