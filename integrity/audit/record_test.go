package audit

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const recordStart = `{"time":"2026-11-23T11:20:04.457515884Z","id":"01a20822-706a-7054-ac81-a65b42fda3f4","seq":7,` +
	`"prev":"bafb787238554e3a747b54914863e16d41af80c696bec4fd2e9744b669004787","source":"hub"`

// What is read by the order in which it was written is what JSON says, and a line that JSON has something against is not read so.
func checkReading(t *testing.T, line []byte) {
	t.Helper()
	got, err := parseRecord(line)
	want, wrong := readStrictly(line)
	if fmt.Sprint(err) != fmt.Sprint(wrong) {
		t.Fatalf("%q: %v, but strictly: %v", line, err, wrong)
	}
	if diff := cmp.Diff(want, got); wrong == nil && diff != "" {
		t.Fatalf("%q:\n%s", line, diff)
	}
}

func TestReadWritten(t *testing.T) {
	for _, test := range []struct {
		rest string
		want bool // that it is read as written
	}{
		{`,"kind":"decision"}`, true},
		{`,"kind":"decision"   }`, true},
		{`,"host":"é \u2028"` + `,"kind":"decision"}`, false},
		{`,"host":"é","kind":"decision"}`, true},
		{`,"request_id":12,"bytes_in":0,"args":{"a":"}\"","b":{}},"kind":"decision"}`, true},
		{`,"request_id":"12","latency_ms":0.125,"kind":"outcome"}`, true},
		{`,"request_id":-1,"kind":"decision"}`, false},
		{`,"latency_ms":1e3,"kind":"decision"}`, false},
		{`,"bytes_in":01,"kind":"decision"}`, false},
		{`,"bytes_in":1.,"kind":"decision"}`, false},
		{`,"bytes_in":"1","kind":"decision"}`, false},
		{`,"args":[1],"kind":"decision"}`, false},
		{`,"args":{"a":1,"a":2},"kind":"decision"}`, false},
		{`,"args":{"a":1]},"kind":"decision"}`, false},
		{`,"args":{"a":1,"kind":"decision"}`, false},
		{`,"user":"u","host":"h","kind":"decision"}`, false},
		{`,"host":"h","host":"h","kind":"decision"}`, false},
		{`,"host":1,"kind":"decision"}`, false},
		{`,"later":"x","kind":"decision"}`, false},
		{`,"kind":"decision"} `, false},
		{`,"kind":"decision"}}`, false},
		{`,"kind":"decision" ,"x":1}`, false},
		{`,"kind":"decision",}`, false},
		{`,"kind":"decision"`, false},
		{`,"kind":"decision`, false},
		{`,"kind":`, false},
		{`,"host":"` + "\xff" + `","kind":"decision"}`, false},
		{`,"host":"` + "\x01" + `","kind":"decision"}`, false},
	} {
		line := []byte(recordStart + test.rest)
		if got := new(Record).readWritten(line); got != test.want {
			t.Errorf("%s: read as written: %v", test.rest, got)
		}
		checkReading(t, line)
	}
}

// Nearly all lines of a log are read fast.
func TestOurLinesAreReadAsWritten(t *testing.T) {
	for _, peers := range [][2][]byte{{}, {[]byte(`{"name":"a","version":"1"}`), []byte(`{"name":"b","icons":[{"src":"x"}]}`)}} {
		line := oneEvent(t, Config{Args: "hash"}, peers, &Event{
			Kind: Outcome, Era: "modern", RequestID: []byte(`"x"`), Method: "tools/call", Target: []byte("read_file"), Decision: "allow", Rule: "default",
			Reason: "because", Outcome: "ok", Latency: 1234567, BytesIn: 1, BytesOut: 2, TraceID: bytes.Repeat([]byte("0a"), 16), Args: []byte(`{"a":1}`),
		})
		if !new(Record).readWritten(line) {
			t.Errorf("not read as written: %s", line)
		}
		checkReading(t, line)
	}
}

// Who keeps a short text of a long line keeps nothing else of it.
func TestTextsHaveTheirOwnMemory(t *testing.T) {
	line := []byte(recordStart + `,"target":"read_file","args":{"x":"` + strings.Repeat("x", 1000) + `"},"kind":"decision"}`)
	r, err := parseRecord(line)
	if err != nil || !new(Record).readWritten(line) {
		t.Fatal(err)
	}
	for i := range line {
		line[i] = 'z'
	}
	if r.Target != "read_file" || r.Source != "hub" || r.Kind != Decision || len(r.Args) != 1008 || r.Args[0] != '{' {
		t.Errorf("got %+v", r)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(recordStart+`,"host":"h","request_id":1,"latency_ms":1.5,"args":{"a":{"b":"}"}},"kind":"decision"  }`), 0, byte('"'))
	f.Add([]byte(recordStart+`,"client_info":{"name":"\"{","version":"1"},"kind":"decision"}`), 200, byte('\\'))
	f.Fuzz(func(t *testing.T, line []byte, at int, with byte) {
		checkReading(t, line)
		if at >= 0 && at < len(line) { // one byte is another
			other := bytes.Clone(line)
			other[at] = with
			checkReading(t, other)
		}
	})
}
