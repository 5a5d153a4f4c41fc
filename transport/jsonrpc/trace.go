package jsonrpc

import "math"

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
// byte. A tracestate of m is emptied where t has none. m stays as it is.
func (m *Message) WithTraceContext(t TraceContext) *Message {
	var edits []Edit
	var missing []byte // members of _meta that m lacks
	put := func(f Field, name string, value []byte) {
		switch {
		case m.fields[f].end != 0:
			edits = append(edits, m.Edit(f, AppendString(nil, value)))
		case len(value) > 0:
			if len(missing) > 0 {
				missing = append(missing, ',')
			}
			missing = AppendString(append(append(missing, name...), ':'), value)
		}
	}
	put(MetaTraceparent, `"traceparent"`, t.Traceparent)
	put(MetaTracestate, `"tracestate"`, t.Tracestate)
	if len(missing) > 0 {
		edits = append(edits, m.addMeta(missing))
	}
	arrange(edits)
	text := make([]byte, 0, m.editedSize(edits))
	for _, piece := range m.AppendPieces(nil, edits...) {
		text = append(text, piece...)
	}
	out := new(Message)
	s := Scanner{MaxDepth: math.MaxInt} // that of m was within its limit
	if fault := s.Scan(text, out); fault != nil {
		return m // never; and it was judged as it is
	}
	out.Own, out.Beside = m.Own, m.Beside
	return out
}

// addMeta returns the edit that puts members into params._meta, which is made where it is missing. It acts behind an opening brace.
func (m *Message) addMeta(members []byte) Edit {
	start, object := uint32(0), m.Raw
	switch {
	case m.fields[Meta].end != 0:
		start, object = m.fields[Meta].start, m.Field(Meta)
	case m.params.end != 0:
		start, object = m.params.start, m.Params()
		members = append(append([]byte(`"_meta":{`), members...), '}')
	default:
		members = append(append([]byte(`"params":{"_meta":{`), members...), "}}"...)
	}
	if object[1] != '}' {
		members = append(members, ',')
	}
	return Edit{span{start + 1, start + 1}, members}
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
