package hub

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
)

// A refusal is the answer to a request under /v1 that is not done.
type refusal struct {
	status  int
	code    string // of the envelope
	message string // is public
	auth    string // error of the challenge, where status is 401
	retry   int    // seconds; 0: none
	cause   error  // for the log; nil: the client's own fault
}

func (r *refusal) Error() string {
	if r.cause != nil {
		return r.message + ": " + r.cause.Error()
	}
	return r.message
}

func (r *refusal) Unwrap() error { return r.cause }

func badRequest(message string) error {
	return &refusal{status: http.StatusBadRequest, code: "invalid_request", message: message}
}

func tooLarge(message string) error {
	return &refusal{status: http.StatusRequestEntityTooLarge, code: "body_too_large", message: message}
}

func unauthorized(challenge, message string) error {
	return &refusal{status: http.StatusUnauthorized, code: "unauthorized", message: message, auth: challenge}
}

func forbidden(message string) error {
	return &refusal{status: http.StatusForbidden, code: "forbidden", message: message}
}

func notFound(message string) error {
	return &refusal{status: http.StatusNotFound, code: "not_found", message: message}
}

// tooMany asks to come again. The wait is not the same for all, or they would come again together.
func tooMany(message string) error {
	return &refusal{status: http.StatusTooManyRequests, code: "too_many_requests", message: message, retry: 1 + rand.IntN(3)} //nolint:gosec // it spreads load
}

// unavailable is trouble of our own that may pass.
func unavailable(message string, cause error) error {
	return &refusal{status: http.StatusServiceUnavailable, code: "unavailable", message: message, cause: cause, retry: 1 + rand.IntN(3)} //nolint:gosec // it spreads load
}

// stored turns an error of the store into an answer.
func stored(err error, missing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return notFound(missing)
	case errors.Is(err, store.ErrInvalid):
		return &refusal{status: http.StatusBadRequest, code: "invalid_request", message: "the hub does not take this", cause: err}
	case errors.Is(err, store.ErrLimit):
		return &refusal{status: http.StatusTooManyRequests, code: "limit_reached", message: "a limit of the hub is reached", cause: err, retry: 60}
	default:
		return unavailable("the hub's store cannot be used now", err)
	}
}

// refuse answers a request that is not done.
func (f *fleet) refuse(w http.ResponseWriter, err error) {
	r := refusalOf(err)
	if r.status >= http.StatusInternalServerError {
		f.log.Error().Err(r).Msg("a request under /v1 failed")
	} else {
		f.log.Debug().Err(r).Int("status", r.status).Msg("a request under /v1 is refused")
	}
	if r.status == http.StatusUnauthorized {
		f.hub.metrics.authFailure()
		challenge := `Bearer realm="mcpx hub"`
		if r.auth != "" {
			challenge += `, error="` + r.auth + `"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if r.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(r.retry))
	}
	writeError(w, r.status, r.code, r.message)
}

// refusalOf returns the answer that stands for an error.
func refusalOf(err error) *refusal {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	if unread, ok := errors.AsType[*uplink.StatusError](err); ok {
		return &refusal{status: unread.Status, code: unread.Code, message: unread.Message}
	}
	return &refusal{status: http.StatusInternalServerError, code: "internal", message: "the request failed", cause: err}
}
