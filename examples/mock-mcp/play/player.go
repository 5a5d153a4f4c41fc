package play

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A player is the client and what it has at hand.
type player struct {
	*stage
	programs Programs
	env      []string // of mcpx, besides our own
	log      *tailWriter

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
	return p.record(ctx, n)
}

// mcpx is a command line of it.
func (p *player) mcpx(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, p.programs.MCPX, args...)
	command.Env = append(os.Environ(), p.env...)
	command.Stderr = p.log
	return command
}

// dial starts the wrapper, as any client would start the server, and joins the official Go SDK's client to it.
func (p *player) dial(ctx context.Context) error {
	command := p.mcpx(ctx, "wrap", "--name", "mock", "--config", p.config, "--", p.programs.Mock, "stdio")
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
	out, err := p.mcpx(ctx, "pins", "diff", "mock", "--config", p.config).Output()
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
