package audit

import (
	"strconv"
	"time"
)

// A Kind says what an event is about.
type Kind string

// The kinds of events.
const (
	Decision  Kind = "decision"  // what became of a message, recorded before it is released
	Outcome   Kind = "outcome"   // how it ended
	Integrity Kind = "integrity" // the server no longer says what was approved
	Lifecycle Kind = "lifecycle" // something started, ended or was rotated
	Anomaly   Kind = "anomaly"   // something that should not happen
)

// IsFailure reports whether an outcome is one with which a request has not been served. Denied is none: that is what was wanted.
func IsFailure(outcome string) bool {
	switch outcome {
	case "tool_error", "error", "timeout", "dropped":
		return true
	default:
		return false
	}
}

// An Event is what the caller knows of one event. Members that are zero do not apply and are left out.
// Nothing is kept after Append returns.
type Event struct {
	Time      time.Time // zero: when it is appended
	Kind      Kind
	Era       string // overrides the link's
	RequestID []byte // the raw JSON token
	Method    string
	Target    []byte // tool, prompt or resource, as decoded text
	Decision  string // allow or deny
	Rule      string
	Reason    string
	Outcome   string // ok, tool_error, error, denied, timeout, cancelled or dropped
	Latency   time.Duration
	BytesIn   int // from the client
	BytesOut  int // to the client
	TraceID   []byte
	Args      []byte // the raw arguments; the log records of them what Config.Args says
	Detail    []byte // JSON of our own that is recorded as args, whatever Config.Args says; no arguments then
}

// Limits of what comes from outside, in bytes before escaping.
const (
	maxTarget = 1 << 10
	maxReason = 1 << 10
	maxMethod = 256
	maxToken  = 256
	maxName   = 256
)

// appendFields appends all members of e that the log does not add itself, and closes the object.
// args is the value of the args member, already JSON, or empty.
func (e *Event) appendFields(b, args []byte) []byte {
	if len(e.RequestID) > 0 {
		b = appendID(append(b, `,"request_id":`...), e.RequestID)
	}
	b = appendMember(b, `,"method":`, e.Method, maxMethod)
	b = appendMember(b, `,"target":`, e.Target, maxTarget)
	b = appendMember(b, `,"decision":`, e.Decision, maxName)
	b = appendMember(b, `,"rule":`, e.Rule, maxReason)
	b = appendMember(b, `,"reason":`, e.Reason, maxReason)
	b = appendMember(b, `,"outcome":`, e.Outcome, maxName)
	if e.Kind == Outcome || e.Latency != 0 {
		b = appendMillis(append(b, `,"latency_ms":`...), e.Latency)
	}
	if e.BytesIn > 0 {
		b = strconv.AppendInt(append(b, `,"bytes_in":`...), int64(e.BytesIn), 10)
	}
	if e.BytesOut > 0 {
		b = strconv.AppendInt(append(b, `,"bytes_out":`...), int64(e.BytesOut), 10)
	}
	b = appendMember(b, `,"trace_id":`, e.TraceID, maxToken)
	if len(args) > 0 {
		b = append(append(b, `,"args":`...), args...)
	}
	b = appendMember(b, `,"kind":`, string(e.Kind), maxName)
	return append(b, '}')
}

// appendMember appends a member that is left out when empty.
func appendMember[T string | []byte](b []byte, name string, value T, limit int) []byte {
	if len(value) == 0 {
		return b
	}
	b = append(b, name...)
	if len(value) > limit || plainPrefix(value) < len(value) {
		return appendText(b, value, limit)
	}
	b = append(b, '"')
	b = append(b, value...)
	return append(b, '"')
}

// appendMillis appends d in milliseconds, to the microsecond.
func appendMillis(b []byte, d time.Duration) []byte {
	micros := max(d.Microseconds(), 0)
	b = strconv.AppendInt(b, micros/1000, 10)
	rest := micros % 1000
	if rest == 0 {
		return b
	}
	return append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
}
