package learn

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// YAML returns the lesson as a configuration file, with what stands behind each part as a comment. All that came from outside is
// quoted, or made visible.
func (l *Lesson) YAML() []byte {
	w := new(yamlWriter)
	w.comment(0, "Learnt from %s, %s to %s: %s.", count(l.Events, "event"), l.From.UTC().Format(time.DateTime), l.To.UTC().Format(time.DateTime), count(l.Calls, "call"))
	for _, why := range l.Incomplete {
		w.comment(0, "INCOMPLETE: %s", visible(why))
	}
	w.comment(0, "It allows what has passed, and nothing else. Read it before you use it: what happened is not always what should.")
	if len(l.Servers) == 0 {
		w.line(0, "servers: []")
		return w.Bytes()
	}
	w.line(0, "servers:")
	for i := range l.Servers {
		w.server(&l.Servers[i])
	}
	return w.Bytes()
}

type yamlWriter struct{ bytes.Buffer }

func (w *yamlWriter) line(depth int, format string, args ...any) {
	w.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

func (w *yamlWriter) comment(depth int, format string, args ...any) {
	w.line(depth, "# "+format, args...)
}

// note is a comment at the end of a line.
func note(text string) string {
	if text == "" {
		return ""
	}
	return " # " + visible(text)
}

func (w *yamlWriter) server(s *Server) {
	c := &s.Policy
	w.line(1, "- name: %s%s", value(s.Name), note(count(s.Calls, "call")))
	w.line(2, "policy:")
	w.tools(s)
	w.list("deny_tools", c.DenyTools, s.Notes)
	w.rules(s)
	w.list("allow_resources", c.AllowResources, s.Notes)
	w.list("deny_resources", c.DenyResources, s.Notes)
	w.list("allow_prompts", c.AllowPrompts, s.Notes)
	w.list("deny_prompts", c.DenyPrompts, s.Notes)
	w.list("allow_methods", c.AllowMethods, s.Notes)
	r := c.ServerRequests
	w.line(3, "server_requests: { sampling: %s, elicitation: %s, roots: %s }%s", r.Sampling, r.Elicitation, r.Roots, note(s.Notes["server_requests"]))
	if len(s.Left) > 0 {
		w.comment(2, "Not learnt:")
	}
	for _, left := range s.Left {
		w.comment(2, "  %s", visible(left))
	}
}

// tools lists the tools that may be called, with a note behind those that have no rule to carry it.
func (w *yamlWriter) tools(s *Server) {
	if len(s.Policy.AllowTools) == 0 {
		return
	}
	w.line(3, "allow_tools:")
	for _, name := range s.Policy.AllowTools {
		text := ""
		if _, ok := s.Policy.ToolRules[name]; !ok {
			text = s.Notes["tool_rules."+name]
		}
		w.line(4, "- %s%s", value(name), note(text))
	}
}

func (w *yamlWriter) list(key string, all []string, notes map[string]string) {
	if len(all) == 0 {
		return
	}
	if len(all) == 1 {
		w.line(3, "%s: [%s]%s", key, value(all[0]), note(notes[key]))
		return
	}
	w.line(3, "%s:%s", key, note(notes[key]))
	for _, one := range all {
		w.line(4, "- %s", value(one))
	}
}

func (w *yamlWriter) rules(s *Server) {
	if len(s.Policy.ToolRules) == 0 {
		return
	}
	w.line(3, "tool_rules:")
	for _, name := range slices.Sorted(maps.Keys(s.Policy.ToolRules)) {
		rule := s.Policy.ToolRules[name]
		at := "tool_rules." + name
		w.line(4, "%s:%s", word(name), note(s.Notes[at]))
		w.line(5, "deny_unknown_args: %v", rule.DenyUnknownArgs)
		if len(rule.Args) > 0 {
			w.line(5, "args:")
		}
		for _, arg := range slices.Sorted(maps.Keys(rule.Args)) {
			w.line(6, "%s: %s%s", word(arg), constraint(rule.Args[arg]), note(s.Notes[at+".args."+arg]))
		}
	}
}

func constraint(c policy.Constraint) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if c.OneOf != nil {
		add("one_of: [%s]", joined(c.OneOf, scalar))
	}
	if c.Prefix != nil {
		add("prefix: %s", value(*c.Prefix))
	}
	if c.Within != nil {
		add("within: [%s]", joined(c.Within, value))
	}
	if c.HostIn != nil {
		add("host_in: [%s]", joined(c.HostIn, value))
	}
	if c.Min != "" {
		add("min: %s, max: %s", c.Min, c.Max)
	}
	if c.MaxLen != nil {
		add("max_len: %d", *c.MaxLen)
	}
	if c.Required {
		add("required: true")
	}
	if c.Optional {
		add("optional: true")
	}
	if parts == nil {
		return "{}"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

func joined[T any](all []T, spell func(T) string) string {
	parts := make([]string, len(all))
	for i, one := range all {
		parts[i] = spell(one)
	}
	return strings.Join(parts, ", ")
}

func scalar(s policy.Scalar) string {
	if text, ok := jsonrpc.Text([]byte(s)); ok {
		return quote(string(text), true)
	}
	return string(s)
}

// bare reports whether YAML reads a text without quotes as that text.
func bare(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if text == "" || strings.Trim(text[:1], letters) != "" || strings.Trim(text, letters+"0123456789_-") != "" {
		return false
	}
	switch strings.ToLower(text) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	default:
		return true
	}
}

// value spells a text where a value stands: there ${NAME} is a variable, so a dollar sign is written twice.
func value(text string) string {
	if bare(text) {
		return text
	}
	return quote(text, true)
}

// word spells a text where a key stands.
func word(text string) string {
	if bare(text) {
		return text
	}
	return quote(text, false)
}

// quote spells a text as a double-quoted scalar of YAML.
func quote(text string, dollars bool) string {
	b := []byte{'"'}
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '$' && dollars:
			b = append(b, "$$"...)
		case seen(r):
			b = utf8.AppendRune(b, r)
		default:
			b = escape(b, r)
		}
	}
	return string(append(b, '"'))
}

// seen reports whether people see a character as what it is.
func seen(r rune) bool {
	return unicode.IsPrint(r) && r != utf8.RuneError && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func escape(b []byte, r rune) []byte {
	if r <= 0xffff {
		return fmt.Appendf(b, `\u%04X`, r)
	}
	return fmt.Appendf(b, `\U%08X`, r)
}

// visible returns a text for a comment: on one line, with nothing in it that a terminal obeys or that hides.
func visible(text string) string {
	const most = 300
	var b []byte
	for _, r := range text {
		if len(b) > most {
			return string(b) + "..."
		}
		if seen(r) {
			b = utf8.AppendRune(b, r)
		} else {
			b = escape(b, r)
		}
	}
	return string(b)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
