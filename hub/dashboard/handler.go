package dashboard

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	patience = 5 * time.Second // for the Source, for all that one page asks it
	maxQuery = 8 << 10         // of an address, in bytes
	maxForm  = 64 << 10        // of a POST, in bytes
)

// Options say what the pages show.
type Options struct {
	Source  Source
	Version string           // of mcpx, for the foot of a page
	Now     func() time.Time // time.Now when nil
}

// A Viewer is who looks at a page.
type Viewer struct {
	Name string
}

type viewerKey struct{}

// WithViewer returns a context for a request of somebody who has been let in.
func WithViewer(ctx context.Context, v Viewer) context.Context {
	return context.WithValue(ctx, viewerKey{}, v)
}

func viewerOf(ctx context.Context) Viewer {
	v, _ := ctx.Value(viewerKey{}).(Viewer)
	return v
}

// New returns all that is under /dashboard but for logging in and out. Whoever serves it lets only those in who may see everything,
// asks for a session also of the live stream, and refuses requests that other sites make.
func New(o Options) http.Handler {
	h := &handler{source: o.Source, version: o.Version, now: o.Now, mux: http.NewServeMux()}
	if h.now == nil {
		h.now = time.Now
	}
	for pattern, page := range map[string]pageFunc{
		root:                             h.overview,
		root + "/fleet":                  h.fleet,
		root + "/servers/{server}":       h.server,
		root + "/servers/{server}/tools": h.tool,
		root + "/search":                 h.search,
		root + "/events/{principal}/{chain}/{seq}": h.event,
		root + "/pins":          h.pins,
		root + "/pins/{server}": h.pins,
		root + "/chains":        h.chains,
	} {
		h.mux.Handle(pattern, methods(h.page(page), http.MethodGet, http.MethodHead))
	}
	h.mux.Handle(root+"/{$}", methods(http.RedirectHandler(root, http.StatusPermanentRedirect).ServeHTTP, http.MethodGet, http.MethodHead))
	h.mux.Handle(root+"/live", methods(h.serveLive, http.MethodGet))
	h.mux.Handle(root+"/pins/{server}/approve", methods(h.approve, http.MethodPost))
	h.mux.Handle(AssetsPath, methods(serveAsset, http.MethodGet, http.MethodHead))
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		ErrorPage(w, r, http.StatusNotFound, "No such page", "Nothing is at this address.")
	})
	return h
}

type handler struct {
	source  Source
	version string
	now     func() time.Time
	mux     *http.ServeMux
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	SecurityHeaders(w.Header())
	if len(r.URL.RawQuery) > maxQuery {
		ErrorPage(w, r, http.StatusRequestURITooLong, "The address is too long", "Make the search shorter.")
		return
	}
	h.mux.ServeHTTP(w, r)
}

// A pageFunc gathers what a page shows. Its error becomes a page of its own.
type pageFunc func(context.Context, *http.Request) (view, error)

// A view is a page that is ready to be rendered.
type view struct {
	template string
	data     any
}

func (h *handler) page(f pageFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		v, err := f(ctx, r)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		write(w, http.StatusOK, v.template, v.data)
	}
}

// methods refuses what is not one of these methods.
func methods(f http.HandlerFunc, allowed ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(allowed, r.Method) {
			f(w, r)
			return
		}
		for _, method := range allowed {
			w.Header().Add("Allow", method)
		}
		ErrorPage(w, r, http.StatusMethodNotAllowed, "Not like this", "This address does not take "+plain(clip(r.Method, 20))+" requests.")
	})
}

// fail answers with what went wrong and what can be done.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, ErrNotFound):
		ErrorPage(w, r, http.StatusNotFound, "Not found", "The record knows nothing of that name or number. It may have been removed since.")
	case errors.Is(err, ErrInvalid):
		ErrorPage(w, r, http.StatusBadRequest, "That cannot be asked", err.Error())
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil: // nobody reads the answer
		w.WriteHeader(http.StatusServiceUnavailable)
	case errors.Is(err, context.DeadlineExceeded):
		ErrorPage(w, r, http.StatusServiceUnavailable, "This takes too long",
			"The store did not answer in "+strconv.Itoa(int(patience.Seconds()))+" s. Try again, or ask for a shorter span of time.")
	default:
		ErrorPage(w, r, http.StatusInternalServerError, "The record cannot be read", "The hub's log may say more. Its store says: "+err.Error())
	}
}

// write renders a page as a whole before any of it is sent.
func write(w http.ResponseWriter, status int, template string, data any) {
	var page bytes.Buffer
	if err := templates().ExecuteTemplate(&page, template, data); err != nil {
		http.Error(w, "The page cannot be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.Itoa(page.Len()))
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // the reader may be gone
}
