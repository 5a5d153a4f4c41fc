package audit

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Arguments above maxArgs bytes are recorded as their hash in every mode.
const maxArgs = 64 << 10

const redacted = `"<redacted>"`

// secretNames are parts of names whose values mode redacted never records, without case, '_', '-', '.' and spaces.
var secretNames = []string{"password", "passwd", "secret", "token", "apikey", "authorization", "credential", "privatekey"}

// An argsMode turns raw arguments into what is recorded of them. A hash lets whoever knows the arguments prove that
// they were these; it does not hide short ones from whoever can try them all.
type argsMode struct {
	off, verbatim, guess bool     // neither off nor verbatim: hash
	redact               []string // lower case
}

// Args returns what Config.Args lets an event say of raw arguments, as JSON for Event.Detail. Large arguments take their
// time to hash (about 0.6 ms for 1 MB); so the caller can choose the moment.
func (l *Log) Args(raw []byte) []byte {
	if l.sink == nil {
		return nil
	}
	return l.args.append(nil, raw)
}

func newArgsMode(c Config) argsMode {
	m := argsMode{}
	switch c.Args {
	case "off":
		m.off = true
	case "redacted":
		m.verbatim, m.guess = true, true
	case "full":
		m.verbatim = true
	}
	for _, name := range c.Redact {
		m.redact = append(m.redact, strings.ToLower(name))
	}
	return m
}

// append appends what is recorded of raw as a JSON value, or nothing.
func (m *argsMode) append(b, raw []byte) []byte {
	switch {
	case m.off || len(raw) == 0:
		return b
	case !m.verbatim:
		return appendHash(b, raw, "")
	case len(raw) > maxArgs:
		return appendHash(b, raw, " (over 64 KiB)")
	}
	out, err := m.rewrite(raw)
	if err != nil {
		return appendHash(b, raw, " (not valid JSON)")
	}
	if len(out) > 2*maxArgs { // what escaping adds is bounded too
		return appendHash(b, raw, " (over 64 KiB)")
	}
	return append(b, out...)
}

func appendHash(b, raw []byte, note string) []byte {
	sum := sha256.Sum256(raw)
	b = appendHex(append(b, `"sha256:`...), &sum)
	return append(append(b, note...), '"')
}

// rewrite returns raw on one line, less the values of redacted members. Strings and numbers keep their spelling, except
// for raw control characters that JSON allows but a terminal obeys.
func (m *argsMode) rewrite(raw []byte) ([]byte, error) {
	var out bytes.Buffer
	dec := jsontext.NewDecoder(bytes.NewReader(raw))
	enc := jsontext.NewEncoder(&out, jsontext.PreserveRawStrings(true), jsontext.CanonicalizeRawInts(false))
	for depth := -1; depth != 0; depth = dec.StackDepth() {
		kind, n := dec.StackIndex(dec.StackDepth())
		value := kind == '{' && n%2 == 1
		if value && m.secret(lastName(dec)) {
			if err := dec.SkipValue(); err != nil {
				return nil, err
			}
			if err := enc.WriteValue(jsontext.Value(redacted)); err != nil {
				return nil, err
			}
			continue
		}
		token, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		if err := enc.WriteToken(token); err != nil {
			return nil, err
		}
	}
	if err := dec.SkipValue(); err == nil {
		return nil, errTrailing
	}
	return escapeControls(bytes.TrimSuffix(out.Bytes(), []byte{'\n'})), nil
}

// lastName returns the name whose value is read next.
func lastName(dec *jsontext.Decoder) string {
	return dec.StackPointer().LastToken()
}

func (m *argsMode) secret(name string) bool {
	name = strings.ToLower(name)
	if slices.Contains(m.redact, name) {
		return true
	}
	if !m.guess {
		return false
	}
	name = strings.NewReplacer("_", "", "-", "", ".", "", " ", "").Replace(name)
	for _, part := range secretNames {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// escapeControls escapes DEL, C1 controls and U+2028 and U+2029, which in valid compact JSON stand in strings only.
func escapeControls(s []byte) []byte {
	i := bytes.IndexFunc(s, hidden)
	if i < 0 {
		return s
	}
	out := append([]byte(nil), s[:i]...)
	for _, r := range string(s[i:]) {
		if hidden(r) {
			out = appendEscape(out, r)
			continue
		}
		out = append(out, string(r)...)
	}
	return out
}

func hidden(r rune) bool { return r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' }
