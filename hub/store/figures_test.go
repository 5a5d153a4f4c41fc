package store

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// recount counts what figures say of a name, from the events themselves. Latencies are kept as they are.
func recount(all []made, of Name, since, until time.Time) (f Figures, latencies []int64) {
	for _, m := range all {
		r := m.record
		call := r.Method == "tools/call"
		if of.Server != "" && r.Server != of.Server || of.Tool != "" && !(call && clip(r.Target) == of.Tool) || of.Other && !(call && r.Target == "") ||
			m.at < since.UnixMilli() || m.at >= until.UnixMilli() {
			continue
		}
		switch {
		case r.Kind == audit.Decision:
			f.Requests++
			if !call {
				continue
			}
			f.Calls++
			if r.Decision == "deny" {
				f.Denied++
			}
			if (made{record: r}).meets(Filter{Shadowed: true}) {
				f.Shadowed++
			}
		case r.Kind == audit.Outcome && call:
			if (made{record: r}).meets(Filter{Outcome: Failed}) {
				f.Errors++
			}
			latencies = append(latencies, int64(r.LatencyMS*1000))
		}
	}
	slices.Sort(latencies)
	return f, latencies
}

// merge adds to a histogram what another one has counted.
func merge(h *Histogram, other Histogram) {
	for bucket, n := range other.buckets {
		if n > 0 {
			h.add(int64(bucket), n)
		}
	}
}

// agree fails the test where figures are not those of the events.
func agree(t *testing.T, all []made, of Name, got Figures, since, until time.Time) {
	t.Helper()
	want, latencies := recount(all, of, since, until)
	counts := func(f Figures) [5]int64 { return [...]int64{f.Calls, f.Denied, f.Shadowed, f.Errors, f.Requests} }
	if counts(got) != counts(want) || got.Latency.N() != int64(len(latencies)) {
		t.Errorf("%+v from %v to %v: counted %v and %d latencies, want %v and %d", of, since, until,
			counts(got), got.Latency.N(), counts(want), len(latencies))
		return
	}
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 1} {
		if len(latencies) == 0 {
			break
		}
		exact := latencies[max(int(math.Ceil(q*float64(len(latencies)))), 1)-1]
		if off := math.Abs(float64(got.Latency.Quantile(q).Nanoseconds())/1000 - float64(exact)); off > 0.05*float64(exact)+1 {
			t.Errorf("%+v: quantile %v is %v, want %d µs", of, q, got.Latency.Quantile(q), exact)
		}
	}
}

// Figures are what a naive count of the events says, in every step and of every name, also where batches were sent twice.
func TestFiguresAreThoseOfTheEvents(t *testing.T) {
	clock := newClock()
	s := openStore(t, Options{Now: clock.now, Retain: -1})
	all := makeEvents(t, s, clock, 6000)
	names := []Name{{}, {Server: "files"}, {Server: "git", Tool: "read"}, {Server: "rare", Other: true}, {Server: "nobody's"}, {Server: "files", Tool: "nobody's"}}
	now := clock.t.Truncate(time.Hour).Add(time.Hour)
	for _, span := range []Span{
		{Since: now.Add(-2 * time.Hour), Until: now, Step: time.Minute},
		{Since: now.Add(-2 * time.Hour), Until: now},
		{Since: now.Add(-24 * time.Hour), Until: now, Step: 15 * time.Minute},
		{Since: now.Add(-24 * time.Hour), Until: now},
		{Since: now.Add(-10 * 24 * time.Hour), Until: now, Step: 30 * time.Minute},
		{Since: now.Add(-60 * 24 * time.Hour), Until: now, Step: 6 * time.Hour},
		{Since: now.Add(-60 * 24 * time.Hour), Until: now},
	} {
		for _, of := range names {
			series, err := s.Series(t.Context(), of, span)
			if err != nil {
				t.Fatal(err)
			}
			var total Figures
			for _, f := range series {
				until := f.At.Add(span.Step)
				if span.Step == 0 {
					until = span.Until
				}
				agree(t, all, of, f, f.At, until)
				total.Calls, total.Denied, total.Shadowed = total.Calls+f.Calls, total.Denied+f.Denied, total.Shadowed+f.Shadowed
				total.Errors, total.Requests = total.Errors+f.Errors, total.Requests+f.Requests
				merge(&total.Latency, f.Latency)
			}
			if !slices.IsSortedFunc(series, func(a, b Figures) int { return a.At.Compare(b.At) }) {
				t.Error("steps are not in order")
			}
			first := span.Since
			if len(series) > 0 && series[0].At.Before(first) {
				first = series[0].At
			}
			last := span.Until
			if span.Step > 0 {
				last = first.Add((span.Until.Sub(first) + span.Step - 1) / span.Step * span.Step)
			}
			agree(t, all, of, total, first, last)
		}
	}
	span := Span{Since: now.Add(-60 * 24 * time.Hour), Until: now}
	servers, err := s.ByServer(t.Context(), span)
	if err != nil || len(servers) != 3 {
		t.Fatalf("%d servers: %v", len(servers), err)
	}
	for server, f := range servers {
		agree(t, all, Name{Server: server}, f, span.Since, span.Until)
		tools, err := s.ByTool(t.Context(), server, span)
		if err != nil || len(tools) != 4 { // read, write, the long one, none
			t.Fatalf("%d tools: %v", len(tools), err)
		}
		for name, f := range tools {
			agree(t, all, name, f, span.Since, span.Until)
		}
	}
}

// Since and Until are those of steps: the first is rounded down, the last up.
func TestSpansAreWholeSteps(t *testing.T) {
	at := func(clock string) time.Time {
		v, err := time.Parse("2006-01-02 15:04:05", "2026-11-22 "+clock)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	clock := newClock()
	clock.t = at("12:00:00")
	s := openStore(t, Options{Now: clock.now})
	for name, row := range map[string]struct {
		span         Span
		since, until time.Time
	}{
		"minutes":         {Span{at("10:00:30"), at("11:00:01"), time.Minute}, at("10:00:00"), at("11:01:00")},
		"whole minutes":   {Span{at("10:00:00"), at("11:00:00"), time.Minute}, at("10:00:00"), at("11:00:00")},
		"hours":           {Span{at("10:00:30"), at("11:00:01"), time.Hour}, at("10:00:00"), at("12:00:00")},
		"one sum":         {Span{at("10:00:30"), at("11:00:01"), 0}, at("10:00:00"), at("11:01:00")},
		"one sum of days": {Span{at("00:00:00").Add(-240 * time.Hour), at("11:00:01"), 0}, at("00:00:00").Add(-240 * time.Hour), at("12:00:00")},
		"before 1970":     {Span{time.Unix(-30, 0), time.Unix(30, 0), time.Minute}, time.Unix(-3600, 0), time.Unix(3600, 0)},
	} {
		since, until := row.span.bounds(s.resolution(row.span))
		if since != row.since.Unix() || until != row.until.Unix() {
			t.Errorf("%s: %v to %v", name, time.Unix(since, 0).UTC(), time.Unix(until, 0).UTC())
		}
	}
}

// A server with very many tools, or one that makes them up, does not fill the store.
func TestToolsBeyondManyAreOthers(t *testing.T) {
	s := openStore(t, Options{Now: newClock().now})
	w := chainWriter{time: newClock().t}
	var lines [][]byte
	for i := range 2 * maxTools {
		lines = append(lines, w.event(fmt.Sprintf(`"kind":"decision","method":"tools/call","server":"s","target":"tool-%d","decision":"allow"`, i)))
		lines = append(lines, w.event(fmt.Sprintf(`"kind":"decision","method":"resources/read","server":"s","target":"file:///%d","decision":"allow"`, i)))
	}
	for len(lines) > 0 {
		n := min(37, len(lines))
		send(t, s, lines[:n]...)
		lines = lines[n:]
	}
	span := Span{Since: w.time.Add(-time.Hour), Until: w.time.Add(time.Hour)}
	tools, err := s.ByTool(t.Context(), "s", span)
	if err != nil || len(tools) != maxTools+1 || tools[Name{Server: "s", Other: true}].Calls != maxTools {
		t.Errorf("%d tools, others %+v: %v", len(tools), tools[Name{Server: "s", Other: true}], err)
	}
	if f, err := s.ByServer(t.Context(), span); err != nil || f["s"].Calls != 2*maxTools || f["s"].Requests != 4*maxTools {
		t.Errorf("%+v: %v", f, err)
	}
}

func TestHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var whole, parts Histogram
	var exact []int64
	for range 20 {
		var part Histogram
		for range 1000 {
			micros := int64(math.Exp(random.Float64() * 30)) // up to 4 months
			exact = append(exact, micros)
			whole.add(bucketOf(micros), 1)
			part.add(bucketOf(micros), 1)
		}
		merge(&parts, part)
	}
	slices.Sort(exact)
	for q := 0.0; q <= 1; q += 0.001 {
		got, want := whole.Quantile(q), exact[max(int(math.Ceil(q*float64(len(exact)))), 1)-1]
		if off := math.Abs(float64(got.Nanoseconds())/1000 - float64(want)); off > 0.05*float64(want)+1 {
			t.Errorf("quantile %v: %v, want %d µs", q, got, want)
		}
		if merged := parts.Quantile(q); merged != got {
			t.Errorf("quantile %v: merged %v, want %v", q, merged, got)
		}
	}
	var none Histogram
	if none.Quantile(0.5) != 0 || none.N() != 0 {
		t.Error("nothing has a quantile")
	}
}

func FuzzTally(f *testing.F) {
	f.Add(tally{{measureCalls, 3}, {measureLatency + 99, 1 << 40}}.encode())
	f.Add([]byte{1})
	f.Add([]byte{0, 1})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var read, again tally
		if decodeTally(b, read.add) != nil {
			return
		}
		if !slices.IsSortedFunc(read, func(a, b tallied) int { return cmp.Compare(a.measure, b.measure) }) {
			t.Error("not in order")
		}
		if err := decodeTally(read.encode(), again.add); err != nil || !gocmp.Equal(read, again, gocmp.AllowUnexported(tallied{})) {
			t.Errorf("%v became %v: %v", read, again, err)
		}
		var figures Figures
		if err := figures.add(0, b); err != nil {
			t.Error(err)
		}
		figures.Latency.Quantile(0.5)
	})
}
