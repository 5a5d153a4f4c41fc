package jsonrpc

// methods are the names that a scan need not allocate: those of both eras that occur often.
var methods = func() map[string]string {
	table := map[string]string{}
	for _, m := range []string{
		"initialize", "notifications/initialized", "ping", "server/discover",
		"tools/list", "tools/call", "prompts/list", "prompts/get",
		"resources/list", "resources/templates/list", "resources/read", "resources/subscribe", "resources/unsubscribe",
		"completion/complete", "logging/setLevel", "subscriptions/listen",
		"roots/list", "sampling/createMessage", "elicitation/create",
		"notifications/cancelled", "notifications/progress", "notifications/message",
		"notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/resources/list_changed",
		"notifications/resources/updated", "notifications/roots/list_changed",
	} {
		table[m] = m
	}
	return table
}()

func intern(method []byte) string {
	if m, ok := methods[string(method)]; ok {
		return m
	}
	return string(method)
}
