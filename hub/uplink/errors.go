package uplink

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
)

// ErrNoHub is the error of a socket, or a port of this machine, that nobody listens on.
var ErrNoHub = errors.New("no hub listens there")

// A BehindError is the answer to events that do not follow what the hub has.
type BehindError struct{ Acked uint64 }

func (e *BehindError) Error() string { return fmt.Sprintf("the hub has events up to %d only", e.Acked) }

// AckedUpTo returns up to which event the hub has everything.
func (e *BehindError) AckedUpTo() uint64 { return e.Acked }

// A StatusError is a hub's refusal.
type StatusError struct {
	Status  int
	Code    string        // of the envelope
	Message string        // of the envelope, as text for people
	After   time.Duration // after which it is worth another try; 0: the hub does not say
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the hub answered %d: %s", e.Status, e.Message)
}

// RetryAfter returns After.
func (e *StatusError) RetryAfter() time.Duration { return e.After }

// Permanent reports whether the same request would be refused again, however often.
func (e *StatusError) Permanent() bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	default:
		return false
	}
}

const (
	maxEnvelope   = 64 << 10 // of an answer that is an error, in bytes
	maxMessage    = 512      // of what is shown of it, in bytes
	maxRetryAfter = time.Hour
)

// refusal reads the answer of a hub that is an error.
func refusal(r *http.Response) error {
	e := &StatusError{Status: r.StatusCode, Message: strings.ToLower(http.StatusText(r.StatusCode)), After: retryAfter(r.Header, time.Now)}
	if r.StatusCode >= 300 && r.StatusCode < 400 {
		e.Message = "it redirects elsewhere, which is not followed: give the right URL"
		return e
	}
	var envelope struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	data, err := readAll(r.Body, r.ContentLength, maxEnvelope)
	if err != nil || json.Unmarshal(data, &envelope) != nil {
		return e // from something in between: its text is not for us
	}
	e.Code = visible(envelope.Error.Code)
	if message := visible(envelope.Error.Message); message != "" {
		e.Message = message
	}
	return e
}

// retryAfter reads the header of this name: seconds or a date.
func retryAfter(h http.Header, now func() time.Time) time.Duration {
	value := h.Get("Retry-After")
	var after time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		after = date.Sub(now())
	}
	return min(max(after, 0), maxRetryAfter)
}

// visible returns what can be shown of a text from outside.
func visible(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return strings.TrimSpace(text)
}
