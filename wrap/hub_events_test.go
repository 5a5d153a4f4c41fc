//go:build unix

package wrap_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// has waits until the hub has all events of a log.
func (h *fakeHub) has(log string) {
	h.t.Helper()
	h.await("all events", func() bool {
		stored := h.stored()
		for line := range strings.Lines(log) {
			if !strings.Contains(stored, line) {
				return false
			}
		}
		return true
	})
}

// The events of a session are with the hub when the wrapper has ended.
func TestEventsReachTheHub(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	s := startSession(t, hub.env()...).begin()
	hub.awaitSerial(1)
	for id := range 50 {
		s.call(id+1, "echo")
	}
	s.finish()
	log := s.verified()
	if strings.Count(log, `"method":"tools/call"`) != 100 {
		t.Fatalf("log: %s", log)
	}
	hub.mu.Lock()
	defer hub.mu.Unlock()
	if stored := hub.stored(); stored != log {
		t.Errorf("the hub has %d bytes of %d: %s", len(stored), len(log), strings.TrimPrefix(log, stored))
	}
}

// A hub that comes late, or goes and comes back, gets everything, and the wrapper notices nothing.
func TestEventsWaitForTheHub(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	hub.stop()
	s := startSession(t, hub.env()...).begin()
	s.call(1, "echo")
	hub.start()
	hub.awaitSerial(1)
	hub.stop()
	s.call(2, "echo")
	hub.start()
	hub.rule(bundle(2))
	hub.awaitSerial(2)
	s.call(3, "echo")
	s.finish()
	hub.has(s.verified())
	if got := s.stderr.String(); got != "server is up\n" {
		t.Errorf("stderr: %s", got)
	}
}

// What a killed wrapper did not send, the next one does.
func TestKilledWrapperLosesNoEvent(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	hub.stop()
	dir := t.TempDir()
	s := startSessionIn(t, dir, hub.env()...).begin()
	for id := range 50 {
		s.call(id+1, "echo")
	}
	s.cmd.Process.Kill()
	s.wait()
	hub.start()
	next := startSessionIn(t, dir, hub.env()...).begin()
	hub.awaitSerial(1)
	hub.await("the calls of the dead", func() bool { return strings.Count(hub.stored(), `"method":"tools/call"`) == 100 })
	next.finish()
	hub.has(next.verified())
}

// A hub that hangs while it is sent events, and is asked for more of everything, holds nothing up; when it recovers it gets
// them all.
func TestHangingHubGetsEventsLater(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	s := startSession(t, hub.env()...).begin()
	hub.awaitSerial(1)
	hub.change(func() { hub.hang = true })
	for id := range 100 {
		if got := s.call(id+1, "echo"); !allowed(got) {
			t.Fatalf("call %d: %s", id+1, got)
		}
	}
	hub.stop() // whoever waits for an answer gets none
	hub.start()
	hub.await("the calls", func() bool { return strings.Count(hub.stored(), `"method":"tools/call"`) == 200 })
	s.finish()
	hub.has(s.verified())
}

// A team's hub is another destination: it is not told what happened before, its key is believed when first seen, and its
// bundle binds the next start.
func TestTeamHub(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	hub.rule(bundle(3, denying("echo"), func(b *uplink.Bundle) { b.Principal = "ann" }))
	team := httptest.NewServer(hub)
	defer team.Close()
	dir := t.TempDir()
	private := startSessionIn(t, dir).begin()
	private.call(1, "echo")
	private.finish()
	before := private.verified()

	s := startSessionIn(t, dir, "TEST_HUB_URL="+team.URL).begin()
	hub.awaitSerial(3)
	if got := s.call(1, "echo"); !deniedBy(got, "hub.deny_tools[0]") {
		t.Errorf("not denied: %s", got)
	}
	s.finish()
	hub.mu.Lock()
	stored := hub.stored()
	hub.mu.Unlock()
	for line := range strings.Lines(before) {
		if strings.Contains(stored, line) {
			t.Fatalf("the hub was told what happened before: %s", line)
		}
	}
	if !strings.Contains(stored, `"rule":"hub.deny_tools[0]"`) {
		t.Errorf("the hub was not told what happened: %s", stored)
	}
	if keys, err := filepath.Glob(filepath.Join(dir, "state", "hub-*.key")); err != nil || len(keys) != 1 {
		t.Errorf("keys: %v, %v", keys, err)
	}
	team.Close()
	offline := startSessionIn(t, dir, "TEST_HUB_URL="+team.URL).begin()
	if got := offline.call(1, "echo"); !deniedBy(got, "hub.deny_tools[0]") {
		t.Errorf("offline: %s", got)
	}
	offline.finish()
	if entries, err := os.ReadDir(filepath.Join(dir, "state", "bundles")); err != nil || len(entries) != 1 {
		t.Errorf("bundles: %v, %v", entries, err)
	}
}
