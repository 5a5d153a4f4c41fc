package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/policy"
)

// A pastedServer is one entry of an `mcpServers:` map as MCP clients write it, with a policy beside it.
type pastedServer struct {
	Type      string            `yaml:"type"`
	Transport string            `yaml:"transport"`
	Command   string            `yaml:"command"`
	Args      []string          `yaml:"args,scalars"`
	Env       map[string]string `yaml:"env,scalars"`
	Cwd       string            `yaml:"cwd"`
	Workdir   string            `yaml:"workdir"`
	URL       string            `yaml:"url"`
	ServerURL string            `yaml:"serverUrl"` // Windsurf
	HTTPURL   string            `yaml:"httpUrl"`   // Gemini CLI
	Headers   map[string]secret `yaml:"headers"`
	Disabled  bool              `yaml:"disabled"` // the entry is left out
	Enabled   *bool             `yaml:"enabled"`

	RequestTimeout time.Duration `yaml:"request_timeout"`
	Isolation      string        `yaml:"isolation"`
	Mode           string        `yaml:"mode"`
	Policy         policy.Config `yaml:"policy"`

	// What concerns the client alone is read and not used.
	Name                 ignored `yaml:"name"`
	Description          ignored `yaml:"description"`
	AutoApprove          ignored `yaml:"autoApprove"`
	AlwaysAllow          ignored `yaml:"alwaysAllow"`
	DisabledTools        ignored `yaml:"disabledTools"`
	Timeout              ignored `yaml:"timeout"`
	Trust                ignored `yaml:"trust"`
	IncludeTools         ignored `yaml:"includeTools"`
	ExcludeTools         ignored `yaml:"excludeTools"`
	Tools                ignored `yaml:"tools"`
	Gallery              ignored `yaml:"gallery"`
	Version              ignored `yaml:"version"`
	Source               ignored `yaml:"source"`
	WatchPaths           ignored `yaml:"watchPaths"`
	TransportType        ignored `yaml:"transportType"`
	StartupTimeout       ignored `yaml:"startup_timeout_sec"`
	ToolTimeout          ignored `yaml:"tool_timeout_sec"`
	DynamicHeadersHelper ignored `yaml:"headersHelper"`
}

// ignored takes any value, unread.
type ignored struct{}

// pasted turns the `mcpServers:` map into entries, by name.
func (d *document) pasted(entries map[string]pastedServer) []server {
	var servers []server
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		entry, path := entries[key], join("mcpServers", key)
		if entry.Disabled || entry.Enabled != nil && !*entry.Enabled {
			continue
		}
		s := server{
			Name:           policy.ServerName(key),
			URL:            cmp.Or(entry.URL, entry.HTTPURL, entry.ServerURL),
			Transport:      cmp.Or(entry.Transport, entry.Type),
			Command:        entry.Command,
			Args:           entry.Args,
			Env:            entry.Env,
			Workdir:        cmp.Or(entry.Workdir, entry.Cwd),
			RequestTimeout: entry.RequestTimeout,
			Isolation:      entry.Isolation,
			Headers:        entry.Headers,
			Mode:           entry.Mode,
			Policy:         entry.Policy,
			path:           path,
		}
		switch strings.ToLower(s.Transport) {
		case "streamable-http", "streamablehttp", "streamable_http":
			s.Transport = transportHTTP
		}
		if s.Name == "" {
			d.problem(path, fmt.Errorf("%q gives no server name: use letters or digits", key))
			continue
		}
		if s.URL == "" && s.Command == "" && !d.hasProblem(join(path, "command")) && !d.hasProblem(join(path, "url")) {
			d.problem(path, errors.New("has neither command nor url"))
			continue
		}
		servers = append(servers, s)
	}
	return servers
}
