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
