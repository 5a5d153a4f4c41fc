package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say whether a configuration file is sound, and name everything that is not",
		Long: `Check reads FILE, or the configuration in use, as it is read at start, and names every problem in it
with its line and path, what only the hub objects to as well. Variables must be set, and files of secrets and certificates
readable, as they must be then.

Exit codes: 0 sound, 1 not sound or not readable.`,
		Example:           "  mcpx check\n  mcpx check --json mcpx.example.yaml",
		Args:              operands(0, 1),
		ValidArgsFunction: cobra.FixedCompletions([]cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.configPath = args[0]
			}
			return a.check()
		},
	}
}

// A checkReport is what `mcpx check --json` prints.
type checkReport struct {
	OK       bool      `json:"ok"`
	File     string    `json:"file,omitempty"` // absent: there is none, the defaults hold
	Servers  int       `json:"servers"`
	Rules    int       `json:"rules"`
	Shadow   []string  `json:"shadow,omitempty"` // servers whose rules are not enforced
	Problems []problem `json:"problems,omitempty"`
}

func (a *app) check() error {
	c, err := a.loadConfig()
	if err == nil {
		err = c.checkGateway()
	}
	if a.json {
		return a.checkJSON(c, err)
	}
	if err != nil {
		return err
	}
	if c.Path == "" {
		fmt.Fprintln(a.out, "ok: no configuration file, the defaults hold")
		return nil
	}
	fmt.Fprintf(a.out, "ok: %s, %s (%s)\n", count(len(c.Servers), "server"), count(c.rules(), "rule"), printable(c.Path))
	for _, name := range c.shadowed() {
		fmt.Fprintf(a.out, "note: server %s is in shadow mode: what its policy denies is recorded, and passes\n", name)
	}
	return nil
}

// checkGateway reports what the hub alone would object to when it starts.
func (c *config) checkGateway() error {
	cfg, _, err := c.gateway()
	if err != nil {
		return err
	}
	if err := cfg.TLS.Check(); err != nil {
		return &configError{File: c.Path, Problems: []problem{c.problemAt("tls", err)}}
	}
	return nil
}

func (a *app) checkJSON(c *config, err error) error {
	var report checkReport
	bad, isProblems := errors.AsType[*configError](err)
	switch {
	case isProblems:
		report = checkReport{File: bad.File, Problems: bad.Problems}
	case err != nil:
		report = checkReport{File: a.configPath, Problems: []problem{{Message: err.Error()}}}
	default:
		report = checkReport{OK: true, File: c.Path, Servers: len(c.Servers), Rules: c.rules(), Shadow: c.shadowed()}
	}
	if err := a.printJSON(report); err != nil {
		return err
	}
	if !report.OK {
		return &exitError{code: exitFailure}
	}
	return nil
}

// printJSON writes a value to stdout, indented, as one document.
func (a *app) printJSON(value any) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}
