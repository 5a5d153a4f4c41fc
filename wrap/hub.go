package wrap

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// A Hub is the hub that a wrapper belongs to. The wrapper sends it the events of its audit log, says that it is alive,
// proposes what its server says of itself, and goes by the rules, pins and revocations that the hub has for the server.
//
// No message waits for any of that. A hub that is down, slow or lying changes nothing but what is sent later: the last
// valid bundle, which is kept on the disk, stays in effect.
type Hub struct {
	Destination string // of the events: audit.LocalHub, or the hub's URL
	// Connect returns a client of the hub, uplink.ErrNoHub where there is none now. It dials nothing. It is called in the
	// background, again and again while there is no hub: that must cost as little as looking for a file.
	Connect   func() (*uplink.Client, error)
	Dir       string        // a folder for bundles and keys that are to be remembered; required
	Key       uplink.Key    // that bundles are signed with; zero: the first one that the hub shows, which is kept in Dir
	Principal string        // whom bundles are for; "": whom the first one is for
	Required  bool          // the server is not started without a valid bundle, for which the start may wait
	Rules     policy.Config // the wrapper's own, of which Guard.Engine was made; the hub's restrict them further
	Version   string        // of mcpx
}

const (
	// settling is how long the first messages have the machine for themselves, but for the hub's rules, which are asked for
	// within firstWithin.
	settling    = 100 * time.Millisecond
	firstWithin = time.Second
	// A hub on this machine that is not there is looked for this often: one that was just ended may come back soon, and one
	// that nobody ever starts must not keep a machine awake that has many wrappers.
	lookFirst = 3 * time.Second
	lookLater = 15 * time.Second
	// requiredWithin is how long a start waits for a bundle that is required.
	requiredWithin = 5 * time.Second
	// farewell is how long the wrapper stays, when all is over, to send what is left.
	farewell = 500 * time.Millisecond
)

// A liaison is a Hub at work for one link. A nil liaison does nothing.
type liaison struct {
	hub   *Hub
	guard *policy.Guard
	with  policy.GuardOptions // what the guard works with
	log   zerolog.Logger

	steering  steering
	sightings sightings
	presence  uplink.Presence // what does not change of it
	troubles  troubles
	news      chan struct{} // what the hub is told of us may have changed
	returned  chan struct{} // the hub is back
	reachable atomic.Bool   // the hub answered last time
	stuck     atomic.Bool   // events could not be sent last time
	absent    bool          // nobody listened last time; run's own

	leave context.CancelFunc // nil: attend was not called
	gone  chan struct{}      // closed when everything in the background has ended
}

// newLiaison puts into effect what is known of the hub's rules without asking it. Only where a bundle is required and none
// was kept is the hub asked.
func (o Options) newLiaison(ctx context.Context, guard *policy.Guard) (*liaison, error) {
	if o.Hub == nil {
		return nil, nil
	}
	if !uplink.ValidServer(o.Guard.Server) {
		err := fmt.Errorf("the server's name %q is none that a hub takes: give it one of letters, digits, _ and -, of at most 128", o.Guard.Server)
		if o.Hub.Required {
			return nil, err
		}
		o.Log.Warn().Err(err).Msg("the hub has no part in this")
		return nil, nil
	}
	l := &liaison{
		hub: o.Hub, guard: guard, with: o.Guard, log: o.Log.With().Str("server", o.Guard.Server).Str("hub", o.Hub.Destination).Logger(),
		news: make(chan struct{}, 1), returned: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	l.steering.key, l.steering.principal = o.Hub.Key, o.Hub.Principal
	if o.Guard.Pins != nil {
		o.Guard.Pins.OnSighting(l.sighted)
	}
	if err := l.recall(); err != nil {
		return nil, err
	}
	if !o.Hub.Required || l.steered() {
		return l, nil
	}
	if err := l.fetch(ctx, requiredWithin); err != nil {
		return nil, fmt.Errorf("start %q: hub.required is set, and the hub %s has given no valid policy: %w", o.Guard.Server, o.Hub.Destination, err)
	}
	return l, nil
}

// fetch asks the hub for its bundle once.
func (l *liaison) fetch(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	client, err := l.hub.Connect()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := l.meet(ctx, client); err != nil {
		return err
	}
	document, _, err := client.Policy(ctx, l.with.Server, "")
	if err != nil {
		return err
	}
	return l.accept(document)
}

// attend begins what runs beside the relay. end ends it.
func (l *liaison) attend(ctx context.Context) {
	if l == nil {
		return
	}
	ctx, l.leave = context.WithCancel(context.WithoutCancel(ctx)) // what is left is sent after the session has ended
	go l.run(ctx)
}

// end returns when everything in the background has ended, which sends what is left if the hub was there.
func (l *liaison) end() {
	if l == nil || l.leave == nil {
		return
	}
	l.leave()
	patience := time.NewTimer(2 * farewell) // a disk may hang
	defer patience.Stop()
	select {
	case <-l.gone:
	case <-patience.C:
	}
}

// run looks for the hub, and has to do with it while it is there. What the hub says is asked for at once: it is here before
// most servers have answered their first request, and what was revoked a moment ago is not called under the kept bundle.
func (l *liaison) run(ctx context.Context) {
	defer close(l.gone)
	first := l.fetch(ctx, firstWithin) // a session asks again, and tells of trouble
	if !pause(ctx, settling) {
		return
	}
	l.presence = l.introduction()
	outbox, err := l.openOutbox()
	if err == nil {
		defer outbox.Close()
	}
	missing := err
	var retry backoff
	var left time.Time // when it was found that the hub is not there; l.absent
	if errors.Is(first, uplink.ErrNoHub) {
		l.absent, left = true, time.Now()
		pause(ctx, lookAgain(0))
	}
	for ctx.Err() == nil {
		client, err := l.hub.Connect()
		if err == nil {
			l.trouble(aboutAudit, missing)
			err = l.session(ctx, client, outbox)
			client.Close()
		}
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, uplink.ErrNoHub):
			if !l.absent {
				l.absent, left = true, time.Now()
			}
			retry.reset()
			pause(ctx, lookAgain(time.Since(left)))
		default:
			l.trouble(aboutHub, err)
			pause(ctx, retry.next(err))
		}
	}
}

// lookAgain is how long to wait before a hub is looked for that has been away for so long.
func lookAgain(away time.Duration) time.Duration { return min(max(away/4, lookFirst), lookLater) }

// session lasts until the hub has gone, or ctx ends: then it sends what is left.
func (l *liaison) session(parent context.Context, client *uplink.Client, outbox *audit.Outbox) error {
	if err := l.meet(parent, client); err != nil {
		return err
	}
	l.trouble(aboutHub, nil)
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	var lost error
	var tasks sync.WaitGroup
	tasks.Go(func() { l.forward(ctx, client, outbox) })
	tasks.Go(func() { l.report(ctx, client, outbox) })
	tasks.Go(func() {
		defer cancel()
		lost = l.watch(ctx, client)
	})
	tasks.Wait()
	if parent.Err() != nil && l.reachable.Load() {
		l.sayGoodbye(parent, client, outbox)
	}
	return lost
}

// meet makes sure that the hub's key is known. A hub on this machine, and one that was not there, is asked for it all the
// same: its answer says that it is there, and a file alone does not.
func (l *liaison) meet(ctx context.Context, client *uplink.Client) error {
	if l.keyKnown() && l.hub.Destination != audit.LocalHub && !l.absent {
		return nil
	}
	identity, err := client.Identity(ctx)
	if err != nil {
		return err
	}
	l.absent = false
	l.reachable.Store(true)
	return l.believe(identity.Key)
}

func (l *liaison) sayGoodbye(ctx context.Context, client *uplink.Client, outbox *audit.Outbox) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	var tasks sync.WaitGroup
	tasks.Go(func() { l.drain(ctx, client, outbox) })
	tasks.Go(func() {
		if err := l.proposeFresh(ctx, client); err != nil {
			l.log.Debug().Err(err).Msg("the hub is not told what the server said last")
		}
	})
	tasks.Go(func() {
		last := l.present(outbox)
		last.Ended, last.Pending = true, 0 // what is still pending is the next one's
		if err := client.Heartbeat(ctx, last); err != nil {
			l.log.Debug().Err(err).Msg("the hub is not told of the end")
		}
	})
	tasks.Wait()
}

// answered notes and reports whether a call came back. A refusal is an answer.
func (l *liaison) answered(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return l.reachable.Load()
	}
	_, refused := errors.AsType[*uplink.StatusError](err)
	_, behind := errors.AsType[*uplink.BehindError](err)
	there := err == nil || refused || behind
	l.reachable.Store(there)
	return there
}

// heard notes what came of a call, and wakes what waits for the hub if it is back.
func (l *liaison) heard(ctx context.Context, err error) {
	before := l.reachable.Load()
	if !l.answered(ctx, err) {
		return
	}
	if !before {
		l.tell()
	}
	if l.stuck.Swap(false) {
		select {
		case l.returned <- struct{}{}:
		default:
		}
	}
}

// tell wakes who reports to the hub.
func (l *liaison) tell() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}
