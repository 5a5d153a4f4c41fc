package policy

// Config is the `policy:` section of a server entry. The zero Config allows everything.
type Config struct {
	AllowTools []string `yaml:"allow_tools" json:"allow_tools,omitzero"` // names or globs; empty: all
	DenyTools  []string `yaml:"deny_tools" json:"deny_tools,omitzero"`   // wins over AllowTools
	ReadOnly   bool     `yaml:"read_only" json:"read_only,omitzero"`     // lists work, tools/call is denied

	// ToolRules constrain the arguments of the tools whose name matches the key, a name or a glob. Every rule
	// that matches applies.
	ToolRules map[string]ToolRule `yaml:"tool_rules" json:"tool_rules,omitzero"`

	AllowResources []string `yaml:"allow_resources" json:"allow_resources,omitzero"` // URIs or globs; empty: all
	DenyResources  []string `yaml:"deny_resources" json:"deny_resources,omitzero"`
	AllowPrompts   []string `yaml:"allow_prompts" json:"allow_prompts,omitzero"` // names or globs; empty: all
	DenyPrompts    []string `yaml:"deny_prompts" json:"deny_prompts,omitzero"`

	ServerRequests ServerRequests `yaml:"server_requests" json:"server_requests,omitzero"`

	// AllowMethods opens methods that mcpx does not know. Without any rule in the entry they pass; with one
	// they are denied unless a name or glob here matches.
	AllowMethods []string `yaml:"allow_methods" json:"allow_methods,omitzero"`

	OnDeny     string `yaml:"on_deny" json:"on_deny,omitzero"`         // OnDenyError (default) or OnDenyToolError
	HideDenied bool   `yaml:"hide_denied" json:"hide_denied,omitzero"` // answer for a denied tool or prompt as if it did not exist

	// Shadow: the rules are evaluated and told, not enforced: what they deny passes ([Decision.Shadow]). It is for whoever reads a
	// configuration to set, and holds for this layer alone.
	Shadow bool `yaml:"-" json:"-"`
}

// Values of Config.OnDeny.
const (
	OnDenyError     = "error"      // a JSON-RPC error
	OnDenyToolError = "tool_error" // a tool result with isError, which the model can read
)

// ServerRequests says which requests a server may make of its client: "allow" (default) or "deny" each.
type ServerRequests struct {
	Sampling    string `yaml:"sampling" json:"sampling,omitzero"`
	Elicitation string `yaml:"elicitation" json:"elicitation,omitzero"`
	Roots       string `yaml:"roots" json:"roots,omitzero"`
}

// Override is what a client's own section may say about a server. It can only restrict: its lists and rules
// hold in addition to those of the server entry.
type Override struct {
	AllowTools     []string            `yaml:"allow_tools" json:"allow_tools,omitzero"`
	DenyTools      []string            `yaml:"deny_tools" json:"deny_tools,omitzero"`
	ReadOnly       bool                `yaml:"read_only" json:"read_only,omitzero"`
	ToolRules      map[string]ToolRule `yaml:"tool_rules" json:"tool_rules,omitzero"`
	AllowResources []string            `yaml:"allow_resources" json:"allow_resources,omitzero"`
	DenyResources  []string            `yaml:"deny_resources" json:"deny_resources,omitzero"`
	AllowPrompts   []string            `yaml:"allow_prompts" json:"allow_prompts,omitzero"`
	DenyPrompts    []string            `yaml:"deny_prompts" json:"deny_prompts,omitzero"`
	ServerRequests ServerRequests      `yaml:"server_requests" json:"server_requests,omitzero"`
}

// Layer returns the override as a layer for [Compile].
func (o Override) Layer(label string) Layer {
	return Layer{Label: label, Config: Config{
		AllowTools:     o.AllowTools,
		DenyTools:      o.DenyTools,
		ReadOnly:       o.ReadOnly,
		ToolRules:      o.ToolRules,
		AllowResources: o.AllowResources,
		DenyResources:  o.DenyResources,
		AllowPrompts:   o.AllowPrompts,
		DenyPrompts:    o.DenyPrompts,
		ServerRequests: o.ServerRequests,
	}}
}

// Override returns what a client's own section says about this server as a layer for [Compile]. A server in shadow mode has all its
// overrides in shadow mode.
func (c Config) Override(label string, o Override) Layer {
	l := o.Layer(label)
	l.Config.Shadow = c.Shadow
	return l
}

// Validate is [Config.Validate] for an override.
func (o Override) Validate() error { return o.Layer("").Config.Validate() }

// A Layer is one set of rules with the name it has in decisions: "client ci-bot" gives rules such as
// `client ci-bot.deny_tools[0]`.
type Layer struct {
	Label  string
	Config Config
}

// hasRules reports whether the configuration restricts anything. OnDeny and HideDenied only say how a denial
// looks.
func (c Config) hasRules() bool {
	r := c.ServerRequests
	return c.ReadOnly || len(c.ToolRules) > 0 ||
		len(c.AllowTools)+len(c.DenyTools)+len(c.AllowResources)+len(c.DenyResources)+
			len(c.AllowPrompts)+len(c.DenyPrompts)+len(c.AllowMethods) > 0 ||
		r.Sampling == deny || r.Elicitation == deny || r.Roots == deny
}
