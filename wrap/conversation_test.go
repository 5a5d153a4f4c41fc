package wrap_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/stdio"
)

// The files of testdata/conversation are conversations over real pipes, a real Relay, guard, lock file and audit log.
// A file holds
//
//	-- config --   policy, inspection, rate_limit and limits, in YAML
//	-- talk --     what is said, line by line
//	-- audit --    optional: what the log must hold, in order, of events other than lifecycle
//	-- lock --     optional: a mcpx.lock that is there before
//
// The lines of a talk are
//
//	C>S line   the client writes the line, the server receives the same bytes
//	S>C line   the server writes the line, the client receives the same bytes
//	C> line    the client writes the line; S> the server does
//	S< line    the server receives the line; C< the client does
//	C. S.      the client, the server ends its output
//	RESTART    a new relay and guard, with the same lock file
//	APPROVE    another process approves all that waits for it in the lock file
//
// In an expected line `…` stands for anything, and OWN for the id of mcpx's own last request. At the end nobody may have received anything else.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/conversation/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no conversations: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			part := map[string]string{}
			for _, f := range archive.Files {
				part[f.Name] = string(f.Data)
			}
			s := newScene(t, part["config"], part["lock"])
			s.start()
			for i, line := range strings.Split(part["talk"], "\n") {
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
					s.line = i + 1
					s.play(line)
				}
			}
			s.end()
			s.checkAudit(part["audit"])
		})
	}
}

type sceneConfig struct {
	Policy     policy.Config     `yaml:"policy"`
	Shadow     bool              `yaml:"shadow"`
	Inspection integrity.Config  `yaml:"inspection"`
	RateLimit  policy.RateConfig `yaml:"rate_limit"`
	MaxMessage int               `yaml:"max_message"`
	MaxPages   int               `yaml:"max_pages"`
}

type scene struct {
	t      *testing.T
	dir    string
	cfg    sceneConfig
	log    *audit.Log
	line   int
	own    string // id of mcpx's own last request
	client *peer
	server *peer
	done   chan error
}

func newScene(t *testing.T, config, lock string) *scene {
	s := &scene{t: t, dir: t.TempDir()}
	dec := yaml.NewDecoder(strings.NewReader(config))
	dec.KnownFields(true)
	if err := dec.Decode(&s.cfg); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if lock != "" {
		if err := os.WriteFile(filepath.Join(s.dir, "mcpx.lock"), []byte(lock), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	s.log, err = audit.Open(audit.Options{DefaultDir: filepath.Join(s.dir, "audit"), StateDir: filepath.Join(s.dir, "heads"), Source: "wrap"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scene) start() {
	s.cfg.Policy.Shadow = s.cfg.Shadow
	engine, err := policy.Compile(s.cfg.Policy)
	if err != nil {
		s.t.Fatal(err)
	}
	var pins *integrity.Pins
	if s.cfg.Inspection.ToolIntegrity != "off" {
		file, err := integrity.Open(filepath.Join(s.dir, "mcpx.lock"))
		if err != nil {
			s.t.Fatal(err)
		}
		pins = file.Server("srv", s.cfg.Inspection)
	}
	// A clock that stands still keeps rate limits from filling up while the test runs.
	stopped := time.Now()
	guard, err := policy.NewGuard(policy.GuardOptions{
		Server: "srv", Engine: engine, Pins: pins, Log: s.log, Inspection: s.cfg.Inspection, MaxPages: s.cfg.MaxPages,
		Limit: policy.NewLimiter(s.cfg.RateLimit, func() time.Time { return stopped }),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	var clientConn, serverConn *stdio.Conn
	s.client, clientConn = newPeer(s.t, "client", s.cfg.MaxMessage)
	s.server, serverConn = newPeer(s.t, "server", s.cfg.MaxMessage)
	s.done = make(chan error, 1)
	go func() { s.done <- transport.Relay(context.Background(), clientConn, serverConn, guard, time.Minute) }()
}

// A peer is one end of the conversation, played by the test.
type peer struct {
	name string
	out  *os.File
	got  chan string
}

func newPeer(t *testing.T, name string, maxMessage int) (*peer, *stdio.Conn) {
	theirIn, ourOut := pipe(t)
	ourIn, theirOut := pipe(t)
	p := &peer{name: name, out: ourOut, got: make(chan string, 100)}
	go func() {
		defer close(p.got)
		r := bufio.NewReader(ourIn)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			p.got <- strings.TrimSuffix(line, "\n")
		}
	}()
	return p, stdio.NewConn(theirIn, theirOut, stdio.Options{MaxMessage: maxMessage})
}

func pipe(t *testing.T) (r, w *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

func (s *scene) play(line string) {
	s.t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(strings.ReplaceAll(rest, "OWN", s.own))
	switch verb {
	case "C>S":
		s.write(s.client, rest)
		s.expect(s.server, rest)
	case "S>C":
		s.write(s.server, rest)
		s.expect(s.client, rest)
	case "C>":
		s.write(s.client, rest)
	case "S>":
		s.write(s.server, rest)
	case "C<":
		s.expect(s.client, rest)
	case "S<":
		s.expect(s.server, rest)
	case "C.":
		s.client.out.Close()
	case "S.":
		s.server.out.Close()
	case "RESTART":
		s.end()
		s.start()
	case "APPROVE":
		s.approve()
	default:
		s.t.Fatalf("line %d: unknown verb %q", s.line, verb)
	}
}

func (s *scene) approve() {
	s.t.Helper()
	file, err := integrity.Open(filepath.Join(s.dir, "mcpx.lock"))
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := file.Approve("srv"); err != nil {
		s.t.Fatalf("line %d: %v", s.line, err)
	}
}

func (s *scene) write(p *peer, line string) {
	s.t.Helper()
	if _, err := io.WriteString(p.out, unescapeLine(line)+"\n"); err != nil {
		s.t.Fatalf("line %d: %s: %v", s.line, p.name, err)
	}
}

// unescapeLine lets a talk hold what cannot stand in a text file: ␍ is a carriage return, ␀ a byte that is not UTF-8.
func unescapeLine(line string) string {
	return strings.NewReplacer("␍", "\r", "␀", "\xff").Replace(line)
}

func (s *scene) expect(p *peer, want string) {
	s.t.Helper()
	select {
	case got, ok := <-p.got:
		if !ok {
			s.t.Fatalf("line %d: %s: the end, want %s", s.line, p.name, want)
		}
		if !matches(got, want) {
			s.t.Fatalf("line %d: %s received\n%s\nwant\n%s", s.line, p.name, got, want)
		}
		if _, after, ok := strings.Cut(got, `"id":"mcpx-`); ok {
			id, _, _ := strings.Cut(after, `"`)
			s.own = `"mcpx-` + id + `"`
		}
	case <-time.After(10 * time.Second):
		s.t.Fatalf("line %d: %s received nothing, want %s", s.line, p.name, want)
	}
}

// matches compares byte for byte, but for … in want.
func matches(got, want string) bool {
	parts := strings.Split(want, "…")
	if len(parts) == 1 {
		return got == want
	}
	if !strings.HasPrefix(got, parts[0]) || !strings.HasSuffix(got, parts[len(parts)-1]) {
		return false
	}
	for _, part := range parts {
		i := strings.Index(got, part)
		if i < 0 {
			return false
		}
		got = got[i+len(part):]
	}
	return true
}

// end closes both ends and checks that nobody received anything that was not expected.
func (s *scene) end() {
	s.t.Helper()
	s.server.out.Close()
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		s.t.Fatal("the relay does not end")
	}
	s.client.out.Close()
	for _, p := range []*peer{s.client, s.server} {
		for drained := false; !drained; {
			select {
			case line, ok := <-p.got:
				if drained = !ok; ok {
					s.t.Errorf("%s received, unexpected: %s", p.name, line)
				}
			default:
				drained = true
			}
		}
	}
}

// checkAudit verifies the chain and compares the events.
func (s *scene) checkAudit(want string) {
	s.t.Helper()
	if err := s.log.Close(); err != nil {
		s.t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(s.dir, "audit", "*.jsonl"))
	if err != nil || len(segments) != 1 {
		s.t.Fatalf("segments %v, %v", segments, err)
	}
	text, err := os.ReadFile(segments[0])
	if err != nil {
		s.t.Fatal(err)
	}
	var got []string
	for line := range bytes.Lines(text) {
		var e struct{ Kind, Method, Target, Decision, Rule, Reason, Outcome string }
		if err := json.Unmarshal(line, &e); err != nil {
			s.t.Fatal(err)
		}
		if e.Kind == "lifecycle" {
			continue
		}
		words := []string{e.Kind}
		for _, w := range []string{e.Method, e.Target, e.Decision, e.Rule, e.Outcome} {
			if w != "" {
				words = append(words, w)
			}
		}
		if e.Kind == "integrity" {
			name, _, _ := strings.Cut(e.Reason, ":")
			words = append(words, name)
		}
		if strings.HasPrefix(e.Reason, policy.ShadowPrefix) {
			words = append(words, "shadow")
		}
		got = append(got, strings.Join(words, " "))
	}
	if want = strings.TrimSpace(want); want == "" {
		return
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), got); diff != "" {
		s.t.Errorf("audit log (-want +got):\n%s", diff)
	}
}
