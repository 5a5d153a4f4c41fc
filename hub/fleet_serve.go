package hub

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// A call is one that the hub answers under /v1.
type call struct {
	method string
	path   []string // segments behind /v1/; {} takes any, which is given to serve
	admin  bool
	serve  func(f *fleet, w *recorder, r *http.Request, c *caller, named []string) error
}

// calls returns all of them.
func calls() []call {
	at := func(path string) []string { return strings.Split(strings.TrimPrefix(path, "/v1/"), "/") }
	return []call{
		{http.MethodGet, at(uplink.PathHub), false, (*fleet).serveIdentity},
		{http.MethodPost, at(uplink.PathEvents), false, (*fleet).serveEvents},
		{http.MethodGet, at(uplink.PathEvents), true, (*fleet).serveSearch},
		{http.MethodPost, at(uplink.PathAlive), false, (*fleet).serveHeartbeat},
		{http.MethodGet, at(uplink.PathPolicy + "{}"), false, (*fleet).servePolicy},
		{http.MethodPost, at(uplink.PathPins + "{}"), false, (*fleet).serveSightings},
		{http.MethodGet, at(uplink.PathPins + "{}"), true, (*fleet).serveReview},
		{http.MethodPost, at(uplink.PathPins + "{}/approve"), true, (*fleet).serveApprove},
		{http.MethodGet, at(uplink.PathRevoke + "{}"), true, (*fleet).serveRevoked},
		{http.MethodPost, at(uplink.PathRevoke + "{}"), true, (*fleet).serveRevoke},
		{http.MethodDelete, at(uplink.PathRevoke + "{}/{}"), true, (*fleet).serveRestore},
		{http.MethodGet, at(uplink.PathWrappers), true, (*fleet).serveWrappers},
		{http.MethodPost, at(uplink.PathDashboard), true, (*fleet).serveDashboard},
	}
}

// match returns what a path names, if it is one of this call.
func (c *call) match(segments []string) (named []string, ok bool) {
	if len(segments) != len(c.path) {
		return nil, false
	}
	for i, want := range c.path {
		if want != "{}" {
			if segments[i] != want {
				return nil, false
			}
			continue
		}
		name, err := url.PathUnescape(segments[i])
		if err != nil {
			return nil, false
		}
		named = append(named, name)
	}
	return named, true
}

// serve answers a request under /v1. Credentials come before paths: who has none learns nothing of them.
func (f *fleet) serve(w *recorder, r *http.Request, identify func(*http.Request) (*caller, error)) {
	c, err := identify(r)
	if err == nil {
		err = f.answer(w, r, c)
	}
	if err != nil && w.status == 0 {
		f.refuse(w, err)
	}
}

func (f *fleet) answer(w *recorder, r *http.Request, c *caller) error {
	segments := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/v1/"), "/")
	var allowed []string
	for _, call := range f.calls {
		named, ok := call.match(segments)
		switch {
		case !ok:
		case call.method != r.Method:
			allowed = append(allowed, call.method)
		case call.admin && !c.Admin:
			return forbidden("this takes a hub token made with --admin")
		default:
			return call.serve(f, w, r, c, named)
		}
	}
	if allowed == nil {
		return notFound("nothing is served here")
	}
	slices.Sort(allowed)
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return &refusal{status: http.StatusMethodNotAllowed, code: "method_not_allowed", message: "use " + strings.Join(allowed, " or ")}
}

// read reads the body of a request, compressed or not.
func (f *fleet) read(w *recorder, r *http.Request, sent, plain int64) ([]byte, error) {
	body, err := uplink.ReadBody(r, sent, plain)
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // or it would end the wait for the answer
	return body, err
}

// take reads a document from the body of a request.
func (f *fleet) take(w *recorder, r *http.Request, to any) error {
	body, err := f.read(w, r, uplink.MaxDocument, uplink.MaxDocument)
	if err != nil {
		return err
	}
	if err := uplink.Decode(body, to); err != nil {
		return &refusal{status: http.StatusBadRequest, code: "invalid_request", message: "the body is not what is asked for here", cause: err}
	}
	return nil
}

// give answers with a document.
func (f *fleet) give(w *recorder, v any) error { return f.giveAs(w, http.StatusOK, v) }

func (f *fleet) giveAs(w *recorder, status int, v any) error {
	document, err := uplink.Encode(v)
	if err != nil {
		return err
	}
	if len(document) > uplink.MaxDocument {
		return &refusal{status: http.StatusUnprocessableEntity, code: "too_large", message: "the answer is too large: name one server"}
	}
	writeJSON(w, status, document)
	return nil
}

// done answers a request that has no answer.
func done(w *recorder) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// serveLocal is the way of requests that come to the listener of the hub's own user: there is nothing but what is for that user.
func (h *Hub) serveLocal(w http.ResponseWriter, r *http.Request) {
	if !h.usage.enter() {
		panic(http.ErrAbortHandler)
	}
	defer h.usage.leave()
	s := h.state.Load()
	rec := h.newRecorder(w)
	defer h.count(rec, r)
	if r.ContentLength != 0 { // where this is a port, others of this machine can send without an end
		_ = http.NewResponseController(w).SetReadDeadline(rec.began.Add(bodyPatience)) // net/http can
	}
	beginResponse(rec, r)
	identify := h.fleet.identifyLocal
	switch {
	case h.opt.LocalToken != "" && !s.door.admit(rec, r):
	case r.URL.Path == "/healthz", r.URL.Path == "/readyz":
		h.serveOpen(rec, r, s)
	case strings.HasPrefix(r.URL.Path, "/v1/"):
		h.fleet.serve(rec, r, identify)
	case r.URL.Path == "/metrics":
		if _, err := identify(r); err != nil {
			h.fleet.refuse(rec, err)
			return
		}
		h.servePage(rec, r, s)
	default:
		writeError(rec, http.StatusNotFound, "not_found", "nothing but /v1, /metrics, /healthz and /readyz is served here")
	}
}
