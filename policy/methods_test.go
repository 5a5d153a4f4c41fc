package policy

import (
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
)

// The table spells the names itself: mcp-go would pull an HTTP stack into every wrapper. Here it is held against
// mcp-go's constants.
func TestMethodTableKnowsTheProtocol(t *testing.T) {
	want := []string{
		string(mcp.MethodInitialize), string(mcp.MethodPing), string(mcp.MethodServerDiscover), string(mcp.MethodSubscriptionsListen),
		string(mcp.MethodResourcesList), string(mcp.MethodResourcesTemplatesList), string(mcp.MethodResourcesRead),
		string(mcp.MethodResourcesSubscribe), string(mcp.MethodResourcesUnsubscribe),
		string(mcp.MethodPromptsList), string(mcp.MethodPromptsGet), string(mcp.MethodToolsList), string(mcp.MethodToolsCall),
		string(mcp.MethodSetLogLevel), string(mcp.MethodCompletionComplete),
		string(mcp.MethodElicitationCreate), string(mcp.MethodListRoots), string(mcp.MethodSamplingCreateMessage),
		string(mcp.MethodNotificationElicitationComplete), string(mcp.MethodNotificationInitialized),
		string(mcp.MethodNotificationCancelled), string(mcp.MethodNotificationProgress), string(mcp.MethodNotificationMessage),
		mcp.MethodNotificationResourcesListChanged, mcp.MethodNotificationResourceUpdated, mcp.MethodNotificationPromptsListChanged,
		mcp.MethodNotificationToolsListChanged, mcp.MethodNotificationRootsListChanged,
		mcp.MethodNotificationSubscriptionsAcknowledged,
	}
	for _, name := range want {
		if m, ok := Lookup(name); !ok || m.Name != name || m.Kinds == 0 || m.Eras == 0 {
			t.Errorf("%s: %v, %v", name, m, ok)
		}
	}
	if len(want) != len(methods) {
		t.Errorf("the table has %d methods, the protocol %d", len(methods), len(want))
	}
	for _, name := range []mcp.MCPMethod{mcp.MethodTasksGet, mcp.MethodTasksList, mcp.MethodTasksResult, mcp.MethodTasksCancel} {
		if _, ok := Lookup(string(name)); ok {
			t.Errorf("%s is known, but its results would pass the rules of the tool", name)
		}
	}
}

func TestMethod(t *testing.T) {
	none := Config{}
	rules := Config{DenyTools: []string{"x"}}
	opened := Config{DenyTools: []string{"x"}, AllowMethods: []string{"vendor/*", "tasks/get"}}
	for _, row := range []struct {
		name   string
		server Config
		layers []Layer
		method string
		kind   Kind
		want   string
	}{
		{"known", rules, nil, "tools/call", ClientRequest, "+default"},
		{"known notification", rules, nil, "notifications/initialized", ClientNotification, "+default"},
		{"both ways", rules, nil, "notifications/cancelled", ServerNotification, "+default"},
		{"tools/call without an id, even without rules", none, nil, "tools/call", ClientNotification, "-methods"},
		{"a server's request from a client", none, nil, "sampling/createMessage", ClientRequest, "-methods"},
		{"a client's request from a server", none, nil, "tools/call", ServerRequest, "-methods"},
		{"a client's notification from a server", none, nil, "notifications/initialized", ServerNotification, "-methods"},
		{"unknown, no rules", none, nil, "vendor/x", ClientRequest, "+default"},
		{"unknown, rules", rules, nil, "vendor/x", ClientRequest, "-methods"},
		{"unknown, opened", opened, nil, "vendor/x", ClientRequest, "+policy.allow_methods[0]"},
		{"unknown, not opened", opened, nil, "other/x", ClientRequest, "-methods"},
		{"case of a known one", rules, nil, "Tools/call", ClientRequest, "-methods"},
		{"tasks are unknown", rules, nil, "tasks/get", ClientRequest, "-methods"},
		{"tasks opened", opened, nil, "tasks/get", ClientRequest, "+policy.allow_methods[1]"},
		{"tasks, others stay closed", opened, nil, "tasks/result", ClientRequest, "-methods"},
		{"a layer's rules close", none, []Layer{{"client a", rules}}, "vendor/x", ClientRequest, "-methods"},
		{"a layer without a list keeps what is open", opened, []Layer{{"client a", rules}}, "vendor/x", ClientRequest, "+policy.allow_methods[0]"},
		{"a layer cannot open", rules, []Layer{{"hub", Config{AllowMethods: []string{"*"}}}}, "vendor/x", ClientRequest, "-methods"},
		{"a layer can narrow", opened, []Layer{{"hub", Config{AllowMethods: []string{"vendor/y"}}}}, "vendor/x", ClientRequest, "-methods"},
	} {
		t.Run(row.name, func(t *testing.T) {
			wantDecision(t, mustCompile(t, row.server, row.layers...).Method(row.method, row.kind), row.want)
		})
	}
}

func TestServerRequest(t *testing.T) {
	c := Config{ServerRequests: ServerRequests{Sampling: "deny", Elicitation: "allow"}}
	hub := Layer{"hub", Config{ServerRequests: ServerRequests{Elicitation: "deny", Sampling: "allow"}}}
	for _, row := range []struct {
		name   string
		layers []Layer
		method string
		want   string
	}{
		{"denied", nil, "sampling/createMessage", "-policy.server_requests.sampling"},
		{"allowed", nil, "elicitation/create", "+default"},
		{"not said", nil, "roots/list", "+default"},
		{"ping", nil, "ping", "+default"},
		{"unknown", nil, "vendor/ask", "-methods"},
		{"a client's method", nil, "tools/call", "-methods"},
		{"a layer restricts", []Layer{hub}, "elicitation/create", "-hub.server_requests.elicitation"},
		{"a layer cannot allow", []Layer{hub}, "sampling/createMessage", "-policy.server_requests.sampling"},
	} {
		t.Run(row.name, func(t *testing.T) {
			wantDecision(t, mustCompile(t, c, row.layers...).ServerRequest(row.method), row.want)
		})
	}
}
