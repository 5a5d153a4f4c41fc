package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/policy/telemetry"
)

// A hubService is what a hub has beside its configuration. It is opened once, and no reload touches it.
type hubService struct {
	record *audit.Log
	home   hubPlaces
	store  *store.Store // nil: there is no place for one, see openStore
	key    ed25519.PrivateKey
	door   net.Listener         // for this user alone; nil: none
	at     string               // where door is, for people; "": there is none
	asks   string               // what `mcpx dashboard` needs on its command line to find it
	secret string               // that door asks for; "": it is a socket
	notice string               // file to remove at the end: it says where door is
	traces *telemetry.Telemetry // nil: none
}

// openService opens everything that a hub needs before it may listen.
func (a *app) openService(ctx context.Context, s *hubSettings, f hubFlags) (*hubService, error) {
	v := new(hubService)
	fail := func(err error) (*hubService, error) { return nil, errors.Join(err, v.close()) }
	c := s.current.Load()
	var err error
	if v.record, err = a.openHubAudit(c); err != nil {
		return fail(err)
	}
	if plan := telemetryPlan(c.Otel, s.log); plan.On() {
		v.traces = startTelemetry(plan, "hub", s.log)
	}
	if err := v.openStore(ctx, c, s); err != nil {
		return fail(err)
	}
	if v.store == nil || f.socket == hubNone {
		return v, nil
	}
	if err := v.openDoor(f.socket); err != nil {
		err = fmt.Errorf("listen for wrappers of this user: %w", err)
		if s.path == "" || f.socket != "" {
			return fail(err)
		}
		s.log.Warn().Err(err).Msg("wrappers on this machine do not find this hub by themselves")
	}
	return v, nil
}

// openStore opens the store. A gateway goes on without where nobody asked for one and none has ever been: it may have no place
// to write to. A store that is there and cannot be used is another matter: it may say which tools are revoked.
func (v *hubService) openStore(ctx context.Context, c *config, s *hubSettings) error {
	home, err := c.hubPlaces()
	if err == nil {
		v.home = home
		v.store, v.key, err = home.open(ctx, c.Store.Retain, func(err error) {
			s.log.Error().Err(err).Str("store", home.store).Msg("trouble with the store")
		})
	}
	if err == nil {
		return nil
	}
	if c.Path == "" || c.Store.Path != "" || home.store != "" && !absent(home.store) {
		return err
	}
	s.log.Warn().Err(err).Msg("there is no place for a store: this gateway takes no events of wrappers and knows no hub tokens (store.path names another place)")
	return nil
}

// absent reports whether it is certain that there is no such file.
func absent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// openDoor listens where wrappers of this user look for a hub.
func (v *hubService) openDoor(socket string) error {
	place, err := findDoor()
	if err != nil {
		return err
	}
	if socket != "" {
		place, v.asks = door{socket: socket}, " --hub "+socket
	}
	if place.socket != "" {
		if v.door, err = hub.ListenSocket(place.socket); err == nil {
			v.at = place.socket
		}
		return err
	}
	if live, err := readDoor(place.file); err == nil && answers(live.URL) {
		return fmt.Errorf("another hub listens there: %s", live.URL)
	}
	if v.door, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	v.secret = rand.Text()
	v.at = "http://" + v.door.Addr().String()
	if err := writeState(place.file, address{URL: v.at, Token: v.secret}); err != nil {
		return fmt.Errorf("say where the hub is: %w", err)
	}
	v.notice = place.file
	return nil
}

// answers reports whether somebody listens at a URL of this machine.
func answers(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	conn, err := net.DialTimeout("tcp", u.Host, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// close closes what was opened, the audit log last: the rest may still have something to say.
func (v *hubService) close() error {
	var errs []error
	if v.traces != nil {
		closeTelemetry(v.traces, hubFlush)
	}
	if v.door != nil {
		_ = v.door.Close() // the gateway has closed it, if it ever served
	}
	if at, err := readDoor(v.notice); v.notice != "" && err == nil && at.Token == v.secret {
		errs = append(errs, removeState(v.notice))
	}
	if v.store != nil {
		errs = append(errs, v.store.Close())
	}
	if v.record != nil {
		errs = append(errs, v.record.Close())
	}
	return errors.Join(errs...)
}

// tracer returns what makes the spans of each link, nil for nothing.
func (v *hubService) tracer() func(policy.LinkInfo) policy.Tracer {
	if v.traces == nil {
		return nil
	}
	return v.traces.Tracer
}

// openHubAudit opens the hub's own log. It is destined for the hub's own store.
func (a *app) openHubAudit(c *config) (*audit.Log, error) {
	opt, err := a.auditOptions(c, "hub", a.out)
	if err != nil {
		return nil, err
	}
	opt.Hub, opt.MaxPending = audit.LocalHub, c.Hub.Pending
	return audit.Open(opt)
}
