package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// browserPatience is how long we wait to hear that no browser can be started.
const browserPatience = 5 * time.Second

func (a *app) dashboardCommand() *cobra.Command {
	var flag string
	var only bool
	command := &cobra.Command{
		Use:   "dashboard",
		Short: "Open the hub's dashboard in the browser",
		Long: `Dashboard asks the hub for a link that logs in once, within a minute, and opens it in the browser. The page shows what all
wrappers and the hub do: decisions as they are made, calls and latencies over time, which wrappers are alive, definitions that
wait for approval, and whether the record is whole.

It is for administrators: the hub's own user, and hub tokens made with --admin and without --server. Others who have such a token
log in at the same address with it.

Where there is no screen, such as over SSH, the link is printed, and how to reach it. Whoever opens a link first is in, and each
log-in is recorded. While a browser is started its command line holds the link, which other users of the machine may be able to
read: with --print it is only printed.`,
		Example: `  mcpx dashboard
  mcpx dashboard --print
  mcpx dashboard --hub https://hub.example.com`,
		Args:              operands(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withHub(flag, func(client *uplink.Client, t *hubTarget) error {
				link, err := client.Dashboard(c.Context())
				if err != nil {
					return explainDashboard(t, err)
				}
				return a.openDashboard(c.Context(), t, link, only)
			})
		},
	}
	addHubFlag(command, &flag)
	command.Flags().BoolVar(&only, "print", false, "print the link, and start no browser")
	return command
}

// explainDashboard says why there is no link, and what to do.
func explainDashboard(t *hubTarget, err error) error {
	refused, ok := errors.AsType[*uplink.StatusError](err)
	switch {
	case ok && refused.Code == uplink.CodeNoDashboard:
		return fmt.Errorf("the hub %s has no dashboard: leave admin.enabled: false out of its configuration and --admin none out of its command line, then start it again", t)
	case ok && refused.Status == http.StatusNotFound:
		return fmt.Errorf("the hub %s knows of no dashboard: it is older than this mcpx, so update it", t)
	case ok && refused.Status == http.StatusForbidden:
		return fmt.Errorf("the hub %s shows its dashboard to administrators only: on its machine, `mcpx hub token create --name NAME --admin` makes a token for one: %w", t, err)
	default:
		return t.explain(err)
	}
}

// openDashboard opens a link, or prints it where that cannot be done.
func (a *app) openDashboard(ctx context.Context, t *hubTarget, link uplink.DashboardLink, only bool) error {
	at, err := dashboardAddress(link.URL)
	if err != nil {
		return fmt.Errorf("the hub %s: %w", t, err)
	}
	if a.json {
		return a.printJSON(link)
	}
	far := link.Local && t.URL != "" && !uplink.LoopbackHost(hostOfURL(t.URL)) // it leads to this machine, and the hub is on another
	switch {
	case only:
		fmt.Fprintln(a.out, link.URL)
		return nil
	case far:
		a.printLink(link, "the dashboard listens on the hub's own machine alone.", hostOfURL(t.URL), at)
		return nil
	case screenless():
		host, err := os.Hostname()
		if err != nil {
			host = "THIS-MACHINE"
		}
		if !link.Local {
			host = ""
		}
		a.printLink(link, "there is no screen here.", host, at)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, browserPatience)
	defer cancel()
	if err := startBrowser(ctx, link.URL); err != nil {
		a.printLink(link, "no browser could be started ("+oneLine(err.Error())+").", "", at)
		return nil
	}
	fmt.Fprintf(a.out, "The dashboard opens in the browser: %s\nIf it does not, `mcpx dashboard --print` prints a link to open by hand.\n", at.Scheme+"://"+at.Host+at.Path)
	return nil
}

// printLink prints a link for somebody to open by hand. host: the machine whose port has to be forwarded first; "": none.
func (a *app) printLink(link uplink.DashboardLink, why, host string, at *url.URL) {
	fmt.Fprintln(a.out, "The link is not opened: "+why)
	if host != "" {
		_, port, err := net.SplitHostPort(at.Host)
		if err != nil {
			port = "80"
		}
		fmt.Fprintf(a.out, "On the machine with the browser, run first:\n  ssh -N -L %s:%s %s\n", port, at.Host, oneLine(host))
	}
	fmt.Fprintf(a.out, "Open it within a minute, it works once:\n  %s\n", link.URL)
}

// dashboardAddress reads a link. What is handed to a browser is an address of the web and nothing else, whatever a hub says; its
// login code stays out of what is returned.
func dashboardAddress(link string) (*url.URL, error) {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.String() != link {
		return nil, errors.New("the link that it gave is no address of a dashboard")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/dashboard"}, nil
}

func hostOfURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// overSSH reports whether we run in a session of SSH, whose user sees another screen.
func overSSH() bool { return os.Getenv("SSH_CONNECTION") != "" || os.Getenv("SSH_TTY") != "" }
