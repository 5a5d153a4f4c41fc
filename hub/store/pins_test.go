package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

func tool(name, digest string) uplink.Sighting {
	return uplink.Sighting{Kind: "tool", Name: name, Digest: "sha256:" + digest, Definition: uplink.RawJSON(fmt.Sprintf(`{"name":%q,"description":%q}`, name, digest))}
}

// propose says what a host of a principal saw of server s in a version, and returns the names of what others saw otherwise.
func propose(t testing.TB, s *Store, principal, host, version string, items ...uplink.Sighting) string {
	t.Helper()
	p := uplink.Sightings{Server: "s", Host: host, Items: items}
	if version != "" {
		p.ServerInfo = uplink.RawJSON(fmt.Sprintf(`{"version":%q,"name":"secure"}`, version))
	}
	split, err := s.Propose(t.Context(), principal, p)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, item := range split {
		names = append(names, item.Name+" "+strings.TrimPrefix(item.Digest, "sha256:"))
	}
	return strings.Join(names, ", ")
}

func approve(t testing.TB, s *Store, items ...uplink.Sighting) {
	t.Helper()
	var a uplink.Approval
	for _, item := range items {
		a.Items = append(a.Items, uplink.ApprovalItem{Kind: item.Kind, Name: item.Name, Digest: item.Digest})
	}
	if err := s.Approve(t.Context(), "s", "boss", a); err != nil {
		t.Fatal(err)
	}
}

func TestSplitView(t *testing.T) {
	type sight struct{ principal, host, version, digest, want string }
	tests := []struct {
		name   string
		sights []sight
	}{
		{"all see the same", []sight{{"ada", "a", "1", "x", ""}, {"eve", "b", "1", "x", ""}, {"ada", "a", "1", "x", ""}}},
		{"another machine sees another one, told once", []sight{
			{"ada", "a", "1", "x", ""}, {"eve", "b", "1", "y", "t y"}, {"eve", "b", "1", "y", ""}, {"bob", "c", "1", "y", ""},
		}},
		{"and the one that came first, when it is seen again", []sight{
			{"ada", "a", "1", "x", ""}, {"eve", "b", "1", "y", "t y"}, {"ada", "a", "1", "x", "t x"}, {"ada", "a", "1", "x", ""},
		}},
		{"the same principal on another machine", []sight{{"ada", "a", "1", "x", ""}, {"ada", "b", "1", "y", "t y"}}},
		{"a change on one machine is drift", []sight{{"ada", "a", "1", "x", ""}, {"ada", "a", "1", "y", ""}}},
		{"another version", []sight{{"ada", "a", "1", "x", ""}, {"eve", "b", "2", "y", ""}, {"eve", "b", "1", "y", "t y"}}},
		{"no version", []sight{{"ada", "a", "", "x", ""}, {"eve", "b", "", "y", ""}}},
		{"a third one", []sight{{"ada", "a", "1", "x", ""}, {"eve", "b", "1", "y", "t y"}, {"bob", "c", "1", "z", "t z"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := openStore(t, Options{})
			for i, sight := range test.sights {
				if got := propose(t, s, sight.principal, sight.host, sight.version, tool("t", sight.digest)); got != sight.want {
					t.Errorf("%d: split %q, want %q", i, got, sight.want)
				}
			}
		})
	}
}

func TestReview(t *testing.T) {
	clock := newClock()
	s := openStore(t, Options{Now: clock.now})
	start := clock.t
	propose(t, s, "ada", "a", "1", tool("t", "x"), tool("u", "x"))
	clock.add(time.Hour)
	propose(t, s, "eve", "b", "2", tool("t", "x"))
	approve(t, s, tool("t", "x"))
	clock.add(time.Hour)
	propose(t, s, "eve", "b", "2", tool("t", "y"))
	other := uplink.Sightings{Server: "other", Host: "a", Items: []uplink.Sighting{{Kind: "instructions", Digest: "d", Definition: uplink.RawJSON(`null`)}}}
	if _, err := s.Propose(t.Context(), "ada", other); err != nil {
		t.Fatal(err)
	}
	info := func(version string) uplink.RawJSON {
		return uplink.RawJSON(fmt.Sprintf(`{"version":%q,"name":"secure"}`, version))
	}
	want := []uplink.Review{
		{Server: "other", Items: []uplink.Proposal{
			{Sighting: other.Items[0], First: start.Add(2 * time.Hour), Last: start.Add(2 * time.Hour), By: []string{"ada@a"}},
		}},
		{Server: "s", Items: []uplink.Proposal{
			{Sighting: tool("t", "y"), ServerInfo: info("2"), First: start.Add(2 * time.Hour), Last: start.Add(2 * time.Hour), By: []string{"eve@b"}},
			{
				Sighting: tool("t", "x"), ServerInfo: info("2"), First: start, Last: start.Add(time.Hour), By: []string{"eve@b", "ada@a"},
				Approved: true, ApprovedBy: "boss", ApprovedAt: start.Add(time.Hour),
			},
			{Sighting: tool("u", "x"), ServerInfo: info("1"), First: start, Last: start, By: []string{"ada@a"}},
		}},
	}
	for server, want := range map[string][]uplink.Review{"": want, "s": want[1:], "nobody's": {}} {
		got, err := s.Review(t.Context(), server)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v %s", server, err, diff)
		}
	}
}

func TestProposalsAreRefused(t *testing.T) {
	s := openStore(t, Options{})
	big := tool("t", "x")
	big.Definition = uplink.RawJSON(`"` + strings.Repeat("x", maxDefinition) + `"`)
	nameless, kindless, empty, named := tool("", "x"), tool("t", "x"), tool("t", "x"), tool("t", "x")
	kindless.Kind, empty.Definition, named.Kind = "resource", nil, "instructions"
	for name, test := range map[string]struct {
		server string
		item   uplink.Sighting
		want   error
	}{
		"no server": {"", tool("t", "x"), ErrInvalid}, "a long server": {strings.Repeat("x", 300), tool("t", "x"), ErrInvalid},
		"no name": {"s", nameless, ErrInvalid}, "an unknown kind": {"s", kindless, ErrInvalid}, "instructions with a name": {"s", named, ErrInvalid},
		"no digest": {"s", uplink.Sighting{Kind: "tool", Name: "t", Definition: uplink.RawJSON(`1`)}, ErrInvalid},
		"nothing":   {"s", empty, ErrInvalid}, "a giant": {"s", big, ErrLimit}, "a long name": {"s", tool(strings.Repeat("x", 2000), "x"), ErrLimit},
	} {
		_, err := s.Propose(t.Context(), "ada", uplink.Sightings{Server: test.server, Items: []uplink.Sighting{tool("good", "x"), test.item}})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := s.Review(t.Context(), ""); err != nil || len(got) > 0 {
		t.Errorf("%v %v", got, err)
	}
}

// A principal that proposes too much pushes out what it proposed itself, but not what was approved. Others still can.
func TestProposalsAreLimited(t *testing.T) {
	clock := newClock()
	s := openStore(t, Options{Now: clock.now})
	propose(t, s, "ada", "a", "1", tool("hers", "x"))
	propose(t, s, "eve", "b", "1", tool("approved", "x"))
	approve(t, s, tool("approved", "x"))
	for i := range 4 {
		clock.add(time.Minute)
		var items []uplink.Sighting
		for n := range 400 {
			items = append(items, tool(fmt.Sprint("made-up-", i, "-", n), "x"))
		}
		propose(t, s, "eve", "b", "1", items...)
	}
	clock.add(time.Minute)
	for i := range 20 {
		big := tool("big", fmt.Sprint(i))
		big.Definition = uplink.RawJSON(`"` + strings.Repeat("x", maxDefinition-2) + `"`)
		clock.add(time.Minute)
		propose(t, s, "eve", "b", "1", big)
	}
	propose(t, s, "ada", "a", "1", tool("hers too", "x"))
	reviews, err := s.Review(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	found, size := map[string]bool{}, 0
	for _, p := range reviews[0].Items {
		found[p.Name+" "+p.Digest] = true
		size += len(p.Definition)
	}
	if !found["hers sha256:x"] || !found["hers too sha256:x"] || !found["approved sha256:x"] || !found["big sha256:19"] || found["big sha256:0"] {
		t.Errorf("what is left is wrong: %d", len(found))
	}
	if len(found) > maxOwnCount+2 || size > maxOwnBytes+1000 {
		t.Errorf("%d definitions of %d bytes are left", len(found), size)
	}

	// A batch that is too much by itself is refused as a whole.
	p := uplink.Sightings{Server: "s", Host: "b"}
	for n := range maxOwnCount + 1 {
		p.Items = append(p.Items, tool(fmt.Sprint("again-", n), "x"))
	}
	if _, err := s.Propose(t.Context(), "eve", p); !errors.Is(err, ErrLimit) {
		t.Errorf("got %v", err)
	}
	// So is one that is too much for the server.
	for i := 0; ; i++ {
		items := []uplink.Sighting{}
		for n := range 8 {
			big := tool(fmt.Sprint("big-", n), fmt.Sprint(i))
			big.Definition = uplink.RawJSON(`"` + strings.Repeat("x", maxDefinition-2) + `"`)
			items = append(items, big)
		}
		if _, err := s.Propose(t.Context(), fmt.Sprint("eve-", i), uplink.Sightings{Server: "s", Host: "b", Items: items}); err != nil {
			if i == 0 || !errors.Is(err, ErrLimit) {
				t.Errorf("proposer %d: %v", i, err)
			}
			return
		}
	}
}

func TestWitnessesAreLimited(t *testing.T) {
	s := openStore(t, Options{})
	for i := range maxWitnesses + 5 {
		propose(t, s, "ada", fmt.Sprint("host-", i), "1", tool("t", "x"))
	}
	got, err := s.Review(t.Context(), "s")
	if err != nil || len(got[0].Items[0].By) != maxWitnesses {
		t.Errorf("%v %v", got, err)
	}
}

func TestUndecided(t *testing.T) {
	clock := newClock()
	s := openStore(t, Options{Now: clock.now})
	check := func(when string, want int) {
		t.Helper()
		if got, err := s.Undecided(t.Context()); err != nil || got != want {
			t.Errorf("%s: %d are undecided, want %d: %v", when, got, want, err)
		}
	}
	check("at first", 0)
	propose(t, s, "ada", "a", "1", tool("t", "x"), tool("u", "x"))
	propose(t, s, "eve", "b", "1", tool("t", "y"))
	check("nothing is approved", 3)
	clock.add(time.Hour)
	approve(t, s, tool("t", "x"))
	check("who approved x has decided against y", 1)
	clock.add(time.Hour)
	propose(t, s, "eve", "b", "1", tool("t", "y"))
	check("y is seen again", 1)
	propose(t, s, "eve", "b", "1", tool("t", "z"))
	check("z comes later", 2)
	approve(t, s, tool("t", "z"), tool("u", "x"))
	check("all is approved", 0)
}

func TestRulings(t *testing.T) {
	clock := newClock()
	s := openStore(t, Options{Now: clock.now})
	propose(t, s, "ada", "a", "1", tool("t", "x"), tool("u", "x"))
	propose(t, s, "ada", "a", "2", tool("t", "y"))
	approve(t, s, tool("t", "x"), tool("u", "x"))
	approve(t, s, tool("t", "y"))
	for name, a := range map[string]uplink.Approval{
		"not proposed":           {Items: []uplink.ApprovalItem{{Kind: "tool", Name: "u", Digest: "sha256:x"}, {Kind: "tool", Name: "t", Digest: "sha256:z"}}},
		"proposed under another": {Items: []uplink.ApprovalItem{{Kind: "prompt", Name: "t", Digest: "sha256:x"}}},
	} {
		if err := s.Approve(t.Context(), "s", "eve", a); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Approve(t.Context(), "s", "eve", uplink.Approval{Items: []uplink.ApprovalItem{
		{Kind: "tool", Name: "t", Digest: "sha256:x"}, {Kind: "tool", Name: "t", Digest: "sha256:y"},
	}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("two of one: %v", err)
	}
	for _, r := range []uplink.Revocation{{Tool: "z", Reason: "leaks", By: "boss"}, {Tool: "a", By: "boss"}, {Tool: "gone"}} {
		if err := s.Revoke(t.Context(), "s", r); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Restore(t.Context(), "s", "gone"); err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(t.Context(), "s", "gone"); !errors.Is(err, ErrNotFound) {
		t.Errorf("restored twice: %v", err)
	}
	if err := s.Revoke(t.Context(), "s", uplink.Revocation{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("no tool: %v", err)
	}
	want := map[string]Ruling{"s": {
		Pins:    []uplink.ApprovalItem{{Kind: "tool", Name: "t", Digest: "sha256:y"}, {Kind: "tool", Name: "u", Digest: "sha256:x"}},
		Revoked: []uplink.Revocation{{Tool: "a", By: "boss", At: clock.t}, {Tool: "z", Reason: "leaks", By: "boss", At: clock.t}},
	}}
	got, err := s.Rulings(t.Context())
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

func TestSerialsRise(t *testing.T) {
	clock := newClock()
	s := openStore(t, Options{Now: clock.now})
	serial := func(principal, content string) int64 {
		t.Helper()
		n, err := s.Serial(t.Context(), "s", principal, []byte(content))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := serial("ada", "a")
	if again := serial("ada", "a"); again != first {
		t.Errorf("%d after %d for the same content", again, first)
	}
	if eve := serial("eve", "a"); eve != clock.t.UnixNano() {
		t.Errorf("%d for another principal", eve)
	}
	clock.add(-time.Hour) // the clock goes back, serials do not
	last := first
	for i, content := range []string{"b", "a", "b"} {
		n := serial("ada", content)
		if n <= last {
			t.Errorf("%d: %d after %d", i, n, last)
		}
		last = n
	}
}
