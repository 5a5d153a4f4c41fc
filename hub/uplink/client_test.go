package uplink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Each call goes where protocol.go says, with the token and what it is about.
func TestCalls(t *testing.T) {
	at := time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC)
	for _, row := range []struct {
		name, answer string
		call         func(context.Context, *Client) (any, error)
		want         seen
		result       any
	}{
		{"identity", `{"version":"1.2","key":"` + PublicKey(testKey(1)).String() + `","principal":"ann","admin":true,"motto":"of a newer hub"}`,
			func(ctx context.Context, c *Client) (any, error) { return c.Identity(ctx) },
			seen{"GET", "/v1/hub", "", "", nil}, Identity{Version: "1.2", Key: PublicKey(testKey(1)), Principal: "ann", Admin: true}},
		{"heartbeat", "",
			func(ctx context.Context, c *Client) (any, error) {
				return nil, c.Heartbeat(ctx, Presence{Instance: "i", Server: "s", Started: at, ClientInfo: RawJSON(`{ "name" : "\u0041<" }`), Pending: 1 << 63})
			},
			seen{"POST", "/v1/heartbeat", "", `{"instance":"i","server":"s","version":"","host":"","user":"","pid":0,"started":"2026-11-22T01:02:03Z","client_info":{"name":"\u0041<"},"pending":9223372036854775808}`, nil}, nil},
		{"propose", `{}`,
			func(ctx context.Context, c *Client) (any, error) {
				return nil, c.Propose(ctx, Sightings{Server: "fs@1a", Host: "h", Items: []Sighting{{"tool", "x", "d", RawJSON(`{"n":1E400,"z":null}`)}}})
			},
			seen{"POST", "/v1/pins/fs@1a", "", `{"server":"fs@1a","host":"h","items":[{"kind":"tool","name":"x","digest":"d","definition":{"n":1E400,"z":null}}]}`, nil}, nil},
		{"fleet", `{"wrappers":[{"instance":"i","server":"s","pid":1,"principal":"ann","alive":true}],"chains":[{"chain":"c","seq":18446744073709551615}],"events":3}`,
			func(ctx context.Context, c *Client) (any, error) { return c.Fleet(ctx) },
			seen{"GET", "/v1/wrappers", "", "", nil},
			Fleet{Wrappers: []Wrapper{{Presence: Presence{Instance: "i", Server: "s", PID: 1}, Principal: "ann", Alive: true}}, Chains: []Chain{{Chain: "c", Seq: 1<<64 - 1}}, Events: 3}},
		{"events of one", `{"events":[{"principal":"ann","chain":"c","flaw":"gap","line":"{\"seq\":1}"}],"next":"7.9"}`,
			func(ctx context.Context, c *Client) (any, error) {
				return c.Events(ctx, Search{Server: "s", Target: "a/b&c", Since: at, Limit: 5})
			},
			seen{"GET", "/v1/events?limit=5&server=s&since=2026-11-22T01%3A02%3A03Z&target=a%2Fb%26c", "", "", nil},
			Found{Events: []FoundEvent{{Principal: "ann", Chain: "c", Flaw: "gap", Line: `{"seq":1}`}}, Next: "7.9"}},
		{"review of one", `[{"server":"s","items":[{"kind":"tool","name":"x","digest":"d","definition":{"a":1},"by":["ann@h"]}]}]`,
			func(ctx context.Context, c *Client) (any, error) { return c.Review(ctx, "s") },
			seen{"GET", "/v1/pins/s", "", "", nil},
			[]Review{{Server: "s", Items: []Proposal{{Sighting: Sighting{"tool", "x", "d", RawJSON(`{"a":1}`)}, By: []string{"ann@h"}}}}}},
		{"review of all", `[]`,
			func(ctx context.Context, c *Client) (any, error) { return c.Review(ctx, "") },
			seen{"GET", "/v1/pins/", "", "", nil}, []Review{}},
		{"approve", `{}`,
			func(ctx context.Context, c *Client) (any, error) {
				return nil, c.Approve(ctx, "s", Approval{[]ApprovalItem{{"tool", "x", "d"}}})
			},
			seen{"POST", "/v1/pins/s/approve", "", `{"items":[{"kind":"tool","name":"x","digest":"d"}]}`, nil}, nil},
		{"revoked", `{"s":[{"tool":"x","by":"bob"}]}`,
			func(ctx context.Context, c *Client) (any, error) { return c.Revoked(ctx, "") },
			seen{"GET", "/v1/revoked/", "", "", nil}, map[string][]Revocation{"s": {{Tool: "x", By: "bob"}}}},
		{"revoked of one", `{}`,
			func(ctx context.Context, c *Client) (any, error) { return c.Revoked(ctx, "s") },
			seen{"GET", "/v1/revoked/s", "", "", nil}, map[string][]Revocation{}},
		{"revoke", `{}`,
			func(ctx context.Context, c *Client) (any, error) {
				return nil, c.Revoke(ctx, "s", Revocation{Tool: "x", Reason: "CVE"})
			},
			seen{"POST", "/v1/revoked/s", "", `{"tool":"x","reason":"CVE"}`, nil}, nil},
		{"restore", ``,
			func(ctx context.Context, c *Client) (any, error) { return nil, c.Restore(ctx, "s", "a/b c?%") },
			seen{"DELETE", "/v1/revoked/s/a%2Fb%20c%3F%25", "", "", nil}, nil},
		{"restore what looks like a way up", ``,
			func(ctx context.Context, c *Client) (any, error) { return nil, c.Restore(ctx, "s", "..") },
			seen{"DELETE", "/v1/revoked/s/%2E%2E", "", "", nil}, nil},
		{"events", `{"acked":9,"stored":2}`,
			func(ctx context.Context, c *Client) (any, error) {
				return c.SendEvents(ctx, "c-1", []byte("{}\n{}\n"), false)
			},
			seen{"POST", "/v1/events", "", "{}\n{}\n", http.Header{HeaderChain: {"c-1"}}}, Acknowledgement{Acked: 9, Stored: 2}},
		{"many events", `{"acked":9,"stored":2}`,
			func(ctx context.Context, c *Client) (any, error) {
				return c.SendEvents(ctx, "c-1", bytes.Repeat([]byte("{\"a\":1}\n"), 1000), true)
			},
			seen{"POST", "/v1/events", "", strings.Repeat("{\"a\":1}\n", 1000), http.Header{HeaderChain: {"c-1"}, HeaderGap: {"declared"}, "Content-Encoding": {"gzip"}}},
			Acknowledgement{Acked: 9, Stored: 2}},
	} {
		t.Run(row.name, func(t *testing.T) {
			hub := newHub(t, answers(http.StatusOK, row.answer))
			c := dial(t, Options{URL: hub.URL + "/", Version: "1.2.3"})
			result, err := row.call(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.result, result); diff != "" {
				t.Error(diff)
			}
			got := hub.last(t)
			if got.token != "Bearer "+secret || got.header.Get("User-Agent") != "mcpx/1.2.3" {
				t.Errorf("token %q, user agent %q", got.token, got.header.Get("User-Agent"))
			}
			for name, want := range row.want.header {
				if diff := cmp.Diff(want, got.header[name]); diff != "" {
					t.Error(name, diff)
				}
			}
			got.token, got.header, row.want.header = "", nil, nil
			if got.method != row.want.method || got.path != row.want.path || got.body != row.want.body {
				t.Errorf("got  %+v\nwant %+v", got, row.want)
			}
		})
	}
}

func TestPolicy(t *testing.T) {
	hub := newHub(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"7"`)
		if r.Header.Get("If-None-Match") == `"7"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(w, "document")
	})
	c := dial(t, Options{URL: hub.URL})
	for _, row := range []struct{ etag, document string }{{"", "document"}, {`"6"`, "document"}, {`"7"`, ""}} {
		document, etag, err := c.Policy(t.Context(), "s", row.etag)
		if err != nil || string(document) != row.document || etag != `"7"` {
			t.Errorf("%s: got %q, %s, %v", row.etag, document, etag, err)
		}
	}
	if got := hub.last(t); got.path != "/v1/policy/s" || got.header.Get("Accept") != "" {
		t.Errorf("%+v", got)
	}
}

func TestRefusals(t *testing.T) {
	for _, row := range []struct {
		name      string
		answer    func(http.ResponseWriter, *http.Request)
		want      StatusError
		permanent bool
	}{
		{"busy", answers(429, `{"error":{"code":"busy","message":"later"}}`, "Retry-After", "3"), StatusError{429, "busy", "later", 3 * time.Second}, false},
		{"for ever busy", answers(503, `{}`, "Retry-After", "999999999"), StatusError{503, "", "service unavailable", time.Hour}, false},
		{"a date that was", answers(503, ``, "Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT"), StatusError{503, "", "service unavailable", 0}, false},
		{"no time", answers(503, ``, "Retry-After", "-1"), StatusError{503, "", "service unavailable", 0}, false},
		{"malformed", answers(400, `{"error":{"code":"bad_lines","message":"line 3"}}`), StatusError{400, "bad_lines", "line 3", 0}, true},
		{"too large", answers(413, `{"error":{"code":"x","message":"y"}}`), StatusError{413, "x", "y", 0}, true},
		{"unprocessable", answers(422, ``), StatusError{422, "", "unprocessable entity", 0}, true},
		{"not logged in", answers(401, `{"error":{"code":"unauthorized","message":"m"}}`), StatusError{401, "unauthorized", "m", 0}, false},
		{"forbidden", answers(403, `{"error":{"code":"forbidden","message":"m"}}`), StatusError{403, "forbidden", "m", 0}, false},
		{"no such page", answers(404, `<html>`), StatusError{404, "", "not found", 0}, false},
		{"not an acknowledgement's conflict", answers(409, `{"error":{"code":"c","message":"m"}}`), StatusError{409, "c", "m", 0}, false},
		{"hostile text", answers(500, "{\"error\":{\"code\":\"c\",\"message\":\"a\\u001b[2J\\nb\\u202e\"}}"), StatusError{500, "c", "a [2J b", 0}, false},
		{"endless text", answers(500, `{"error":{"code":"c","message":"`+strings.Repeat("é", 20_000)+`"}}`), StatusError{500, "c", strings.Repeat("é", 256) + "…", 0}, false},
		{"endless answer", answers(500, `{"error":{"code":"c","message":"`+strings.Repeat("x", 200_000)+`"}}`), StatusError{500, "", "internal server error", 0}, false},
		{"elsewhere", answers(307, "", "Location", "https://evil.example/"), StatusError{307, "", "it redirects elsewhere, which is not followed: give the right URL", 0}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			hub := newHub(t, row.answer)
			c := dial(t, Options{URL: hub.URL})
			_, _, policyErr := c.Policy(t.Context(), "s", "")
			for name, err := range map[string]error{
				"heartbeat": c.Heartbeat(t.Context(), Presence{}),
				"policy":    policyErr,
				"watch":     c.Watch(t.Context(), "s", "", func([]byte, string) { t.Error("got a document") }),
			} {
				var got *StatusError
				if !errors.As(err, &got) {
					t.Fatalf("%s: %v", name, err)
				}
				if diff := cmp.Diff(row.want, *got); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
				if got.Permanent() != row.permanent || got.RetryAfter() != row.want.After {
					t.Errorf("%s: permanent %v, retry after %v", name, got.Permanent(), got.RetryAfter())
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%s: %v shows the token", name, err)
				}
			}
			if hub.count() != 3 {
				t.Errorf("%d requests, want 3", hub.count())
			}
		})
	}
}

func TestBehind(t *testing.T) {
	hub := newHub(t, answers(http.StatusConflict, `{"acked":41,"stored":0}`))
	_, err := dial(t, Options{URL: hub.URL}).SendEvents(t.Context(), "c", []byte("{}\n"), false)
	var behind interface {
		error
		AckedUpTo() uint64
	}
	if !errors.As(err, &behind) || behind.AckedUpTo() != 41 {
		t.Errorf("got %v", err)
	}
	for _, body := range []string{``, `{"acked":-1}`, `{"acked":1.5}`, `{"acked":"41"}`, `[]`} {
		hub.answer = answers(http.StatusConflict, body)
		_, err := dial(t, Options{URL: hub.URL}).SendEvents(t.Context(), "c", []byte("{}\n"), false)
		if err == nil || errors.As(err, &behind) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// What a hub says is bounded and read strictly; what we would send and it would refuse is not sent.
func TestBadAnswersAndRequests(t *testing.T) {
	hub := newHub(t, nil)
	c := dial(t, Options{URL: hub.URL})
	for _, row := range []struct{ name, body string }{
		{"no JSON", "<html>"},
		{"member twice", `{"acked":1,"acked":2}`},
		{"other case", `{"ACKED":"x"}{}`},
		{"negative", `{"acked":-1}`},
		{"too large a number", `{"acked":18446744073709551616}`},
		{"endless", `{"x":"` + strings.Repeat("x", MaxDocument) + `"}`},
	} {
		hub.answer = answers(200, row.body)
		if ack, err := c.SendEvents(t.Context(), "c", []byte("{}\n"), false); err == nil {
			t.Errorf("%s: %+v", row.name, ack)
		}
	}
	hub.answer = answers(200, strings.Repeat("x", MaxDocument+1))
	if _, _, err := c.Policy(t.Context(), "s", ""); err == nil {
		t.Error("took a document without limit")
	}
	hub.answer = answers(304, "")
	if _, _, err := c.Policy(t.Context(), "s", ""); err == nil {
		t.Error("took an unchanged document that we never had")
	}
	before := hub.count()
	random := make([]byte, MaxBatchBody+1<<20) // that does not shrink
	for i, x := 0, uint32(1); i < len(random); i++ {
		x = x*1664525 + 1013904223
		random[i] = byte(x >> 24)
	}
	for name, call := range map[string]func() error{
		"chain":             func() error { _, err := c.SendEvents(t.Context(), "a/b", nil, false); return err },
		"batch":             func() error { _, err := c.SendEvents(t.Context(), "c", make([]byte, MaxBatch+1), false); return err },
		"compressed batch":  func() error { _, err := c.SendEvents(t.Context(), "c", random, false); return err },
		"server of policy":  func() error { _, _, err := c.Policy(t.Context(), "../hub", ""); return err },
		"server of watch":   func() error { return c.Watch(t.Context(), "", "", nil) },
		"server of pins":    func() error { return c.Propose(t.Context(), Sightings{Server: "a b"}) },
		"server of review":  func() error { _, err := c.Review(t.Context(), "a?b"); return err },
		"server of approve": func() error { return c.Approve(t.Context(), "", Approval{}) },
		"server of revoke":  func() error { return c.Revoke(t.Context(), ".", Revocation{}) },
		"tool to restore":   func() error { return c.Restore(t.Context(), "s", "") },
		"raw JSON":          func() error { return c.Heartbeat(t.Context(), Presence{ClientInfo: RawJSON(`{"a":1,"a":2}`)}) },
		"two raw values":    func() error { return c.Heartbeat(t.Context(), Presence{ClientInfo: RawJSON(`1,"pid":7`)}) },
		"document":          func() error { return c.Heartbeat(t.Context(), Presence{Host: strings.Repeat("x", MaxDocument)}) },
	} {
		if call() == nil {
			t.Errorf("%s was sent", name)
		}
	}
	if hub.count() != before {
		t.Error("something was sent")
	}
}

func TestTokenIsAskedForEachCallAndNeverShown(t *testing.T) {
	hub := newHub(t, answers(200, `{}`))
	token, err := "one", error(nil)
	c := dial(t, Options{URL: hub.URL, Token: func() (string, error) { return token, err }})
	for _, token = range []string{"one", "two"} {
		if err := c.Heartbeat(t.Context(), Presence{}); err != nil || hub.last(t).token != "Bearer "+token {
			t.Errorf("%s: sent %q, %v", token, hub.last(t).token, err)
		}
	}
	before := hub.count()
	for _, token = range []string{"", "s3cr3t\r\nX: y", "s3 cr3t", "s3cr3t\x00", "s3cr3té"} {
		if err := c.Heartbeat(t.Context(), Presence{}); err == nil || strings.Contains(err.Error(), "cr3t") {
			t.Errorf("%q: %v", token, err)
		}
	}
	token, err = "x", errors.New("locked")
	if got := c.Heartbeat(t.Context(), Presence{}); !errors.Is(got, err) {
		t.Error(got)
	}
	if hub.count() != before {
		t.Error("sent without a token")
	}
}

// A hub that takes connections and says nothing holds nobody longer than it may.
func TestCallsEndWithTheirContext(t *testing.T) {
	release := make(chan struct{})
	hub := newHub(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	c := dial(t, Options{URL: hub.URL})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Heartbeat(ctx, Presence{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// Batches that are compressed side by side do not share what they share.
func TestConcurrentBatches(t *testing.T) {
	hub := newHub(t, answers(200, `{"acked":1,"stored":1}`))
	c := dial(t, Options{URL: hub.URL})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 8 {
				lines := bytes.Repeat(fmt.Appendf(nil, "{\"n\":%d}\n", 10*i+j), 500)
				if _, err := c.SendEvents(t.Context(), fmt.Sprint("c", i), lines, false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for _, got := range hub.got {
		line, _, _ := strings.Cut(got.body, "\n")
		if got.body != strings.Repeat(line+"\n", 500) {
			t.Errorf("%.40q of %d bytes is mixed", got.body, len(got.body))
		}
	}
}

func BenchmarkSendEvents(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"acked":1,"stored":1}`)
	}))
	defer server.Close()
	c, err := NewClient(Options{URL: server.URL})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var lines []byte
	for i := range 500 {
		lines = fmt.Appendf(lines, `{"time":"2026-11-22T01:02:03.%09dZ","id":"0193-%08x","seq":%d,"prev":"%064x","source":"wrap","server":"files","method":"tools/call","target":"read_file"}`+"\n", i, i*7919, i, i*104729)
	}
	b.SetBytes(int64(len(lines)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.SendEvents(b.Context(), "c", lines, false); err != nil {
			b.Fatal(err)
		}
	}
}
