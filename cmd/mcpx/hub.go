package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/hub"
	"github.com/rohitgs28/mcpx/integrity"
)

// hubFlags are what `mcpx hub` takes beside the flags that all commands share.
type hubFlags struct {
	listen string
	watch  bool
}

// gcPercent lets a gateway, whose heap is a few megabytes, collect less often: with 16 calls in flight that is a tenth of its
// CPU. $GOGC has the last word.
const gcPercent = 400

func (a *app) hubCommand() *cobra.Command {
	var f hubFlags
	cmd := &cobra.Command{
		Use:   "hub [flags]",
		Short: "Serve all servers of the configuration over HTTP, as a gateway",
		Long: `hub is one address for all servers of mcpx.yaml: http://ADDRESS/mcp/NAME is the server NAME, whether it has a
url or a command. It decides on every message as wrap does, by the same policy, pins and audit log, and adds what
only a gateway can: authentication, limits per client, one child for many clients, health and metrics.

The configuration is read again on SIGHUP, and with --watch after every change of the file; SIGHUP also reads again
what the file names, such as a token_file. A file with problems is refused whole: what was served goes on, and one
line of the log names all problems. What is under way ends by the rules under which it began. The audit log is opened
once: a change of its section waits for a restart.

SIGINT and SIGTERM end the hub after what is under way; a second one ends it at once. The log goes to stderr, as
JSON where that is no terminal; its level is info unless --log-level says otherwise. Entries with a name and a policy
alone are for wrap, and not served.

For compatibility, flags alone start the hub as well: mcpx -c mcpx.yaml -watch.

Exit codes: 0 ended by a signal, 1 failed (configuration, address, audit log), 2 the flags.`,
		Example: `  mcpx hub -c mcpx.yaml
  mcpx hub --watch --listen 127.0.0.1:9000
  curl -s http://127.0.0.1:9000/health`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("log-level") {
				a.logLevel = zerolog.LevelInfoValue
			}
			return a.hub(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "", "`ADDRESS` to listen on, in place of the configuration's; port 0 takes a free one")
	flags.BoolVar(&f.watch, "watch", false, "read the configuration again whenever the file changes")
	_ = cmd.RegisterFlagCompletionFunc("listen", cobra.NoFileCompletions)
	return cmd
}

// hub serves until a signal ends it. Nothing listens unless everything that guards it is ready.
func (a *app) hub(ctx context.Context, f hubFlags) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal finds nobody who waits for it
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // never comes on Windows
	defer signal.Stop(hangups)

	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	s, err := a.hubSettings(f)
	if err != nil {
		return err
	}
	var watch *fileWatch
	if f.watch { // before the file is read, so that no change falls between
		if watch, err = watchFile(s.path); err != nil {
			return err
		}
	}
	cfg, err := s.read()
	if err != nil {
		return err
	}
	record, err := a.openAudit(s.current.Load(), "hub", a.out)
	if err != nil {
		return err
	}
	gateway, err := hub.New(ctx, cfg, hub.Options{
		Log:     s.log,
		Record:  record,
		Pins:    s.pins,
		Version: buildVersion().Version,
		Started: func(address string) { s.started(address, cfg) },
	})
	if err != nil {
		return errors.Join(err, record.Close())
	}
	err = serveHub(ctx, gateway, s, watch, hangups)
	return errors.Join(err, record.Close())
}

// A gateway is what runs here of [hub.Hub].
type gateway interface {
	Serve(context.Context) error
	Reload(hub.Config) error
}

// serveHub serves, and reloads meanwhile.
func serveHub(ctx context.Context, g gateway, s *hubSettings, watch *fileWatch, hangups <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	changes := make(chan struct{})
	var running sync.WaitGroup
	if watch != nil {
		running.Go(func() {
			watch.run(ctx, changes, func(err error) { s.log.Warn().Err(err).Msg("a change of the configuration may go unseen") })
		})
	}
	running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
			case <-changes:
			}
			s.reload(g)
		}
	})
	err := g.Serve(ctx)
	cancel()
	running.Wait()
	return err
}

// hubPins opens the lock file once for all servers: a tool that two of them offer shows in it.
func hubPins(c *config) (*integrity.File, error) {
	path, err := lockBeside(c.Path)
	if err != nil {
		return nil, err
	}
	return integrity.Open(path)
}

// errNoConfig is what a hub without a file says: it would serve nothing.
var errNoConfig = fmt.Errorf("there is no configuration to serve: name one with --config or $%s, or write %s here (`mcpx help` says where it is looked for)", configVariable, configName)
