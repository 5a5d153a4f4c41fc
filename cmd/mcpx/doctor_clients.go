package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rohitgs28/mcpx/wrap/clients"
)

// thisMachine is where clients are looked for: the user's files, and those of the project that we are in.
func thisMachine() (clients.Env, error) {
	self, err := os.Executable()
	if err != nil {
		return clients.Env{}, fmt.Errorf("find mcpx itself: %w", err)
	}
	folder, err := os.Getwd()
	if err != nil {
		return clients.Env{}, err
	}
	return clients.ThisMachine(folder, self)
}

// checkClients looks at the files of all MCP clients: what is not behind mcpx is neither judged nor recorded.
func (a *app) checkClients(context.Context) []finding {
	env, err := thisMachine()
	if err != nil {
		return []finding{{Severity: problemFound, What: err.Error()}}
	}
	behind := a.hubHosts()
	files := clients.Find(env)
	if len(files) == 0 {
		return []finding{ok("no MCP client has its settings on this machine")}
	}
	var found []finding
	for _, file := range files {
		if file.Err != nil {
			found = append(found, finding{Severity: problemFound, What: file.Client.Name + ": the file cannot be read", Where: fmt.Sprintf("%s:%v", file.Path, file.Err), Fix: "mend it: the client may ignore it as well"})
			continue
		}
		found = append(found, clientFindings(file, env.Self, behind)...)
	}
	return found
}

// hubHosts gives host and port of every hub that this machine knows of: a client that reaches a server there is covered.
func (a *app) hubHosts() map[string]bool {
	hosts := map[string]bool{}
	c, err := a.loadConfig()
	if err != nil {
		return hosts
	}
	if _, port, err := net.SplitHostPort(c.Listen); err == nil {
		for _, host := range []string{"127.0.0.1", "localhost", "::1"} {
			hosts[net.JoinHostPort(host, port)] = true
		}
	}
	if t, err := a.hubFor(c, ""); err == nil && t.URL != "" {
		if u, err := url.Parse(t.URL); err == nil {
			hosts[u.Host] = true
		}
	}
	return hosts
}

func behindHub(address string, hubs map[string]bool) bool {
	u, err := url.Parse(address)
	return err == nil && hubs[u.Host] && strings.Contains(u.Path, "/mcp/")
}

func clientFindings(file clients.File, self string, hubs map[string]bool) []finding {
	var open, remote, covered []string
	var found []finding
	for _, s := range file.Servers {
		switch {
		case s.Disabled, s.State == clients.Builtin:
		case s.State == clients.Unwrapped:
			open = append(open, s.Key)
		case s.State == clients.Remote && behindHub(s.URL, hubs):
			covered = append(covered, s.Key)
		case s.State == clients.Remote:
			remote = append(remote, s.Key)
		case s.State == clients.Wrapped:
			covered = append(covered, s.Key)
			if f, bad := otherMCPX(s.Command, self); bad {
				f.What = fmt.Sprintf("%s: %s: %s", file.Client.Name, s.Key, f.What)
				f.Where, f.Fix = file.Path, "mcpx clients wrap "+file.Client.ID
				found = append(found, f)
			}
		}
	}
	if len(open) > 0 {
		found = append(found, finding{Severity: problemFound, Where: file.Path, Fix: "mcpx clients wrap " + file.Client.ID,
			What: fmt.Sprintf("%s: not behind mcpx: %s", file.Client.Name, few(open))})
	}
	if len(remote) > 0 {
		found = append(found, finding{Severity: noteFound, Where: file.Path, Fix: "put a hub before them, or mcpx wrap --url",
			What: fmt.Sprintf("%s: reached without mcpx, by URL: %s", file.Client.Name, few(remote))})
	}
	if len(found) == 0 {
		sound := ok("%s: %s", file.Client.Name, count(len(covered), "server")+" behind mcpx")
		sound.Where = file.Path
		found = append(found, sound)
	}
	return found
}

// otherMCPX tells what is wrong with the mcpx that a client starts.
func otherMCPX(command, self string) (finding, bool) {
	path, err := exec.LookPath(command)
	if err != nil {
		return finding{Severity: problemFound, What: fmt.Sprintf("the mcpx that it starts is not there: %s", command)}, true
	}
	theirs, err := os.Stat(path)
	if err != nil {
		return finding{Severity: problemFound, What: fmt.Sprintf("the mcpx that it starts cannot be used: %v", err)}, true
	}
	if ours, err := os.Stat(self); err == nil && !os.SameFile(ours, theirs) {
		return finding{Severity: noteFound, What: fmt.Sprintf("it starts another mcpx than this one, perhaps of another version: %s", path)}, true
	}
	return finding{}, false
}

// A reach is a server that somebody wants to reach.
type reach struct {
	name, where string
	command     string
	folder      string // that a command with a relative path starts at
	path        string // PATH of its own
	url         string
}

// checkServers looks whether what would be started is there, and whether anything answers at a URL. It starts nothing.
func (a *app) checkServers(ctx context.Context) []finding {
	wanted := a.wantedServers()
	found := make([]*finding, len(wanted))
	var running sync.WaitGroup
	turn := make(chan struct{}, 16)
	for i, w := range wanted {
		running.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			found[i] = w.look(ctx)
		})
	}
	running.Wait()
	var missing []finding
	for _, f := range found {
		if f != nil {
			missing = append(missing, *f)
		}
	}
	if len(missing) == 0 && len(wanted) > 0 {
		return []finding{ok("%s: every command is there, every URL answers", count(len(wanted), "server"))}
	}
	return missing
}

// wantedServers lists the servers of the configuration and of all clients, each command and URL once.
func (a *app) wantedServers() []reach {
	var wanted []reach
	seen := map[string]bool{}
	add := func(w reach) {
		key := w.command + "\x00" + w.folder + "\x00" + w.path + "\x00" + w.url
		if (w.command != "" || w.url != "") && !seen[key] {
			seen[key] = true
			wanted = append(wanted, w)
		}
	}
	if c, err := a.loadConfig(); err == nil {
		for _, s := range c.Servers {
			add(reach{name: s.Name, where: c.Path, command: s.Command, folder: s.Workdir, path: s.Env["PATH"], url: s.URL})
		}
	}
	env, err := thisMachine()
	if err != nil {
		return wanted
	}
	for _, file := range clients.Find(env) {
		for _, s := range file.Servers {
			w := reach{name: s.Key, where: file.Path, folder: s.Project, url: s.URL}
			switch {
			case s.Disabled, s.State == clients.Builtin:
				continue
			case s.State == clients.Wrapped && len(s.Inner) > 0:
				w.command = s.Inner[0]
			case s.State == clients.Unwrapped:
				w.command = s.Command
			}
			add(w)
		}
	}
	return wanted
}

func (w reach) look(ctx context.Context) *finding {
	if w.url != "" {
		return w.ask(ctx)
	}
	command := w.command
	switch {
	case strings.Contains(command, "$"):
		return nil // the client fills something in
	case strings.ContainsRune(command, filepath.Separator) && !filepath.IsAbs(command):
		command = filepath.Join(w.folder, command)
	case w.path != "" && !strings.ContainsRune(command, filepath.Separator):
		for _, folder := range filepath.SplitList(w.path) {
			if _, err := exec.LookPath(filepath.Join(folder, command)); err == nil {
				return nil
			}
		}
	}
	if _, err := exec.LookPath(command); err != nil {
		return &finding{Severity: problemFound, What: fmt.Sprintf("%s: its command is not found: %s", w.name, w.command), Where: w.where, Fix: "install it, or name it by its whole path"}
	}
	return nil
}

// ask wants any answer of a URL, whatever it says: it comes without the credentials of those who use it.
func (w reach) ask(ctx context.Context) *finding {
	address := strings.Replace(strings.Replace(w.url, "wss://", "https://", 1), "ws://", "http://", 1)
	if strings.Contains(address, "$") {
		return nil // the client fills something in
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return &finding{Severity: problemFound, What: w.name + ": its URL is none", Where: w.where}
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return &finding{Severity: problemFound, What: fmt.Sprintf("%s: %s does not answer", w.name, shownURL(request.URL)), Where: w.where, Fix: "start it, or look at the network"}
	}
	_ = response.Body.Close()
	return nil
}
