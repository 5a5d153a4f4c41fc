package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/hub"
)

// A fakeGateway serves until its context ends, and takes or refuses configurations.
type fakeGateway struct {
	refuse   error
	reloaded chan hub.Config
}

func (g *fakeGateway) Serve(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (g *fakeGateway) Reload(cfg hub.Config) error {
	if g.refuse != nil {
		return g.refuse
	}
	g.reloaded <- cfg
	return nil
}

func (*fakeGateway) Refused() {}

// A logged is a line of the log.
type logged struct {
	Level, Message string
	Problems       []string
	Servers        []string
}

// A logReader gives the lines of a log as they are written.
type logReader struct {
	t     *testing.T
	lines chan logged
}

func (l logReader) Write(p []byte) (int, error) {
	var line logged
	if err := json.Unmarshal(p, &line); err != nil {
		l.t.Errorf("no line of JSON: %s", p)
	}
	l.lines <- line
	return len(p), nil
}

// newSettings reads a file of this text and makes ready to reload it.
func newSettings(t *testing.T, text string) (s *hubSettings, lines chan logged, stderr *bytes.Buffer) {
	t.Helper()
	lines, stderr = make(chan logged, 64), &bytes.Buffer{}
	s = &hubSettings{
		path:   filepath.Join(t.TempDir(), "mcpx.yaml"),
		log:    zerolog.New(logReader{t, lines}),
		stderr: stderr,
	}
	rewrite(t, s, text)
	if _, err := s.read(); err != nil {
		t.Fatal(err)
	}
	return s, lines, stderr
}

func rewrite(t *testing.T, s *hubSettings, text string) {
	t.Helper()
	if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const oneServer = "servers: [{ name: one, url: 'http://127.0.0.1:1/mcp' }]\n"

// TestReloadsComeFromSignalAndFile changes the file under a watch, and sends a signal when nothing has changed.
func TestReloadsComeFromSignalAndFile(t *testing.T) {
	s, lines, _ := newSettings(t, oneServer)
	watch, err := watchFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	g := &fakeGateway{reloaded: make(chan hub.Config)}
	hangups := make(chan os.Signal)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := serveHub(ctx, g, s, watch, hangups); err != nil {
			t.Error(err)
		}
	})
	rewrite(t, s, "servers: [{ name: two, url: 'http://127.0.0.1:2/mcp' }]\n")
	if got := servedNames(<-g.reloaded); !cmp.Equal(got, []string{"two"}) {
		t.Errorf("reloaded %q", got)
	}
	if line := <-lines; line.Level != "info" || line.Message != "configuration reloaded" {
		t.Errorf("logs %+v", line)
	}
	hangups <- syscall.SIGHUP
	<-g.reloaded
	<-lines

	rewrite(t, s, "servers:\n  - { name: A B, comand: x }\nnonsense: true\n")
	line := <-lines
	if line.Level != "error" || len(line.Problems) != 3 || !strings.Contains(line.Problems[1], "mcpx.yaml:2:") {
		t.Errorf("a bad file logs %+v", line)
	}
	cancel()
	running.Wait()
	if len(lines) > 0 {
		t.Errorf("and more: %+v", <-lines)
	}
	if got := s.current.Load().serverNames(); !cmp.Equal(got, []string{"two"}) {
		t.Errorf("in effect is %q", got)
	}
}

// TestRefusedReloadChangesNothing has the gateway itself refuse, and an entry that only the hub refuses.
func TestRefusedReloadChangesNothing(t *testing.T) {
	s, lines, stderr := newSettings(t, oneServer)
	g := &fakeGateway{refuse: errors.New("the port is taken")}
	before := s.current.Load()
	for name, test := range map[string]struct{ text, problem string }{
		"by the gateway": {"listen: ':8080'\n" + oneServer, "the port is taken"},
		"websocket":      {"servers: [{ name: one, url: 'wss://127.0.0.1:1/', transport: websocket }]\n", "websocket"},
	} {
		rewrite(t, s, test.text)
		s.reload(g)
		if line := <-lines; line.Level != "error" || len(line.Problems) != 1 || !strings.Contains(line.Problems[0], test.problem) {
			t.Errorf("%s: logs %+v", name, line)
		}
		if s.current.Load() != before || stderr.Len() > 0 {
			t.Errorf("%s: something has changed: %s", name, stderr)
		}
	}
}

// TestExposedGatewayWarnsOnce follows a configuration from safe to exposed and back.
func TestExposedGatewayWarnsOnce(t *testing.T) {
	const loud = "ANYONE WHO REACHES THIS ADDRESS CAN USE EVERY SERVER"
	s, _, stderr := newSettings(t, oneServer)
	s.log = zerolog.Nop() // no level hides the warning
	g := &fakeGateway{reloaded: make(chan hub.Config, 1)}
	warned := func(step string, want int, text string) {
		t.Helper()
		rewrite(t, s, text)
		s.reload(g)
		<-g.reloaded
		if got := strings.Count(stderr.String(), loud); got != want {
			t.Errorf("%s: warned %d times, want %d", step, got, want)
		}
	}
	warned("loopback", 0, oneServer)
	warned("everywhere", 1, "listen: ':8080'\n"+oneServer)
	warned("still everywhere", 1, "listen: '0.0.0.0:8080'\n"+oneServer)
	warned("with auth", 1, "listen: ':8080'\nauth: { token: t }\n"+oneServer)
	warned("auth turned off", 2, "listen: ':8080'\nauth: { enabled: false, token: t }\n"+oneServer)
	if lines := strings.Count(stderr.String(), "\n"); lines < 20 || !strings.Contains(stderr.String(), "Whoever can connect can call the tools of: one.") {
		t.Errorf("can be overlooked:\n%s", stderr)
	}
}

// TestUnservedEntriesAreSaidOnce reloads a file with rules for wrappers.
func TestUnservedEntriesAreSaidOnce(t *testing.T) {
	const rules = "  - { name: rules, policy: { read_only: true } }\n"
	text := "servers:\n  - { name: one, url: 'http://127.0.0.1:1/mcp' }\n" + rules
	s, lines, _ := newSettings(t, text)
	if line := <-lines; !cmp.Equal(line.Servers, []string{"rules"}) || !strings.Contains(line.Message, "not served") {
		t.Errorf("logs %+v", line)
	}
	s.reload(&fakeGateway{reloaded: make(chan hub.Config, 1)})
	if line := <-lines; line.Message != "configuration reloaded" || len(lines) > 0 {
		t.Errorf("says it again: %+v", line)
	}
}

func TestPinsFollowTheConfiguration(t *testing.T) {
	s, _, _ := newSettings(t, "inspection: { tool_integrity: off }\n"+oneServer)
	if pins, err := s.pins("one"); pins != nil || err != nil {
		t.Errorf("off: %v, %v", pins, err)
	}
	rewrite(t, s, oneServer)
	s.reload(&fakeGateway{reloaded: make(chan hub.Config, 1)})
	if pins, err := s.pins("one"); pins == nil || err != nil {
		t.Errorf("on: %v, %v", pins, err)
	}
}

// TestShadowModeIsSaidOnce reloads a file with a server in shadow mode, and ends that.
func TestShadowModeIsSaidOnce(t *testing.T) {
	shadow := strings.Replace(oneServer, "name: one", "name: one, mode: shadow", 1)
	s, lines, _ := newSettings(t, shadow)
	warned := func(line logged) bool {
		return line.Level == "warn" && strings.Contains(line.Message, "shadow mode") && cmp.Equal(line.Servers, []string{"one"})
	}
	if line := <-lines; !warned(line) {
		t.Errorf("logs %+v", line)
	}
	for step, change := range []struct {
		text  string
		warns bool
	}{{shadow, false}, {oneServer, false}, {shadow, true}} {
		rewrite(t, s, change.text)
		s.reload(&fakeGateway{reloaded: make(chan hub.Config, 1)})
		if change.warns && !warned(<-lines) {
			t.Errorf("step %d: no warning", step)
		}
		if line := <-lines; line.Message != "configuration reloaded" || len(lines) > 0 {
			t.Errorf("step %d: logs %+v", step, line)
		}
	}
}
