package policy

import (
	"bytes"
	"regexp"
	resyntax "regexp/syntax"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A scalar is a value that constraints compare: its text, and the token where it is a number.
type scalar struct {
	text   []byte
	number []byte // nil unless the value is a number
	quoted bool   // the value is a JSON string
}

// readScalar reads a raw JSON value. It fails on null, objects, arrays, strings with broken escapes and numbers
// out of range. The text lies in value or, if that is no place for it, in buf.
func readScalar(buf, value []byte) (scalar, bool) {
	if len(value) == 0 {
		return scalar{}, false
	}
	switch c := value[0]; {
	case c == '"':
		text, ok := jsonrpc.TextInto(buf, value)
		return scalar{text: text, quoted: true}, ok
	case c == '-' || '0' <= c && c <= '9':
		d, ok := parseDecimal(value)
		if !ok {
			return scalar{}, false
		}
		if integer(value) {
			return scalar{text: value, number: value}, true
		}
		return scalar{text: append(buf[:0], d.plain()...), number: value}, true
	case string(value) == "true" || string(value) == "false":
		return scalar{text: value}, true
	default:
		return scalar{}, false
	}
}

// integer reports whether a JSON number is in its plain form already.
func integer(token []byte) bool {
	for _, c := range token[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return string(token) != "-0"
}

func scalarText(s Scalar) string {
	v, _ := readScalar(nil, []byte(s))
	return string(v.text)
}

// A check is a compiled [Constraint]. Nil fields ask for nothing.
type check struct {
	required bool // an absent argument is denied
	values   bool // the value is looked at, not only its presence

	equals           *string
	oneOf            []string
	prefix, suffix   []byte
	regex, notRegex  *regexp.Regexp
	matches          *regexp.Regexp
	min, max         *decimal
	maxLen           *int
	within           []place
	hosts            []hostEntry
	presenceRuleName string // the member to name when an absent argument is denied
}

// compile builds the check of a validated constraint.
func (c Constraint) compile() check {
	k := check{
		required: c.Required || c.Within != nil && !c.Optional, values: c.judgesValue(), maxLen: c.MaxLen,
		presenceRuleName: "required",
	}
	if !c.Required {
		k.presenceRuleName = "within"
	}
	if c.Equals != "" {
		k.equals = new(scalarText(c.Equals))
	}
	if c.OneOf != nil {
		k.oneOf = texts(c.OneOf)
	}
	if c.Prefix != nil {
		k.prefix = []byte(*c.Prefix)
	}
	if c.Suffix != nil {
		k.suffix = []byte(*c.Suffix)
	}
	if c.Regex != nil {
		k.regex = regexp.MustCompile(*c.Regex)
	}
	if c.NotRegex != nil {
		k.notRegex = regexp.MustCompile(*c.NotRegex)
	}
	if c.Matches != nil {
		k.matches = wholeText(*c.Matches)
	}
	if d, ok := parseDecimal([]byte(c.Min)); ok {
		k.min = &d
	}
	if d, ok := parseDecimal([]byte(c.Max)); ok {
		k.max = &d
	}
	if c.Within != nil {
		k.within = []place{} // and not nil, where all roots are those of another system
	}
	for _, root := range c.Within {
		dir, err := parseRoot(root, onWindows)
		if err == nil {
			k.within = append(k.within, dir)
		}
	}
	for _, entry := range c.HostIn {
		host, err := parseHostEntry(entry)
		if err == nil {
			k.hosts = append(k.hosts, host)
		}
	}
	return k
}

// wholeText compiles an expression for the whole text. It goes through the parsed form: an open \Q in the
// expression would swallow an anchor that is glued to its end.
func wholeText(expr string) *regexp.Regexp {
	parsed, err := resyntax.Parse(expr, resyntax.Perl)
	if err != nil {
		panic("policy: expression was not validated: " + err.Error())
	}
	return regexp.MustCompile(`\A(?:` + parsed.String() + `)\z`)
}

// scratch holds memory for texts with escapes while they are judged.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

const maxScratch = 64 << 10 // bytes that are kept of one

// judge returns the member of the constraint that a value violates and a phrase that says how, or "" when it
// passes. The value is raw JSON, nil when the argument is absent. The members are tried in a fixed order.
func (k *check) judge(value []byte, fs pathFS) (member, how string) {
	switch {
	case value == nil && k.required:
		return k.presenceRuleName, "is missing"
	case value == nil:
		return "", ""
	case string(value) == "null" && (k.values || k.required):
		return k.first(), "is null"
	case !k.values:
		return "", ""
	}
	var buf []byte
	if len(value) <= maxScratch && bytes.IndexByte(value, '\\') >= 0 {
		kept := scratch.Get().(*[]byte)
		defer scratch.Put(kept)
		*kept = slices.Grow((*kept)[:0], len(value)) // without its escapes a text is shorter
		buf = *kept
	}
	s, ok := readScalar(buf, value)
	if !ok {
		return k.first(), notScalar(value)
	}
	if member, how = k.judgeText(s); member != "" {
		return member, how
	}
	if member, how = k.judgeNumber(s); member != "" {
		return member, how
	}
	if k.within != nil {
		if how = judgeWithin(s, k.within, fs, onWindows); how != "" {
			return "within", how
		}
	}
	if k.hosts != nil {
		if how = judgeHost(s, k.hosts); how != "" {
			return "host_in", how
		}
	}
	return "", ""
}

func notScalar(value []byte) string {
	switch value[0] {
	case '{':
		return "is an object, but the rule is for a text, number or boolean"
	case '[':
		return "is an array, but the rule is for a text, number or boolean"
	case '"':
		return "is not a valid text"
	default:
		return "is a number out of range"
	}
}

func (k *check) judgeText(s scalar) (member, how string) {
	text := s.text
	switch {
	case k.maxLen != nil && len(text) > *k.maxLen && utf8.RuneCount(text) > *k.maxLen:
		return "max_len", "is too long"
	case k.equals != nil && string(text) != *k.equals:
		return "equals", "is not the required value"
	case k.oneOf != nil && !contains(k.oneOf, text):
		return "one_of", "is not one of the listed values"
	case !bytes.HasPrefix(text, k.prefix):
		return "prefix", "does not begin with the required prefix"
	case !bytes.HasSuffix(text, k.suffix):
		return "suffix", "does not end with the required suffix"
	case k.matches != nil && bytes.ContainsAny(text, "\r\n"):
		return "matches", "holds a line break"
	case k.matches != nil && !k.matches.Match(text):
		return "matches", "does not match the required form"
	case k.regex != nil && !k.regex.Match(text):
		return "regex", "does not match the required expression"
	case k.notRegex != nil && k.notRegex.Match(text):
		return "not_regex", "matches a forbidden expression"
	}
	return "", ""
}

func contains(list []string, text []byte) bool {
	return slices.ContainsFunc(list, func(s string) bool { return s == string(text) })
}

func (k *check) judgeNumber(s scalar) (member, how string) {
	if k.min == nil && k.max == nil {
		return "", ""
	}
	member = "min"
	if k.min == nil {
		member = "max"
	}
	if s.number == nil {
		return member, "is not a number"
	}
	d, ok := parseDecimal(s.number)
	switch {
	case !ok:
		return member, "is a number out of range"
	case k.min != nil && d.compare(*k.min) < 0:
		return "min", "is too small"
	case k.max != nil && d.compare(*k.max) > 0:
		return "max", "is too large"
	}
	return "", ""
}

// first names the member that a value of the wrong kind violates: the first that is set, in the order of judge.
func (k *check) first() string {
	for _, m := range []struct {
		set  bool
		name string
	}{
		{k.maxLen != nil, "max_len"},
		{k.equals != nil, "equals"},
		{k.oneOf != nil, "one_of"},
		{k.prefix != nil, "prefix"},
		{k.suffix != nil, "suffix"},
		{k.matches != nil, "matches"},
		{k.regex != nil, "regex"},
		{k.notRegex != nil, "not_regex"},
		{k.min != nil, "min"},
		{k.max != nil, "max"},
		{k.within != nil, "within"},
		{k.hosts != nil, "host_in"},
	} {
		if m.set {
			return m.name
		}
	}
	return "required"
}
