package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

func TestRevoke(t *testing.T) {
	h := startAdminHub(t)
	h.reviews = []uplink.Review{
		{Server: "fs", Items: []uplink.Proposal{seen(t, hubRead1, 1, 1, "bob@pc")}},
		{Server: "git@0a1b", Items: []uplink.Proposal{seen(t, `{"name":"log"}`, 1, 1, "bob@pc")}},
	}
	wantRun(t, 0, "nothing is revoked\n", "hub", "revoked")
	if got := wantRun(t, 0, "revoked read of fs for all\n", "hub", "revoke", "fs", "read", "--reason", "CVE \x1b[2J"); got != "" {
		t.Errorf("stderr: %s", got)
	}
	if got := wantRun(t, 0, "revoked reed of fs for all\n", "hub", "revoke", "fs", "reed"); !strings.Contains(got, `no wrapper has seen a tool "reed" of "fs" yet: did you mean read?`) {
		t.Errorf("stderr: %s", got)
	}
	wantRun(t, 0, "revoked log of git@0a1b for all\n", "hub", "revoke", "git", "log")
	wantRun(t, 0, `SERVER    TOOL  SINCE  BY  REASON
fs        read  -      -   CVE \u001b[2J
fs        reed  -      -   -
git@0a1b  log   -      -   -
`, "hub", "revoked")
	wantRun(t, 0, "restored reed of fs\n", "hub", "restore", "fs", "reed")
	if got := wantRun(t, 1, "", "hub", "restore", "fs", "reed"); !strings.Contains(got, `tool "reed" of "fs" is not revoked`) {
		t.Errorf("stderr: %s", got)
	}
	for _, args := range [][]string{{"revoke", "../fs", "x"}, {"restore", "a/b", "x"}, {"revoked", "a b"}} {
		if got := wantRun(t, 1, "", append([]string{"hub"}, args...)...); !strings.Contains(got, "is no name of a server") {
			t.Errorf("%q: %s", args, got)
		}
	}
	wantRun(t, 2, "", "hub", "revoke", "fs")
}

func TestHubStatus(t *testing.T) {
	h := startAdminHub(t)
	now := time.Now()
	h.reviews = []uplink.Review{{Server: "fs", Items: []uplink.Proposal{
		approvedBy("ann", 5, seen(t, hubRead1, 1, 7)), seen(t, hubRead3, 9, 9), seen(t, `"Be kind"`, 9, 9),
	}}}
	h.fleet = uplink.Fleet{
		Events: 42,
		Wrappers: []uplink.Wrapper{
			{
				Presence: uplink.Presence{
					Server: "git", Host: "pc", User: "bob", Version: "1.2.3", Pending: 7, Problems: []string{"a bundle was refused: \x1b[2J"},
					ClientInfo: []byte(`{"name":"evil\u001b[2J\n\u202e` + strings.Repeat("x", 100) + `","version":"1"}`),
				},
				Principal: "bob", Seen: now.Add(-12*time.Minute - 30*time.Second), Alive: true,
			},
			{Presence: uplink.Presence{Server: "fs", Host: "mac", User: "ann", Version: "1.2.3"}, Principal: "ann", Seen: now.Add(-5*time.Hour - 30*time.Minute), Alive: true},
			{Presence: uplink.Presence{Server: "fs", Host: "mac", Ended: true}, Principal: "ann", Seen: now.Add(-3 * time.Hour)},
			{Presence: uplink.Presence{Server: "fs", Host: "mac2"}, Principal: "ann", Seen: now.Add(-72 * time.Hour)},
		},
		Chains: []uplink.Chain{{Principal: "bob", Chain: "good", Events: 40}, {Principal: "eve", Chain: "bad", Events: 2, Problems: 1}},
	}
	const head = `hub       HUB
version   1.2.3
key       ` + `KEY
we are    ann, an administrator
events    42 in the store
wrappers  2 alive, 2 ended
waiting   2 definitions of fs: see ` + "`mcpx pins diff --hub`" + `

`
	const chains = `
Records that are not what was written, or not whole (` + "`mcpx hub events --kind anomaly`" + ` tells more):
OF   CHAIN  PROBLEMS  EVENTS  LAST
eve  bad    1         2       -
`
	status := func(args ...string) string {
		var stdout, stderr bytes.Buffer
		a := &app{out: &stdout, err: &stderr}
		if code := a.run(append([]string{"hub", "status"}, args...)); code != 0 {
			t.Errorf("%q: %d\n%s", args, code, &stderr)
		}
		text := regexp.MustCompile(`http://\S+`).ReplaceAllString(stdout.String(), "HUB")
		return regexp.MustCompile(`ed25519:\S+`).ReplaceAllString(text, "KEY")
	}
	want := head + `SERVER  STATE     FOR  HOST  USER  CLIENT                                    VERSION  SEEN     PENDING
fs      alive     ann  mac   ann   -                                         1.2.3    5h ago   0
git     troubled  bob  pc    bob   evil\u001b[2J\n\u202exxxxxxxxxxxxxxxxxx…  1.2.3    12m ago  7
git for bob on pc: a bundle was refused: \u001b[2J
` + chains
	if got := status(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := status("--all"); !strings.Contains(got, "ended") || !strings.Contains(got, "fs      silent") || !strings.Contains(got, "3d ago") {
		t.Errorf("--all:\n%s", got)
	}
	var stdout bytes.Buffer
	a := &app{out: &stdout, err: &stdout}
	var report statusReport
	if code := a.run([]string{"hub", "status", "--json"}); code != 0 || json.Unmarshal(stdout.Bytes(), &report) != nil {
		t.Errorf("--json: %d\n%s", code, &stdout)
	}
	if report.Identity.Key != h.identity.Key || report.Fleet == nil || len(report.Fleet.Wrappers) != 4 || len(report.Waiting) != 1 {
		t.Errorf("--json: %+v", report)
	}

	h.mu.Lock()
	h.identity.Admin, h.identity.Servers = false, []string{"fs", "git*"}
	h.mu.Unlock()
	got := status()
	if !strings.Contains(got, "we are   ann, for fs, git*\n") || !strings.Contains(got, "are shown to administrators") || strings.Contains(got, "events") {
		t.Errorf("no administrator:\n%s", got)
	}
}
