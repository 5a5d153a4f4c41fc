package wrap

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// reportEvery is the least time between two reports of changes.
const reportEvery = time.Second

// report tells the hub that we are alive, and what the server says of itself, whenever either has changed, as long as ctx
// lasts.
func (l *liaison) report(ctx context.Context, client *uplink.Client, outbox *audit.Outbox) {
	var told uplink.Presence
	var retry backoff
	l.sightings.known = proposals{} // this hub may know nothing yet
	l.sightings.fresh.Store(true)
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		beat := false
		select {
		case <-ctx.Done():
			return
		case <-due.C:
			beat = true
		case <-l.news:
		}
		failed := l.tellAll(ctx, client, l.present(outbox), &told, beat)
		gap := reportEvery
		if failed != nil {
			gap = max(gap, retry.next(failed))
		} else {
			retry.reset()
		}
		if beat {
			due.Reset(uplink.HeartbeatEvery)
		}
		pause(ctx, gap)
	}
}

// tellAll tells the hub what it does not know, or that nothing has changed where a beat is due.
func (l *liaison) tellAll(ctx context.Context, client *uplink.Client, now uplink.Presence, told *uplink.Presence, beat bool) error {
	if beat || !samePresence(now, *told) {
		err := client.Heartbeat(ctx, now)
		l.heard(ctx, err)
		l.trouble(aboutAlive, err)
		if err != nil {
			return err
		}
		*told = now
	}
	return l.proposeFresh(ctx, client)
}

// proposeFresh proposes what was seen since it was called last.
func (l *liaison) proposeFresh(ctx context.Context, client *uplink.Client) error {
	if l.with.Pins == nil || !l.sightings.fresh.Swap(false) {
		return nil
	}
	err := l.propose(ctx, client, &l.sightings.known)
	l.trouble(aboutPins, err)
	if err != nil {
		l.sightings.fresh.Store(true) // again with the next beat
	}
	return err
}

// introduction is what stays the same of a presence.
func (l *liaison) introduction() uplink.Presence {
	p := uplink.Presence{
		Instance: l.with.Log.Instance(), Server: l.with.Server, Version: l.hub.Version,
		User: strconv.Itoa(os.Getuid()), PID: os.Getpid(), Started: time.Now().Truncate(time.Millisecond),
	}
	if p.Instance == "" { // auditing is off
		p.Instance = fmt.Sprintf("%x-%x", p.PID, p.Started.UnixMilli())
	}
	p.Host, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		p.User = u.Username
	}
	return p
}

func (l *liaison) present(outbox *audit.Outbox) uplink.Presence {
	p := l.presence
	client, server := l.guard.Peers()
	p.ClientInfo, p.ServerInfo = client, server
	p.Serial, p.Problems = l.serial(), l.troubles.list()
	if outbox != nil {
		p.Pending = outbox.Pending()
	}
	return p
}

// samePresence leaves out what changes with every event.
func samePresence(a, b uplink.Presence) bool {
	a.Pending, b.Pending = 0, 0
	return reflect.DeepEqual(a, b)
}

// sightings says whether the hub may not know all that was seen.
type sightings struct {
	fresh atomic.Bool
	known proposals // report's own, and after its end sayGoodbye's
}

func (l *liaison) sighted() {
	l.sightings.fresh.Store(true)
	l.tell()
}

// proposals are the digests that the hub has been told, by the version of the server that said so.
type proposals struct {
	server string
	told   map[integrity.Target]string
}

// maxProposal bounds, in bytes of definitions, what is proposed at a time.
const maxProposal = 1 << 20

// propose tells the hub what it has not been told of what the server says of itself.
func (l *liaison) propose(ctx context.Context, client *uplink.Client, p *proposals) error {
	_, server := l.guard.Peers()
	if p.told == nil || p.server != string(server) {
		p.server, p.told = string(server), map[integrity.Target]string{}
	}
	message := uplink.Sightings{Server: l.with.Server, ServerInfo: server, Host: l.presence.Host}
	size := 0
	send := func() error {
		if len(message.Items) == 0 {
			return nil
		}
		err := client.Propose(ctx, message)
		l.heard(ctx, err)
		if err != nil {
			return err
		}
		for _, item := range message.Items {
			kind, _ := integrity.ParseKind(item.Kind)
			p.told[integrity.Target{Kind: kind, Name: item.Name}] = item.Digest
		}
		message.Items, size = nil, 0
		return nil
	}
	for _, s := range l.with.Pins.Sightings() {
		if p.told[s.Target] == s.Digest || len(s.Definition) > maxProposal {
			continue
		}
		if size+len(s.Definition) > maxProposal {
			if err := send(); err != nil {
				return err
			}
		}
		message.Items = append(message.Items, uplink.Sighting{Kind: s.Kind.String(), Name: s.Name, Digest: s.Digest, Definition: s.Definition})
		size += len(s.Definition)
	}
	return send()
}

// What there may be trouble about.
const (
	aboutHub    = "connection"
	aboutAudit  = "audit"
	aboutEvents = "events"
	aboutPolicy = "policy"
	aboutBundle = "bundle"
	aboutAlive  = "heartbeat"
	aboutPins   = "pins"
)

// troubles are what the wrapper could not do, by what it is about. The zero troubles are none.
type troubles struct {
	mu    sync.Mutex
	texts map[string]string
}

// trouble notes that something about the hub does not work, or works again with a nil error. The user is told once.
func (l *liaison) trouble(about string, err error) {
	if errors.Is(err, uplink.ErrNoHub) || errors.Is(err, context.Canceled) {
		return
	}
	l.troubles.mu.Lock()
	before, had := l.troubles.texts[about]
	text := ""
	if err != nil {
		text = bounded(err.Error())
	}
	switch {
	case err == nil:
		delete(l.troubles.texts, about)
	case l.troubles.texts == nil:
		l.troubles.texts = map[string]string{about: text}
	default:
		l.troubles.texts[about] = text
	}
	l.troubles.mu.Unlock()
	switch {
	case before == text:
		return
	case had || err == nil || l.mayBeGone(about, err):
		l.log.Debug().Str("about", about).Err(err).Msg("the hub")
	default:
		l.log.Warn().Str("about", about).Err(err).Msg("the hub cannot be served now; what it told us before stays in effect, and what it should know is kept")
	}
	l.tell()
}

// mayBeGone reports whether an error is that of a hub on this machine which was ended, which is nobody's trouble.
func (l *liaison) mayBeGone(about string, err error) bool {
	if l.hub.Destination != audit.LocalHub || about == aboutBundle || about == aboutAudit {
		return false
	}
	_, refused := errors.AsType[*uplink.StatusError](err)
	return !refused
}

func (t *troubles) list() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []string
	for _, about := range slices.Sorted(maps.Keys(t.texts)) {
		list = append(list, about+": "+t.texts[about])
	}
	return list
}

// bounded makes a text of what may come from elsewhere fit into a report.
func bounded(text string) string {
	const most = 500
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "")
}
