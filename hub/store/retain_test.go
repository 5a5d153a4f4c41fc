package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const day = 24 * time.Hour

// Events go when they have been here for as long as was asked, whatever time they claim; their chains go on.
func TestRetention(t *testing.T) {
	clock := newClock()
	s := openStore(t, Options{Retain: 10 * day, Now: clock.now})
	old := chainWriter{server: "old", time: clock.t.Add(-300 * day)} // was offline for long
	first := old.lines(perDelete + 200)                              // takes two steps
	b := Batch{Principal: "ada", Chain: "old", Lines: first}
	mustAppend(t, s, b)
	clock.add(9 * day)
	future := chainWriter{server: "new", time: clock.t.Add(300 * day)}
	mustAppend(t, s, Batch{Principal: "ada", Chain: "new", Lines: future.lines(50)})
	tidy(t, s)
	sound(t, s, perDelete+250)

	clock.add(2 * day)
	tidy(t, s)
	sound(t, s, 50)
	if a := mustAppend(t, s, b); len(a.New) > 0 || len(a.Problems) > 0 || a.Acked != perDelete+200 {
		t.Errorf("sent again: %d new, acked %d, %v", len(a.New), a.Acked, a.Problems)
	}
	b.Lines = old.lines(1)
	if a := mustAppend(t, s, b); len(a.New) != 1 || len(a.Problems) > 0 {
		t.Errorf("the next one: %v", a)
	}
	sound(t, s, 51)

	clock.add(30 * day)
	tidy(t, s)
	sound(t, s, 0)
	b.Lines = old.lines(2)
	mustAppend(t, s, b)
	sound(t, s, 2)
	var texts, arrivals int
	if err := s.readers.QueryRow(`SELECT (SELECT count(*) FROM texts), (SELECT count(*) FROM arrivals)`).Scan(&texts, &arrivals); err != nil {
		t.Fatal(err)
	}
	if texts == 0 || texts > 10 || arrivals > 3 {
		t.Errorf("%d texts and %d arrivals are left", texts, arrivals)
	}
	page, err := s.Events(t.Context(), Filter{Server: "old"}, 10, "")
	events := page.Events
	if err != nil || len(events) != 2 {
		t.Errorf("%d events: %v", len(events), err)
	}
}

func mustAppend(t testing.TB, s *Store, b Batch) *Appended {
	t.Helper()
	a, err := s.Append(t.Context(), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func tidy(t *testing.T, s *Store) {
	t.Helper()
	if err := s.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A clock of the hub that was wrong for a while makes nothing go early, and nothing stay for ever.
func TestRetentionSurvivesClockJumps(t *testing.T) {
	tests := []struct {
		name string
		jump time.Duration
	}{{"into the past", -20_000 * day}, {"into the future", 20_000 * day}, {"by an hour", -time.Hour}, {"none", 0}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			clock := newClock()
			s := openStore(t, Options{Retain: 10 * day, Now: clock.now})
			var w chainWriter
			step := func(after time.Duration) {
				clock.add(after)
				mustAppend(t, s, Batch{Principal: "ada", Chain: "c", Lines: w.lines(10)})
			}
			step(0)
			step(time.Hour)
			step(test.jump)
			step(2*time.Hour - test.jump)
			tidy(t, s)
			sound(t, s, 40)
			step(5 * day)
			tidy(t, s)
			sound(t, s, 50)
			clock.add(6 * day)
			tidy(t, s)
			sound(t, s, 10)
			clock.add(5 * day)
			tidy(t, s)
			sound(t, s, 0)
		})
	}
}

func TestNothingIsRemovedUnasked(t *testing.T) {
	clock := newClock()
	s := openStore(t, Options{Retain: -1, Now: clock.now})
	var w chainWriter
	mustAppend(t, s, Batch{Principal: "ada", Chain: "c", Lines: w.lines(10)})
	clock.add(10_000 * day)
	tidy(t, s)
	sound(t, s, 10)
}

// What is forgotten besides events: chains, wrappers and definitions that nobody has seen for long, and the space they took.
func TestRestIsForgotten(t *testing.T) {
	clock := newClock()
	s := openStore(t, Options{Retain: day, Now: clock.now})
	for i := range 20 {
		var w chainWriter
		mustAppend(t, s, Batch{Principal: "ada", Chain: fmt.Sprint(i), Lines: w.lines(500)})
	}
	if err := s.Saw(t.Context(), "ada", presence("i", "s")); err != nil {
		t.Fatal(err)
	}
	propose(t, s, "ada", "laptop", "1.0", tool("kept", "1"), tool("gone", "1"))
	approve(t, s, tool("kept", "1"))
	before := pages(t, s)
	clock.add(400 * day)
	tidy(t, s)
	tidy(t, s)
	var got struct{ Chains, OfAda, Wrappers, Texts, Definitions, Versions, Sightings int }
	err := s.readers.QueryRow(`SELECT (SELECT count(*) FROM chains), (SELECT sum(chains) FROM principals), (SELECT count(*) FROM wrappers),
		(SELECT count(*) FROM texts), (SELECT count(*) FROM definitions), (SELECT count(*) FROM versions), (SELECT count(*) FROM sightings)`).
		Scan(&got.Chains, &got.OfAda, &got.Wrappers, &got.Texts, &got.Definitions, &got.Versions, &got.Sightings)
	if err != nil {
		t.Fatal(err)
	}
	want := got
	want.Chains, want.OfAda, want.Wrappers, want.Texts, want.Definitions, want.Versions, want.Sightings = 0, 0, 0, 0, 1, 1, 1
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if after := pages(t, s); after > before/4 {
		t.Errorf("%d pages are left of %d", after, before)
	}
}

func pages(t *testing.T, s *Store) (n int) {
	t.Helper()
	if err := s.readers.QueryRow(`PRAGMA page_count`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
