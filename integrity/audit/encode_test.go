package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// oneEvent returns the line that an event becomes.
func oneEvent(t testing.TB, c Config, peers [2][]byte, e *Event) []byte {
	t.Helper()
	var out bytes.Buffer
	c.Output = "stderr"
	l := openLog(t, Options{Config: c, Stderr: &out, Source: "wrap"})
	k := l.Link(LinkInfo{Server: string(e.Target), Client: e.Method})
	k.SetPeers(peers[0], peers[1], e.Era)
	k.Append(e)
	commit(t, l)
	lines := bytes.SplitAfter(out.Bytes(), []byte("\n"))
	if len(lines) != 3 || len(lines[2]) != 0 {
		t.Fatalf("got %q, want two lines", lines)
	}
	return bytes.TrimSuffix(lines[1], []byte("\n"))
}

// Whatever bytes an event has from outside, its line is one JSON object for every reader, without a raw control
// character, of limited length, and reads back.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{
		"", "plain", "a\"b\\c", "\x00\x1f\x7f\u0080\u009f\u2028\u2029", "\xff\xfe", "\xed\xa0\x80", "é\xc3", "\U0010ffff",
		strings.Repeat("ü", 5000), strings.Repeat("\x01", 5000), `{"a":1}`, `{"a":1,"a":2}`, `"x\u0000"`, "{\n}", "[1,\r2]",
		`{"name":"n","version":1}`, `{"name":"n","icons":"` + strings.Repeat("i", 600) + `"}`, "-0", "01", "1e999", "18446744073709551616", `"`, "\"\u0085\"",
	} {
		f.Add([]byte(s), "full")
		f.Add([]byte(s), "redacted")
	}
	f.Fuzz(func(t *testing.T, data []byte, mode string) {
		c := Config{Args: mode}
		if c.Validate() != nil {
			c.Args = "hash"
		}
		s := string(data)
		line := oneEvent(t, c, [2][]byte{data, data}, &Event{
			Kind: Decision, Era: s, RequestID: data, Method: s, Target: data, Decision: s, Rule: s, Reason: s, Outcome: s,
			TraceID: data, Args: data,
		})
		if !jsontext.Value(line).IsValid() || !json.Valid(line) {
			t.Fatalf("not JSON: %q", line)
		}
		if i := bytes.IndexFunc(line, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }); i >= 0 {
			t.Fatalf("a raw control character at %d of %q", i, line)
		}
		if len(line) > maxLine {
			t.Fatalf("%d bytes is longer than what is read", len(line))
		}
		r, err := parseRecord(line)
		if err != nil {
			t.Fatalf("does not read back: %v: %q", err, line)
		}
		if utf8.Valid(data) && len(data) <= maxMethod && r.Target != s {
			t.Fatalf("got target %q, want %q", r.Target, s)
		}
	})
}

func TestLongTextIsCutAndSaysSo(t *testing.T) {
	got := string(appendText(nil, "äöü", 3))
	if want := `"ä…(+4 bytes)"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestArgumentsAreRecordedAsConfigured(t *testing.T) {
	const args = `{"path": "/x", "Password":"p", "n":[{"API-Key":{"deep":1},"mine":2.50}],"é":"\u00e9","my_ACCESS_token":null}`
	big := `"` + strings.Repeat("x", maxArgs) + `"`
	for _, test := range []struct {
		name   string
		config Config
		args   string
		want   string
	}{
		{"off", Config{Args: "off"}, args, ""},
		{"none", Config{Args: "full"}, "", ""},
		{"hash of the raw bytes", Config{}, "{}", `"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"`},
		{"full", Config{Args: "full"}, args, `{"path":"/x","Password":"p","n":[{"API-Key":{"deep":1},"mine":2.50}],"é":"\u00e9","my_ACCESS_token":null}`},
		{"full with redact", Config{Args: "full", Redact: []string{"MINE", "PATH"}}, args, `{"path":"<redacted>","Password":"p","n":[{"API-Key":{"deep":1},"mine":"<redacted>"}],"é":"\u00e9","my_ACCESS_token":null}`},
		{"redacted", Config{Args: "redacted", Redact: []string{"mine"}}, args, `{"path":"/x","Password":"<redacted>","n":[{"API-Key":"<redacted>","mine":"<redacted>"}],"é":"\u00e9","my_ACCESS_token":"<redacted>"}`},
		{"escaped name", Config{Args: "redacted"}, `{"pass\u0077ord":"p"}`, `{"pass\u0077ord":"<redacted>"}`},
		{"scalar", Config{Args: "redacted"}, `7`, `7`},
		{"too long", Config{Args: "full"}, big, ` (over 64 KiB)"`},
		{"duplicate names", Config{Args: "redacted"}, `{"a":1,"a":2}`, ` (not valid JSON)"`},
		{"two values", Config{Args: "full"}, `1 2`, ` (not valid JSON)"`},
		{"cut", Config{Args: "full"}, `{"a":`, ` (not valid JSON)"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := parseRecord(oneEvent(t, test.config, [2][]byte{}, &Event{Kind: Decision, Args: []byte(test.args)}))
			if err != nil {
				t.Fatal(err)
			}
			got := string(r.Args)
			if strings.HasPrefix(test.want, " (") {
				if !strings.HasPrefix(got, `"sha256:`) || !strings.HasSuffix(got, test.want) {
					t.Errorf("got %s, want a hash%s", got, test.want)
				}
				return
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestPeerInfoStaysSmall(t *testing.T) {
	icons := strings.Repeat("i", 5000)
	for _, test := range []struct{ name, raw, want string }{
		{"small", `{"name":"n"}`, `{"name":"n"}`},
		{"large", `{"name":"n","icons":"` + icons + `","version":"1\u0000"}`, `{"cut":true,"name":"n","version":"1\u0000"}`},
		{"over several lines", "{\n\"name\":\"n\"}", `{"cut":true,"name":"n"}`},
		{"no object", `[1]`, `"[1]"`},
		{"no JSON", `{"name"`, `"{\"name\""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := parseRecord(oneEvent(t, Config{}, [2][]byte{[]byte(test.raw), nil}, &Event{Kind: Decision}))
			if err != nil || string(r.ClientInfo) != test.want || r.ServerInfo != nil {
				t.Errorf("got %s, %v, want %s", r.ClientInfo, err, test.want)
			}
		})
	}
}

func TestIDsAreVersion7AndRise(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	c := newClock(nil)
	var ids []string
	for i := range 20_000 { // more than a counter of 12 bits holds, all in a millisecond, and then the clock goes back
		if i == 10_000 {
			now = now.Add(-time.Hour)
		}
		ids = append(ids, string(c.appendID(nil, now)))
	}
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Error("ids do not rise")
	}
	for _, id := range []string{ids[0], ids[9_999], ids[19_999]} {
		u, err := uuid.Parse(id)
		if err != nil || u.Version() != 7 || u.Variant() != uuid.RFC4122 {
			t.Errorf("%s: %v, version %v, %v", id, err, u.Version(), u.Variant())
		}
	}
	if seconds, _ := uuid.MustParse(ids[0]).Time().UnixTime(); seconds != 1_700_000_000 {
		t.Errorf("%s holds time %d", ids[0], seconds)
	}
}

func TestStampsAreRFC3339(t *testing.T) {
	c := newClock(nil)
	base := time.Date(2026, 12, 31, 23, 59, 59, 0, time.FixedZone("", 3600))
	for _, d := range []time.Duration{0, 1, 999_999_999, time.Second, time.Second + 5, 3 * time.Second, -time.Second} {
		at := base.Add(d)
		if got, want := string(c.appendStamp(nil, at)), at.UTC().Format("2006-01-02T15:04:05.000000000Z"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestValidateNamesEachKey(t *testing.T) {
	err := Config{Output: "x", Path: "p", MaxSize: 1, Retain: -1, OnFailure: "x", Args: "x", Redact: []string{"a", ""}}.Validate()
	const want = `output: unknown value "x": use stdout, stderr or file
max_size: 1 bytes is too small: use at least 64KiB
retain: -1ns is negative
on_failure: unknown value "x": use block or warn
args: unknown mode "x": use off, hash, redacted or full
redact[1]: an empty name: name the member whose values are to be left out`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the zero Config: %v", err)
	}
}

// The short cut must not take for plain what is not, wherever in a word it stands.
func TestPlainPrefixEndsAtEachByteThatIsNotPlain(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			s := bytes.Repeat([]byte{'a'}, 24)
			s[at] = byte(c)
			want := at
			if plain[c] {
				want = len(s)
			}
			if got := plainPrefix(s); got != want {
				t.Errorf("byte %#x at %d: got %d plain bytes, want %d", c, at, got, want)
			}
		}
	}
}

func TestHashIsWrittenInHexadecimal(t *testing.T) {
	for i := range 1000 {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		if got, want := string(appendHex(nil, &sum)), hex.EncodeToString(sum[:]); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}
