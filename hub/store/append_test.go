package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// A batch of the tests below names lines of one chain that was written well: 1 to 9, or of its twin that differs from number 4
// on ("4'"), or is no event ("x"), or stands after an event that was not sent ("5*").
func TestProblems(t *testing.T) {
	type batch struct {
		lines string
		gap   bool
		// what is wanted
		acked    uint64
		stored   string   // seqs
		problems []string // reason@seq
		behind   bool
	}
	tests := []struct {
		name    string
		batches []batch
	}{
		{"one after the other", []batch{{lines: "1 2 3", acked: 3, stored: "1 2 3"}, {lines: "4", acked: 4, stored: "4"}}},
		{"twice", []batch{{lines: "1 2 3", acked: 3, stored: "1 2 3"}, {lines: "1 2 3", acked: 3}}},
		{"overlapping", []batch{{lines: "1 2 3", acked: 3, stored: "1 2 3"}, {lines: "2 3 4 5", acked: 5, stored: "4 5"}}},
		{"twice in a batch", []batch{{lines: "1 2 2 1 3", acked: 3, stored: "1 2 3"}}},
		{"nothing", []batch{{lines: "", acked: 0}, {lines: "1", acked: 1, stored: "1"}, {lines: "", acked: 1}}},
		{"too early", []batch{
			{lines: "2 3", behind: true}, {lines: "1", acked: 1, stored: "1"},
			{lines: "3", behind: true, acked: 1}, {lines: "2 3", acked: 3, stored: "2 3"},
		}},
		{"a jump in the middle", []batch{{lines: "1 2 5 6", acked: 2, stored: "1 2"}, {lines: "5 6", behind: true, acked: 2}}},
		{"out of order", []batch{{lines: "3 2 1", behind: true}, {lines: "1 3 2", acked: 1, stored: "1"}}},
		{"a gap at the start", []batch{
			{lines: "4 5", gap: true, acked: 5, stored: "4 5", problems: []string{"chain_gap@4 events 1 to 3 are missing"}},
			{lines: "1 2 3 4 5 6", acked: 6, stored: "6"},
		}},
		{"a gap later", []batch{
			{lines: "1", acked: 1, stored: "1"},
			{lines: "3 4", gap: true, acked: 4, stored: "3 4", problems: []string{"chain_gap@3 event 2 is missing"}},
			{lines: "2", acked: 4}, {lines: "3 4", gap: true, acked: 4},
		}},
		{"a gap is declared once", []batch{{lines: "2 3 5", gap: true, acked: 3, stored: "2 3", problems: []string{"chain_gap@2 event 1 is missing"}}}},
		{"declared where there is none", []batch{{lines: "1 2", gap: true, acked: 2, stored: "1 2"}}},
		{"another first event", []batch{
			{lines: "1*", acked: 1, stored: "1", problems: []string{"chain_edited@1 event 1 was not written after the event 0 that was sent"}},
		}},
		{"a fork", []batch{
			{lines: "1 2 3 4 5", acked: 5, stored: "1 2 3 4 5"},
			{lines: "4' 5'", acked: 5, problems: []string{"chain_fork@4 another event 4 is stored", "chain_fork@5 another event 5 is stored"}},
			{lines: "4' 5'", acked: 5},
			{lines: "4' 5' 6'", acked: 6, stored: "6", problems: []string{"chain_edited@6 event 6 was not written after the event 5 that was sent"}},
		}},
		{"a fork in a batch", []batch{
			{lines: "1 2 3 4 4' 5", acked: 5, stored: "1 2 3 4 5", problems: []string{"chain_fork@4 another event 4 is stored"}},
		}},
		{"edited", []batch{
			{lines: "1 2 3* 4", acked: 4, stored: "1 2 3 4", problems: []string{
				"chain_edited@3 event 3 was not written after the event 2 that was sent", "chain_edited@4 event 4 was not written after the event 3 that was sent",
			}},
			{lines: "5 6", acked: 6, stored: "5 6"},
		}},
		{"no event", []batch{
			{lines: "1 x 3", acked: 3, stored: "1 3", problems: []string{"chain_malformed@2 a line after event 1 is no event", "chain_gap@3 event 2 is missing"}},
			{lines: "x", acked: 3, problems: []string{"chain_malformed@4 a line after event 3 is no event"}},
			{lines: "x x", acked: 3},
			{lines: "4 5", acked: 5, stored: "4 5"},
		}},
		{"no event at all", []batch{
			{lines: "x", acked: 0, problems: []string{"chain_malformed@1 a line after event 0 is no event"}},
			{lines: "1", acked: 1, stored: "1"},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := openStore(t, Options{})
			stored := int64(0)
			for i, b := range test.batches {
				told := false
				got, err := s.Append(t.Context(), Batch{Principal: "ada", Chain: "c", Lines: written(b.lines), Gap: b.gap}, func(a *Appended) error {
					told = true
					return nil
				})
				var behind *uplink.BehindError
				if errors.As(err, &behind) != b.behind || !b.behind && err != nil || b.behind && (behind.Acked != b.acked || told) {
					t.Fatalf("batch %d: %v", i, err)
				}
				if b.behind {
					continue
				}
				if got.Acked != b.acked || seqs(got.New) != b.stored || told != (len(got.New)+len(got.Problems) > 0) {
					t.Errorf("batch %d: stored %q up to %d, told %v; want %q up to %d", i, seqs(got.New), got.Acked, told, b.stored, b.acked)
				}
				if diff := cmp.Diff(b.problems, problemTexts(got.Problems)); diff != "" {
					t.Errorf("batch %d: problems: %s", i, diff)
				}
				stored += int64(len(got.New))
			}
			sound(t, s, stored)
		})
	}
}

// written returns the lines that a test names.
func written(names string) []byte {
	good, twin, stray := chainWriter{}, chainWriter{}, chainWriter{}
	good.time = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	twin.time, stray.time = good.time, good.time
	stray.prev[0] = 1
	lines := map[string][]byte{"x": []byte(`{"seq":1,"kind":"decision"}`)}
	for i := 1; i <= 9; i++ {
		lines[fmt.Sprint(i)], lines[fmt.Sprint(i)+"*"] = good.line(), stray.line()
		if i == 4 {
			twin.server = "another"
		}
		lines[fmt.Sprint(i)+"'"] = twin.line()
	}
	var b []byte
	for name := range strings.FieldsSeq(names) {
		b = append(append(b, lines[name]...), '\n')
	}
	return b
}

func seqs(records []*audit.Record) string {
	texts := []string{}
	for _, r := range records {
		texts = append(texts, fmt.Sprint(r.Seq))
	}
	return strings.Join(texts, " ")
}

func problemTexts(problems []Problem) []string {
	var texts []string
	for _, p := range problems {
		detail, _, _ := strings.Cut(p.Detail, ":") // behind it stands what the parser says
		texts = append(texts, fmt.Sprintf("%s@%d %s", p.Reason, p.Seq, detail))
	}
	return texts
}

func TestForeignServersAreToldOnce(t *testing.T) {
	s := openStore(t, Options{})
	covers := func(server string) bool { return strings.HasPrefix(server, "mine") }
	var w chainWriter
	for i, want := range [][]string{{"chain_foreign_server@3 events of server \"yours\", which the token does not cover"}, nil} {
		w.server = "mine-1"
		lines := w.lines(2)
		w.server = "yours"
		lines = append(lines, w.lines(3)...)
		got, err := s.Append(t.Context(), Batch{Principal: "ada", Chain: "c", Lines: lines, Covers: covers}, nil)
		if err != nil || len(got.New) != 5 {
			t.Fatal(got, err)
		}
		if diff := cmp.Diff(want, problemTexts(got.Problems)); diff != "" {
			t.Errorf("batch %d: %s", i, diff)
		}
	}
	page, err := s.Events(t.Context(), Filter{Server: "yours"}, 10, "")
	if err != nil || len(page.Events) != 6 || page.Events[0].Flaw != ReasonForeign {
		t.Errorf("%+v %v: it does not say that the sender may not speak for the server", page, err)
	}
	problems, err := s.Problems(t.Context(), 10)
	if err != nil || len(problems) != 1 || problems[0].Principal != "ada" || problems[0].Chain != "c" {
		t.Errorf("%v %v", problems, err)
	}
}

// A liar's chain is bad by then; it must not fill the store, nor the hub's log.
func TestProblemsOfAChainAreLimited(t *testing.T) {
	s := openStore(t, Options{})
	told := 0
	var w chainWriter
	for range 3 {
		var lines []byte
		for range maxProblems {
			w.prev[0]++
			lines = append(append(lines, w.line()...), '\n')
		}
		told += len(send(t, s, bytes.TrimSuffix(lines, []byte("\n"))).Problems)
	}
	if told != maxProblems {
		t.Errorf("%d problems were told, want %d", told, maxProblems)
	}
	sound(t, s, 3*maxProblems)
}

func TestPrincipalsDoNotMeet(t *testing.T) {
	s := openStore(t, Options{})
	var w chainWriter
	lines := w.lines(10)
	for _, principal := range []string{"ada", "eve"} {
		a, err := s.Append(t.Context(), Batch{Principal: principal, Chain: "c", Lines: lines}, nil)
		if err != nil || len(a.New) != 10 || a.Problems != nil {
			t.Errorf("%s: %v %v", principal, a, err)
		}
	}
	sound(t, s, 20)
}

// Whatever is sent, by whom and in what order, twice or at once: each event is new exactly once, and stored when it was
// acknowledged. Two stores are open on the file, as in two processes.
func TestExactlyOnce(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { exactlyOnce(t, seed) })
	}
}

func exactlyOnce(t *testing.T, seed uint64) {
	const chains, events, senders = 3, 200, 6
	path := filepath.Join(t.TempDir(), "hub.db")
	stores := []*Store{openStore(t, Options{Path: path}), openStore(t, Options{Path: path})}
	lines := make([][][]byte, chains)
	for c := range lines {
		w := chainWriter{server: fmt.Sprint("server-", c)}
		for range events {
			lines[c] = append(lines[c], w.line())
		}
	}
	var mu sync.Mutex
	fresh := map[string]int{} // how often an event was new, as before was told
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			acked := make([]uint64, chains)
			for slices.ContainsFunc(acked, func(n uint64) bool { return n < events }) {
				c := random.IntN(chains)
				from := min(max(0, int(acked[c])-random.IntN(20)), events-1) // some of it again
				if random.IntN(4) == 0 {
					from = random.IntN(events)
				}
				to := min(events, from+1+random.IntN(40))
				b := Batch{Principal: "ada", Chain: fmt.Sprint("chain-", c), Lines: join(lines[c][from:to]...)}
				got, err := stores[random.IntN(2)].Append(context.Background(), b, nil)
				var behind *uplink.BehindError
				switch {
				case errors.As(err, &behind):
					acked[c] = max(acked[c], behind.Acked)
					continue
				case err != nil:
					t.Error(err)
					return
				}
				if got.Acked < acked[c] || len(got.Problems) > 0 {
					t.Errorf("acked %d after %d, problems %v", got.Acked, acked[c], got.Problems)
				}
				acked[c] = got.Acked
				mu.Lock()
				for _, r := range got.New {
					fresh[fmt.Sprint(c, " ", r.Seq)]++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for event, n := range fresh {
		if n != 1 {
			t.Errorf("%s was new %d times", event, n)
		}
	}
	if len(fresh) != chains*events {
		t.Errorf("%d events were new, want %d", len(fresh), chains*events)
	}
	sound(t, stores[0], chains*events)
}

// before runs inside the transaction: where it fails nothing has happened.
func TestBeforeUndoes(t *testing.T) {
	s := openStore(t, Options{})
	refused := errors.New("refused")
	_, err := s.Append(t.Context(), Batch{Principal: "ada", Chain: "c", Lines: written("x 2"), Gap: true}, func(a *Appended) error {
		if len(a.New) != 1 || len(a.Problems) != 2 || a.Acked != 2 {
			t.Errorf("told %v", a)
		}
		return refused
	})
	if !errors.Is(err, refused) {
		t.Fatal(err)
	}
	sound(t, s, 0)
	if problems, err := s.Problems(t.Context(), 10); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	if got := send(t, s, bytes.TrimSuffix(written("1 2"), []byte("\n"))); len(got.New) != 2 || len(got.Problems) > 0 {
		t.Errorf("afterwards %v", got)
	}
}

// A full disk fails what needs it, leaves nothing half stored, and is over when there is room.
func TestFullDisk(t *testing.T) {
	s := openStore(t, Options{})
	var w chainWriter
	send(t, s, w.line())
	limit := func(pages int) {
		t.Helper()
		if err := s.update(t.Context(), 1, func(w *writer) error { return w.exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)) }); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // as many as there are
	lines := w.lines(500)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			_, err := s.Append(context.Background(), Batch{Principal: "ada", Chain: "c", Lines: lines}, nil)
			if err == nil || !strings.Contains(err.Error(), "full") {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	sound(t, s, 1)
	limit(1 << 20)
	a, err := s.Append(t.Context(), Batch{Principal: "ada", Chain: "c", Lines: lines}, nil)
	if err != nil || a.Acked != 501 || len(a.New) != 500 {
		t.Fatal(a, err)
	}
	sound(t, s, 501)
}

// What is stored and then changed behind the store's back is found.
func TestVerifyFindsChanges(t *testing.T) {
	tests := map[string]string{
		"a changed line":        `UPDATE lines SET line = replace(CAST(line AS TEXT), 'ada', 'eve') WHERE id = 5`,
		"the last line":         `UPDATE lines SET line = replace(CAST(line AS TEXT), 'ada', 'eve') WHERE id = 10`,
		"a line that is gone":   `DELETE FROM lines WHERE id = 5`,
		"an event that is gone": `DELETE FROM events WHERE id = 5`,
		"the last event":        `DELETE FROM events WHERE id = 10`,
		"exchanged lines":       `UPDATE lines SET line = (SELECT line FROM lines l WHERE l.id = 11 - lines.id) WHERE id IN (5, 6)`,
	}
	for name, script := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "hub.db")
			s := openStore(t, Options{Path: path})
			var w chainWriter
			send(t, s, bytes.TrimSuffix(w.lines(10), []byte("\n")))
			sound(t, s, 10)
			execute(t, path, strings.Replace(script, "replace(CAST(line AS TEXT), 'ada', 'eve')", "CAST(replace(CAST(line AS TEXT), 'ada', 'eve') AS BLOB)", 1))
			problems, _, err := s.Verify(t.Context())
			if err != nil || len(problems) == 0 {
				t.Errorf("nothing was found: %v", err)
			}
		})
	}
}
