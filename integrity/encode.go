package integrity

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// lockVersion is the version of the layout of mcpx.lock.
const lockVersion = 1

// encode renders mcpx.lock: members in a fixed order, names sorted, definitions spread over lines, so that a
// version control system shows what changed. Characters that a reader cannot see are written as escapes.
func encode(c *content) ([]byte, error) {
	var w lockWriter
	w.raw(`{"version":1,"servers":{`)
	for i, name := range slices.Sorted(maps.Keys(c.servers)) {
		w.comma(i)
		w.name(name)
		w.server(c.servers[name])
	}
	w.raw(`}}`)
	if w.err != nil {
		return nil, w.err
	}
	text, err := jsontext.AppendFormat(nil, escapeHidden(w.buf),
		jsontext.Multiline(true), jsontext.WithIndent("  "), jsontext.PreserveRawStrings(true))
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

type lockWriter struct {
	buf []byte
	err error
}

func (w *lockWriter) raw(s string) { w.buf = append(w.buf, s...) }

func (w *lockWriter) comma(i int) {
	if i > 0 {
		w.raw(",")
	}
}

func (w *lockWriter) text(s string) {
	buf, err := jsontext.AppendQuote(w.buf, s)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.buf = buf
}

func (w *lockWriter) name(s string) {
	w.text(s)
	w.raw(":")
}

// section names, in the order of the file.
var sections = [...]struct {
	kind Kind
	name string
}{{Instructions, "instructions"}, {Prompts, "prompts"}, {Tools, "tools"}}

func (w *lockWriter) server(s *server) {
	w.raw(`{"complete":[`)
	n := 0
	for _, section := range sections {
		if s.sets[section.kind].complete {
			w.comma(n)
			w.text(section.name)
			n++
		}
	}
	w.raw(`]`)
	pending := false
	for _, section := range sections {
		set := &s.sets[section.kind]
		pending = pending || len(set.pending) > 0
		if len(set.pins) > 0 {
			w.raw(",")
			w.section(section.kind, section.name, set.pins)
		}
	}
	if pending {
		w.raw(`,"pending":{`)
		n := 0
		for _, section := range sections {
			if set := s.sets[section.kind].pending; len(set) > 0 {
				w.comma(n)
				w.section(section.kind, section.name, set)
				n++
			}
		}
		w.raw(`}`)
	}
	w.raw(`}`)
}

func (w *lockWriter) section(kind Kind, name string, entries map[string]*entry) {
	w.name(name)
	if kind == Instructions {
		w.entry(entries[""])
		return
	}
	w.raw(`{`)
	for i, name := range slices.Sorted(maps.Keys(entries)) {
		w.comma(i)
		w.name(name)
		w.entry(entries[name])
	}
	w.raw(`}`)
}

func (w *lockWriter) entry(e *entry) {
	if e.problem != none {
		w.raw(`{"problem":`)
		w.text(string(e.problem))
		w.raw(`}`)
		return
	}
	w.raw(`{"digest":`)
	w.text(e.digest)
	if e.approved {
		w.raw(`,"approved":true`)
	}
	w.raw(`,"definition":`)
	w.buf = append(w.buf, e.definition...)
	w.raw(`}`)
}

// escapeHidden writes hidden characters of JSON text as \u escapes. Outside of strings there are none.
func escapeHidden(b []byte) []byte {
	out := b[:0:0]
	done := 0
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r >= 0x7f && hidden(r) {
			out = appendEscape(append(out, b[done:i]...), r)
			done = i + n
		}
		i += n
	}
	if done == 0 {
		return b
	}
	return append(out, b[done:]...)
}
