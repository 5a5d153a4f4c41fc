package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/stdio"
	"github.com/rohitgs28/mcpx/wrap"
)

// wrapFlags are what `mcpx wrap` takes before the command.
type wrapFlags struct {
	name   string
	hub    string
	pty    bool
	remote remoteFlags
}

func (a *app) wrapCommand() *cobra.Command {
	var f wrapFlags
	cmd := &cobra.Command{
		Use:   "wrap [flags] {[--] COMMAND [ARGS...] | --url URL}",
		Short: "Stand in for a stdio server: start it and decide on every message",
		Long: `wrap is what an MCP client starts in place of a server's command. It starts the server as its child
and relays every message between the two, by the policy of mcpx.yaml, the pins of mcpx.lock and under
the audit log. To the client it is the server: same messages, same stderr, same exit code.

Flags end at -- or at the first word that is none. Without a configuration file there are no rules;
pins and audit log are kept in the state folder all the same. With one, the entry is that of --name, or
the one whose command is the one given; a command that no entry matches is not started.

With --url, or an entry that has a url, the server is a remote one, for clients that speak only stdio to it:
Streamable HTTP in both eras, as the client speaks, or the deprecated HTTP+SSE (--transport sse). Each
request that such a server does not answer is answered with an error, and the reason is on stderr. http is
for this machine; to others it needs --unsafe-http, also for an entry. Proxies of the environment are not used.

Events go to the hub: that of --hub, of hub.url in the configuration, of mcpx login, or else one that runs on this
machine, which may come and go. Its rules, approvals and revocations hold beside the configuration's and apply at once.
No message ever waits for it: without it the last rules that it gave stay in effect, and events are sent later.

Exit codes: the server's own, 128+n when signal n ended it. When nothing was started: 127 the command was
not found, 126 it cannot be executed, 125 anything else (configuration, pins, audit log, a URL that must not
be used, no event stream at it, a hub that is required and says nothing), 2 the flags. With a remote server: 0 when the client ended the session,
1 when the server did, 128+n when signal n to mcpx did.`,
		Example: `  mcpx wrap -- npx -y @modelcontextprotocol/server-filesystem /data
  mcpx wrap --config ~/mcpx.yaml --name filesystem -- npx -y @modelcontextprotocol/server-filesystem /data
  mcpx wrap --name filesystem          the command, or the URL, is the entry's own
  mcpx wrap --url https://mcp.example.com/mcp --header 'Authorization: Bearer ${TOKEN}'`,
		Args: func(_ *cobra.Command, args []string) error { return f.check(args) },
		RunE: func(cmd *cobra.Command, args []string) error { return a.wrap(cmd.Context(), f, args) },
		// The server's command is no business of completion, but files are.
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.StringVar(&f.name, "name", "", "`NAME` of the server's entry in the configuration, and of its pins")
	flags.StringVar(&f.hub, "hub", "", "`URL` of the hub that gets the events and says what goes here; local: the one on this machine; none (default: that of the configuration, of mcpx login, else local)")
	flags.BoolVar(&f.pty, "pty", false, "give the server a pseudo-terminal as stdout, for one that holds its answers back without (not on Windows)")
	flags.StringVar(&f.remote.url, "url", "", "`URL` of a remote server, in place of a command")
	flags.StringArrayVar(&f.remote.headers, "header", nil, "`'NAME: VALUE'` sent to the remote server; ${VAR} in it is taken from the environment, where secrets belong (repeatable)")
	flags.StringVar(&f.remote.transport, "transport", "", "what the remote server speaks: http (Streamable HTTP, the default) or sse")
	flags.BoolVar(&f.remote.unsafeHTTP, "unsafe-http", false, "allow http to other machines: whoever is on the way can read and change everything")
	_ = cmd.RegisterFlagCompletionFunc("transport", cobra.FixedCompletions([]cobra.Completion{transportHTTP, transportSSE}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// check refuses what no configuration could make right.
func (f wrapFlags) check(argv []string) error {
	switch {
	case f.remote.url != "" && len(argv) > 0:
		return fmt.Errorf("wrap: --url and the command %q: give one of the two", argv[0])
	case f.remote.url != "" && f.pty:
		return errors.New("wrap: --pty is for a command, not for --url")
	case f.remote.url == "" && len(argv) == 0 && f.name == "":
		return errors.New("wrap: no command given: put the server's command behind --, or give --url")
	case len(argv) > 0:
		return f.remote.misused()
	}
	return nil
}

// wrap runs a wrapped server to its end. Nothing is started unless everything that guards it is ready.
func (a *app) wrap(ctx context.Context, f wrapFlags, argv []string) error {
	start := stdio.Start
	if f.remote.url == "" {
		server := stdio.Prepare(stdio.Command{Args: argv, PTY: f.pty}) // gets ready while we read the rest
		defer server.Close()
		start = server.Start
	}
	log := a.logger()
	fail := func(err error) error { return &exitError{wrap.ExitCode(err), err} }
	c, err := a.loadConfig()
	if err != nil {
		return fail(err)
	}
	w, err := pickWrapped(c, f, argv)
	if err != nil {
		return fail(err)
	}
	engine, err := policy.Compile(w.policy)
	if err != nil {
		return fail(err)
	}
	if w.policy.Shadow {
		log.Warn().Str("server", w.name).Msg("shadow mode: what the policy of this server denies is recorded, and passes")
	}
	target, err := a.wrapTarget(c, f.hub)
	if err != nil {
		return fail(err)
	}
	hub, err := wrapHub(target, w)
	if err != nil {
		return fail(err)
	}
	record, err := a.openWrapAudit(c, target)
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := record.Close(); err != nil {
			log.Error().Err(err).Msg("the last events are not in the audit log")
		}
	}()
	pins, err := serverPins(c, w.pins)
	if err != nil {
		return fail(err)
	}
	in, out, err := a.pipes()
	if err != nil {
		return fail(err)
	}
	traces := a.wrapTelemetry(c, w, log)
	code, err := wrap.Run(ctx, wrap.Options{
		Command: stdio.Command{Args: w.argv, Env: w.env, Dir: w.dir, PTY: f.pty},
		Start:   traces.after(start),
		Remote:  w.remote,
		Guard: policy.GuardOptions{
			Server:     w.name,
			Engine:     engine,
			Limit:      policy.NewLimiter(c.RateLimit, nil),
			Pins:       pins,
			Log:        record,
			Inspection: c.Inspection,
			MaxPages:   c.Limits.MaxPages,
			Tracer:     traces.Tracer(),
		},
		Hub:    hub,
		In:     in,
		Out:    out,
		Err:    a.err,
		Limits: wrap.Limits{MaxMessage: int(c.Limits.MaxMessage), MaxDepth: c.Limits.MaxDepth},
		Log:    log,
	})
	traces.close()
	if err != nil {
		return fail(err)
	}
	if code != 0 {
		return &exitError{code: code}
	}
	return nil
}

// pipes returns our own stdin and stdout: wrap speaks to its client through files, not through readers.
func (a *app) pipes() (in, out *os.File, err error) {
	in, okIn := a.in.(*os.File)
	out, okOut := a.out.(*os.File)
	if !okIn || !okOut {
		return nil, nil, errors.New("wrap: stdin and stdout must be files")
	}
	return in, out, nil
}

// A wrapped server is what is started and under which name and rules.
type wrapped struct {
	name   string // in the audit log, of its rules and limits
	pins   string // in the lock file
	argv   []string
	env    []string // nil: ours
	dir    string
	remote *wrap.Remote // in place of argv
	policy policy.Config
}

// pickWrapped finds the entry that a command belongs to. Where the configuration has entries, a command without one is
// refused: it would run without any rule, and nobody would notice.
func pickWrapped(c *config, f wrapFlags, argv []string) (wrapped, error) {
	if f.remote.url != "" {
		return pickRemote(c, f)
	}
	name := f.name
	if len(c.Servers) == 0 {
		if len(argv) == 0 {
			return wrapped{}, fmt.Errorf("wrap: there is no configuration with an entry %q: give a command behind --, or --url", name)
		}
		if name != "" {
			return wrapped{name: name, pins: name, argv: argv}, nil
		}
		name = wrap.Name(argv)
		return wrapped{name: name, pins: unnamedPins(name, argv), argv: argv}, nil
	}
	s, err := matchEntry(c, name, argv)
	if err != nil {
		return wrapped{}, err
	}
	w := wrapped{name: s.Name, pins: s.Name, argv: argv, policy: s.Policy}
	if len(argv) > 0 {
		return w, nil
	}
	if s.URL != "" {
		if f.pty {
			return wrapped{}, fmt.Errorf("wrap: --pty is for a command: entry %q of %s has a URL", s.Name, c.Path)
		}
		return remoteEntry(s, f.remote)
	}
	if s.Command == "" {
		return wrapped{}, fmt.Errorf("wrap: entry %q of %s has no command: give one behind --", s.Name, c.Path)
	}
	if err := f.remote.misused(); err != nil {
		return wrapped{}, err
	}
	w.argv, w.dir = append([]string{s.Command}, s.Args...), s.Workdir
	for key, value := range s.Env {
		w.env = append(w.env, key+"="+value)
	}
	if w.env != nil {
		w.env = append(stdio.Environ(), w.env...)
	}
	return w, nil
}

func matchEntry(c *config, name string, argv []string) (*server, error) {
	names := make([]string, 0, len(c.Servers))
	var same, alike []*server
	for i := range c.Servers {
		s := &c.Servers[i]
		names = append(names, s.Name)
		if name != "" {
			if s.Name == name {
				return s, nil
			}
			continue
		}
		own := append([]string{s.Command}, s.Args...)
		switch {
		case s.Command != "" && slices.Equal(own, argv):
			same = append(same, s)
		case s.Command != "" && wrap.Name(own) == wrap.Name(argv), s.Command == "" && s.URL == "" && s.Name == wrap.Name(argv):
			alike = append(alike, s)
		}
	}
	switch {
	case name != "":
		return nil, fmt.Errorf("wrap: %s has no server %q: it has %s", c.Path, name, choices(names))
	case len(same) == 1:
		return same[0], nil
	case len(same) == 0 && len(alike) == 1:
		return alike[0], nil
	case len(same)+len(alike) > 1:
		return nil, fmt.Errorf("wrap: several servers of %s match the command %q: say which with --name", c.Path, strings.Join(argv, " "))
	default:
		return nil, fmt.Errorf("wrap: no server of %s matches the command %q: say which with --name (%s), or add an entry", c.Path, strings.Join(argv, " "), choices(names))
	}
}

// unnamedPins names the pins of a server that nobody named. Two commands that look alike must not share pins, so the
// whole command line is its identity, and the folder, to which paths in it may be relative.
func unnamedPins(name string, argv []string) string {
	h := sha256.New()
	if dir, err := os.Getwd(); err == nil && slices.ContainsFunc(argv, isRelativePath) {
		fmt.Fprintf(h, "%s\x00", dir)
	}
	for _, word := range argv {
		fmt.Fprintf(h, "%s\x00", word)
	}
	return fmt.Sprintf("%s@%x", name, h.Sum(nil)[:4])
}

func isRelativePath(word string) bool {
	return strings.ContainsAny(word, `/\`) && !filepath.IsAbs(word) && !strings.HasPrefix(word, "@") && !strings.Contains(word, "://") ||
		strings.HasSuffix(word, ".py") || strings.HasSuffix(word, ".js") || word == "."
}

// openWrapAudit opens the audit log of a wrapper that belongs to a hub, nil for none.
func (a *app) openWrapAudit(c *config, hub *hubTarget) (*audit.Log, error) {
	opt, err := a.auditOptions(c, "wrap", nil)
	if err != nil {
		return nil, err
	}
	return audit.Open(destined(opt, hub))
}

// auditOptions say how a command opens the audit log that it writes to. stdout takes it where the configuration says so; nil:
// stderr does, for wrap writes nothing but messages there.
func (a *app) auditOptions(c *config, source string, stdout io.Writer) (audit.Options, error) {
	state, err := stateDir()
	if err != nil {
		return audit.Options{}, err
	}
	return audit.Options{
		Config:     c.Audit,
		DefaultDir: filepath.Join(state, auditName),
		StateDir:   filepath.Join(state, headsName),
		Source:     source,
		Version:    buildVersion().Version,
		Stdout:     stdout,
		Stderr:     a.err,
	}, nil
}

// serverPins opens the pins of one server, nil where tool integrity is off.
func serverPins(c *config, name string) (*integrity.Pins, error) {
	if c.Inspection.ToolIntegrity == "off" {
		return nil, nil
	}
	path, err := lockBeside(c.Path)
	if err != nil {
		return nil, err
	}
	if c.Path == "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("make the state folder: %w", err)
		}
	}
	file, err := integrity.Open(path)
	if err != nil {
		return nil, err
	}
	return file.Server(name, c.Inspection), nil
}
