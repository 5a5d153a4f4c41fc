package hub

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/hub/dashboard"
	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

func TestPlotsHaveEveryStep(t *testing.T) {
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	span := dashboard.Span{Since: since, Until: since.Add(50 * time.Minute), Step: 10 * time.Minute}
	got := spread(span, []store.Figures{
		{At: since.Add(-10 * time.Minute), Calls: 99},
		{At: since.Add(10 * time.Minute), Calls: 3, Denied: 1},
		{At: since.Add(40 * time.Minute), Calls: 5, Requests: 7},
		{At: since.Add(50 * time.Minute), Calls: 99},
	})
	var want []dashboard.Point
	for i := range 5 {
		want = append(want, dashboard.Point{At: since.Add(time.Duration(i) * 10 * time.Minute)})
	}
	want[1].Counts = dashboard.Counts{Calls: 3, Denied: 1}
	want[4].Counts = dashboard.Counts{Calls: 5, Requests: 7}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMemoAsksOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memo[string, int]{keep: time.Second, patience: time.Minute}
		var asked atomic.Int64
		ask := func(context.Context) (int, error) {
			<-time.After(100 * time.Millisecond)
			return int(asked.Add(1)), nil
		}
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if v, err := m.get(t.Context(), "a", ask); v != 1 || err != nil {
					t.Errorf("%d, %v", v, err)
				}
			})
		}
		all.Wait()
		<-time.After(999 * time.Millisecond)
		if v, _ := m.get(t.Context(), "a", ask); v != 1 {
			t.Error("it is asked again too early")
		}
		<-time.After(time.Millisecond)
		if v, _ := m.get(t.Context(), "a", ask); v != 2 {
			t.Error("it is not asked again")
		}
		if m.forget(); asked.Load() != 2 {
			t.Error("forget asks")
		}
		if v, _ := m.get(t.Context(), "a", ask); v != 3 {
			t.Error("what was to be forgotten is given")
		}
		failing := errors.New("no")
		if _, err := m.get(t.Context(), "b", func(context.Context) (int, error) { return 0, failing }); !errors.Is(err, failing) {
			t.Errorf("error %v", err)
		}
		if v, err := m.get(t.Context(), "b", ask); v != 4 || err != nil {
			t.Errorf("after an error: %d, %v", v, err)
		}
		for i := range 10 * maxMemo {
			_, _ = m.get(t.Context(), fmt.Sprint(i), func(context.Context) (int, error) { return i, nil })
		}
		if len(m.answers) > maxMemo {
			t.Errorf("%d answers are kept", len(m.answers))
		}
	})
}

// Who gives up waiting does not take the answer from the others.
func TestMemoOutlivesWhoAskedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memo[int, int]{keep: time.Second, patience: time.Minute}
		ctx, cancel := context.WithCancel(t.Context())
		ask := func(ctx context.Context) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(time.Second):
				return 7, nil
			}
		}
		go m.get(ctx, 1, ask)
		synctest.Wait()
		cancel()
		if v, err := m.get(t.Context(), 1, ask); v != 7 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
		late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		go m.get(t.Context(), 2, ask)
		synctest.Wait()
		if _, err := m.get(late, 2, ask); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who waits too long gets %v", err)
		}
		<-time.After(time.Minute) // until nobody asks any more
	})
}

// A viewer that does not read costs one tick, however much arrives, and is told how much it has missed.
func TestSlowViewerCostsOneTick(t *testing.T) {
	v := &liveViewer{ready: make(chan struct{}, 1)}
	sent := int64(0)
	event := func() dashboard.Event { sent++; return dashboard.Event{Seq: uint64(sent)} }
	for range 1000 {
		tick := dashboard.Tick{Missed: 3}
		sent += 3
		for range 7 {
			tick.Events = append([]dashboard.Event{event()}, tick.Events...)
		}
		v.offer(tick)
		if len(v.pending.Events) > liveEvents || cap(v.pending.Events) > liveEvents {
			t.Fatalf("%d events wait", len(v.pending.Events))
		}
	}
	got := v.take()
	if got.Missed+int64(len(got.Events)) != sent || !got.Dropped || len(got.Events) != liveEvents {
		t.Errorf("%d events and %d missed of %d, dropped %v", len(got.Events), got.Missed, sent, got.Dropped)
	}
	for i := range got.Events[1:] {
		if got.Events[i].Seq <= got.Events[i+1].Seq {
			t.Fatal("the newest do not come first")
		}
	}
	if got.Events[0].Seq != uint64(sent) {
		t.Errorf("the newest is %d, not %d", got.Events[0].Seq, sent)
	}
	v.offer(dashboard.Tick{Events: []dashboard.Event{event()}})
	if again := v.take(); again.Dropped || again.Missed != 0 || len(again.Events) != 1 {
		t.Errorf("after it has read: %+v", again)
	}
}

func TestPinsForPeople(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 3, 1, 12, minute, 0, 0, time.UTC) }
	proposal := func(name, description string, first, last int) uplink.Proposal {
		definition := []byte(`{"description":"` + description + `","inputSchema":{"type":"object"},"name":"` + name + `"}`)
		digest, err := integrity.DigestOf(integrity.Target{Kind: integrity.Tools, Name: name}, definition)
		if err != nil {
			t.Fatal(err)
		}
		return uplink.Proposal{
			Sighting: uplink.Sighting{Kind: "tool", Name: name, Digest: digest, Definition: definition},
			First:    at(first), Last: at(last), ServerInfo: uplink.RawJSON(`{"name":"s","version":"1"}`),
		}
	}
	approved := func(p uplink.Proposal, when int) uplink.Proposal {
		p.Approved, p.ApprovedBy, p.ApprovedAt = true, "ann", at(when)
		return p
	}
	r := &uplink.Review{Server: "files", Items: []uplink.Proposal{
		proposal("changed", "reads and sends", 20, 30), approved(proposal("changed", "reads", 1, 25), 10),
		proposal("new", "second", 2, 3), proposal("new", "first", 1, 2),
		proposal("settled", "old", 1, 5), approved(proposal("settled", "now", 2, 30), 10),
	}}
	got, err := pinServerOf(r)
	if err != nil || got.Changed != 1 || got.Added != 1 || len(got.Names) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	changed, fresh, settled := got.Names[0], got.Names[1], got.Names[2]
	if !changed.Approved || !changed.Candidates[0].Approved || changed.Candidates[0].ApprovedBy != "ann" || changed.Candidates[0].ServerVersion != "s 1" {
		t.Errorf("the approved one does not come first: %+v", changed)
	}
	want := []dashboard.Change{{Path: "description", Old: "reads", New: "reads and sends"}}
	if diff := cmp.Diff(want, changed.Candidates[1].Changes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if fresh.Approved || len(fresh.Candidates[0].Changes) != 1 || fresh.Candidates[0].Changes[0].Old != "" || len(fresh.Candidates[1].Changes) != 1 {
		t.Errorf("what is new: %+v", fresh)
	}
	if len(settled.Candidates) != 2 {
		t.Errorf("what was decided against is not shown: %+v", settled)
	}
	r.Items[0].Definition = uplink.RawJSON(strings.Replace(string(r.Items[0].Definition), "sends", "lies", 1))
	if _, err := pinServerOf(r); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("a definition that is not that of its digest is shown: %v", err)
	}
	r.Items[0].Definition = uplink.RawJSON("null") // was too much to send
	if got, err := pinServerOf(r); err != nil || got.Names[0].Candidates[1].Definition != "" {
		t.Errorf("a definition that was left out: %v", err)
	}
}

// What somebody changes in the store is found by the check of the whole, shown on the page, and recorded.
func TestChangedStoreIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	s, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var wrapper, own bytes.Buffer
	logs := make(map[*bytes.Buffer]*audit.Log)
	for _, to := range []*bytes.Buffer{&wrapper, &own} {
		if logs[to], err = audit.Open(audit.Options{Config: audit.Config{Output: "stderr"}, Stderr: to, Source: "wrap"}); err != nil {
			t.Fatal(err)
		}
		defer logs[to].Close()
	}
	link := logs[&wrapper].Link(audit.LinkInfo{Server: "files"})
	for range 5 {
		link.Append(&audit.Event{Kind: audit.Decision, Method: "tools/call", Target: []byte("read"), Decision: "deny"})
	}
	if err := logs[&wrapper].Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), store.Batch{Principal: "ann", Chain: "m-1", Lines: wrapper.Bytes()}, nil); err != nil {
		t.Fatal(err)
	}
	h := &Hub{opt: Options{Record: logs[&own]}, log: zerolog.Nop()}
	d := newDashboardSource(h, &fleet{hub: h, store: s, log: zerolog.Nop()})
	d.fleets.keep = 0
	chains, err := d.Chains(t.Context())
	if err != nil || !chains.Checked.IsZero() || chains.Intact || len(chains.Chains) != 1 {
		t.Errorf("before any check: %+v, %v", chains, err)
	}
	if err := d.verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if chains, err = d.Chains(t.Context()); err != nil || chains.Checked.IsZero() || !chains.Intact || len(chains.Problems) != 0 {
		t.Errorf("as it came: %+v, %v", chains, err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE lines SET line = CAST(replace(CAST(line AS TEXT), 'deny', 'aloof') AS BLOB) WHERE id = 3`); err != nil {
		t.Fatal(err)
	}
	if err := d.verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	chains, err = d.Chains(t.Context())
	if err != nil || chains.Intact || len(chains.Problems) == 0 || chains.Chains[0].Problems == 0 || chains.Problems[0].Principal != "ann" {
		t.Errorf("after a change: %+v, %v", chains, err)
	}
	if !strings.Contains(own.String(), `"reason":"store_changed"`) {
		t.Errorf("it is not recorded:\n%s", own.String())
	}
}

// Sums of a long span are made of long steps: when something was last is told to the minute all the same.
func TestLastIsSharp(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 3, 1, 12, minute, 0, 0, time.UTC) }
	by := map[string]store.Figures{"busy": {Calls: 900, Last: at(0)}, "still": {Calls: 3, Last: at(20)}}
	sharpen(by, map[string]store.Figures{"busy": {Calls: 2, Last: at(37)}, "still": {Last: at(10)}, "new": {Calls: 1, Last: at(38)}})
	if len(by) != 2 || by["busy"].Calls != 900 || !by["busy"].Last.Equal(at(37)) || !by["still"].Last.Equal(at(20)) {
		t.Errorf("%+v", by)
	}
}
