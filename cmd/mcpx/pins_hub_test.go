package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
)

// An adminHub answers what administrators ask, from what a test put into it.
type adminHub struct {
	t *testing.T

	mu       sync.Mutex
	identity uplink.Identity
	reviews  []uplink.Review
	fleet    uplink.Fleet
	revoked  map[string][]uplink.Revocation
	approved []string // what was asked to be approved: server kind name digest
}

// startAdminHub starts a fake hub, and makes the configuration in use name it.
func startAdminHub(t *testing.T) *adminHub {
	t.Helper()
	pinsHome(t)
	h := &adminHub{t: t, identity: uplink.Identity{Version: "1.2.3", Principal: "ann", Admin: true, Key: uplink.Key{1, 2, 3}}, revoked: map[string][]uplink.Revocation{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+uplink.PathHub, func(w http.ResponseWriter, _ *http.Request) { h.answer(w, h.identity) })
	mux.HandleFunc("GET "+uplink.PathWrappers, func(w http.ResponseWriter, _ *http.Request) { h.answer(w, h.fleet) })
	mux.HandleFunc("GET "+uplink.PathPins, func(w http.ResponseWriter, r *http.Request) {
		server := strings.TrimPrefix(r.URL.Path, uplink.PathPins)
		list := []uplink.Review{}
		for _, review := range h.reviews {
			if server == "" || server == review.Server {
				list = append(list, review)
			}
		}
		h.answer(w, list)
	})
	mux.HandleFunc("POST "+uplink.PathPins+"{server}/approve", h.approve)
	mux.HandleFunc("GET "+uplink.PathRevoke, func(w http.ResponseWriter, r *http.Request) { h.answer(w, h.revoked) })
	mux.HandleFunc("POST "+uplink.PathRevoke+"{server}", func(w http.ResponseWriter, r *http.Request) {
		var revocation uplink.Revocation
		h.read(r, &revocation)
		server := r.PathValue("server")
		h.revoked[server] = append(h.revoked[server], revocation)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE "+uplink.PathRevoke+"{server}/{tool}", func(w http.ResponseWriter, r *http.Request) {
		server, before := r.PathValue("server"), len(h.revoked[r.PathValue("server")])
		h.revoked[server] = slices.DeleteFunc(h.revoked[server], func(x uplink.Revocation) bool { return x.Tool == r.PathValue("tool") })
		if len(h.revoked[server]) == before {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":{"code":"not_found","message":"no"}}`)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer sesame" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":{"code":"unauthorized","message":"no such token"}}`)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	if err := os.WriteFile(configName, []byte("hub: { url: "+server.URL+", token: sesame }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *adminHub) answer(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		h.t.Error(err)
	}
}

func (h *adminHub) read(r *http.Request, v any) {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		h.t.Error(err)
	}
}

func (h *adminHub) approve(w http.ResponseWriter, r *http.Request) {
	var a uplink.Approval
	h.read(r, &a)
	for _, item := range a.Items {
		for i := range h.reviews {
			for j := range h.reviews[i].Items {
				if p := &h.reviews[i].Items[j]; h.reviews[i].Server == r.PathValue("server") && p.Kind == item.Kind && p.Name == item.Name {
					p.Approved, p.ApprovedBy, p.ApprovedAt = p.Digest == item.Digest, h.identity.Principal, hubEpoch.Add(time.Hour)
				}
			}
		}
		h.approved = append(h.approved, strings.Join([]string{r.PathValue("server"), item.Kind, item.Name, shortDigest(item.Digest)}, " "))
	}
	w.WriteHeader(http.StatusNoContent)
}

var hubEpoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// seen is a proposal: of a definition, first and last seen that many minutes after the epoch, by whom.
func seen(t *testing.T, definition string, first, last int, by ...string) uplink.Proposal {
	t.Helper()
	kind, name := integrity.Tools, ""
	var named struct{ Name string }
	if strings.HasPrefix(definition, "{") {
		if err := json.Unmarshal([]byte(definition), &named); err != nil {
			t.Fatal(err)
		}
		name = named.Name
	} else {
		kind = integrity.Instructions
	}
	digest, err := integrity.DigestOf(integrity.Target{Kind: kind, Name: name}, []byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	return uplink.Proposal{
		Sighting: uplink.Sighting{Kind: kind.String(), Name: name, Digest: digest, Definition: []byte(definition)},
		First:    hubEpoch.Add(time.Duration(first) * time.Minute), Last: hubEpoch.Add(time.Duration(last) * time.Minute), By: by,
	}
}

func from(info string, p uplink.Proposal) uplink.Proposal {
	p.ServerInfo = []byte(info)
	return p
}

func approvedBy(by string, at int, p uplink.Proposal) uplink.Proposal {
	p.Approved, p.ApprovedBy, p.ApprovedAt = true, by, hubEpoch.Add(time.Duration(at)*time.Minute)
	return p
}

// wantRun executes a command line and compares code and stdout; it returns stderr.
func wantRun(t *testing.T, code int, want string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &stdout, err: &stderr}
	if got := a.run(args); got != code {
		t.Errorf("%q: exit code %d, want %d\n%s", args, got, code, &stderr)
	}
	if diff := cmp.Diff(want, stdout.String()); diff != "" {
		t.Errorf("%q: (-want +got)\n%s", args, diff)
	}
	return stderr.String()
}

const (
	hubRead1 = `{"description":"Reads","name":"read"}`
	hubRead2 = `{"description":"Reads\u001b[2J","name":"read"}`
	hubRead3 = `{"description":"Reads and tells","name":"read"}`
)

func TestPinsOfHub(t *testing.T) {
	h := startAdminHub(t)
	wantRun(t, 0, "no wrapper has told the hub yet what a server lists\n", "pins", "list", "--hub")
	h.reviews = []uplink.Review{
		{Server: "git", Items: []uplink.Proposal{seen(t, `{"name":"log"}`, 1, 1, "bob@pc")}},
		{Server: "fs", Items: []uplink.Proposal{
			seen(t, `{"name":"exec"}`, 1, 1, "bob@pc"),
			from(`{"name":"files","version":"2"}`, seen(t, hubRead2, 9, 9, "eve@x", "bob@pc", "cid@y")),
			from(`{"name":"files","version":"1"}`, approvedBy("ann", 5, seen(t, hubRead1, 1, 7, "bob@pc"))),
			seen(t, hubRead3, 2, 4, "old@z"),
			seen(t, `"Be kind"`, 1, 1, "bob@pc"),
		}},
	}
	const list = `SERVER  KIND          NAME  STATE     DIGEST              BY
fs      instructions  -     new       mcpx1:a534199d60b5  seen by bob@pc
fs      tool          exec  new       mcpx1:d2d8c039867c  seen by bob@pc
fs      tool          read  approved  mcpx1:26af207b3263  ann
fs      tool          read  changed   mcpx1:84d73a0a4786  seen by bob@pc and 2 more, from files 2
`
	wantRun(t, 0, list, "pins", "list", "--hub", "fs")
	wantRun(t, 0, list+"git     tool          log   new       mcpx1:b6f06862443c  seen by bob@pc\n", "pins", "list", "--hub")
	const diff = `fs: tool "exec": new, not approved
  mcpx1:d2d8c039867c, seen by bob@pc
  (the whole)
    + {
    +   "name": "exec"
    + }

fs: tool "read": changed
  mcpx1:84d73a0a4786, seen by bob@pc and 2 more, from files 2
  description
    - "Reads"
    + "Reads\u001b[2J"
`
	wantRun(t, 0, diff, "pins", "diff", "--hub", "fs", "read", "exec")
	wantRun(t, 0, diff+"approved 2 definitions for all\n", "pins", "approve", "--hub", "fs", "exec", "read")
	wantRun(t, 0, "nothing of fs waits for review at the hub\n", "pins", "approve", "--hub", "fs", "exec", "read")
	wantRun(t, 0, "fs: instructions: new, not approved\n  mcpx1:a534199d60b5, seen by bob@pc\n  (the whole)\n    + \"Be kind\"\napproved 1 definition for all\n",
		"pins", "approve", "--hub", "fs")
	wantRun(t, 0, "everything is as the hub has approved\n", "pins", "diff", "--hub", "fs")
	want := []string{"fs tool exec mcpx1:d2d8c039867c", "fs tool read mcpx1:84d73a0a4786", "fs instructions  mcpx1:a534199d60b5"}
	if diff := cmp.Diff(want, h.approved); diff != "" {
		t.Errorf("approved: (-want +got)\n%s", diff)
	}
}

// Where machines see different things nothing is approved by accident, and all or nothing.
func TestApproveAtHubAsksWhich(t *testing.T) {
	h := startAdminHub(t)
	h.reviews = []uplink.Review{{Server: "fs", Items: []uplink.Proposal{
		seen(t, hubRead1, 1, 1, "ann@mac"),
		seen(t, hubRead3, 2, 2, "bob@pc"),
		seen(t, `{"name":"stat"}`, 1, 1, "ann@mac"),
	}}}
	wantRun(t, 0, `fs: tool "read": new, not approved
  mcpx1:26af207b3263, seen by ann@mac
  (the whole)
    + {
    +   "description": "Reads",
    +   "name": "read"
    + }

fs: tool "read": new, not approved
  mcpx1:e7eb648e55fc, seen by bob@pc
  compared with mcpx1:26af207b3263
  description
    - "Reads"
    + "Reads and tells"
`, "pins", "diff", "--hub", "fs", "read")
	const which = `mcpx: 2 different definitions of tool "read" of "fs" wait: say which, with --digest
  mcpx1:26af207b3263  seen by ann@mac
  mcpx1:e7eb648e55fc  seen by bob@pc
`
	for _, args := range []string{"approve --hub fs", "approve --hub fs --all", "approve --hub fs stat read"} {
		if got := wantRun(t, 1, "", append([]string{"pins"}, strings.Fields(args)...)...); got != which {
			t.Errorf("%s: %s", args, got)
		}
	}
	if len(h.approved) > 0 {
		t.Fatalf("approved %q", h.approved)
	}
	wantRun(t, 0, `fs: tool "read": new, not approved
  mcpx1:e7eb648e55fc, seen by bob@pc
  compared with mcpx1:26af207b3263
  description
    - "Reads"
    + "Reads and tells"
approved 1 definition for all
`, "pins", "approve", "--hub", "fs", "read", "--digest", "e7eb")

	// One machine still sees the other one: it is no candidate unless it is named by its digest.
	h.reviews[0].Items[0].Last = hubEpoch.Add(2 * time.Hour)
	wantRun(t, 0, `SERVER  KIND  NAME  STATE     DIGEST              BY
fs      tool  read  approved  mcpx1:e7eb648e55fc  ann
fs      tool  read  outdated  mcpx1:26af207b3263  seen by ann@mac
fs      tool  stat  new       mcpx1:97428139316a  seen by ann@mac
`, "pins", "list", "--hub")
	if got := wantRun(t, 1, "", "pins", "approve", "--hub", "fs", "read"); !strings.Contains(got, "to go back, say to what, with --digest\n  mcpx1:26af207b3263") {
		t.Error(got)
	}
	wantRun(t, 0, "fs: tool \"stat\": new, not approved\n  mcpx1:97428139316a, seen by ann@mac\n  (the whole)\n    + {\n    +   \"name\": \"stat\"\n    + }\napproved 1 definition for all\n",
		"pins", "approve", "--hub", "fs")
	want := []string{"fs tool read mcpx1:e7eb648e55fc", "fs tool stat mcpx1:97428139316a"}
	if diff := cmp.Diff(want, h.approved); diff != "" {
		t.Errorf("approved: (-want +got)\n%s", diff)
	}
}

func TestPinsOfHubAsJSON(t *testing.T) {
	h := startAdminHub(t)
	h.reviews = []uplink.Review{{Server: "fs", Items: []uplink.Proposal{
		approvedBy("ann", 5, seen(t, hubRead1, 1, 7, "bob@pc")), seen(t, hubRead3, 9, 9, "eve@x"),
	}}}
	for _, row := range []struct {
		args string
		want string // statuses, and whether there are definitions and changes
	}{
		{"list --hub", "approved definition, changed definition"},
		{"diff --hub fs", "changed changes"},
		{"approve --hub fs", "changed changes"},
		{"approve --hub fs", ""},
	} {
		var stdout, stderr bytes.Buffer
		a := &app{out: &stdout, err: &stderr}
		code := a.run(append([]string{"pins", "--json"}, strings.Fields(row.args)...))
		var list []hubPinReport
		if err := json.Unmarshal(stdout.Bytes(), &list); err != nil || code != 0 || list == nil {
			t.Errorf("%s: %d, %v\n%s%s", row.args, code, err, &stdout, &stderr)
		}
		var got []string
		for _, r := range list {
			text := string(r.Status)
			if r.Definition != nil {
				text += " definition"
			}
			if r.Changes != nil {
				text += " changes"
			}
			got = append(got, text)
		}
		if strings.Join(got, ", ") != row.want {
			t.Errorf("%s: %q, want %q", row.args, got, row.want)
		}
	}
}

func TestPinsOfHubErrors(t *testing.T) {
	h := startAdminHub(t)
	ok := []uplink.Review{
		{Server: "fs", Items: []uplink.Proposal{seen(t, hubRead1, 1, 1, "bob@pc")}},
		{Server: "git@0a1b", Items: []uplink.Proposal{seen(t, hubRead1, 1, 1, "bob@pc")}},
		{Server: "mail@1", Items: []uplink.Proposal{seen(t, hubRead1, 1, 1, "bob@pc")}},
		{Server: "mail@2", Items: []uplink.Proposal{seen(t, hubRead1, 1, 1, "bob@pc")}},
	}
	lying := []uplink.Review{{Server: "fs", Items: []uplink.Proposal{seen(t, hubRead1, 1, 1)}}}
	lying[0].Items[0].Definition = []byte(hubRead3)
	omitted := []uplink.Review{{Server: "fs", Items: []uplink.Proposal{seen(t, hubRead1, 1, 1)}}}
	omitted[0].Items[0].Definition = []byte("null")
	strange := []uplink.Review{{Server: "fs", Items: []uplink.Proposal{{Sighting: uplink.Sighting{Kind: "spell", Name: "x", Definition: []byte("{}")}}}}}
	for _, row := range []struct {
		name    string
		reviews []uplink.Review
		code    int
		args    string
		want    string // in stderr
	}{
		{"a server that is not known", ok, 1, "list --hub ff", `knows no server "ff": did you mean fs?`},
		{"of several", ok, 1, "diff --hub mail", "say which, mail@1 or mail@2"},
		{"wrapped without a name", ok, 0, "approve --hub git", ""},
		{"no server yet", nil, 1, "approve --hub fs", "no wrapper has told it yet what a server lists"},
		{"no such tool", ok, 1, "diff --hub fs raed", `no wrapper has seen a tool or prompt "raed" of "fs"`},
		{"no such tool to approve", ok, 1, "approve --hub fs raed", `no wrapper has seen tool "raed" of "fs"`},
		{"no such digest", ok, 1, "approve --hub fs read --digest ffff", `begins with "ffff": known are`},
		{"a digest for all", ok, 1, "approve --hub fs --digest 26af", "--digest goes with the name of one tool"},
		{"a digest here", ok, 1, "approve fs read --digest 26af", "--digest goes with --hub"},
		{"a command", ok, 1, "approve --hub fs -- x", "it goes without a COMMAND"},
		{"a URL as the server", ok, 1, "list --hub https://hub.example", "the address of a hub goes with a sign, --hub=https://hub.example"},
		{"a name no server has", ok, 1, "list --hub ../fs", `knows no server "../fs"`},
		{"no hub", ok, 1, "list --hub=none", "this command needs a hub"},
		{"another definition than its digest", lying, 1, "approve --hub fs", "the definition that it shows has the digest"},
		{"a definition that is not sent", omitted, 1, "approve --hub fs", "it is not approved unseen"},
		{"list what is not sent", omitted, 0, "list --hub", ""},
		{"a kind of a later version", strange, 1, "list --hub", `kind "spell"`},
	} {
		h.mu.Lock()
		h.reviews, h.approved = row.reviews, nil
		h.mu.Unlock()
		var stdout, stderr bytes.Buffer
		a := &app{out: &stdout, err: &stderr}
		code := a.run(append([]string{"pins"}, strings.Fields(row.args)...))
		if code != row.code || !strings.Contains(stderr.String(), row.want) {
			t.Errorf("%s: %d, want %d and %q\n%s", row.name, code, row.code, row.want, &stderr)
		}
		if code != 0 && len(h.approved) > 0 {
			t.Errorf("%s: approved %q", row.name, h.approved)
		}
	}
}
