//go:build unix

package wrap_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/wrap"
)

// begin opens a session.
func (s *session) begin() *session {
	s.t.Helper()
	s.write(hello)
	s.read()
	return s
}

// call calls a tool and returns the answer.
func (s *session) call(id int, tool string) string {
	s.t.Helper()
	s.write(callLine(id, tool))
	return s.read()
}

// finish ends the session and expects the exit code 0.
func (s *session) finish() {
	s.t.Helper()
	s.in.Close()
	if rest, code := s.wait(); code != 0 || rest != "" {
		s.t.Errorf("exit code %d, rest %q; stderr %s", code, rest, &s.stderr)
	}
}

// seen is what the server was asked to do.
func (s *session) seen() string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "seen"))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(text)
}

func allowed(answer string) bool { return strings.Contains(answer, `"result"`) }

func deniedBy(answer, rule string) bool {
	return strings.Contains(answer, `"code":-32600`) && strings.Contains(answer, rule)
}

// A change of the hub's rules reaches a running wrapper within a second: what was allowed is denied and does not reach the
// server; what the wrapper itself denies stays denied whatever the hub says; and it goes back as it came.
func TestHubSteersARunningWrapper(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*uplink.Bundle)
		rule   string
	}{
		{"a rule", denying("echo"), "hub.deny_tools[0]"},
		{"a revocation", revoking("echo"), "hub revoked.deny_tools[0]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			hub := startHub(t)
			s := startSession(t, hub.env()...).begin()
			hub.awaitSerial(1)
			if got := s.call(1, "echo"); !allowed(got) {
				t.Fatalf("before: %s", got)
			}
			id := 2
			until := func(is func(string) bool) {
				t.Helper()
				for changed := time.Now(); ; id++ {
					answer := s.call(id, "echo")
					if is(answer) {
						return
					}
					if time.Since(changed) > time.Second {
						t.Fatalf("after a second: %s", answer)
					}
				}
			}
			hub.rule(bundle(2, row.change))
			until(func(answer string) bool { return deniedBy(answer, row.rule) })
			if strings.Contains(s.seen(), fmt.Sprintf("%d echo\n", id)) {
				t.Error("the denied call has reached the server")
			}
			s.write(`{"jsonrpc":"2.0","id":"l","method":"tools/list"}` + "\n")
			if got := s.read(); strings.Contains(got, `"echo"`) || !strings.Contains(got, `"big"`) {
				t.Errorf("listed: %s", got)
			}
			hub.rule(bundle(3))
			until(allowed)
			if got := s.call(100000, "rm"); !deniedBy(got, "policy.deny_tools[0]") {
				t.Errorf("what the wrapper's own rules deny: %s", got)
			}
			s.finish()
			log := s.verified()
			if strings.Count(log, `"reason":"policy_changed"`) != 3 || !strings.Contains(log, `"serial":2`) {
				t.Errorf("changes are not recorded: %s", log)
			}
		})
	}
}

// What the hub said last is in effect from the first message on when there is no hub.
func TestKeptBundleBindsAnOfflineStart(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	hub.rule(bundle(5, denying("echo")))
	dir := t.TempDir()
	s := startSessionIn(t, dir, hub.env()...).begin()
	hub.awaitSerial(5)
	s.finish()
	hub.stop()
	for _, required := range []string{"", "1"} {
		s = startSessionIn(t, dir, hub.env("TEST_HUB_REQUIRED="+required)...)
		s.write(hello + callLine(1, "echo") + callLine(2, "big"))
		s.read()
		for range 2 {
			if got := s.read(); strings.Contains(got, `"id":1`) != deniedBy(got, "hub.deny_tools[0]") {
				t.Errorf("offline, required %q: %s", required, got)
			}
		}
		s.finish()
		if strings.Contains(s.seen(), "1 echo") {
			t.Error("the denied call has reached the server")
		}
	}
	if !strings.Contains(s.verified(), `"reason":"policy_kept"`) {
		t.Error("the log does not say which policy was in effect")
	}
}

// A bundle that is not to be believed changes nothing, is recorded once and said to the hub.
func TestUnbelievableBundlesAreRefused(t *testing.T) {
	_, foreign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := bundle(7, denying("big"))
	for _, row := range []struct {
		name string
		make func(h *fakeHub) []byte
		why  string
	}{
		{"tampered", func(h *fakeHub) []byte {
			return bytes.Replace(h.signed(h.key, bundle(8, denying("echo"))), []byte(`"echo"`), []byte(`"none"`), 1)
		}, "not signed"},
		{"cut", func(h *fakeHub) []byte { return h.signed(h.key, bundle(8))[:40] }, "one line and its signature"},
		{"another's key", func(h *fakeHub) []byte { return h.signed(foreign, bundle(8)) }, "not signed"},
		{"another server's", func(h *fakeHub) []byte {
			return h.signed(h.key, bundle(8, func(b *uplink.Bundle) { b.Server = "other" }))
		}, `it is for the server \"other\"`},
		{"another principal's", func(h *fakeHub) []byte {
			return h.signed(h.key, bundle(8, func(b *uplink.Bundle) { b.Principal = "eve" }))
		}, `it is for \"eve\"`},
		{"an older one", func(h *fakeHub) []byte { return h.signed(h.key, bundle(6)) }, "older (serial 6)"},
		{"a newer hub's", func(h *fakeHub) []byte {
			line := []byte(`{"server":"srv","principal":"local","serial":8,"layers":[],"pins":[],"revoked":[],"quarantined":["echo"]}`)
			signature := ed25519.Sign(h.key, append([]byte("mcpx bundle v1\n"), line...))
			return append(append(line, '\n'), base64.StdEncoding.EncodeToString(signature)...)
		}, "quarantined"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			hub := startHub(t)
			hub.rule(good)
			dir := t.TempDir()
			s := startSessionIn(t, dir, hub.env()...).begin()
			hub.awaitSerial(7)
			hub.say(row.make(hub))
			hub.await("the refusal", func() bool {
				last := hub.presences[len(hub.presences)-1]
				return last.Serial == 7 && len(last.Problems) == 1 && strings.Contains(last.Problems[0], "a bundle of the hub is refused")
			})
			if got := s.call(1, "big"); !deniedBy(got, "hub.deny_tools[0]") {
				t.Errorf("what was in effect does not stay: %s", got)
			}
			s.finish()
			log := s.verified()
			if strings.Count(log, `"reason":"bundle_refused"`) != 1 || !strings.Contains(log, row.why) {
				t.Errorf("want one refusal that says %q: %s", row.why, log)
			}
			path := wrap.BundlePath(filepath.Join(dir, "state"), audit.LocalHub, uplink.LocalPrincipal, "srv")
			if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, hub.signed(hub.key, good)) {
				t.Errorf("kept is %s, %v", kept, err)
			}
		})
	}
}

// A kept bundle that somebody has changed is not used; one that is required is asked for then.
func TestTamperedKeptBundle(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	hub.rule(bundle(5, denying("echo")))
	dir := t.TempDir()
	s := startSessionIn(t, dir, hub.env()...).begin()
	hub.awaitSerial(5)
	s.finish()
	path := wrap.BundlePath(filepath.Join(dir, "state"), audit.LocalHub, uplink.LocalPrincipal, "srv")
	tampered, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tampered = bytes.Replace(tampered, []byte(`"echo"`), []byte(`"none"`), 1)
	if err := os.WriteFile(path, tampered, 0o600); err != nil {
		t.Fatal(err)
	}
	s = startSessionIn(t, dir, hub.env("TEST_HUB_REQUIRED=1")...).begin()
	if got := s.call(1, "echo"); !deniedBy(got, "hub.deny_tools[0]") {
		t.Errorf("the hub was not asked: %s", got)
	}
	s.finish()
	if !strings.Contains(s.verified(), `"reason":"bundle_refused"`) {
		t.Error("the tampered bundle is not recorded")
	}
}

// Where a hub is required nothing starts without its word.
func TestRequiredHub(t *testing.T) {
	for _, row := range []struct {
		name string
		hub  func(*fakeHub)
		want string
	}{
		{"there is none", func(h *fakeHub) { h.stop() }, "no hub"},
		{"it hangs", func(h *fakeHub) { h.change(func() { h.hang = true }) }, "deadline"},
		{"it talks nonsense", func(h *fakeHub) { h.change(func() { h.garbage = true }) }, ""},
		{"its policy is no bundle", func(h *fakeHub) { h.say([]byte("{}\nAAAA")) }, "the first that the hub showed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			hub := startHub(t)
			row.hub(hub)
			s := startSession(t, hub.env("TEST_HUB_REQUIRED=1")...)
			rest, code := s.wait()
			if got := s.stderr.String(); code != 125 || rest != "" || !strings.Contains(got, "hub.required") || !strings.Contains(got, row.want) || strings.Contains(got, "server is up") {
				t.Errorf("exit code %d, stdout %q, stderr %s", code, rest, got)
			}
		})
	}
}

// A hub that hangs or talks nonsense delays no call and changes no exit code.
func TestBadHubsDelayNothing(t *testing.T) {
	for _, row := range []struct {
		name string
		hub  func(*fakeHub)
	}{
		{"it hangs", func(h *fakeHub) { h.hang = true }},
		{"it talks nonsense", func(h *fakeHub) { h.garbage = true }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			hub := startHub(t)
			hub.change(func() { row.hub(hub) })
			s := startSession(t, hub.env("TEST_EXIT=7")...).begin()
			hub.await("a call", func() bool { return hub.calls["GET "+uplink.PathHub] > 0 })
			within(t, 2*time.Second, "a hundred calls", func() {
				for id := range 100 {
					if got := s.call(id+1, "echo"); !allowed(got) {
						t.Fatalf("call %d: %s", id, got)
					}
				}
			})
			s.in.Close()
			within(t, 3*time.Second, "the end", func() {
				if _, code := s.wait(); code != 7 {
					t.Errorf("exit code %d", code)
				}
			})
			s.verified()
		})
	}
}

// The hub's key is believed when it is first seen, and no other one later.
func TestLocalKeyIsPinned(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	dir := t.TempDir()
	s := startSessionIn(t, dir, hub.env()...).begin()
	hub.awaitSerial(1)
	s.finish()
	state := filepath.Join(dir, "state")
	if key, err := wrap.PinnedKey(state, audit.LocalHub); err != nil || key != uplink.PublicKey(hub.key) {
		t.Errorf("pinned: %v, %v", key, err)
	}
	if info, err := os.Stat(filepath.Join(state, "local.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info, err)
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hub.change(func() { hub.key = other })
	hub.rule(bundle(2, denying("echo")))
	s = startSessionIn(t, dir, hub.env()...).begin()
	hub.await("the refusal", func() bool {
		last := hub.presences[len(hub.presences)-1]
		return len(last.Problems) == 1 && strings.Contains(last.Problems[0], "remove")
	})
	if got := s.call(1, "echo"); !allowed(got) {
		t.Errorf("a bundle of another key is in effect: %s", got)
	}
	s.finish()
}

// What the server says of itself is proposed, once; what the hub has approved counts for more than what was seen first.
func TestPinsOfTheHub(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	s := startSession(t, hub.env()...).begin()
	s.write(`{"jsonrpc":"2.0","id":"l","method":"tools/list"}` + "\n")
	s.read()
	hub.await("proposals", func() bool { return len(hub.proposed) == 11 }) // ten tools, and that there are no instructions
	echo := hub.proposed["tool echo"]
	if digest, err := integrity.DigestOf(integrity.Target{Kind: integrity.Tools, Name: "echo"}, echo.Definition); err != nil || digest != echo.Digest {
		t.Errorf("%+v: digest %s, %v", echo, digest, err)
	}
	approve := func(digest string) func(*uplink.Bundle) {
		return func(b *uplink.Bundle) {
			b.Pins = append(b.Pins, uplink.ApprovalItem{Kind: "tool", Name: "echo", Digest: digest})
		}
	}
	hub.rule(bundle(2, approve(strings.Replace(echo.Digest, echo.Digest[len(echo.Digest)-4:], "0000", 1))))
	hub.awaitSerial(2)
	if got := s.call(1, "echo"); !strings.Contains(got, "not what the hub has approved") {
		t.Errorf("another definition is approved: %s", got)
	}
	hub.rule(bundle(3, approve(echo.Digest)))
	hub.awaitSerial(3)
	if got := s.call(2, "echo"); !allowed(got) {
		t.Errorf("this definition is approved: %s", got)
	}
	s.finish()
}

// The hub knows who is there, and who has gone.
func TestPresence(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	s := startSession(t, hub.env()...).begin()
	hub.await("who the client is", func() bool {
		if len(hub.presences) == 0 {
			return false
		}
		p := hub.presences[len(hub.presences)-1]
		return p.Server == "srv" && p.Version == "test" && p.PID == s.cmd.Process.Pid && p.Host != "" && p.User != "" && p.Instance != "" &&
			strings.Contains(string(p.ClientInfo), `"t"`) && strings.Contains(string(p.ServerInfo), `"srv"`) && p.Serial == 1 && len(p.Problems) == 0
	})
	s.finish()
	hub.await("its end", func() bool { return hub.presences[len(hub.presences)-1].Ended })
}

// What the server says at the very end is proposed all the same.
func TestShortSessionProposesItsPins(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	s := startSession(t, hub.env()...).begin()
	hub.awaitSerial(1)
	s.write(`{"jsonrpc":"2.0","id":"l","method":"tools/list"}` + "\n")
	s.read()
	s.finish()
	hub.mu.Lock()
	defer hub.mu.Unlock()
	if len(hub.proposed) != 11 {
		t.Errorf("proposed: %v", hub.proposed)
	}
}

// TestKeptBundleIsOfWhoEnrolled: what a hub said to one person is no rule, and no refusal, for who logs in after them.
func TestKeptBundleIsOfWhoEnrolled(t *testing.T) {
	paths := map[string]string{}
	for _, who := range []struct{ destination, principal, server string }{
		{"https://hub.example.com", "", "fs"}, {"https://hub.example.com", "ann", "fs"}, {"https://hub.example.com", "bob", "fs"},
		{"https://hub.example.com", "ann", "db"}, {audit.LocalHub, "", "fs"},
	} {
		path := wrap.BundlePath("state", who.destination, who.principal, who.server)
		if other, twice := paths[path]; twice {
			t.Errorf("%v has the file of %s", who, other)
		}
		paths[path] = fmt.Sprint(who)
	}
}
