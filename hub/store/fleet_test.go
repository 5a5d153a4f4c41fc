package store

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

func presence(instance, server string) uplink.Presence {
	return uplink.Presence{Instance: instance, Server: server, Version: "1.2.3", Host: "laptop", User: "ada", PID: 42, ClientInfo: uplink.RawJSON(`{"name":"cursor"}`)}
}

func TestFleet(t *testing.T) {
	clock := newClock()
	s := openStore(t, Options{Now: clock.now})
	saw := func(principal string, p uplink.Presence) uplink.Wrapper {
		t.Helper()
		if err := s.Saw(t.Context(), principal, p); err != nil {
			t.Fatal(err)
		}
		return uplink.Wrapper{Presence: p, Principal: principal, Seen: clock.t, Alive: true}
	}
	check := func(want ...uplink.Wrapper) {
		t.Helper()
		f, err := s.Fleet(t.Context())
		if diff := cmp.Diff(want, f.Wrappers); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
	}
	one := saw("ada", presence("i1", "files"))
	two := saw("eve", presence("i1", "files")) // another one
	check(two, one)
	clock.add(2 * uplink.HeartbeatEvery)
	p := presence("i1", "files")
	p.Serial, p.Pending, p.Problems = 7, 3, []string{"no bundle"}
	one = saw("ada", p)
	check(one, two)
	clock.add(uplink.HeartbeatEvery)
	two.Alive = false
	check(one, two)
	p.Ended = true
	one = saw("ada", p)
	one.Alive = false
	check(one, two)
	clock.add(forgetAfter - time.Minute)
	check(one)
}

func TestFleetShowsChains(t *testing.T) {
	clock := newClock()
	s := openStore(t, Options{Now: clock.now})
	for i, lines := range []string{"1 2 3", "2", "1", "1 2"} {
		mustAppend(t, s, Batch{Principal: "ada", Chain: fmt.Sprint(i), Lines: written(lines), Gap: true})
		clock.add(time.Minute)
	}
	f, err := s.Fleet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range f.Chains {
		got = append(got, fmt.Sprintf("%s %s: %d events up to %d, %d problems", c.Principal, c.Chain, c.Events, c.Seq, c.Problems))
	}
	want := []string{
		"ada 1: 1 events up to 2, 1 problems", // the bad ones first
		"ada 3: 2 events up to 2, 0 problems", "ada 2: 1 events up to 1, 0 problems", "ada 0: 3 events up to 3, 0 problems",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if f.Events != 7 {
		t.Errorf("%d events", f.Events)
	}
}

func TestPresenceIsRefused(t *testing.T) {
	s := openStore(t, Options{})
	long := strings.Repeat("x", 300)
	for name, p := range map[string]uplink.Presence{
		"no instance": presence("", "s"), "no server": presence("i", ""), "long instance": presence(long, "s"), "long server": presence("i", long),
	} {
		if err := s.Saw(t.Context(), "ada", p); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := presence("i", "s")
	p.ClientInfo = uplink.RawJSON(`"` + strings.Repeat("x", maxPresence) + `"`)
	if err := s.Saw(t.Context(), "ada", p); !errors.Is(err, ErrLimit) {
		t.Errorf("giant: %v", err)
	}
}

// One who makes up wrappers pushes out his own.
func TestWrappersAreLimited(t *testing.T) {
	s := openStore(t, Options{})
	if err := s.Saw(t.Context(), "ada", presence("i", "s")); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for sender := range 50 {
		all.Go(func() {
			for i := range (maxOwn + 200) / 50 {
				if err := s.Saw(t.Context(), "eve", presence(fmt.Sprint(sender, "-", i), "s")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	f, err := s.Fleet(t.Context())
	if err != nil || len(f.Wrappers) != maxOwn+1 || f.Wrappers[maxOwn].Principal != "ada" {
		t.Errorf("%d wrappers: %v", len(f.Wrappers), err)
	}
}
