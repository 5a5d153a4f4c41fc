package learn

import (
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A subject says which rules judge what an event is about.
type subject uint8

const (
	none          subject = iota // none does
	unknownMethod                // a method that mcpx does not know
	question                     // of the server to its client
	toolCall
	promptUse
	resourceUse
	templateUse // a completion
)

const methodListen = "subscriptions/listen"

func subjectOf(r *audit.Record) subject {
	m, known := policy.Lookup(r.Method)
	switch {
	case !known:
		return unknownMethod
	case m.Kinds&policy.ServerRequest != 0 && m.Kinds&policy.ClientRequest == 0:
		return question
	}
	switch m.Target {
	case policy.ToolTarget:
		return toolCall
	case policy.PromptTarget:
		return promptUse
	case policy.ResourceTarget:
		return resourceUse
	case policy.SubscriptionsTarget:
		if r.Target != "" {
			return resourceUse
		}
	case policy.RefTarget:
		if hasScheme(r.Target) {
			return templateUse
		}
		return promptUse
	case policy.NoTarget:
	}
	return none
}

// single reports whether a decision is all that the log has of what it is about: a notification has no outcome, and a modern server
// asks in an answer, whose request's the outcome is.
func single(r *audit.Record) bool {
	return r.RequestID == "" || r.Era == "modern" && subjectOf(r) == question
}

// resourcesOf returns the resources that a request names. all: there are no others.
func resourcesOf(r *audit.Record) (uris []string, all bool) {
	if r.Method != methodListen {
		return []string{r.Target}, true
	}
	if arguments(r) != verbatim {
		return []string{r.Target}, false
	}
	for token := range jsonrpc.Elements(jsonrpc.Member(r.Args, "resourceSubscriptions")) {
		if uri, ok := jsonrpc.Text(token); ok {
			uris = append(uris, string(uri))
		}
	}
	return uris, true
}

func hasScheme(text string) bool {
	for i, c := range []byte(text) {
		if c == ':' {
			return i > 0
		}
		if (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return false
}

// judge asks an engine about what a decision was about. known: it is something that rules judge.
func judge(e *policy.Engine, r *audit.Record, args []byte) (d policy.Decision, known bool) {
	target := []byte(r.Target)
	switch subjectOf(r) {
	case unknownMethod:
		return e.Method(r.Method, policy.ClientRequest), true
	case question:
		return e.ServerRequest(r.Method), true
	case toolCall:
		return e.Call(target, args), true
	case promptUse:
		return e.Prompt(target), true
	case resourceUse:
		uris, _ := resourcesOf(r)
		for _, uri := range uris {
			if d = e.Resource([]byte(uri)); !d.Allow || d.Shadow {
				break
			}
		}
		return d, len(uris) > 0
	case templateUse:
		return e.Template(target), true
	case none:
	}
	return policy.Decision{}, false
}
