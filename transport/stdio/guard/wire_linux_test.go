package guard

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLaunchSurvivesTheLifeline(t *testing.T) {
	for _, want := range []Launch{
		{Path: "/a b", Args: []string{"x", "", "ü\n"}, Env: []string{"A=", "B=\xff"}},
		{Path: "/bin/sh", Dir: "/tmp", Args: []string{"sh"}, Env: []string{}},
		{Path: "/big", Args: []string{strings.Repeat("a", 1<<20)}, Env: []string{"X=" + strings.Repeat("e", 1<<20)}},
	} {
		b := want.Encode()
		got, err := readLaunch(strings.NewReader(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", want.Path, diff)
		}
		for n := 0; n < len(b); n += 1 + len(b)/100 {
			if _, err := readLaunch(strings.NewReader(string(b[:n]))); err == nil {
				t.Fatalf("%s: the first %d of %d bytes were taken for a whole launch", want.Path, n, len(b))
			}
		}
	}
}

func TestImpossibleLaunchRefused(t *testing.T) {
	for name, text := range map[string]string{
		"larger than allowed":     "ffffffff00000001",
		"size that is no number":  "xxxxxxxx00000001",
		"count that is no number": "00000002 0000001\x00\x00",
		"more arguments than all": "0000000300000002/\x00\x00",
		"no program":              "0000000000000000",
		"no end of the last":      "0000000300000001/\x00a",
	} {
		if l, err := readLaunch(strings.NewReader(text)); err == nil {
			t.Errorf("%s: taken for %+v", name, l)
		}
	}
}

func TestRecordSurvivesThePipe(t *testing.T) {
	for _, want := range []int{0, 1, 0x7f, 0xff00, 4194304, math.MaxInt32, math.MaxUint32} {
		kind, got, err := ReadRecord(strings.NewReader(string(record(Exited, want))))
		if err != nil || kind != Exited || got != want {
			t.Errorf("got %c %d, %v; want %c %d", kind, got, err, Exited, want)
		}
	}
}

func FuzzLaunch(f *testing.F) {
	f.Add(Launch{Path: "/a", Args: []string{"a", "b"}, Env: []string{"X=1"}}.Encode())
	f.Add([]byte("0000000300000002/\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := readLaunch(strings.NewReader(string(b)))
		if err != nil {
			return
		}
		again, err := readLaunch(strings.NewReader(string(l.Encode())))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l, again); diff != "" {
			t.Errorf("(-first +again)\n%s", diff)
		}
	})
}

func TestParentOf(t *testing.T) {
	for stat, want := range map[string]int{
		"12 (sh) S 7 12 12 0":          7,
		"12 (a) b) (c) R 4194304 1 1":  4194304,
		"12 ((sd-pam)) Z 1 12":         1,
		"12 (x ) S 3 (y) S 9 1) D 5 1": 5,
		"12 (sh) S":                    -1,
		"12 (sh)":                      -1,
		"12 sh S 7":                    -1,
		"12 (sh) S x 1":                -1,
		"":                             -1,
	} {
		got, ok := parentOf([]byte(stat))
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: got %d, want %d", stat, got, want)
		}
	}
}
