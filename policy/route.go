package policy

// Method decides whether a method may travel in the given way; pass exactly one [Kind]. It does not look at the
// target: where [Lookup] names one, that is judged too. What servers request goes to [Engine.ServerRequest].
//
// A method that the protocol knows in that way passes. One that it knows only in another way, such as tools/call
// without an id, is denied, rules or not. Anything else passes while there are no rules; once there are, the
// server's own allow_methods must name it, and so must that of each layer that has one.
func (e *Engine) Method(method string, kind Kind) Decision {
	d := e.method(method, kind)
	if e.shadow == nil || !d.Allow {
		return d
	}
	return d.rehearsed(e.shadow.method(method, kind))
}

func (e *Engine) method(method string, kind Kind) Decision {
	if m, ok := Lookup(method); ok {
		if m.Kinds&kind == 0 {
			return denied(MethodRule, "%s is not a %s", method, kind)
		}
		return allowed(DefaultRule)
	}
	if !e.rules {
		return allowed(DefaultRule)
	}
	opened := e.own.methods.match([]byte(method))
	for _, l := range e.layers {
		if l != e.own && !l.methods.empty() && l.methods.match([]byte(method)) == "" {
			opened = ""
		}
	}
	if opened == "" {
		return denied(MethodRule, "method %s is unknown; allow_methods of the server's policy can open it", quoted([]byte(method)))
	}
	return allowed(opened)
}

// ServerRequest decides whether a server may ask its client, by a request or inside an input_required result.
func (e *Engine) ServerRequest(method string) Decision {
	d := e.serverRequest(method)
	if e.shadow == nil || !d.Allow {
		return d
	}
	return d.rehearsed(e.shadow.serverRequest(method))
}

func (e *Engine) serverRequest(method string) Decision {
	for _, l := range e.layers {
		member, verdict := l.requests.of(method)
		if verdict != "" && verdict != allow {
			rule := l.label + ".server_requests." + member
			return denied(rule, "%s from the server is denied by %s", quoted([]byte(method)), rule)
		}
	}
	return e.method(method, ServerRequest)
}

func (r ServerRequests) of(method string) (member, verdict string) {
	switch method {
	case "sampling/createMessage":
		return "sampling", r.Sampling
	case "elicitation/create":
		return "elicitation", r.Elicitation
	case "roots/list":
		return "roots", r.Roots
	}
	return "", ""
}
