package hub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/hub/dashboard"
)

// An admin is the listener for people with a browser: the pages of package dashboard, for those who have logged in. It is apart
// from the hub's main address, and asks for a session also on loopback, which other users of the machine reach, and pages of any
// site by way of the user's own browser.
//
// Its methods may be called beside one another once it listens.
type admin struct {
	hub    *Hub
	fleet  *fleet
	log    zerolog.Logger
	pages  http.Handler
	cross  *http.CrossOriginProtection
	source *dashboardSource

	codes    codes
	sessions adminSessions
	streams  *slots
	attempts pace // to log in, by address
	all      pace // to log in
	failures pace // to log in, that were recorded

	// Set by listen, before anything is served.
	address  *net.TCPAddr // nil: it does not listen
	tls      bool
	url      string // what links begin with, "": made of the address
	cookie   string
	secure   bool            // browsers come by https
	hosts    map[string]bool // names that browsers may know it by, beside those of loopback
	loopback bool
}

// Limits of what browsers may have the hub do.
const (
	maxAdminBody    = 64 << 10         // bytes of a POST
	pagePatience    = 30 * time.Second // until a page is written
	maxLiveStreams  = 500
	maxLiveShare    = 100 // of one principal
	liveChecksEvery = time.Second
)

// The paths that are not the pages' own.
const (
	dashboardRoot   = "/dashboard"
	dashboardLogin  = dashboardRoot + "/login"
	dashboardLogout = dashboardRoot + "/logout"
	dashboardLive   = dashboardRoot + "/live"
)

func newAdmin(h *Hub, f *fleet, cfg Admin) (*admin, error) {
	a := &admin{
		hub: h, fleet: f, log: h.log, cross: http.NewCrossOriginProtection(), source: newDashboardSource(h, f), url: strings.TrimSuffix(cfg.URL, "/"),
		sessions: newAdminSessions(), streams: newSlots(maxLiveStreams, maxLiveShare),
		attempts: pace{most: maxAttempts, per: attemptsPer}, all: pace{most: maxAllAttempts, per: attemptsPer},
		failures: pace{most: maxFailures, per: time.Hour},
		hosts:    make(map[string]bool),
	}
	if a.url != "" {
		u, err := url.Parse(a.url)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Scheme+"://"+u.Host != a.url {
			return nil, fmt.Errorf("admin.url: %q is no address of a dashboard: write scheme://host or scheme://host:port", cfg.URL)
		}
		a.hosts[strings.ToLower(u.Hostname())] = true
		a.secure = u.Scheme == "https"
		if err := a.cross.AddTrustedOrigin(a.url); err != nil { // a proxy may pass on another Host
			return nil, fmt.Errorf("admin.url: %w", err)
		}
	}
	a.pages = dashboard.New(dashboard.Options{Source: a.source, Version: h.opt.Version})
	return a, nil
}

// listen listens where the dashboard is to be. The listener is nil where there is to be none.
func (a *admin) listen(address string) (net.Listener, error) {
	listen := a.hub.opt.ListenAdmin
	if listen == nil {
		listen = net.Listen
	}
	listener, err := listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s for the dashboard (admin.listen): %w", address, err)
	}
	if listener == nil {
		return nil, nil
	}
	at, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		_ = listener.Close()
		return nil, errors.New("the dashboard listens on TCP only")
	}
	a.loopback = at.IP.IsLoopback()
	a.tls = !a.loopback && a.hub.certs != nil // no certificate is for loopback
	a.secure = a.secure || a.url == "" && a.tls
	a.cookie = "mcpx_session_" + strconv.Itoa(at.Port) // cookies know no ports: hubs of one host must not share theirs
	if name, err := os.Hostname(); err == nil && !a.loopback {
		a.hosts[strings.ToLower(name)] = true
	}
	a.address = at
	return listener, nil
}

// run does what the dashboard does by itself until ctx ends.
func (a *admin) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { a.source.live.run(ctx) })
	all.Go(func() { a.source.runChecks(ctx) })
	all.Wait()
}

// link returns where somebody finds the dashboard who asked for it under this Host.
func (a *admin) link(host string) string {
	if a.url != "" {
		return a.url + dashboardRoot
	}
	scheme, name := "http", a.address.IP.String()
	if a.tls {
		scheme = "https"
	}
	if a.address.IP.IsUnspecified() {
		asked, _, ok := splitHost(host, "")
		if name = asked; !ok {
			name = "127.0.0.1"
		}
	}
	return scheme + "://" + net.JoinHostPort(name, strconv.Itoa(a.address.Port)) + dashboardRoot
}

// ownHost reports whether a Host header is one of ours. A page whose name was made to point here (DNS rebinding) sends its own
// name; an address cannot be made to point anywhere.
func (a *admin) ownHost(host string) bool {
	name, _, ok := splitHost(host, "") // the port may be another one: of a proxy, or of ssh -L
	if !ok {
		return false
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.Zone() == "" && (addr.IsLoopback() || !a.loopback || a.hosts[name])
	}
	return name == "localhost" || a.hosts[name]
}

// ServeHTTP is the way of every request of a browser: host, origin, what needs no session, session, page.
func (a *admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !a.hub.usage.enter() {
		panic(http.ErrAbortHandler)
	}
	defer a.hub.usage.leave()
	rec := a.hub.newRecorder(w)
	defer a.hub.count(rec, r)
	control := http.NewResponseController(w)
	if r.ContentLength != 0 {
		_ = control.SetReadDeadline(rec.began.Add(bodyPatience)) // net/http can
	}
	_ = control.SetWriteDeadline(rec.began.Add(pagePatience)) // the live stream sets its own
	r.Body = http.MaxBytesReader(rec, r.Body, maxAdminBody)
	beginResponse(rec, r)
	dashboard.SecurityHeaders(rec.Header())
	a.answer(rec, r)
}

func (a *admin) answer(w *recorder, r *http.Request) {
	if !a.ownHost(r.Host) {
		http.Error(w, "This address does not serve the host that was asked for. Where the dashboard is known by another name, admin.url of mcpx.yaml says so.",
			http.StatusMisdirectedRequest)
		return
	}
	if err := a.cross.Check(r); err != nil {
		dashboard.ErrorPage(w, r, http.StatusForbidden, "Not from here", "This was sent by a page of another site, and nothing was done.")
		return
	}
	switch path := r.URL.Path; {
	case path == "/":
		http.Redirect(w, r, dashboardRoot, http.StatusSeeOther)
	case path != dashboardRoot && !strings.HasPrefix(path, dashboardRoot+"/"):
		dashboard.ErrorPage(w, r, http.StatusNotFound, "No such page", "Only the dashboard is served here. Servers and wrappers use the hub's other address.")
	case strings.HasPrefix(path, dashboard.AssetsPath):
		a.pages.ServeHTTP(w, r)
	case path == dashboardLogin:
		a.serveLogin(w, r)
	default:
		a.serveViewer(w, r)
	}
}

// serveViewer serves what is for people who have logged in.
func (a *admin) serveViewer(w *recorder, r *http.Request) {
	x, err := a.visitor(r)
	switch {
	case err != nil:
		a.unable(w, r, err)
	case x == nil:
		a.turnAway(w, r)
	case r.URL.Path == dashboardLogout:
		a.serveLogout(w, r, x)
	case r.URL.Path == dashboardLive:
		a.serveLive(w, a.viewed(r, x), x)
	default:
		a.pages.ServeHTTP(w, a.viewed(r, x))
	}
}

func (a *admin) viewed(r *http.Request, x *adminSession) *http.Request {
	return r.WithContext(dashboard.WithViewer(r.Context(), dashboard.Viewer{Name: x.caller.Name}))
}

// unable answers where it cannot be found out who somebody is.
func (a *admin) unable(w http.ResponseWriter, r *http.Request, err error) {
	a.log.Error().Err(err).Msg("a request for the dashboard failed")
	w.Header().Set("Retry-After", "2")
	dashboard.ErrorPage(w, r, http.StatusServiceUnavailable, "Not now", "The hub cannot find out who you are, as its store or its log cannot be used now. Try again; the hub's log says more.")
}

// turnAway answers who has no session.
func (a *admin) turnAway(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.Path == dashboardLive {
		unauthenticated(w, "Log in: there is no session, or it has ended.")
		return
	}
	http.Redirect(w, r, dashboardLogin+"?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
}

// unauthenticated answers 401 with the form. The scheme is none that a browser would ask for a password for.
func unauthenticated(w http.ResponseWriter, problem string) {
	w.Header().Set("WWW-Authenticate", `Cookie realm="mcpx dashboard"`)
	dashboard.LoginPage(w, http.StatusUnauthorized, problem)
}

// serveLive serves the live stream until its session ends or the hub stops.
func (a *admin) serveLive(w *recorder, r *http.Request, x *adminSession) {
	if !a.streams.take(x.caller.Name) {
		w.Header().Set("Retry-After", "5")
		dashboard.ErrorPage(w, r, http.StatusTooManyRequests, "Too many live views", "Close some, or try again.")
		return
	}
	defer a.streams.give(x.caller.Name)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(a.hub.streams, cancel)()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		a.watch(ctx, x)
	}()
	a.pages.ServeHTTP(w, r.WithContext(ctx))
	cancel()
	<-watched
}

// watch returns when ctx or the session ends.
func (a *admin) watch(ctx context.Context, x *adminSession) {
	ticker := time.NewTicker(liveChecksEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-x.over:
			return
		case <-ticker.C:
			if ok, err := a.still(ctx, x); err == nil && !ok {
				return
			}
		}
	}
}
