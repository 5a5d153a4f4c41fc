package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

func TestAppendRefusesNames(t *testing.T) {
	s := openStore(t, Options{})
	for _, b := range []Batch{
		{Principal: "", Chain: "c"}, {Principal: "ada", Chain: ""}, {Principal: "ada", Chain: "a/b"}, {Principal: "ada", Chain: "ä"},
		{Principal: "ada", Chain: strings.Repeat("x", 129)}, {Principal: "ada", Chain: "a\x00"},
	} {
		b.Lines = written("1")
		if _, err := s.Append(t.Context(), b, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q %q: %v", b.Principal, b.Chain, err)
		}
	}
	sound(t, s, 0)
}

// hostileBatches are what hostile tests begin with.
func hostileBatches() [][]byte {
	batches := [][]byte{
		[]byte(`{"time":"2026-11-22T12:00:00Z","id":"a","seq":18446744073709551615,"prev":"` + strings.Repeat("0", 64) + `","kind":"x"}`),
		[]byte(`{"time":"0000-01-01T00:00:00Z","id":"a","seq":9223372036854775806,"prev":"` + strings.Repeat("F", 64) + `","kind":"outcome","latency_ms":1e300,"target":"\u0000"}`),
		[]byte("\n\n\x00\xff\n{}\n[]"),
		[]byte(strings.Repeat("x", maxLine+1)),
	}
	for _, names := range []string{"1 2 3", "1 x 3", "2 1", "1 4'", "3* 1", "x x x", "2 2 3 2 9"} {
		batches = append(batches, written(names))
	}
	return batches
}

// Hostile lines never do more than be told and passed over: what is stored is what was sent, in order, and is stored once.
func TestHostileLines(t *testing.T) {
	s := openStore(t, Options{Retain: -1})
	random := rand.New(rand.NewPCG(5, 6))
	stored := int64(0)
	for i, lines := range hostileBatches() {
		for n := range 40 {
			b := Batch{Principal: "ada", Chain: fmt.Sprint(i, "-", n), Lines: bytes.Clone(lines), Gap: n%2 == 0}
			for range n / 2 {
				b.Lines[random.IntN(len(b.Lines))] = byte(random.Uint32())
			}
			got, err := s.Append(t.Context(), b, nil)
			if behind := (*uplink.BehindError)(nil); errors.As(err, &behind) {
				continue
			}
			if err != nil {
				t.Fatalf("%q: %v", b.Lines, err)
			}
			stored += int64(len(got.New))
			b.Gap = false
			if again, err := s.Append(t.Context(), b, nil); err == nil {
				stored += int64(len(again.New))
				for _, r := range again.New {
					if r.Seq <= got.Acked {
						t.Errorf("%q: event %d was stored twice", b.Lines, r.Seq)
					}
				}
			}
		}
	}
	sound(t, s, stored)
}

// FuzzWalk follows chains without a store, whose code is too much for a fuzzer to find its way in.
func FuzzWalk(f *testing.F) {
	for _, lines := range hostileBatches() {
		f.Add(lines, false)
		f.Add(lines, true)
	}
	f.Fuzz(func(t *testing.T, batch []byte, gap bool) {
		stored := map[uint64][]byte{}
		head := walk{}
		for range 2 { // the second time nothing is new, but for what stood behind a jump
			w := walk{
				seq: head.seq, hash: head.hash, gap: gap && head.seq == 0,
				stored: func(seq uint64) ([]byte, error) { return stored[seq], nil }, report: func(Problem) error { return nil },
			}
			if err := w.follow(readLines(batch)); err != nil && !errors.Is(err, errJump) {
				t.Fatal(err)
			}
			rest := batch
			for _, f := range w.found {
				if f.record.Seq <= head.seq || stored[f.record.Seq] != nil {
					t.Errorf("event %d is taken after %d", f.record.Seq, head.seq)
				}
				_, after, ok := bytes.Cut(rest, f.raw)
				if !ok {
					t.Fatalf("%q was not sent, or not then", f.raw)
				}
				if follows := f.record.Seq == head.seq+1 && f.prev == head.hash; follows != (f.flaw == 0) {
					t.Errorf("event %d after %d: flaw %d", f.record.Seq, head.seq, f.flaw)
				}
				rest, stored[f.record.Seq] = after, f.raw
				head.seq, head.hash = f.record.Seq, audit.Sum(f.raw)
			}
			if w.seq != head.seq {
				t.Errorf("the head is %d, not %d", w.seq, head.seq)
			}
		}
	})
}
