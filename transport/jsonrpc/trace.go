package jsonrpc

// A TraceContext is that of W3C Trace Context as it came, not validated; nil where there is none.
type TraceContext struct{ Traceparent, Tracestate []byte }

// TraceContext returns what a request or notification carries: that of its _meta, else what came beside it.
func (m *Message) TraceContext() TraceContext {
	if parent, ok := m.Text(MetaTraceparent); ok {
		state, _ := m.Text(MetaTracestate)
		return TraceContext{parent, state}
	}
	if m.Beside != nil {
		return *m.Beside
	}
	return TraceContext{}
}

// WithTraceContext returns m, a request or notification, with this trace context in params._meta and all else as it is, byte for
// byte. A tracestate of m is emptied where t has none. m stays as it is, and is returned where its _meta is no object.
func (m *Message) WithTraceContext(t TraceContext) *Message {
	if meta := m.Field(Meta); meta != nil && meta[0] != '{' {
		return m
	}
	var edits [3]Edit
	changed := edits[:0]
	var fields [2]Field // that m lacks, and where they are to be
	var spans [2]span
	n := 0
	at, opening := m.metaPlace()
	text := append(make([]byte, 0, 192), opening...)
	put := func(f Field, name string, value []byte) {
		switch {
		case m.fields[f].end != 0:
			changed = append(changed, m.Edit(f, AppendString(nil, value)))
		case len(value) > 0:
			if n > 0 {
				text = append(text, ',')
			}
			text = append(text, name...)
			start := len(text)
			text = AppendString(text, value)
			fields[n], spans[n] = f, moved(at, start, len(text))
			n++
		}
	}
	put(MetaTraceparent, `"traceparent":`, t.Traceparent)
	put(MetaTracestate, `"tracestate":`, t.Tracestate)

	out := new(Message)
	if n == 0 {
		m.EditInto(out, nil, changed...)
		return out
	}
	end := len(text)
	switch opening {
	case openMeta:
		text = append(text, '}')
	case openParams:
		text = append(text, "}}"...)
	}
	if m.Raw[at] != '}' {
		text = append(text, ',')
	}
	// All members of _meta are behind its brace, so nothing is edited before this place, which stays where it is.
	m.EditInto(out, nil, append(changed, Edit{span{at, at}, text})...)
	for i, f := range fields[:n] {
		out.fields[f] = spans[i]
	}
	if opening != "" {
		out.fields[Meta] = moved(at, len(opening)-1, end+1)
	}
	if opening == openParams {
		out.params = moved(at, len(openParams)-len(openMeta)-1, end+2)
	}
	return out
}

const (
	openMeta   = `"_meta":{`
	openParams = `"params":{` + openMeta
)

// metaPlace returns where in m members of _meta can be put, behind an opening brace, and what opens the objects that m lacks for that.
func (m *Message) metaPlace() (at uint32, opening string) {
	switch {
	case m.fields[Meta].end != 0:
		return m.fields[Meta].start + 1, ""
	case m.params.end != 0:
		return m.params.start + 1, openMeta
	default:
		return 1, openParams
	}
}

func moved(by uint32, start, end int) span {
	return span{by + uint32(start), by + uint32(end)} //nolint:gosec // a context is as short as what it came with, which the scan bounds
}

// ID returns the id of the trace, 32 lower-case hex digits, nil where the traceparent is not valid (W3C Trace Context, section 3.2.2:
// versions after 00 may have more behind the flags).
func (t TraceContext) ID() []byte {
	parent := t.Traceparent
	const length = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	if len(parent) < length || !lowerHex(parent[:2]) || string(parent[:2]) == "ff" {
		return nil
	}
	if len(parent) > length && (string(parent[:2]) == "00" || parent[length] != '-') {
		return nil
	}
	id, span, flags := parent[3:35], parent[36:52], parent[53:55]
	if parent[2] != '-' || parent[35] != '-' || parent[52] != '-' || !lowerHex(id) || !lowerHex(span) || !lowerHex(flags) || zeros(id) || zeros(span) {
		return nil
	}
	return id
}

func lowerHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != '0' {
			return false
		}
	}
	return true
}
