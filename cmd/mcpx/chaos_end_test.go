//go:build unix

package main

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// finish lets one more wrapper of each user bring what the dead have left, and compares what everyone has.
func (c *chaos) finish() {
	for _, u := range c.users {
		leave := u.converse(c.t, "wrap", "--hub", u.way, "--name", "last", "--", mockName)
		defer leave()
	}
	hub, err := store.Open(c.t.Context(), store.Options{Path: c.store, Retain: keepAll})
	if err != nil {
		c.t.Fatal(err)
	}
	defer hub.Close()
	defer func() {
		if c.t.Failed() {
			c.t.Logf("the hub said\n%s", c.hub.text())
		}
	}()
	stored, logged := int64(0), 0
	defer func() { c.t.Logf("%d events stored, %d in the logs", stored, logged) }()
	eventually(c.t, "every event in the store", func() bool {
		if stored, err = hub.Count(c.t.Context()); err != nil {
			c.t.Fatal(err)
		}
		logged = c.inLogs(false)
		return stored == int64(logged)
	})
	if n := c.inLogs(true); n != logged {
		c.t.Errorf("the logs have %d events, and %d when what the dead left is added", logged, n)
	}
	problems, err := hub.Problems(c.t.Context(), 100)
	if err != nil || len(problems) > 0 {
		c.t.Errorf("the hub found problems: %v %v", problems, err)
	}
	problems, verified, err := hub.Verify(c.t.Context())
	if err != nil || len(problems) > 0 || verified < stored {
		c.t.Errorf("the store verifies %d events of %d: %v %v", verified, stored, problems, err)
	}
	c.compareCalls(c.readCalls(hub))
}

// inLogs counts the events of all audit logs, which must be intact. Only with heads it does what a wrapper should have done
// before: it adds what the dead left in their spools.
func (c *chaos) inLogs(heads bool) (events int) {
	for _, u := range c.users {
		state := ""
		if heads {
			state = filepath.Join(u.folder, "state", "mcpx", headsName)
		}
		found, err := audit.Verify(state, u.audit)
		if err != nil {
			c.t.Fatal(err)
		}
		if !found.Intact() {
			c.t.Fatalf("the audit log of %s: %v", u.name, found.Problems)
		}
		events += found.Events
	}
	return events
}

// chaosCalls count the events of each call by its id.
type chaosCalls struct{ decisions, outcomes map[string]int }

func (c *chaos) readCalls(hub *store.Store) chaosCalls {
	calls := chaosCalls{decisions: map[string]int{}, outcomes: map[string]int{}}
	type place struct {
		chain string
		seq   uint64
	}
	places, ids := map[place]bool{}, map[string]bool{}
	for page := ""; ; {
		found, err := hub.Events(c.t.Context(), store.Filter{}, 1000, page)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, e := range found.Events {
			at := place{e.Chain, e.Seq}
			if places[at] || ids[e.ID] || e.Flaw != "" {
				c.t.Errorf("event %d of chain %s is there twice, or has a flaw: %q", e.Seq, e.Chain, e.Flaw)
			}
			places[at], ids[e.ID] = true, true
			switch {
			case e.Method != "tools/call" || e.Server != "chaos":
			case e.Kind == audit.Decision && e.Decision == "allow":
				calls.decisions[e.RequestID]++
			case e.Kind == audit.Outcome:
				calls.outcomes[e.RequestID]++
			}
		}
		if page = found.Next; page == "" {
			return calls
		}
	}
}

// compareCalls compares what the hub has with what the servers saw.
func (c *chaos) compareCalls(calls chaosCalls) {
	seen, clean, sessions := 0, 0, 0
	killed := maps.Clone(calls.decisions) // what is left of it when those of the others are taken out
	for _, u := range c.users {
		for _, s := range u.sessions {
			saw := s.saw(c)
			sessions++
			seen += len(saw)
			for _, id := range saw {
				if n := calls.decisions[id]; n != 1 {
					c.t.Errorf("the server saw %s once, the hub %d decisions", id, n)
				}
				if n := calls.outcomes[id]; n > 1 || n == 0 && s.clean {
					c.t.Errorf("the server saw %s once, the hub %d outcomes", id, n)
				}
				delete(killed, id)
			}
			for _, id := range s.answered {
				if calls.outcomes[id] != 1 {
					c.t.Errorf("%s was answered, and the hub has %d outcomes", id, calls.outcomes[id])
				}
			}
			if !s.clean {
				maps.DeleteFunc(killed, func(id string, _ int) bool { return strings.HasPrefix(id, `"`+s.name+".") })
				continue
			}
			clean++
		}
	}
	for id := range killed {
		c.t.Errorf("no server ever saw %s, and nobody was killed before it could", id)
	}
	if seen == 0 || clean == 0 || clean == sessions {
		c.t.Errorf("%d calls in %d sessions, of which %d were not killed: that shows nothing", seen, sessions, clean)
	}
	c.t.Logf("%d calls in %d sessions, of which %d were not killed", seen, sessions, clean)
}

// saw returns the ids of the calls that the server saw.
func (s *chaosSession) saw(c *chaos) (ids []string) {
	text, err := os.ReadFile(s.journal)
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || s.clean) {
		c.t.Error(err)
	}
	for line := range bytes.Lines(text) {
		ids = append(ids, strings.TrimSpace(string(line)))
	}
	slices.Sort(ids)
	if twice := len(ids) - len(slices.Compact(slices.Clone(ids))); twice > 0 {
		c.t.Errorf("%s: its server saw %d calls twice", s.name, twice)
	}
	return ids
}
