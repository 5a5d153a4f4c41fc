package policy

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	allow = "allow"
	deny  = "deny"
)

// Validate reports all that is wrong with the configuration, joined, each problem with its path:
// `tool_rules.query.args.sql.regex: …`.
func (c Config) Validate() error {
	var p problems
	for _, list := range []struct {
		path     string
		patterns []string
		syntax   syntax
	}{
		{"allow_tools", c.AllowTools, nameSyntax},
		{"deny_tools", c.DenyTools, nameSyntax},
		{"allow_resources", c.AllowResources, uriSyntax},
		{"deny_resources", c.DenyResources, uriSyntax},
		{"allow_prompts", c.AllowPrompts, nameSyntax},
		{"deny_prompts", c.DenyPrompts, nameSyntax},
		{"allow_methods", c.AllowMethods, nameSyntax},
	} {
		for i, pattern := range list.patterns {
			p.pattern(fmt.Sprintf("%s[%d]", list.path, i), pattern, list.syntax)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.ToolRules)) {
		p.toolRule("tool_rules."+name, name, c.ToolRules[name])
	}
	p.verdict("server_requests.sampling", c.ServerRequests.Sampling)
	p.verdict("server_requests.elicitation", c.ServerRequests.Elicitation)
	p.verdict("server_requests.roots", c.ServerRequests.Roots)
	switch c.OnDeny {
	case "", OnDenyError, OnDenyToolError:
	default:
		p.add("on_deny", "%q is neither error nor tool_error", c.OnDeny)
	}
	return errors.Join(p...)
}

type problems []error

func (p *problems) add(path, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

func (p *problems) verdict(path, value string) {
	if value != "" && value != allow && value != deny {
		p.add(path, "%q is neither allow nor deny", value)
	}
}

func (p *problems) pattern(path, pattern string, s syntax) {
	if s == uriSyntax {
		if _, err := compileURIGlob(pattern); err != nil {
			p.add(path, "%q %v", pattern, err)
		}
		return
	}
	if _, err := compileGlob(pattern, s); err != nil {
		p.add(path, "%q %v", pattern, err)
		return
	}
	if !clean([]byte(pattern)) {
		p.add(path, "%q holds a control, bidi or zero-width character; such names are always denied", pattern)
	}
}

func (p *problems) toolRule(path, name string, rule ToolRule) {
	p.pattern(path, name, nameSyntax)
	if len(rule.Args) == 0 && !rule.DenyUnknownArgs {
		p.add(path, "constrains nothing; name an argument under args or set deny_unknown_args")
	}
	for _, arg := range slices.Sorted(maps.Keys(rule.Args)) {
		at := path + ".args." + arg
		if _, err := argumentPath(arg); err != nil {
			p.add(at, "%v", err)
		}
		if !utf8.ValidString(arg) {
			p.add(at, "%q is not UTF-8, so no argument has this name", arg)
		}
		c := rule.Args[arg]
		if !c.judgesValue() && !c.Required && !rule.DenyUnknownArgs {
			p.add(at, "asks for nothing; add a constraint such as prefix, within or required")
		}
		p.constraint(at, c)
	}
}

func (p *problems) constraint(path string, c Constraint) {
	if c.Required && c.Optional {
		p.add(path, "required contradicts optional; keep one")
	}
	if c.Equals != "" {
		p.scalar(path+".equals", c.Equals)
	}
	p.oneOf(path, c)
	p.expression(path+".regex", c.Regex)
	p.expression(path+".not_regex", c.NotRegex)
	p.expression(path+".matches", c.Matches)
	p.text(path+".prefix", c.Prefix)
	p.text(path+".suffix", c.Suffix)
	if c.Within != nil {
		p.list(path+".within", c.Within, checkRoot)
	}
	if c.HostIn != nil {
		p.list(path+".host_in", c.HostIn, func(entry string) error {
			_, err := parseHostEntry(entry)
			return err
		})
	}
	if c.MaxLen != nil && *c.MaxLen < 0 {
		p.add(path+".max_len", "%d is negative", *c.MaxLen)
	}
	p.bounds(path, c)
}

func (p *problems) oneOf(path string, c Constraint) {
	if c.OneOf == nil {
		return
	}
	if len(c.OneOf) == 0 {
		p.add(path+".one_of", "is empty, so nothing would pass; list the values")
	}
	for i, s := range c.OneOf {
		p.scalar(fmt.Sprintf("%s.one_of[%d]", path, i), s)
	}
	if c.Equals != "" && !slices.Contains(texts(c.OneOf), scalarText(c.Equals)) {
		p.add(path+".equals", "is not in one_of, so nothing would pass")
	}
}

func (p *problems) scalar(path string, s Scalar) {
	if _, ok := readScalar(nil, []byte(s)); !ok {
		p.add(path, "%s is not a text, a number as JSON writes it, true or false; put quotes around a text", s)
	}
}

func (p *problems) expression(path string, expr *string) {
	if expr == nil {
		return
	}
	if *expr == "" {
		p.add(path, "is empty; leave it out")
		return
	}
	if _, err := regexp.Compile(*expr); err != nil {
		p.add(path, "%q does not compile: %s", *expr, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
}

func (p *problems) text(path string, text *string) {
	switch {
	case text == nil:
	case *text == "":
		p.add(path, "is empty; leave it out")
	case !utf8.ValidString(*text):
		p.add(path, "%q is not UTF-8, so nothing would pass", *text)
	}
}

func (p *problems) list(path string, entries []string, check func(string) error) {
	if len(entries) == 0 {
		p.add(path, "is empty, so nothing would pass; list what may")
	}
	for i, entry := range entries {
		if err := check(entry); err != nil {
			p.add(fmt.Sprintf("%s[%d]", path, i), "%q %v", entry, err)
		}
	}
}

func (p *problems) bounds(path string, c Constraint) {
	low, lowOK := p.bound(path+".min", c.Min)
	high, highOK := p.bound(path+".max", c.Max)
	if lowOK && highOK && low.compare(high) > 0 {
		p.add(path+".min", "%s is greater than max %s, so nothing would pass", c.Min, c.Max)
	}
	if (c.Min != "" || c.Max != "") && (c.Within != nil || c.HostIn != nil) {
		p.add(path, "min and max take numbers, within and host_in take texts, so nothing would pass")
	}
}

func (p *problems) bound(path string, s Scalar) (decimal, bool) {
	if s == "" {
		return decimal{}, false
	}
	d, ok := parseDecimal([]byte(s))
	if !ok {
		p.add(path, "%s is not a number as JSON writes it", s)
	}
	return d, ok
}

func texts(scalars []Scalar) []string {
	out := make([]string, len(scalars))
	for i, s := range scalars {
		out[i] = scalarText(s)
	}
	return out
}
