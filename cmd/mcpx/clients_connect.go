package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/wrap/clients"
)

const listingTimeout = 10 * time.Second

// hubPick is which hub, and which of its servers.
type hubPick struct {
	url       string
	servers   []string
	tokenFile string
}

func (p *hubPick) flags(command *cobra.Command) {
	command.Flags().StringVar(&p.url, "hub", "", "`URL` of the hub (default: the one that this machine is enrolled at, else the configuration's)")
	command.Flags().StringArrayVar(&p.servers, "server", nil, "only the hub's server `NAME`; may be repeated")
}

func (a *app) clientsConnect() *cobra.Command {
	var pick clientPicks
	var hub hubPick
	var cc clientChange
	command := &cobra.Command{
		Use:   "connect [CLIENT...]",
		Short: "Add the servers of a hub to clients",
		Long: `Connect adds the servers that a hub serves to the clients that are found, or to those that are named, each in the client's own
way to write a server at a URL. A client that knows commands only gets mcpx wrap --url. A server that a client has under the
same name stays what it is.

It asks the hub what it serves, unless each server is named. Credentials are not written anywhere: where the hub wants some,
give them to the client as it is used to, such as with a variable in a header.

Only this user's files are changed unless --scope or --file says otherwise. A client that has no file yet gets one if it is named.

Exit codes: 0 done, or nothing to do; 1 something could not be done.`,
		Example: `  mcpx clients connect --hub http://127.0.0.1:8080
  mcpx clients connect cursor --hub https://hub.example.com --server github --server docs`,
		RunE: func(c *cobra.Command, ids []string) error {
			return a.connectClients(c.Context(), &pick, &hub, &cc, ids)
		},
	}
	pick.flags(command, false)
	hub.flags(command)
	cc.flags(command)
	command.Flags().StringVar(&hub.tokenFile, "token-file", "", "`FILE` with the credential to ask the hub for its servers with; it is not given to clients")
	return command
}

func (a *app) connectClients(ctx context.Context, pick *clientPicks, hub *hubPick, cc *clientChange, ids []string) error {
	base, err := a.hubBase(hub.url)
	if err != nil {
		return err
	}
	names := hub.servers
	if len(names) == 0 {
		if names, err = hub.ask(ctx, base); err != nil {
			return fmt.Errorf("ask the hub at %s for its servers: %w", base, err)
		}
	}
	var servers []clients.HubServer
	for _, name := range names {
		if !policy.IsServerName(name) {
			return fmt.Errorf("%q is no name of a server", name)
		}
		servers = append(servers, clients.HubServer{Name: name, URL: base + "/mcp/" + name})
	}
	if len(servers) == 0 {
		return fmt.Errorf("the hub at %s serves nothing yet: add servers to its configuration", base)
	}
	files, err := connectFiles(pick, ids)
	if err != nil {
		return err
	}
	cc.verb = "connected"
	a.plan(cc, files, func(f *clients.File) (*clients.Change, error) {
		own, err := ourCommand(f.Scope)
		if err != nil {
			return nil, err
		}
		return f.Connect(servers, own)
	})
	return a.carryOut(cc)
}

// connectFiles gives the files to add servers to: one that is named, else those of the user.
func connectFiles(pick *clientPicks, ids []string) ([]clients.File, error) {
	if pick.file == "" && pick.scope == "" {
		pick.scope = string(clients.User)
	}
	files, err := pick.find(ids)
	if err != nil || pick.file != "" {
		return files, err
	}
	files = slices.DeleteFunc(files, func(f clients.File) bool { return f.Many })
	env, err := thisMachine()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if slices.ContainsFunc(files, func(f clients.File) bool { return f.Client.ID == id }) {
			continue
		}
		client, _ := clients.Lookup(id)
		f, ok := clients.New(env, client, clients.Scope(pick.scope))
		if !ok {
			return nil, fmt.Errorf("%s is not found on this machine: name its file with --file and --as", client.Name)
		}
		files = append(files, f)
	}
	return files, nil
}

// hubBase gives the URL that a hub's servers are below.
func (a *app) hubBase(flag string) (string, error) {
	if flag != "" {
		if err := secureURL("--hub", flag); err != nil {
			return "", err
		}
		return strings.TrimRight(flag, "/"), nil
	}
	c, err := a.loadConfig()
	if err != nil {
		return "", err
	}
	target, err := a.hubFor(c, "")
	if err != nil {
		return "", err
	}
	if target != nil && target.URL != "" {
		return strings.TrimRight(target.URL, "/"), nil
	}
	probe, err := newHealthProbe(c)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(probe.url, "/healthz"), nil
}

// ask gets the names of the servers that a hub serves.
func (p *hubPick) ask(ctx context.Context, base string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, listingTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/servers", nil)
	if err != nil {
		return nil, err
	}
	if p.tokenFile != "" {
		here, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		token, err := readSecret(here, p.tokenFile)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy, as for wrap
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return nil, failed.Err
	} else if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, errors.New("it wants a credential: give --token-file, or name the servers with --server")
	default:
		return nil, fmt.Errorf("it answers %s", response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, uplink.MaxDocument))
	if err != nil {
		return nil, err
	}
	var listing struct {
		Servers []struct {
			Name string `json:"name"`
		} `json:"servers"`
	}
	if err := json.Unmarshal(text, &listing); err != nil {
		return nil, errors.New("what it answers is no list of servers")
	}
	var names []string
	for _, s := range listing.Servers {
		names = append(names, s.Name)
	}
	return names, nil
}

func (a *app) clientsDisconnect() *cobra.Command {
	var pick clientPicks
	var hub hubPick
	var cc clientChange
	command := &cobra.Command{
		Use:   "disconnect [CLIENT...]",
		Short: "Remove the servers of a hub from clients again",
		Long: `Disconnect removes the entries of clients whose URL is one of the hub's servers, whoever wrote them, and the map that held
them if nothing else is in it.

Exit codes: 0 done, or nothing to do; 1 something could not be done.`,
		RunE: func(_ *cobra.Command, ids []string) error {
			base, err := a.hubBase(hub.url)
			if err != nil {
				return err
			}
			files, err := pick.find(ids)
			if err != nil {
				return err
			}
			cc.verb = "disconnected"
			a.plan(&cc, files, func(f *clients.File) (*clients.Change, error) {
				return f.Disconnect(func(s *clients.Server) bool {
					name, ok := strings.CutPrefix(s.URL, base+"/mcp/")
					return ok && policy.IsServerName(name) && (len(hub.servers) == 0 || slices.Contains(hub.servers, name))
				})
			})
			return a.carryOut(&cc)
		},
	}
	pick.flags(command, false)
	hub.flags(command)
	cc.flags(command)
	return command
}
