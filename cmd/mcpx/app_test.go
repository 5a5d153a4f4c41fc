package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// TestEveryCommandIsDocumented wants of each command what help shows, and that it says what its arguments are.
func TestEveryCommandIsDocumented(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s: no short help", c.CommandPath())
		}
		if c.Runnable() && !c.HasSubCommands() && c.Args == nil && c.Name() != "help" {
			t.Errorf("%s: takes any argument", c.CommandPath())
		}
		for _, child := range c.Commands() {
			visit(child)
		}
	}
	visit((&app{}).rootCommand(nil))
}

// No command that takes a span of time takes one that ends before it begins.
func TestASpanBeginsBeforeItsEnd(t *testing.T) {
	found := 0
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		for _, child := range c.Commands() {
			visit(child)
		}
		if c.Flags().Lookup("since") == nil || c.Flags().Lookup("until") == nil {
			return
		}
		found++
		var out, errs bytes.Buffer
		args := append(strings.Fields(c.CommandPath())[1:], "--since", "5m", "--until", "10m")
		if code := (&app{out: &out, err: &errs}).run(args); code != exitUsage || !strings.Contains(errs.String(), "--since is 20") {
			t.Errorf("%q: code %d, %s%s", args, code, out.String(), errs.String())
		}
	}
	visit((&app{}).rootCommand(nil))
	if found < 4 {
		t.Errorf("only %d commands take a span", found)
	}
}

func TestPrintableEscapesWhatMovesTheCursor(t *testing.T) {
	for in, want := range map[string]string{
		"plain ünïcode\n":   "plain ünïcode\n",
		"\x1b[2Jgone":       `\u001b[2Jgone`,
		"a\rb\tc\x00":       `a\u000db\u0009c\u0000`,
		"\u202egnp.exe":     `\u202egnp.exe`,
		"zero\u200bwidth":   `zero\u200bwidth`,
		"bad \xff utf-8":    "bad \ufffd utf-8",
		"two\u2028lines":    `two\u2028lines`,
		"emoji stays: 🙂 ok": "emoji stays: 🙂 ok",
	} {
		if diff := cmp.Diff(want, printable(in)); diff != "" {
			t.Errorf("printable(%q) (-want +got):\n%s", in, diff)
		}
	}
}
