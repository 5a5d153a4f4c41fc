package audit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

var errBroken = errors.New("broken pipe")

// A flakyWriter fails while it is told to.
type flakyWriter struct {
	bytes.Buffer
	broken bool
	writes int
}

func (w *flakyWriter) Write(p []byte) (int, error) {
	w.writes++
	if w.broken {
		return 0, errBroken
	}
	return w.Buffer.Write(p)
}

func (w *flakyWriter) records(t *testing.T) (records []*Record) {
	t.Helper()
	for line := range bytes.Lines(w.Bytes()) {
		r, err := parseRecord(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

func TestOutageIsToldOnceAndRecorded(t *testing.T) {
	for _, mode := range []string{"block", "warn"} {
		t.Run(mode, func(t *testing.T) {
			w := &flakyWriter{}
			var told []error
			l := openLog(t, Options{
				Config: Config{Output: "stderr", OnFailure: mode}, Stderr: w, OnError: func(err error) { told = append(told, err) },
			})
			k := l.Link(LinkInfo{})
			k.Append(&Event{Kind: Decision, Target: []byte("0")})
			commit(t, l)
			for outage := range 2 {
				w.broken = true
				for i := range 3 {
					k.Append(&Event{Kind: Decision, Target: fmt.Appendf(nil, "%d-%d", outage, i)})
					err := l.Commit()
					if block := mode == "block"; block != errors.Is(err, errBroken) || !block && err != nil {
						t.Errorf("got error %v", err)
					}
					if !l.Failing() {
						t.Error("it does not say that it fails")
					}
				}
				w.broken = false
				k.Append(&Event{Kind: Decision, Target: fmt.Appendf(nil, "%d-after", outage)})
				commit(t, l)
				if l.Failing() {
					t.Error("it says that it fails after it was written")
				}
				if len(told) != outage+1 || !errors.Is(told[outage], errBroken) {
					t.Fatalf("got %v, want one more trouble each outage", told)
				}
			}
			var got []string
			for i, r := range w.records(t) {
				if r.Seq != uint64(i)+1 {
					t.Errorf("got seq %d, want %d", r.Seq, i+1)
				}
				got = append(got, r.Target+r.Reason)
			}
			const want = "log_opened 0 0-0 0-1 0-2 0-after audit_gap 1-0 1-1 1-2 1-after audit_gap"
			if strings.Join(got, " ") != want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
			}
		})
	}
}

func TestOneWriteACommit(t *testing.T) {
	w := &flakyWriter{}
	l := openLog(t, Options{Config: Config{Output: "stderr"}, Stderr: w})
	k := l.Link(LinkInfo{})
	for range 100 {
		k.Append(&Event{Kind: Decision, Method: "tools/call"})
	}
	commit(t, l)
	commit(t, l)
	if w.writes != 1 {
		t.Errorf("got %d writes, want 1", w.writes)
	}
}

func TestAppendAfterCloseIsLost(t *testing.T) {
	w := &flakyWriter{}
	l := openLog(t, Options{Config: Config{Output: "stderr"}, Stderr: w})
	k := l.Link(LinkInfo{})
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	k.Append(&Event{Kind: Decision})
	if err := l.Commit(); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if w.Len() != 0 {
		t.Errorf("got %s, want nothing", w.Bytes())
	}
}

func TestCloseTellsWhatItCouldNotWrite(t *testing.T) {
	w := &flakyWriter{broken: true}
	l := openLog(t, Options{Config: Config{Output: "stderr", OnFailure: "warn"}, Stderr: w, OnError: func(error) {}})
	l.Link(LinkInfo{}).Append(&Event{Kind: Decision})
	if err := l.Close(); !errors.Is(err, errBroken) {
		t.Errorf("got %v, want the cause", err)
	}
}
