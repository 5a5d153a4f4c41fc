package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// A player is the client's side of the demo. Every method fails when the client does not see what
// it should: a demo that cannot go wrong shows nothing.
type player struct {
	*stage
	command []string // the wrapper around the mock server
	env     []string
	log     *tailWriter

	session *mcp.ClientSession
	changed chan struct{} // a list_changed notification came
}

func (p *player) play(ctx context.Context, n *narrator) error {
	if err := p.dial(ctx); err != nil {
		return err
	}
	defer p.session.Close() // once more does no harm
	for _, scene := range []func(context.Context, *narrator) error{p.list, p.calls, p.arguments, p.rugPull} {
		if err := scene(ctx, n); err != nil {
			return err
		}
	}
	if err := p.session.Close(); err != nil {
		return fmt.Errorf("end the session: %w", err)
	}
	return p.record(n)
}

// dial starts the wrapper, as any client would start the server, and joins the official Go SDK's client to it.
func (p *player) dial(ctx context.Context) error {
	command := exec.CommandContext(ctx, p.command[0], p.command[1:]...)
	command.Env = append(os.Environ(), p.env...)
	command.Stderr = p.log
	p.changed = make(chan struct{}, 1)
	client := mcp.NewClient(&mcp.Implementation{Name: "mcpx-demo", Version: "1"}, &mcp.ClientOptions{
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) {
			select {
			case p.changed <- struct{}{}:
			default: // one is enough
			}
		},
	})
	// The revisions up to this one announce changed lists by themselves, which makes the better story.
	options := &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"}
	session, err := client.Connect(ctx, &mcp.CommandTransport{Command: command}, options)
	if err != nil {
		return fmt.Errorf("start mcpx wrap: %w", err)
	}
	p.session = session
	return nil
}

// tools lists the names of the tools that the client is shown.
func (p *player) tools(ctx context.Context) ([]string, error) {
	var names []string
	for tool, err := range p.session.Tools(ctx, nil) {
		if err != nil {
			return nil, fmt.Errorf("tools/list: %w", err)
		}
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	return names, nil
}

func (p *player) expectTools(ctx context.Context, want ...string) error {
	got, err := p.tools(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("tools/list shows %q, want %q", got, want)
	}
	return nil
}

func (p *player) call(ctx context.Context, tool string, args map[string]any) (string, error) {
	result, err := p.session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		return "", err
	}
	if len(result.Content) != 1 {
		return "", fmt.Errorf("tool %s: %d contents, want 1", tool, len(result.Content))
	}
	text, ok := result.Content[0].(*mcp.TextContent)
	if !ok || result.IsError {
		return "", fmt.Errorf("tool %s failed: %v", tool, result.Content[0])
	}
	return text.Text, nil
}

func (p *player) expect(ctx context.Context, n *narrator, asked, tool string, args map[string]any, want string) error {
	got, err := p.call(ctx, tool, args)
	if err != nil {
		return fmt.Errorf("%s should pass: %w", asked, err)
	}
	if got != want {
		return fmt.Errorf("%s: got %q, want %q", asked, got, want)
	}
	n.passed(asked, got)
	return nil
}

// expectDenied wants a refusal whose message names part, and tells the message.
func (p *player) expectDenied(ctx context.Context, n *narrator, asked, tool string, args map[string]any, part string) error {
	got, err := p.call(ctx, tool, args)
	if err == nil {
		return fmt.Errorf("%s should be denied, but got %q", asked, got)
	}
	if !strings.Contains(err.Error(), part) {
		return fmt.Errorf("%s: denied without naming %q: %w", asked, part, err)
	}
	// The SDK puts the method in front of what mcpx said.
	_, reason, _ := strings.Cut(err.Error(), "denied by mcpx: ")
	n.refused(asked, cmp.Or(reason, err.Error()))
	return nil
}

func (p *player) list(ctx context.Context, n *narrator) error {
	n.step("The client lists the tools")
	if err := p.expectTools(ctx, "echo", "read_file"); err != nil {
		return err
	}
	n.passed("tools/list", "echo, read_file (dangerous_delete is left out)")
	return nil
}

func (p *player) calls(ctx context.Context, n *narrator) error {
	n.step("It calls one that is allowed, and one that is not")
	return errors.Join(
		p.expect(ctx, n, `echo {"text":"hello"}`, "echo", map[string]any{"text": "hello"}, "hello"),
		p.expectDenied(ctx, n, `dangerous_delete {"path":…}`, "dangerous_delete", map[string]any{"path": p.notes}, "deny_tools"),
	)
}

func (p *player) arguments(ctx context.Context, n *narrator) error {
	n.step("Arguments are judged as well: read_file stays within the workspace")
	sneaky := p.notes + "/../../diary.txt"
	return errors.Join(
		p.expect(ctx, n, `read_file …/workspace/notes.txt`, "read_file", map[string]any{"path": p.notes}, "buy milk"),
		p.expectDenied(ctx, n, `read_file …/diary.txt`, "read_file", map[string]any{"path": p.elsewhere}, "within"),
		p.expectDenied(ctx, n, `read_file …/workspace/../diary.txt`, "read_file", map[string]any{"path": sneaky}, "within"),
	)
}

// rugPull makes the server change the description of a tool that was pinned when it was first seen.
func (p *player) rugPull(ctx context.Context, n *narrator) error {
	n.step("Rug pull: the server rewrites echo's description to steal an SSH key")
	if err := os.WriteFile(p.control, []byte("description"), 0o600); err != nil {
		return err
	}
	if err := p.expectTools(ctx, "read_file"); err != nil {
		return err
	}
	select {
	case <-p.changed:
		n.passed("notifications/tools/list_changed", "passed on")
	case <-ctx.Done():
		return errors.New("no list_changed notification came")
	}
	n.passed("tools/list", "read_file (echo is withheld: it is not what was pinned)")
	if err := p.diff(ctx, n); err != nil {
		return err
	}
	args := map[string]any{"text": "hello"}
	if err := p.expectDenied(ctx, n, `echo {"text":"hello"}`, "echo", args, "echo"); err != nil {
		return err
	}
	if err := os.Remove(p.control); err != nil {
		return err
	}
	if err := p.expectTools(ctx, "echo", "read_file"); err != nil {
		return fmt.Errorf("after the server took the change back: %w", err)
	}
	return p.expect(ctx, n, `echo {"text":"hello"}, restored`, "echo", args, "hello")
}

// diff shows what a person would look at before approving the change.
func (p *player) diff(ctx context.Context, n *narrator) error {
	command := exec.CommandContext(ctx, p.command[0], "pins", "diff", "mock", "--config", p.config)
	command.Env = append(os.Environ(), p.env...)
	command.Stderr = p.log
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("mcpx pins diff: %w", err)
	}
	if !strings.Contains(string(out), "~/.ssh/id_rsa") {
		return fmt.Errorf("mcpx pins diff does not show the change: %q", out)
	}
	n.passed("mcpx pins diff mock", "")
	for line := range strings.Lines(string(out)) {
		n.say("     %s", strings.TrimRight(line, "\n"))
	}
	return nil
}

// record reads the audit log that the wrapper left, and verifies its chain.
func (p *player) record(n *narrator) error {
	n.step("Everything is on record, in a chain of hashes")
	result, err := audit.Verify(filepath.Join(p.state, headsName), p.audit)
	if err != nil {
		return fmt.Errorf("verify the audit log: %w", err)
	}
	if !result.Intact() || len(result.Chains) == 0 {
		return fmt.Errorf("the audit log does not verify: %v", result.Problems)
	}
	tools := map[string]int{} // decisions on calls
	for r, err := range audit.Read(p.audit, time.Time{}) {
		if err != nil {
			return fmt.Errorf("read the audit log: %w", err)
		}
		if r.Kind == audit.Decision && r.Method == "tools/call" {
			tools[r.Decision]++
		}
		if r.Decision == "deny" && r.Kind == audit.Decision {
			n.say("     %-5s %-16s %s", r.Decision, r.Target, r.Rule)
		}
	}
	if tools["allow"] != 3 || tools["deny"] != 4 {
		return fmt.Errorf("the audit log has %d allowed and %d denied calls, want 3 and 4", tools["allow"], tools["deny"])
	}
	n.passed("mcpx audit verify", fmt.Sprintf("chain of %s intact, 3 calls allowed, 4 denied", count(result.Events, "event")))
	return nil
}
