package policy

// Method decides whether a client may send a method, as a request or a notification. It does not look at the
// target: where [Lookup] names one, that is judged too.
func (e *Engine) Method(method string) Decision {
	return e.method(method, ClientRequest|ClientNotification)
}

// ServerNotification decides whether a server may send a notification.
func (e *Engine) ServerNotification(method string) Decision {
	return e.method(method, ServerNotification)
}

// ServerRequest decides whether a server may ask its client, by a request or inside an input_required result.
func (e *Engine) ServerRequest(method string) Decision {
	for _, l := range e.layers {
		member, verdict := l.requests.of(method)
		if verdict != "" && verdict != allow {
			rule := l.label + ".server_requests." + member
			return denied(rule, "%s from the server is denied by %s", show([]byte(method)), rule)
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

// method passes what the protocol knows. Anything else passes while there are no rules; once there are, the
// server's own allow_methods must name it, and so must that of each layer that has one.
func (e *Engine) method(method string, kinds Kind) Decision {
	if m, ok := Lookup(method); ok && m.Kinds&kinds != 0 {
		return allowed(DefaultRule)
	}
	if !e.rules {
		return allowed(DefaultRule)
	}
	opened := e.layers[0].methods.match([]byte(method))
	for _, l := range e.layers[1:] {
		if !l.methods.empty() && l.methods.match([]byte(method)) == "" {
			opened = ""
		}
	}
	if opened == "" {
		return denied(MethodRule, "method %s is unknown; %s.allow_methods can open it", show([]byte(method)), serverLabel)
	}
	return allowed(opened)
}
