package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/hub/auth"
)

// Serve listens and serves until ctx ends, then lets what is in flight come to its end for a bounded time, ends the sessions
// and stops the children. It is called once.
func (h *Hub) Serve(ctx context.Context) error {
	defer h.stop()
	if h.opt.Local != nil {
		defer h.opt.Local.Close()
	}
	cfg := h.state.Load().cfg
	listen := h.opt.Listen
	if listen == nil {
		listen = net.Listen
	}
	listener, err := listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	doors := []entrance{{listener, h, h.certs != nil}}
	if h.opt.Local != nil {
		doors = append(doors, entrance{h.opt.Local, http.HandlerFunc(h.serveLocal), false})
	}
	if h.admin != nil { // before anybody can ask where it is
		at, err := h.admin.listen(cfg.Admin.Listen)
		if err != nil {
			_ = listener.Close()
			return err
		}
		if at != nil {
			doors = append(doors, entrance{at, h.admin, h.admin.tls})
			if h.opt.Dashboard != nil {
				h.opt.Dashboard(h.admin.link(""))
			}
		}
	}
	servers, served := h.open(doors)
	if h.opt.Started != nil {
		h.opt.Started(listener.Addr().String())
	}
	var background sync.WaitGroup
	background.Go(h.sweep)
	if h.fleet != nil {
		background.Go(func() { h.fleet.run(h.ctx) })
	}
	if h.admin != nil && h.admin.address != nil {
		background.Go(func() { h.admin.run(h.ctx) })
	}
	select {
	case err = <-served:
		for _, s := range servers {
			_ = s.Close() // one of them has failed already
		}
	case <-ctx.Done():
		err = h.drain(servers)
	}
	h.stop()
	background.Wait()
	h.close()
	if h.fleet != nil {
		h.fleet.finish()
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// An entrance is an address that the hub serves.
type entrance struct {
	listener net.Listener
	handler  http.Handler
	tls      bool
}

// open begins to serve. Each of the servers says once on served that it has ended.
func (h *Hub) open(doors []entrance) (servers []*http.Server, served chan error) {
	served = make(chan error, len(doors))
	for _, d := range doors {
		s := h.server(d.handler)
		servers = append(servers, s)
		if d.tls {
			s.TLSConfig = h.certs.config()
			go func() { served <- s.ServeTLS(d.listener, "", "") }()
			continue
		}
		go func() { served <- s.Serve(d.listener) }()
	}
	return servers, served
}

func (h *Hub) server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headPatience,
		IdleTimeout:       idlePatience,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(serverLog{h.log}, "", 0),

		DisableGeneralOptionsHandler: true, // nothing is answered before the door
	}
}

// drain stops taking requests and waits for those in flight. Streams that have no end are ended.
func (h *Hub) drain(servers []*http.Server) error {
	h.draining.Store(true)
	h.endAll()
	patience, cancel := context.WithTimeout(context.Background(), drainPatience)
	defer cancel()
	var ending sync.WaitGroup
	late := make([]error, len(servers))
	for i, s := range servers {
		ending.Go(func() { late[i] = s.Shutdown(patience) })
	}
	ending.Wait()
	if errors.Join(late...) == nil {
		return nil
	}
	h.stop()
	var errs []error
	for _, s := range servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// close ends what the hub has opened: sessions first, which are told to their servers.
func (h *Hub) close() {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	h.retiring.Wait()
	for _, t := range []*sessions{h.listens, h.sessions} {
		t.endWhere(func(*session) bool { return true })
	}
	s := h.state.Load()
	var all sync.WaitGroup
	for _, rt := range s.routes {
		all.Go(rt.backend.close)
	}
	all.Wait()
	s.auth.Close()
	patience, cancel := context.WithTimeout(context.Background(), leavePatience)
	defer cancel()
	h.usage.finish(patience) // or they would write to an audit log that is closed
}

// sweep ends sessions that nobody uses, those of clients and our own.
func (h *Hub) sweep() {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case now := <-ticker.C:
			h.sessions.endWhere(func(s *session) bool { return s.idle(now) })
			for _, rt := range h.state.Load().routes {
				rt.backend.houses.sweep(now)
			}
		}
	}
}

// A serverLog takes what net/http has to say, which is about clients that break off.
type serverLog struct{ log zerolog.Logger }

func (l serverLog) Write(line []byte) (int, error) {
	l.log.Debug().Bytes("detail", bytes.TrimSpace(line)).Msg("http")
	return len(line), nil
}

// ServeHTTP is the way of every request: request id, origin, what needs no credential, credential, then what it asks for.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.usage.enter() {
		panic(http.ErrAbortHandler) // the gateway has ended, and with it the audit log
	}
	defer h.usage.leave()
	h.served.Add(1)
	s := h.state.Load()
	rec := h.newRecorder(w)
	defer h.count(rec, r)
	if r.ContentLength != 0 { // also where the body is never looked at: net/http reads what is left of it
		_ = http.NewResponseController(w).SetReadDeadline(rec.began.Add(bodyPatience)) // net/http can
	}
	beginResponse(rec, r)
	if !s.door.admit(rec, r) || h.serveOpen(rec, r, s) {
		return
	}
	if h.fleet != nil && strings.HasPrefix(r.URL.Path, "/v1/") {
		h.fleet.serve(rec, r, h.fleet.identify)
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/mcp/"); ok {
		h.serveServer(rec, r, s, name)
		return
	}
	if !slices.Contains(s.cfg.Auth.PublicPaths, r.URL.Path) {
		if _, err := s.auth.Authenticate(r, ""); err != nil {
			h.challenge(rec, err)
			return
		}
	}
	h.servePage(rec, r, s)
}

// serveServer serves the endpoint of a server. Credentials come before names: who has none learns nothing of them.
func (h *Hub) serveServer(rec *recorder, r *http.Request, s *state, name string) {
	for {
		who, err := s.auth.Authenticate(r, name)
		if err != nil {
			h.challenge(rec, err)
			return
		}
		rt := s.routes[name]
		if rt == nil {
			writeError(rec, http.StatusNotFound, "unknown_server", "no server of this name is served here")
			return
		}
		if rec.enter(rt.backend.usage) {
			rec.server, rec.principal = name, who.Name
			h.serveRoute(rec, r, rt, who)
			return
		}
		s = h.state.Load() // the configuration has changed meanwhile
	}
}

func (h *Hub) serveRoute(rec *recorder, r *http.Request, rt *route, who auth.Principal) {
	defer rec.leave()
	switch r.Method {
	case http.MethodPost:
		h.servePost(rec, r, rt, who)
	case http.MethodGet:
		h.serveStream(rec, r, rt, who)
	case http.MethodDelete:
		h.serveDelete(rec, r, rt, who.Name)
	default:
		rec.Header().Set("Allow", "GET, POST, DELETE")
		writeError(rec, http.StatusMethodNotAllowed, "method_not_allowed", "use POST, or GET and DELETE inside a session")
	}
}

// serveOpen serves what needs no credential, and reports whether it was asked for that.
func (h *Hub) serveOpen(w http.ResponseWriter, r *http.Request, s *state) bool {
	switch {
	case r.URL.Path == "/healthz":
		serveAlive(w, r)
	case r.URL.Path == "/readyz":
		serveReady(w, h.missing(s))
	case strings.HasPrefix(r.URL.Path, "/.well-known/"):
		s.about.ServeHTTP(w, r)
	default:
		return false
	}
	return true
}

// missing says what keeps the hub from serving, "" for nothing.
func (h *Hub) missing(s *state) string {
	if h.draining.Load() {
		return "the gateway is stopping"
	}
	if err := s.auth.Ready(); err != nil {
		h.log.Debug().Err(err).Msg("not ready")
		return "the keys that tokens are checked with are not there yet"
	}
	return ""
}

// challenge answers a request without a good credential.
func (h *Hub) challenge(w http.ResponseWriter, err error) {
	h.metrics.authFailure()
	var c *auth.Challenge
	if !errors.As(err, &c) {
		h.log.Error().Err(err).Msg("authentication failed")
		writeError(w, http.StatusInternalServerError, "internal", "the credential could not be checked")
		return
	}
	c.SetHeader(w.Header())
	writeError(w, c.Status, c.Code, c.Message)
}

// servePage serves what is not a server's endpoint.
func (h *Hub) servePage(w http.ResponseWriter, r *http.Request, s *state) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeError(w, http.StatusMethodNotAllowed, "method_not_allowed", "use GET")
		return
	}
	switch r.URL.Path {
	case "/health":
		serveHealth(w, r, s.health)
	case "/servers":
		serveListing(w, s.cfg.Servers)
	case "/metrics":
		h.metrics.handler().ServeHTTP(w, r)
	default:
		writeError(w, http.StatusNotFound, "not_found", "nothing is served here: MCP servers are under /mcp/{server}")
	}
}
