package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// made is an event of a test, and how it is to be found.
type made struct {
	record    *audit.Record
	principal string
	at        int64 // under what time
	id        int   // in order of arrival
}

const trace1, trace2 = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"

// makeEvents stores random events of several chains, as time goes by.
func makeEvents(t *testing.T, s *Store, clock *testClock, count int) []made {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	heads := map[string]*[sha256.Size]byte{}
	seqs := map[string]int{}
	var all []made
	for len(all) < count {
		principal, chain := pick("ada", "eve", "bob"), pick("c1", "c2")
		key := principal + chain
		if heads[key] == nil {
			heads[key] = new([sha256.Size]byte)
		}
		var lines []byte
		for range 1 + random.IntN(60) {
			seqs[key]++
			when := clock.t.Add(time.Duration(random.IntN(2000)-1000) * time.Millisecond)
			switch random.IntN(20) {
			case 0: // was offline
				when = when.Add(-time.Duration(random.IntN(1000)) * time.Hour)
			case 1: // its clock is wrong
				when = when.Add(48 * time.Hour)
			}
			line := fmt.Appendf(nil, `{"time":%q,"id":"x","seq":%d,"prev":"%s","server":%q,"target":%q,"decision":%q,"reason":%q,"outcome":%q,"client":%q,"method":%q,"rule":%q,"host":%q,"user":%q,"trace_id":%q,"latency_ms":%g,"kind":%q}`,
				when.Format(time.RFC3339Nano), seqs[key], hex.EncodeToString(heads[key][:]), pick("files", "git", "rare", ""),
				pick("read", "write", "", strings.Repeat("ä", 3000)), pick("allow", "allow", "allow", "deny", "", "maybe"),
				pick("", "", "shadow: it is not allowed", "shadowy", "x shadow: "), pick("", "ok", "ok", "tool_error", "error", "denied", "timeout", "cancelled", "dropped", "odd"),
				pick("ada", "cli", ""), pick("tools/call", "tools/call", "tools/list", "resources/read", ""), pick("allow_tools: *", "deny_tools: x", ""),
				pick("h1", "h2"), pick("ada", "root"), pick("", "", "", "", trace1, trace2, "00-"+trace2+"-00f067aa0ba902b7-01", "odd"),
				math.Exp(random.Float64()*20-5), pick("decision", "outcome", "decision", "outcome", "anomaly", "integrity", "lifecycle", "new"))
			*heads[key] = sha256.Sum256(line)
			lines = append(append(lines, line...), '\n')
			r, err := audit.Parse(line)
			if err != nil {
				t.Fatal(err)
			}
			at := when
			if when.After(clock.t.Add(ahead)) {
				at = clock.t
			}
			all = append(all, made{r, principal, at.UnixMilli(), len(all)})
		}
		if a := mustAppend(t, s, Batch{Principal: principal, Chain: chain, Lines: lines}); len(a.Problems) > 0 {
			t.Fatal(a.Problems)
		}
		clock.add(time.Duration(random.IntN(5000)) * time.Millisecond)
	}
	slices.SortFunc(all, func(a, b made) int {
		if a.at != b.at {
			return int(b.at - a.at)
		}
		return b.id - a.id
	})
	return all
}

func (m made) meets(f Filter) bool {
	r := m.record
	for _, text := range [...]struct{ want, is string }{
		{f.Server, r.Server}, {f.Target, r.Target}, {f.Decision, r.Decision}, {f.Principal, m.principal}, {string(f.Kind), string(r.Kind)},
		{f.Client, r.Client}, {f.Method, r.Method}, {f.Rule, r.Rule}, {f.Host, r.Host}, {f.User, r.User},
	} {
		if text.want != "" && text.want != text.is {
			return false
		}
	}
	switch f.Outcome {
	case "", r.Outcome:
	case Failed:
		if !slices.Contains([]string{"tool_error", "error", "timeout", "dropped"}, r.Outcome) {
			return false
		}
	default:
		return false
	}
	if f.Shadowed && !(r.Decision == "allow" && strings.HasPrefix(r.Reason, "shadow: ")) {
		return false
	}
	return strings.Contains(r.TraceID, f.TraceID) && (f.Since.IsZero() || m.at >= f.Since.UnixMilli()) && (f.Until.IsZero() || m.at < f.Until.UnixMilli())
}

// Whatever the filter, the size of the pages and how soon a page gives up: all that is meant, once, newest first.
func TestEvents(t *testing.T) {
	clock := newClock()
	s := openStore(t, Options{Now: clock.now, Retain: -1})
	start := clock.t
	all := makeEvents(t, s, clock, 3000)
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	seldom := func(from ...string) string {
		if random.IntN(6) > 0 {
			return ""
		}
		return pick(from...)
	}
	short := 0
	for range 400 {
		f := Filter{
			Server: pick("", "", "files", "rare", "nobody's"), Target: pick("", "", "read", strings.Repeat("ä", 3000)),
			Decision: pick("", "", "allow", "deny"), Principal: pick("", "", "ada", "nobody"),
			Kind:    audit.Kind(pick("", "", "decision", "anomaly", "lifecycle")),
			Outcome: seldom("ok", "timeout", "cancelled", Failed), Client: seldom("ada", "cli"), Method: seldom("tools/call", "tools/list"),
			Rule: seldom("allow_tools: *", "nobody's"), Host: seldom("h1", "h2"), User: seldom("ada", "root"), TraceID: seldom(trace1, trace2),
			Shadowed: random.IntN(8) == 0,
		}
		if random.IntN(2) == 0 {
			f.Since = start.Add(time.Duration(random.IntN(100)-20) * time.Second)
		}
		if random.IntN(2) == 0 {
			f.Until = start.Add(time.Duration(random.IntN(200)) * time.Second)
		}
		var want, got []string
		for _, m := range all {
			if m.meets(f) {
				want = append(want, m.principal+" "+string(m.record.Raw))
			}
		}
		limit := 1 + random.IntN(400)
		effort := effort{entries: 1 + random.IntN(300), patience: time.Duration(random.IntN(2)) * time.Hour}
		searched := time.Unix(1<<40, 0)
		for next := "?"; next != ""; {
			page, err := s.search(t.Context(), f, limit, strings.TrimPrefix(next, "?"), effort)
			if err != nil || len(page.Events) > limit || page.Next == next {
				t.Fatalf("%+v: %d events, next %q: %v", f, len(page.Events), page.Next, err)
			}
			if gaveUp := page.Next != "" && len(page.Events) < limit; gaveUp != !page.Searched.IsZero() || gaveUp && effort.patience > 0 {
				t.Fatalf("%+v: %d events of %d, next %q, searched until %v", f, len(page.Events), limit, page.Next, page.Searched)
			} else if gaveUp {
				if short++; page.Searched.After(searched) {
					t.Fatalf("searched until %v, then until %v", searched, page.Searched)
				}
				searched = page.Searched
			}
			for _, e := range page.Events {
				got = append(got, e.Principal+" "+string(e.Raw))
			}
			next = page.Next
		}
		if !slices.Equal(want, got) {
			t.Errorf("%+v: %d events, want %d, or in another order", f, len(got), len(want))
		}
	}
	if short < 100 {
		t.Errorf("only %d pages were given up", short)
	}
}

func TestEventsRefuses(t *testing.T) {
	s := openStore(t, Options{})
	for _, f := range []Filter{
		{Decision: "maybe"}, {Kind: "x"}, {Kind: "decision' --"}, {Outcome: "fail"}, {TraceID: "x"}, {TraceID: trace1 + "00"},
	} {
		if _, err := s.Events(t.Context(), f, 1, ""); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	for _, cursor := range []string{"x", "1", "1.", ".1", "1.2.3", "1.99999999999999999999"} {
		if _, err := s.Events(t.Context(), Filter{}, 1, cursor); !errors.Is(err, ErrInvalid) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

func TestFlawsAreShown(t *testing.T) {
	s := openStore(t, Options{})
	mustAppend(t, s, Batch{Principal: "ada", Chain: "c", Lines: written("2 3*"), Gap: true})
	page, err := s.Events(t.Context(), Filter{}, 10, "")
	events := page.Events
	if err != nil || len(events) != 2 || events[0].Flaw != ReasonEdited || events[1].Flaw != ReasonGap || events[1].Chain != "c" {
		t.Errorf("%v %v", events, err)
	}
}

// BenchmarkEvents gets the first page among 100,000 events.
func BenchmarkEvents(b *testing.B) {
	s := openStore(b, Options{Retain: -1})
	fill(b, s, 100_000)
	for name, f := range map[string]Filter{
		"newest": {}, "denied": {Decision: "deny"}, "server": {Server: "server-1"}, "target": {Target: "read_file_3"},
		"target-denied-of": {Target: "read_file_3", Decision: "deny", Principal: "p1"}, "none": {Server: "server-1", Target: "read_file_3", Kind: audit.Anomaly},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Events(b.Context(), f, 100, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func fill(b *testing.B, s *Store, events int) {
	const chains, size = 16, 1000
	writers := [chains]chainWriter{}
	for i := range events / size {
		c := i % chains
		writers[c].server = fmt.Sprint("server-", c%4)
		mustAppend(b, s, Batch{Principal: fmt.Sprint("p", c%8), Chain: fmt.Sprint("c", c), Lines: writers[c].lines(size)})
	}
}
