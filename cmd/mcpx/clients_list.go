package main

import (
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/wrap/clients"
)

func (a *app) clientsList() *cobra.Command {
	var pick clientPicks
	command := &cobra.Command{
		Use:   "list [CLIENT...]",
		Short: "List the clients that are found, their servers, and what stands before each",
		Long: `List shows each file, its servers and what they run: wrapped or not, remote (at a URL, without mcpx), or built into the client.
Values of variables and what looks like a secret are left out.

Exit codes: 0 all files could be read, 1 some could not.`,
		RunE: func(_ *cobra.Command, ids []string) error {
			files, err := pick.find(ids)
			if err != nil {
				return err
			}
			if a.json {
				err = a.printJSON(listReport(files))
			} else {
				err = a.printClients(files)
			}
			if err != nil {
				return err
			}
			for _, f := range files {
				if f.Err != nil {
					return &exitError{code: exitFailure}
				}
			}
			return nil
		},
	}
	pick.flags(command, false)
	return command
}

// clientsReport is what `clients list --json` prints.
type clientsReport struct {
	Files []clientFileReport `json:"files"`
}

type clientFileReport struct {
	Client  string               `json:"client"`
	Scope   clients.Scope        `json:"scope"`
	Path    string               `json:"path"`
	Error   string               `json:"error,omitempty"`
	Servers []clientServerReport `json:"servers"`
}

type clientServerReport struct {
	Name     string        `json:"name"`
	Project  string        `json:"project,omitempty"`
	State    clients.State `json:"state"`
	Disabled bool          `json:"disabled,omitempty"`
	Runs     []string      `json:"runs,omitempty"` // behind mcpx, if it is wrapped
	MCPX     string        `json:"mcpx,omitempty"` // what wraps it
	URL      string        `json:"url,omitempty"`
	Env      []string      `json:"env,omitempty"` // names
	Line     int           `json:"line"`
}

func listReport(files []clients.File) clientsReport {
	report := clientsReport{Files: []clientFileReport{}}
	for _, f := range files {
		file := clientFileReport{Client: f.Client.ID, Scope: f.Scope, Path: f.Path, Servers: []clientServerReport{}}
		if f.Err != nil {
			file.Error = f.Err.Error()
		}
		for i := range f.Servers {
			s := &f.Servers[i]
			server := clientServerReport{Name: s.Key, Project: s.Project, State: s.State, Disabled: s.Disabled, Runs: runs(s), URL: publicAddress(s.URL), Env: s.Env, Line: s.Line}
			if s.State == clients.Wrapped {
				server.MCPX = s.Command
			}
			file.Servers = append(file.Servers, server)
		}
		report.Files = append(report.Files, file)
	}
	return report
}

// runs is the command line of a server, without what looks like a secret.
func runs(s *clients.Server) []string {
	words := s.Inner
	if s.State == clients.Unwrapped {
		words = append([]string{s.Command}, s.Args...)
	}
	shown := make([]string, len(words))
	for i := range words {
		shown[i] = words[i]
		if i > 0 && clients.SecretArg(words, i) {
			shown[i] = "…"
			if flag, _, ok := strings.Cut(words[i], "="); ok && strings.HasPrefix(flag, "-") && !strings.ContainsAny(flag, ": ") { // the name of a flag, not a part of what is secret
				shown[i] = flag + "=…"
			}
		}
		if strings.Contains(words[i], "://") {
			shown[i] = publicAddress(words[i])
		}
	}
	return shown
}

// publicAddress is a URL without what may be secret in it.
func publicAddress(address string) string {
	if address == "" {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "…"
	}
	return shownURL(u)
}

func (a *app) printClients(files []clients.File) error {
	if len(files) == 0 {
		fmt.Fprintln(a.out, "No MCP client has settings on this machine that mcpx knows of: `mcpx clients --help` names those that it knows.")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	wrapped, open := 0, 0
	for i, f := range files {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s, %s\n", f.Client.Name, oneLine(f.Path))
		switch {
		case f.Err != nil:
			fmt.Fprintf(w, "  broken: %s\n", oneLine(f.Err.Error()))
		case len(f.Servers) == 0:
			fmt.Fprintln(w, "  no servers")
		}
		for k := range f.Servers {
			s := &f.Servers[k]
			switch s.State {
			case clients.Wrapped:
				wrapped++
			case clients.Unwrapped:
				open++
			case clients.Remote, clients.Builtin:
			}
			name := s.Key
			if s.Project != "" {
				name += " (" + s.Project + ")"
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\n", oneLine(name), shownState(s), oneLine(shownRuns(s)))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "\n%s wrapped, %d not", count(wrapped, "server"), open)
	if open > 0 {
		fmt.Fprint(a.out, ": `mcpx clients wrap` puts mcpx before them")
	}
	fmt.Fprintln(a.out)
	return nil
}

func shownState(s *clients.Server) string {
	state := string(s.State)
	if s.State == clients.Unwrapped {
		state = "not wrapped"
	}
	if s.Disabled {
		state += ", disabled"
	}
	return state
}

func shownRuns(s *clients.Server) string {
	switch {
	case s.State == clients.Builtin:
		return "part of the client"
	case s.URL != "":
		return publicAddress(s.URL)
	case len(s.Inner) == 0 && s.State == clients.Wrapped:
		return "what mcpx's configuration says of " + s.Name
	}
	return strings.Join(runs(s), " ")
}
