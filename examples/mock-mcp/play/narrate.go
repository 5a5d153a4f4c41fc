package play

import (
	"fmt"
	"io"
	"strings"
)

// A narrator tells what happens, one line each.
type narrator struct {
	out   io.Writer
	steps int
}

func (n *narrator) say(format string, args ...any) {
	fmt.Fprintf(n.out, format+"\n", args...)
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
	n.say("\nThe policy, in mcpx.yaml:")
	n.say("   deny_tools: [dangerous_delete]")
	n.say("   tool_rules: { read_file: { args: { path: { within: %s } } } }", s.workspace())
}

func (n *narrator) outro() {
	n.say("\nEverything went as told. To put mcpx in front of a server of yours, write in your client's")
	n.say("configuration \"mcpx\" as the command, and [\"wrap\", \"--\", …] with the old command line as its arguments.")
}
