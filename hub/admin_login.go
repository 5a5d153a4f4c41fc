package hub

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/hub/dashboard"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// Limits of attempts to log in with a token. Tokens cannot be guessed; it is the store and the log that are spared.
const (
	attemptsPer    = 10 * time.Second
	maxAttempts    = 10 // from one address
	maxAllAttempts = 50
	maxFailures    = 100     // recorded within an hour; what is more is counted (mcpx_auth_failures_total)
	maxNext        = 4 << 10 // bytes
)

// The reasons of events.
const (
	reasonLogin       = "dashboard_login"
	reasonLoginFailed = "dashboard_login_failed"
	reasonLogout      = "dashboard_logout"
)

// serveLogin lets somebody in who has a code that is good once, or a hub token of an administrator.
func (a *admin) serveLogin(w *recorder, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		a.loginByToken(w, r)
	case http.MethodGet:
		if r.URL.Query().Has("code") {
			a.loginByCode(w, r)
			return
		}
		if x, err := a.visitor(r); err == nil && x != nil {
			http.Redirect(w, r, nextPage(r.URL), http.StatusSeeOther) //nolint:gosec // a page of ours, see nextPage
			return
		}
		dashboard.LoginPage(w, http.StatusOK, "")
	case http.MethodHead:
		dashboard.LoginPage(w, http.StatusOK, "")
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		dashboard.ErrorPage(w, r, http.StatusMethodNotAllowed, "Not like this", "Use GET or POST.")
	}
}

// loginByCode is the one GET that changes something: `mcpx dashboard` has a browser open it. A valid code is never held up.
func (a *admin) loginByCode(w *recorder, r *http.Request) {
	who := a.codes.redeem(r.URL.Query().Get("code"), time.Now())
	if who == nil {
		if !a.mayTry(w, r) {
			return
		}
		a.failed(r, "the code is not valid")
		unauthenticated(w, "This link has been used, or is older than a minute: run mcpx dashboard again. "+
			"If you have just made it and somebody else has used it, start the hub again: that ends all sessions.")
		return
	}
	a.letIn(w, r, who)
}

func (a *admin) loginByToken(w *recorder, r *http.Request) {
	if !a.mayTry(w, r) {
		return
	}
	if err := r.ParseForm(); err != nil {
		dashboard.LoginPage(w, http.StatusBadRequest, "The form cannot be read.")
		return
	}
	secret := strings.TrimSpace(r.PostForm.Get("token"))
	if secret == "" || len(secret) > maxToken {
		unauthenticated(w, "Give a hub token: mcpx hub token create --admin makes one.")
		return
	}
	who, err := a.fleet.holder(r.Context(), secret)
	if err == nil {
		err = mayLook(who)
	}
	switch refused, ok := errors.AsType[*refusal](err); {
	case err == nil:
		a.letIn(w, r, who)
	case !ok || refused.status >= http.StatusInternalServerError:
		a.unable(w, r, err)
	case refused.status == http.StatusForbidden:
		a.failed(r, refused.message)
		dashboard.LoginPage(w, http.StatusForbidden, sentence(refused.message))
	default:
		a.failed(r, refused.message)
		unauthenticated(w, sentence(refused.message))
	}
}

// mayLook refuses who may not see everything.
func mayLook(c *caller) error {
	switch {
	case !c.Admin:
		return forbidden("the dashboard takes a hub token made with --admin: this one is none")
	case len(c.Servers) > 0:
		return forbidden("the dashboard shows all servers, and this hub token is limited to some: it takes one made with --admin alone")
	default:
		return nil
	}
}

// sentence makes a sentence of a short message.
func sentence(message string) string {
	return strings.ToUpper(message[:1]) + message[1:] + "."
}

// mayTry reports whether another attempt is taken now. If not, it was answered.
func (a *admin) mayTry(w http.ResponseWriter, r *http.Request) bool {
	now := time.Now()
	if a.attempts.allow(neighbourhood(r.RemoteAddr), now) && a.all.allow("", now) {
		return true
	}
	w.Header().Set("Retry-After", "10")
	dashboard.LoginPage(w, http.StatusTooManyRequests, "There were too many attempts: wait ten seconds.")
	return false
}

// neighbourhood is the address that a request came from, of IPv6 the network: one host has all of it.
func neighbourhood(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	addr := at.Addr().Unmap()
	if addr.Is4() {
		return addr.String()
	}
	network, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return addr.String()
	}
	return network.String()
}

// letIn begins a session. Nobody is let in without a record of it.
func (a *admin) letIn(w *recorder, r *http.Request, who *caller) {
	if err := a.note(reasonLogin, who.Name, r, ""); err != nil {
		a.unable(w, r, err)
		return
	}
	if old, err := a.visitor(r); err == nil && old != nil {
		a.sessions.end(old) // or it would live on without anybody who could end it
	}
	id, _ := a.sessions.begin(who, time.Now())
	http.SetCookie(w, a.cookieOf(id, int(adminLife/time.Second)))
	a.log.Info().Str("client", who.Name).Msg("somebody has logged in to the dashboard")
	http.Redirect(w, r, nextPage(r.URL), http.StatusSeeOther) //nolint:gosec // a page of ours, see nextPage
}

// cookieOf is the cookie of a session. Lax, so that a link in a chat leads to its page.
func (a *admin) cookieOf(id string, age int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // on loopback there is no TLS, and no browser would send it back
		Name: a.cookie, Value: id, Path: dashboardRoot, MaxAge: age, Secure: a.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// serveLogout ends a session.
func (a *admin) serveLogout(w *recorder, r *http.Request, x *adminSession) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		dashboard.ErrorPage(w, r, http.StatusMethodNotAllowed, "Not like this", "Use the button.")
		return
	}
	a.sessions.end(x)
	http.SetCookie(w, a.cookieOf("", -1))
	if err := a.note(reasonLogout, x.caller.Name, r, ""); err != nil {
		a.log.Error().Err(err).Msg("a log-out from the dashboard cannot be recorded")
	}
	http.Redirect(w, r, dashboardLogin, http.StatusSeeOther)
}

// visitor returns the session of a request, nil if there is none that is valid now. A token is asked for at every request: one that
// was revoked opens nothing any more.
func (a *admin) visitor(r *http.Request) (*adminSession, error) {
	for _, cookie := range r.CookiesNamed(a.cookie) {
		x := a.sessions.find(cookie.Value, time.Now())
		if x == nil {
			continue
		}
		if ok, err := a.still(r.Context(), x); ok || err != nil {
			return x, err
		}
	}
	return nil, nil
}

// still reports whether a session is valid, and ends it if its token is not.
func (a *admin) still(ctx context.Context, x *adminSession) (bool, error) {
	if !a.sessions.use(x, time.Now()) {
		return false, nil
	}
	if x.caller.secret == "" {
		return true, nil
	}
	now, err := a.fleet.holder(ctx, x.caller.secret)
	if err == nil {
		err = mayLook(now)
	}
	if err == nil {
		return true, nil
	}
	if refused, ok := errors.AsType[*refusal](err); ok && refused.status < http.StatusInternalServerError {
		a.sessions.end(x)
		return false, nil
	}
	return false, err
}

// failed records an attempt to log in, unless there were too many.
func (a *admin) failed(r *http.Request, why string) {
	a.hub.metrics.authFailure()
	switch n := a.failures.step("", time.Now()); {
	case n > maxFailures+1:
		return
	case n == maxFailures+1:
		why = "too many within an hour: more are counted, not recorded"
	}
	a.log.Warn().Str("address", r.RemoteAddr).Str("reason", why).Msg("somebody could not log in to the dashboard")
	if err := a.note(reasonLoginFailed, "", r, why); err != nil {
		a.log.Error().Err(err).Msg("a failed log-in to the dashboard cannot be recorded")
	}
}

// note adds to the hub's own log that somebody came or went.
func (a *admin) note(reason, who string, r *http.Request, why string) error {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	detail := jsonrpc.AppendString([]byte(`{"address":`), host)
	if why != "" {
		detail = jsonrpc.AppendString(append(detail, `,"detail":`...), why)
	}
	link := a.hub.opt.Record.Link(audit.LinkInfo{Client: who})
	link.Append(&audit.Event{Kind: audit.Lifecycle, Reason: reason, Detail: append(detail, '}')})
	return a.hub.opt.Record.Commit()
}

// nextPage returns where to go after logging in: ?next= where that is a page of ours, else the first page.
func nextPage(at *url.URL) string {
	next := at.Query().Get("next")
	if len(next) > maxNext || strings.ContainsFunc(next, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return dashboardRoot
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Opaque != "" || u.User != nil || u.Host != "" || strings.HasPrefix(next, "//") {
		return dashboardRoot
	}
	clean := path.Clean(u.Path)
	if clean != dashboardRoot && !strings.HasPrefix(clean, dashboardRoot+"/") {
		return dashboardRoot
	}
	switch clean {
	case dashboardLogin, dashboardLogout, dashboardLive:
		return dashboardRoot
	}
	page := url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	return page.String()
}
