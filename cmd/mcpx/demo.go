package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/examples/mock-mcp/mock"
)

// demoTimeout bounds the whole demo, which takes well under a second.
const demoTimeout = time.Minute

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show mcpx at work between a real client and a mock server",
		Long: `Demo starts ` + "`mcpx wrap`" + ` with a policy around a mock server, drives it with a real MCP client, and tells
what the client sees: a filtered list, calls that pass and calls that do not, a tool whose definition
changes in the middle of the session, and the record of it all. It needs no network and no
configuration, and works in a folder of its own that it removes.

Exit codes: 0 everything went as told, 1 something did not.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), demoTimeout)
			defer cancel()
			return a.demo(ctx)
		},
	}
}

// A stage is where the demo plays: a folder of its own, removed at the end.
type stage struct {
	folder    string
	config    string // mcpx.yaml
	notes     string // a file in the workspace
	elsewhere string // a file outside of it
	control   string // the mock server's control file
	audit     string // the audit log's folder
	state     string // mcpx's state folder
}

const demoConfig = `servers:
  - name: mock
    policy:
      deny_tools: [dangerous_delete]
      tool_rules:
        read_file:
          args:
            path: { within: %s }
inspection: { tool_integrity: enforce }
audit: { path: %s }
`

func newStage() (*stage, error) {
	folder, err := os.MkdirTemp("", "mcpx-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the demo: %w", err)
	}
	if real, err := filepath.EvalSymlinks(folder); err == nil { // such as /var on macOS
		folder = real
	}
	at := func(name string) string { return filepath.Join(folder, name) }
	s := &stage{
		folder: folder, config: at(configName), control: at("control"), audit: at("audit") + string(filepath.Separator), state: at("state"),
		// With slashes, on Windows too: `within` takes no backslashes.
		notes: filepath.ToSlash(filepath.Join(folder, "workspace", "notes.txt")), elsewhere: filepath.ToSlash(at("diary.txt")),
	}
	workspace := filepath.Dir(filepath.FromSlash(s.notes))
	if err := os.Mkdir(workspace, 0o700); err != nil {
		return s, err
	}
	for path, text := range map[string]string{
		s.notes:     "buy milk",
		s.elsewhere: "dear diary",
		// Quoted as JSON, which YAML reads the same way, backslashes included.
		s.config: fmt.Sprintf(demoConfig, strconv.Quote(workspace), strconv.Quote(s.audit)),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (a *app) demo(ctx context.Context) (err error) {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	s, err := newStage()
	if s != nil {
		defer os.RemoveAll(s.folder)
	}
	if err != nil {
		return fmt.Errorf("prepare the demo: %w", err)
	}
	var log tailWriter // of the wrapper, shown when something goes wrong
	n := &narrator{out: a.out}
	n.intro(s)
	p := &player{
		stage:   s,
		command: []string{self, "wrap", "--name", "mock", "--config", s.config, "--", self, mockCommandName},
		env:     []string{mock.ControlVariable + "=" + s.control, stateVariable + "=" + s.state},
		log:     &log,
	}
	if err := p.play(ctx, n); err != nil {
		if text := log.String(); text != "" {
			fmt.Fprintf(a.err, "the wrapper said:\n%s\n", printable(text))
		}
		return fmt.Errorf("the demo went wrong: %w", err)
	}
	n.outro()
	return nil
}

// A narrator tells what happens, one line each.
type narrator struct {
	out   io.Writer
	steps int
}

func (n *narrator) say(format string, args ...any) {
	fmt.Fprintln(n.out, printable(fmt.Sprintf(format, args...)))
}

// step starts a part of the story.
func (n *narrator) step(title string) {
	n.steps++
	n.say("\n%d. %s", n.steps, title)
}

// saw tells what the client asked and what it got.
func (n *narrator) saw(mark, asked, got string) {
	n.say("%s", strings.TrimRight(fmt.Sprintf("   %s %-34s %s", mark, asked, got), " "))
}

func (n *narrator) passed(asked, got string)  { n.saw("✓", asked, got) }
func (n *narrator) refused(asked, got string) { n.saw("✗", asked, got) }

func (n *narrator) intro(s *stage) {
	n.say("client ── mcpx wrap ── mock server with the tools echo, read_file and dangerous_delete")
	n.say("\nThe policy, in %s:", configName)
	n.say("   deny_tools: [dangerous_delete]")
	n.say("   tool_rules: { read_file: { args: { path: { within: %s } } } }", filepath.Dir(s.notes))
}

func (n *narrator) outro() {
	n.say("\nEverything went as told. To put mcpx in front of a server of yours, write in your client's")
	n.say("configuration \"mcpx\" as the command, and [\"wrap\", \"--\", …] with the old command line as its arguments.")
}

// A tailWriter keeps the last bytes written to it.
type tailWriter struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 4 << 10 // bytes

func (w *tailWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	w.text = w.text[max(0, len(w.text)-tailSize):]
	return len(p), nil
}

func (w *tailWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(string(bytes.ToValidUTF8(w.text, []byte("?"))))
}
