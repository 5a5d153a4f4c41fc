package dashboard

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 7, 28, 12, 0, 0, 0, time.UTC)

func TestParseQuery(t *testing.T) {
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for _, test := range []struct {
		name, query string
		want        Query
		problem     string
	}{
		{"nothing", "", Query{Limit: 50}, ""},
		{"names", "server=files&target=read_file&trace=4bf9", Query{Server: "files", Target: "read_file", TraceID: "4bf9", Limit: 50}, ""},
		{"hidden characters", `target=a%5Cu%7B202E%7D`, Query{Target: "a\u202e", Limit: 50}, ""},
		{"words", "decision=shadow&outcome=failed&kind=anomaly", Query{Decision: "shadow", Outcome: "failed", Kind: "anomaly", Limit: 50}, ""},
		{"no word", "decision=perhaps", Query{}, `decision is "perhaps"`},
		{"ago", "since=6h", Query{Since: at("2026-07-28T06:00:00Z"), Limit: 50}, ""},
		{"days", "since=7d&until=1d", Query{Since: at("2026-07-21T12:00:00Z"), Until: at("2026-07-27T12:00:00Z"), Limit: 50}, ""},
		{"minute", "since=2026-07-01+10:30", Query{Since: at("2026-07-01T10:30:00Z"), Limit: 50}, ""},
		{"zone", "until=2026-07-01T10:30:00%2B02:00", Query{Until: at("2026-07-01T08:30:00Z"), Limit: 50}, ""},
		{"no time", "since=yesterday", Query{}, "since: "},
		{"a time to come", "since=-5h", Query{}, "since: "},
		{"the wrong way round", "since=1h&until=2h", Query{}, "until is not after since"},
		{"limit", "limit=200", Query{Limit: 200}, ""},
		{"too many", "limit=201", Query{}, "limit is "},
		{"too long", "rule=" + strings.Repeat("a", maxValue+1), Query{}, "rule is longer"},
		{"others", "span=24h&utm=1", Query{Limit: 50}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			values, err := url.ParseQuery(test.query)
			if err != nil {
				t.Fatal(err)
			}
			got, err := parseQuery(values, now)
			if problem := errorText(err); !strings.HasPrefix(problem, test.problem) || (problem == "") != (test.problem == "") {
				t.Fatalf("got problem %q, want %q", problem, test.problem)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

// A permalink finds what its page showed.
func FuzzPermalink(f *testing.F) {
	f.Add("files", "read_file", "", int64(0), int64(0), 50)
	f.Add("a&b=c#d", "\u202e\\u{41}", "1|2%zz", int64(1), int64(1753700000123456789), 200)
	f.Fuzz(func(t *testing.T, server, target, before string, since, until int64, limit int) {
		q := Query{Server: strings.ToValidUTF8(server, ""), Target: strings.ToValidUTF8(target, ""), Before: strings.ToValidUTF8(before, ""), Limit: limit}
		if len(plain(q.Server)) > maxValue || len(plain(q.Target)) > maxValue || len(plain(q.Before)) > maxValue || limit < 1 || limit > maxLimit {
			return
		}
		if since > 0 {
			q.Since = time.Unix(0, since).UTC()
		}
		if until > since && until > 0 {
			q.Until = time.Unix(0, until).UTC()
		}
		link, err := url.Parse(searchPath(q))
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseQuery(link.Query(), now)
		if err != nil {
			t.Fatalf("%s: %v", link, err)
		}
		if diff := cmp.Diff(q, got); diff != "" {
			t.Fatalf("%s: want -, got +:\n%s", link, diff)
		}
	})
}

func TestFormats(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{number(0), "0"}, {number(999), "999"}, {number(1234567), "1,234,567"}, {number(-1234), "−1,234"},
		{short(950), "950"}, {short(12_000), "12k"}, {short(3_400_000), "3.4M"},
		{share(0, 10), "0%"}, {share(1, 100_000), "<0.1%"}, {share(1, 3), "33%"}, {share(3, 100), "3%"}, {share(1, 0), ""},
		{millis(0), "0 ms"}, {millis(420 * time.Microsecond), "0.42 ms"}, {millis(12345 * time.Microsecond), "12.3 ms"},
		{millis(1240 * time.Millisecond), "1.24 s"}, {millis(90 * time.Second), "1m30s"}, {millis(500), "0.5 µs"},
		{ago(now, now.Add(-time.Second)), "just now"}, {ago(now, now.Add(-3*time.Minute)), "3 min ago"},
		{ago(now, now.Add(-49*time.Hour)), "2 days ago"}, {ago(now, now.Add(time.Hour)), "in the future"},
		{bytesText(100), "100 bytes"}, {bytesText(1536), "1.5 KiB"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
	if stampOf(now, time.Time{}) != nil {
		t.Error("no time has a stamp")
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
