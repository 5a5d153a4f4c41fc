package policy

// A Kind is a set of the ways in which a method may travel.
type Kind uint8

const (
	ClientRequest Kind = 1 << iota
	ServerRequest
	ClientNotification
	ServerNotification
)

func (k Kind) String() string {
	switch k {
	case ClientRequest:
		return "request of a client"
	case ServerRequest:
		return "request of a server"
	case ClientNotification:
		return "notification of a client"
	case ServerNotification:
		return "notification of a server"
	}
	return "kind of message"
}

// An Era is a set of protocol eras.
type Era uint8

const (
	Legacy Era = 1 << iota // revisions up to 2025-11-25: initialize, sessions
	Modern                 // 2026-07-28: stateless, per-request _meta
)

// A Target says what the params of a method name, and so which rules judge it.
type Target uint8

const (
	NoTarget            Target = iota
	ToolTarget                 // params.name, with params.arguments
	PromptTarget               // params.name
	ResourceTarget             // params.uri
	RefTarget                  // params.ref: a prompt's name, or a resource's URI or template
	SubscriptionsTarget        // params.notifications.resourceSubscriptions: a list of URIs
)

// A List says which member of a result lists targets, each of which is judged by itself.
type List uint8

const (
	NoList       List = iota
	ToolList          // result.tools, by name
	PromptList        // result.prompts, by name
	ResourceList      // result.resources, by uri
	TemplateList      // result.resourceTemplates, by uriTemplate
)

// A Method is what the protocol says about one method.
type Method struct {
	Name   string
	Kinds  Kind
	Eras   Era
	Target Target
	List   List

	// InputRequired: its result may be an input_required one (2026-07-28, patterns/mrtr). No other may.
	InputRequired bool
}

// Lookup returns a known method. The tasks/* methods are not among them: a task's result would pass the rules of
// the tool that it runs, so mcpx treats them as unknown.
func Lookup(method string) (Method, bool) {
	m, ok := methods[method]
	return m, ok
}

const both = Legacy | Modern

var methods = func(table []Method) map[string]Method {
	byName := make(map[string]Method, len(table))
	for _, m := range table {
		byName[m.Name] = m
	}
	return byName
}([]Method{
	{Name: "initialize", Kinds: ClientRequest, Eras: Legacy},
	{Name: "server/discover", Kinds: ClientRequest, Eras: Modern},
	{Name: "ping", Kinds: ClientRequest | ServerRequest, Eras: Legacy},
	{Name: "tools/list", Kinds: ClientRequest, Eras: both, List: ToolList},
	{Name: "tools/call", Kinds: ClientRequest, Eras: both, Target: ToolTarget, InputRequired: true},
	{Name: "prompts/list", Kinds: ClientRequest, Eras: both, List: PromptList},
	{Name: "prompts/get", Kinds: ClientRequest, Eras: both, Target: PromptTarget, InputRequired: true},
	{Name: "resources/list", Kinds: ClientRequest, Eras: both, List: ResourceList},
	{Name: "resources/templates/list", Kinds: ClientRequest, Eras: both, List: TemplateList},
	{Name: "resources/read", Kinds: ClientRequest, Eras: both, Target: ResourceTarget, InputRequired: true},
	{Name: "resources/subscribe", Kinds: ClientRequest, Eras: Legacy, Target: ResourceTarget},
	{Name: "resources/unsubscribe", Kinds: ClientRequest, Eras: Legacy, Target: ResourceTarget},
	{Name: "completion/complete", Kinds: ClientRequest, Eras: both, Target: RefTarget},
	{Name: "logging/setLevel", Kinds: ClientRequest, Eras: Legacy},
	{Name: "subscriptions/listen", Kinds: ClientRequest, Eras: Modern, Target: SubscriptionsTarget},

	// In the modern era these three come inside input_required results, never as requests.
	{Name: "sampling/createMessage", Kinds: ServerRequest, Eras: both},
	{Name: "elicitation/create", Kinds: ServerRequest, Eras: both},
	{Name: "roots/list", Kinds: ServerRequest, Eras: both},

	{Name: "notifications/initialized", Kinds: ClientNotification, Eras: Legacy},
	{Name: "notifications/roots/list_changed", Kinds: ClientNotification, Eras: Legacy},
	{Name: "notifications/cancelled", Kinds: ClientNotification | ServerNotification, Eras: both},
	{Name: "notifications/progress", Kinds: ClientNotification | ServerNotification, Eras: both},
	{Name: "notifications/message", Kinds: ServerNotification, Eras: both},
	{Name: "notifications/tools/list_changed", Kinds: ServerNotification, Eras: both},
	{Name: "notifications/prompts/list_changed", Kinds: ServerNotification, Eras: both},
	{Name: "notifications/resources/list_changed", Kinds: ServerNotification, Eras: both},
	{Name: "notifications/resources/updated", Kinds: ServerNotification, Eras: both, Target: ResourceTarget},
	{Name: "notifications/elicitation/complete", Kinds: ServerNotification, Eras: Legacy},
	{Name: "notifications/subscriptions/acknowledged", Kinds: ServerNotification, Eras: Modern, Target: SubscriptionsTarget},
})
