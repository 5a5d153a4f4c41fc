package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
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
	admin  string // in place of the configuration's admin; hubNone: no dashboard
	watch  bool
	socket string // "": where wrappers look for it
}

// gcPercent lets a gateway, whose heap is a few megabytes, collect less often: with 16 calls in flight that is a tenth of its
// CPU. $GOGC has the last word.
const gcPercent = 400

// memoryLimit is where a heap, in bytes, is large enough to be collected often after all. $GOMEMLIMIT has the last word.
const memoryLimit = 1 << 30

func (a *app) hubCommand() *cobra.Command {
	var f hubFlags
	cmd := &cobra.Command{
		Use:   "hub [flags]",
		Short: "Run the hub: what wrappers report to and take rules from, and a gateway to servers",
		Long: `hub is the place where all wrappers come together. Without a configuration it listens on this machine alone: wrappers of
this user find it by themselves, send it the events of their audit logs, and take rules, approved pins and revocations
from it. ` + "`mcpx hub status`" + ` shows them all, and ` + "`mcpx dashboard`" + ` opens a page to look at. Other machines need a token and its URL: see ` + "`mcpx hub token create --help`" + `.

It is also one address for all servers of mcpx.yaml: http://ADDRESS/mcp/NAME is the server NAME, whether it has a
url or a command. It decides on every message as wrap does, by the same policy, pins and audit log, and adds what
only a gateway can: authentication, limits per client, one child for many clients, health and metrics. The policy of
each entry, also of one with a name and a policy alone, binds wrappers of that name as well.

The configuration is read again on SIGHUP, and with --watch after every change of the file; SIGHUP also reads again
what the file names, such as a token_file. A file with problems is refused whole: what was served goes on, and one
line of the log names all problems. What is under way ends by the rules under which it began. Audit log and store are
opened once: a change of their sections waits for a restart.

SIGINT and SIGTERM end the hub after what is under way; a second one ends it at once. The log goes to stderr, as
JSON where that is no terminal; its level is info unless --log-level says otherwise.

For compatibility, flags alone start the hub as well: mcpx -c mcpx.yaml -watch.

Exit codes: 0 ended by a signal, 1 failed (configuration, address, store, audit log), 2 the flags.`,
		Example: `  mcpx hub                                   for the wrappers of this user
  mcpx hub -c mcpx.yaml --watch --listen 127.0.0.1:9000
  mcpx hub token create --name alice         let another machine use it
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
	flags.StringVar(&f.admin, "admin", "", "`ADDRESS` of the dashboard, in place of the configuration's; none: no dashboard")
	flags.BoolVar(&f.watch, "watch", false, "read the configuration again whenever the file changes")
	flags.StringVar(&f.socket, "socket", "", "`PATH` of the socket for this user's own wrappers, which then need --hub PATH; none: no such socket")
	_ = cmd.RegisterFlagCompletionFunc("listen", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("admin", cobra.FixedCompletions([]cobra.Completion{hubNone}, cobra.ShellCompDirectiveNoFileComp))
	cmd.AddCommand(a.hubTokenCommand())
	cmd.AddCommand(a.hubAdminCommands()...)
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
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
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
	service, err := a.openService(ctx, s, f)
	if err != nil {
		return err
	}
	gateway, err := hub.New(ctx, cfg, hub.Options{
		Log:        s.log,
		Record:     service.record,
		Pins:       s.pins,
		Tracer:     service.tracer(),
		Version:    buildVersion().Version,
		Store:      service.store,
		Key:        service.key,
		Local:      service.door,
		LocalToken: service.secret,
		Listen:     s.listenAt,
		Started:    func(address string) { s.started(address, cfg, service) },

		ListenAdmin: s.listenAdmin,
		Dashboard:   func(url string) { s.dashboard(url, cfg, service) },
	})
	if err != nil {
		return errors.Join(err, service.close())
	}
	defer context.AfterFunc(ctx, func() {
		s.log.Info().Msg("mcpx hub is stopping when what is under way has ended; a second signal ends it at once")
	})()
	err = serveHub(ctx, gateway, s, watch, hangups)
	if err = errors.Join(err, service.close()); err == nil {
		s.log.Info().Msg("mcpx hub has stopped")
	}
	return err
}

// A gateway is what runs here of [hub.Hub].
type gateway interface {
	Serve(context.Context) error
	Reload(hub.Config) error
	Refused()
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
	if c.Path == "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("make the state folder: %w", err)
		}
	}
	return integrity.Open(path)
}
