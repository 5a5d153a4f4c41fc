package main

import "maps"

// What the schema says of keys beyond what their Go types say. Tests hold the table to the types, the words to what
// the loader takes, and the standard values to the defaults.

// A keyText explains one key.
type keyText struct {
	text     string
	words    []string // the only values; nil: as the type says
	pattern  string   // of text, beside a variable; "": any
	standard any      // what holds where the file is silent; nil: nothing, or what the text says
}

// requiredKeys are the keys without which an object of that name is refused.
func requiredKeys(object string) []string {
	switch object {
	case "server", "auth_client":
		return []string{"name"}
	default:
		return nil
	}
}

// describe finds the text of a key. An override has the keys of a policy, a pasted server those of a server.
func (w *schemaWriter) describe(object, key string) (keyText, bool) {
	for _, path := range []string{object + "." + key, map[string]string{"override": "policy.", "pasted_server": "server."}[object] + key} {
		if text, ok := w.texts[path]; ok {
			return text, true
		}
	}
	return keyText{}, false
}

// keyTexts gives the text of each key, OBJECT.KEY. It is a function so that no other command pays for the tables.
func keyTexts() map[string]keyText {
	all := serverTexts()
	maps.Copy(all, policyTexts())
	maps.Copy(all, sectionTexts())
	maps.Copy(all, hubTexts())
	return all
}

// serverTexts explains the top of the file and the entries of servers.
func serverTexts() map[string]keyText {
	return map[string]keyText{
		".listen":          {text: "Address of the hub, host:port or :port. Beyond this machine, use auth.", standard: "127.0.0.1:8080"},
		".tls":             {text: "Certificate of the hub. Without it, plain HTTP."},
		".servers":         {text: "The servers: what they are, and what is allowed with them."},
		".mcpServers":      {text: "Servers as MCP clients write them, by name; pasted from a client's file."},
		".auth":            {text: "Who may use the hub."},
		".clients":         {text: "What each client is denied beyond the servers' own policies, by the client's name."},
		".rate_limit":      {text: "Messages per second: a bucket per server, and where they are on, per tool and per client. All must have room."},
		".circuit_breaker": {text: "When the hub stops asking a server that keeps failing."},
		".inspection":      {text: "What becomes of tools, prompts and instructions that differ from their pins."},
		".limits":          {text: "What a peer can make mcpx hold or do."},
		".cors":            {text: "Which pages of browsers may use the hub."},
		".audit":           {text: "One event per decision and per outcome, chained by hashes."},
		".hub":             {text: "Where wrappers find their hub. Without it: where `mcpx login` enrolled, else the hub of this user on this machine."},
		".store":           {text: "Where the hub keeps the events of all wrappers, tokens and approvals."},
		".otel":            {text: "Where traces and metrics go, by OpenTelemetry's OTLP over HTTP. The standard variables OTEL_* win over it. Without either: nowhere."},
		".admin":           {text: "Where people look at what the hub knows, in a browser: mcpx dashboard opens it."},

		"server.name":            {text: "The {server} in /mcp/{server}, for --name, in the audit log and in mcpx.lock.", pattern: `^[a-z0-9][a-z0-9_-]*$`},
		"server.url":             {text: "Address of a server that is reached over the network."},
		"server.transport":       {text: "What the server speaks: with a command stdio; with a url http (Streamable HTTP, the default), sse (deprecated) or websocket.", words: []string{"http", "stdio", "sse", "websocket"}},
		"server.command":         {text: "Program of a server that is started here."},
		"server.args":            {text: "Arguments of the command. Numbers need no quotes."},
		"server.env":             {text: "Variables of the command's environment."},
		"server.workdir":         {text: "Folder where the command runs. A relative one starts at the folder of this file."},
		"server.request_timeout": {text: "How long the hub waits for a sign of life of a request.", standard: "30s"},
		"server.isolation":       {text: "Who shares a child of the hub: shared, all clients; client, one each; session, one per session.", words: []string{"shared", "client", "session"}, standard: "shared"},
		"server.headers":         {text: "Sent with every request to the url, such as the hub's own credential. The client's never is."},
		"server.mode":            {text: "enforce, or shadow: the policy and the clients' overrides are evaluated and recorded, but what they deny passes.", words: []string{modeEnforce, modeShadow}, standard: modeEnforce},
		"server.policy":          {text: "What is allowed with this server. Without it every well-formed message passes."},

		"pasted_server.type":        {text: "The same as transport.", words: []string{"http", "streamable-http", "streamableHttp", "streamable_http", "stdio", "sse", "websocket"}},
		"pasted_server.transport":   {text: "What the server speaks.", words: []string{"http", "streamable-http", "streamableHttp", "streamable_http", "stdio", "sse", "websocket"}},
		"pasted_server.cwd":         {text: "The same as workdir."},
		"pasted_server.serverUrl":   {text: "The same as url."},
		"pasted_server.httpUrl":     {text: "The same as url."},
		"pasted_server.disabled":    {text: "true leaves the entry out.", standard: false},
		"pasted_server.enabled":     {text: "false leaves the entry out.", standard: true},
		"pasted_server.name":        {text: "For the client alone; not used: the name is the key."},
		"pasted_server.description": {text: "For the client alone; not used."},
	}
}

// policyTexts explains what is allowed, and for whom.
func policyTexts() map[string]keyText {
	allowOrDeny := []string{"allow", "deny"}
	return map[string]keyText{
		"policy.allow_tools":     {text: "Names of tools, or patterns such as list_*. Empty: all."},
		"policy.deny_tools":      {text: "Names of tools, or patterns. Wins over allow_tools."},
		"policy.read_only":       {text: "true: tools are listed, and every call is denied.", standard: false},
		"policy.tool_rules":      {text: "Rules for arguments, by the name of a tool or a pattern. Every entry that matches applies."},
		"policy.allow_resources": {text: "URIs of resources, or patterns: * stops at a slash, ** does not. Empty: all."},
		"policy.deny_resources":  {text: "URIs of resources, or patterns. Wins over allow_resources."},
		"policy.allow_prompts":   {text: "Names of prompts, or patterns. Empty: all."},
		"policy.deny_prompts":    {text: "Names of prompts, or patterns. Wins over allow_prompts."},
		"policy.server_requests": {text: "What the server may ask of the client."},
		"policy.allow_methods":   {text: "Methods, or patterns such as vendor/*, that mcpx does not know and lets pass."},
		"policy.on_deny":         {text: "What a denied call gets: an error, or a tool result with isError, which the model can read.", words: []string{"error", "tool_error"}, standard: "error"},
		"policy.hide_denied":     {text: "true: a denied tool or prompt is answered for as if it did not exist.", standard: false},

		"server_requests.sampling":    {text: "To ask the client's model.", words: allowOrDeny, standard: "allow"},
		"server_requests.elicitation": {text: "To ask the user.", words: allowOrDeny, standard: "allow"},
		"server_requests.roots":       {text: "To know the client's folders.", words: allowOrDeny, standard: "allow"},

		"tool_rule.args":              {text: "Constraints by argument; a key with a slash in front is a JSON Pointer into nested objects."},
		"tool_rule.deny_unknown_args": {text: "true: only arguments that a matching rule names.", standard: false},

		"constraint.equals":    {text: "Exactly this value."},
		"constraint.one_of":    {text: "One of these values."},
		"constraint.prefix":    {text: "Literal start. \"/data/\" lets \"/data/../etc\" pass: for paths use within."},
		"constraint.suffix":    {text: "Literal end."},
		"constraint.regex":     {text: "RE2, searched: it must say ^ and $ itself."},
		"constraint.not_regex": {text: "RE2, searched: it must not be found."},
		"constraint.matches":   {text: "RE2 for the whole value; line breaks never match."},
		"constraint.within":    {text: "An absolute path that stays inside a directory, or one of several. Implies required."},
		"constraint.host_in":   {text: "A URL whose host is one of these, host or host:port."},
		"constraint.min":       {text: "Least number."},
		"constraint.max":       {text: "Greatest number."},
		"constraint.max_len":   {text: "Most characters."},
		"constraint.required":  {text: "true: there, and not null.", standard: false},
		"constraint.optional":  {text: "true: may be absent, in spite of within.", standard: false},

		"client.servers": {text: "By the server's name, rules that must allow as well."},
	}
}

// sectionTexts explains what holds for all servers.
func sectionTexts() map[string]keyText {
	return map[string]keyText{
		"tls.cert_file":      {text: "Certificate and its chain, PEM. Read again when it changes."},
		"tls.key_file":       {text: "Private key of the certificate, PEM."},
		"tls.client_ca_file": {text: "Authorities, PEM. Clients then need a certificate of one of them (mutual TLS)."},

		"auth.enabled":      {text: "true where the section stands and this key does not."},
		"auth.type":         {text: "bearer: Authorization; api_key: X-API-Key; oauth: a JWT, as the section oauth says.", words: []string{"bearer", "api_key", "oauth"}, standard: "bearer"},
		"auth.token":        {text: "One credential that all clients share. Better: clients."},
		"auth.token_file":   {text: "A file that holds the token."},
		"auth.clients":      {text: "Clients with a credential each."},
		"auth.oauth":        {text: "OAuth 2.1: whose tokens are taken."},
		"auth.public_paths": {text: "Paths that need no credential, such as /metrics."},

		"auth_client.name":       {text: "Of the client, in the audit log, in metrics and under clients."},
		"auth_client.token":      {text: "Its credential."},
		"auth_client.token_file": {text: "A file that holds its credential."},

		"oauth.resource":              {text: "URL of this gateway: the audience that tokens must name (RFC 8707)."},
		"oauth.jwks_uri":              {text: "Where the issuer publishes its keys."},
		"oauth.issuer":                {text: "The iss that tokens must have. Without it, any."},
		"oauth.authorization_servers": {text: "What clients are told about where to get a token (RFC 9728)."},
		"oauth.identity_claim":        {text: "The claim that names the client.", standard: "sub"},
		"oauth.required_scopes":       {text: "Scopes that every token must have."},

		"rate_limit.enabled":      {text: "true where the section stands and this key does not."},
		"rate_limit.rps":          {text: "Messages per second and server. 0: no such limit."},
		"rate_limit.burst":        {text: "Size of the server's bucket. 0: the rate."},
		"rate_limit.per_tool":     {text: "A bucket for each tool as well.", standard: false},
		"rate_limit.tool_rps":     {text: "Calls per second and tool."},
		"rate_limit.tool_burst":   {text: "Size of a tool's bucket. 0: the rate."},
		"rate_limit.per_client":   {text: "A bucket for each client as well.", standard: false},
		"rate_limit.client_rps":   {text: "Messages per second and client."},
		"rate_limit.client_burst": {text: "Size of a client's bucket. 0: the rate."},

		"circuit_breaker.enabled":           {text: "true where the section stands and this key does not."},
		"circuit_breaker.failure_threshold": {text: "Failures in a row after which a server is not asked.", standard: 5},
		"circuit_breaker.cooldown":          {text: "How long it is not asked.", standard: "30s"},
		"circuit_breaker.half_open_max":     {text: "Requests at a time that try it afterwards.", standard: 1},

		"inspection.tool_integrity":    {text: "What differs from its pin: enforce, it is withheld; warn, it is recorded; off.", words: []string{"off", "warn", "enforce"}, standard: "enforce"},
		"inspection.filter_tools_list": {text: "Take denied tools out of lists.", standard: true},
		"inspection.new_tools":         {text: "What appears after the first list: allow, it is pinned; quarantine, it waits for approval.", words: []string{"allow", "quarantine"}, standard: "allow"},
		"inspection.shadowed_tools":    {text: "A tool name that two servers offer: warn, it is recorded; enforce, it is withheld.", words: []string{"warn", "enforce"}, standard: "warn"},

		"limits.max_message": {text: "Size of one message of a server, and of one line over stdio.", standard: "64MB"},
		"limits.max_body":    {text: "Size of one HTTP body of a client.", standard: "4MB"},
		"limits.max_depth":   {text: "Nesting of one message.", standard: 64},
		"limits.max_pages":   {text: "Pages of a list that mcpx asks for by itself.", standard: 100},

		"cors.allowed_origins": {text: "Origins, scheme://host:port, or * for any."},
		"cors.allowed_headers": {text: "Headers beside those of the protocol."},
		"cors.max_age":         {text: "How long a browser remembers the answer.", standard: "10m"},

		"audit.enabled":    {text: "false: no decision is recorded.", standard: true},
		"audit.output":     {text: "Where events go. For wrap, stdout means stderr.", words: []string{"stdout", "stderr", "file"}, standard: "file"},
		"audit.path":       {text: "A folder (a file per process), or a file (one chain for all). Default: audit in the state folder."},
		"audit.max_size":   {text: "Size after which a new file is started.", standard: "100MiB"},
		"audit.retain":     {text: "How long finished files are kept.", standard: "30d"},
		"audit.on_failure": {text: "A log that cannot be written: block stops calls; warn lets them pass and records the gap.", words: []string{"block", "warn"}, standard: "block"},
		"audit.args":       {text: "What the log holds of arguments; redacted masks secrets by name.", words: []string{"off", "hash", "redacted", "full"}, standard: "hash"},
		"audit.redact":     {text: "Members whose values are never recorded, at any depth, without case."},
	}
}

// hubTexts explains where a hub is, and what it keeps and shows.
func hubTexts() map[string]keyText {
	return map[string]keyText{
		"hub.url":        {text: "Address of the hub, https or on this machine."},
		"hub.token":      {text: "The wrapper's credential. Without it, that of `mcpx login` for this url."},
		"hub.token_file": {text: "A file that holds the credential."},
		"hub.key":        {text: "Key that the hub signs with, as `mcpx hub token create` prints it. Without it, that of `mcpx login`, else the first one seen."},
		"hub.policy":     {text: "merge: the hub's policy is one more layer, all must allow.", words: []string{"merge"}, standard: "merge"},
		"hub.required":   {text: "true: without rules of the hub, fresh or kept, no server is started.", standard: false},
		"hub.pending":    {text: "Size of audit files that wait for the hub; beyond it the oldest go, and the log says so.", standard: "1GiB"},

		"store.path":   {text: "The SQLite file. Default: hub/hub.db in the state folder."},
		"store.retain": {text: "How long events are kept.", standard: "90d"},

		"otel.endpoint":     {text: "Address of the collector; /v1/traces and /v1/metrics are put behind it.", standard: "http://localhost:4318"},
		"otel.headers":      {text: "Sent with every request to the collector, such as a credential."},
		"otel.traces":       {text: "A span of each request that mcpx is asked, and of each that it passes on.", standard: true},
		"otel.metrics":      {text: "How long requests and sessions take.", standard: true},
		"otel.sample":       {text: "Share of the traces that begin at mcpx and are kept, 0 to 1. Others are kept as their caller says.", standard: 1},
		"otel.service_name": {text: "What mcpx is called there.", standard: "mcpx"},
		"otel.interval":     {text: "Time between two reports of metrics.", standard: "1m"},

		"admin.enabled": {text: "false: there is no dashboard.", standard: true},
		"admin.listen":  {text: "Address of the dashboard, host:port or :port. Default: 127.0.0.1:8081, or a free port where that is taken. Beyond this machine, use tls."},
		"admin.url":     {text: "scheme://host:port by which browsers know the dashboard, such as that of a proxy. Links begin with it."},
	}
}
