package clients

// A Scope says for whom a file is.
type Scope string

// The scopes of a file.
const (
	User    Scope = "user"
	Project Scope = "project"
)

type format string

const (
	formatJSON format = "JSON"
	formatTOML format = "TOML"
	formatYAML format = "YAML"
)

// A Client is a program that starts MCP servers, or speaks to them.
type Client struct {
	ID      string // as on our command line
	Name    string // as its makers write it
	Restart string // what makes it read its files again

	files   []place
	command string // what the member with a server's command is called; "": command
	// remote is how a server at a URL is written: names and values, in this order, {url} and {name} filled in. None: the client
	// starts commands only, and gets one that speaks to the URL.
	remote []pair
}

type pair struct{ name, value string } // the value is JSON

// A place is a file of a client, as Env.expand reads it. It may be a glob pattern.
type place struct {
	scope  Scope
	path   string
	format format
	os     string // systems, with spaces between; "": all
	maps   []servers
}

// servers says where in a file the servers are: the names of members on the way, * for each of them.
type servers struct {
	path []string
	skip []string // members that are no servers
	list bool     // an array whose items have a name, in place of an object
}

var (
	mcpServers  = []servers{{path: []string{"mcpServers"}}}
	codeServers = []servers{{path: []string{"servers"}}}
	zedServers  = []servers{{path: []string{"context_servers"}}}
	// Version 2 of OpenCode has its servers one level deeper than version 1.
	openCode     = []servers{{path: []string{"mcp", "servers"}}, {path: []string{"mcp"}, skip: []string{"servers", "timeout"}}}
	continueList = []servers{{path: []string{"mcpServers"}, list: true}}
)

// All is the table of clients that are known, by ID. Where a client's makers document a variable that moves its files, it is here.
func All() []Client { return append([]Client(nil), table...) }

// Lookup returns the client of an ID.
func Lookup(id string) (Client, bool) {
	for _, c := range table {
		if c.ID == id {
			return c, true
		}
	}
	return Client{}, false
}

var table = []Client{
	{
		ID: "claude-code", Name: "Claude Code", Restart: "start a new session, or run /mcp in it",
		files: []place{
			// Its top is for all projects; those that a person added for one project alone are below that project's folder.
			{User, "{CLAUDE_CONFIG_DIR:~}/.claude.json", formatJSON, "", []servers{
				{path: []string{"mcpServers"}}, {path: []string{"projects", "*", "mcpServers"}},
			}},
			{Project, ".mcp.json", formatJSON, "", mcpServers},
		},
		remote: []pair{{"type", `"http"`}, {"url", `{url}`}},
	},
	{
		ID: "claude-desktop", Name: "Claude Desktop", Restart: "quit it, from its menu, and open it again",
		files: []place{{User, "{app}/Claude/claude_desktop_config.json", formatJSON, "", mcpServers}},
	},
	{
		ID: "cline", Name: "Cline", Restart: "nothing to do: it notices",
		files: []place{
			{User, "{CLINE_MCP_SETTINGS_PATH:~/.cline/data/settings/cline_mcp_settings.json}", formatJSON, "", mcpServers},
			{User, "{app}/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json", formatJSON, "", mcpServers},
			{User, "{app}/Code - Insiders/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json", formatJSON, "", mcpServers},
			{User, "{app}/Cursor/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json", formatJSON, "", mcpServers},
			{User, "{app}/VSCodium/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json", formatJSON, "", mcpServers},
		},
		remote: []pair{{"type", `"streamableHttp"`}, {"url", `{url}`}},
	},
	{
		ID: "codex", Name: "Codex", Restart: "start a new session",
		files: []place{
			{User, "{CODEX_HOME:~/.codex}/config.toml", formatTOML, "", []servers{{path: []string{"mcp_servers"}}}},
			{Project, ".codex/config.toml", formatTOML, "", []servers{{path: []string{"mcp_servers"}}}},
		},
		remote: []pair{{"url", `{url}`}},
	},
	{
		ID: "continue", Name: "Continue", Restart: "reload the window of the editor",
		files: []place{
			{User, "~/.continue/config.yaml", formatYAML, "", continueList},
			{User, "~/.continue/mcpServers/*.yaml", formatYAML, "", continueList},
			{User, "~/.continue/mcpServers/*.json", formatJSON, "", mcpServers},
			{Project, ".continue/mcpServers/*.yaml", formatYAML, "", continueList},
			{Project, ".continue/mcpServers/*.yml", formatYAML, "", continueList},
			{Project, ".continue/mcpServers/*.json", formatJSON, "", mcpServers},
		},
		remote: []pair{{"type", `"streamable-http"`}, {"url", `{url}`}},
	},
	{
		ID: "copilot-cli", Name: "GitHub Copilot CLI", Restart: "start a new session",
		files: []place{
			{User, "{COPILOT_HOME:~/.copilot}/mcp-config.json", formatJSON, "", mcpServers},
			{Project, ".github/mcp.json", formatJSON, "", mcpServers}, // and .mcp.json, which is listed with Claude Code
		},
		remote: []pair{{"type", `"http"`}, {"url", `{url}`}, {"tools", `["*"]`}},
	},
	{
		ID: "cursor", Name: "Cursor", Restart: "switch the servers off and on in its settings, or restart it",
		files: []place{
			{User, "~/.cursor/mcp.json", formatJSON, "", mcpServers},
			{Project, ".cursor/mcp.json", formatJSON, "", mcpServers},
		},
		remote: []pair{{"url", `{url}`}},
	},
	{
		ID: "gemini-cli", Name: "Gemini CLI", Restart: "start a new session",
		files: []place{
			{User, "{GEMINI_CLI_HOME:~}/.gemini/settings.json", formatJSON, "", mcpServers},
			{Project, ".gemini/settings.json", formatJSON, "", mcpServers},
		},
		remote: []pair{{"httpUrl", `{url}`}}, // its url is for the deprecated HTTP+SSE
	},
	{
		ID: "goose", Name: "Goose", Restart: "start a new session",
		files: []place{
			{User, "{XDG_CONFIG_HOME:~/.config}/goose/config.yaml", formatYAML, "linux darwin", []servers{{path: []string{"extensions"}}}},
			{User, "{app}/Block/goose/config/config.yaml", formatYAML, "windows", []servers{{path: []string{"extensions"}}}},
		},
		command: "cmd",
		remote: []pair{
			{"enabled", `true`}, {"type", `"streamable_http"`}, {"name", `{name}`}, {"description", `"through mcpx"`},
			{"uri", `{url}`}, {"timeout", `300`},
		},
	},
	{
		ID: "opencode", Name: "OpenCode", Restart: "start a new session",
		files: []place{
			{User, "{XDG_CONFIG_HOME:~/.config}/opencode/opencode.json", formatJSON, "", openCode},
			{User, "{XDG_CONFIG_HOME:~/.config}/opencode/opencode.jsonc", formatJSON, "", openCode},
			{User, "{OPENCODE_CONFIG:}", formatJSON, "", openCode},
			{Project, "opencode.json", formatJSON, "", openCode},
			{Project, "opencode.jsonc", formatJSON, "", openCode},
			{Project, ".opencode/opencode.json", formatJSON, "", openCode},
			{Project, ".opencode/opencode.jsonc", formatJSON, "", openCode},
		},
		remote: []pair{{"type", `"remote"`}, {"url", `{url}`}},
	},
	{
		ID: "roo", Name: "Roo Code", Restart: "nothing to do: it notices",
		files: []place{
			{User, "{app}/Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json", formatJSON, "", mcpServers},
			{User, "{app}/Code - Insiders/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json", formatJSON, "", mcpServers},
			{User, "{app}/Cursor/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json", formatJSON, "", mcpServers},
			{User, "{app}/VSCodium/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json", formatJSON, "", mcpServers},
			{Project, ".roo/mcp.json", formatJSON, "", mcpServers},
		},
		remote: []pair{{"type", `"streamable-http"`}, {"url", `{url}`}},
	},
	{
		ID: "vscode", Name: "VS Code", Restart: "run MCP: List Servers and restart them, or reload the window",
		files: []place{
			{User, "{app}/Code/User/mcp.json", formatJSON, "", codeServers},
			{User, "{app}/Code/User/profiles/*/mcp.json", formatJSON, "", codeServers},
			{User, "{app}/Code - Insiders/User/mcp.json", formatJSON, "", codeServers},
			{User, "{app}/Code - Insiders/User/profiles/*/mcp.json", formatJSON, "", codeServers},
			{User, "{app}/VSCodium/User/mcp.json", formatJSON, "", codeServers},
			{Project, ".vscode/mcp.json", formatJSON, "", codeServers},
		},
		remote: []pair{{"type", `"http"`}, {"url", `{url}`}},
	},
	{
		ID: "windsurf", Name: "Windsurf", Restart: "press refresh in its list of MCP servers",
		files: []place{
			{User, "~/.codeium/windsurf/mcp_config.json", formatJSON, "", mcpServers},
			{User, "~/.codeium/windsurf-next/mcp_config.json", formatJSON, "", mcpServers},
			{User, "~/.codeium/mcp_config.json", formatJSON, "", mcpServers},
		},
		remote: []pair{{"serverUrl", `{url}`}},
	},
	{
		ID: "zed", Name: "Zed", Restart: "nothing to do: it notices",
		files: []place{
			{User, "{XDG_CONFIG_HOME:~/.config}/zed/settings.json", formatJSON, "linux", zedServers},
			{User, "~/.var/app/dev.zed.Zed/config/zed/settings.json", formatJSON, "linux", zedServers},
			{User, "~/.config/zed/settings.json", formatJSON, "darwin", zedServers},
			{User, "{app}/Zed/settings.json", formatJSON, "windows", zedServers},
			{Project, ".zed/settings.json", formatJSON, "", zedServers},
		},
		remote: []pair{{"url", `{url}`}},
	},
}
