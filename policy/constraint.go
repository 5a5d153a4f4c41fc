package policy

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// ToolRule constrains the arguments of a tool.
type ToolRule struct {
	// Args maps an argument to its constraint. A key that starts with a slash is a JSON Pointer into nested
	// objects (`/options/path`); it never enters an array.
	Args map[string]Constraint `yaml:"args" json:"args,omitzero"`

	// DenyUnknownArgs denies a call with a top-level argument that no matching rule of the same layer names.
	DenyUnknownArgs bool `yaml:"deny_unknown_args" json:"deny_unknown_args,omitzero"`
}

// Constraint holds the conditions on one argument; all must hold. An absent argument passes unless Required, or
// Within without Optional, says otherwise. Values are compared as strings: numbers in their shortest plain decimal
// form (1e2 and 100.0 are 100, however large, without rounding; beyond 10^1024 they are refused), booleans as true
// and false. Null never passes, and an object or array passes only where Required is all that is asked. MaxLen is
// looked at first, so that it bounds what an expression has to read.
type Constraint struct {
	Equals   Scalar  `yaml:"equals" json:"equals,omitzero"`
	OneOf    Scalars `yaml:"one_of" json:"one_of,omitzero"`       // one value or a list
	Prefix   *string `yaml:"prefix" json:"prefix,omitzero"`       // literal: "/data/" lets "/data/../etc" pass; use Within for paths
	Suffix   *string `yaml:"suffix" json:"suffix,omitzero"`       // literal
	Regex    *string `yaml:"regex" json:"regex,omitzero"`         // RE2, searched: unanchored unless it says ^ and $
	NotRegex *string `yaml:"not_regex" json:"not_regex,omitzero"` // RE2, searched; must not be found
	Matches  *string `yaml:"matches" json:"matches,omitzero"`     // RE2 for the whole value, which must not hold a line break
	Within   Strings `yaml:"within" json:"within,omitzero"`       // absolute directories; the value is a path that stays inside one
	HostIn   Strings `yaml:"host_in" json:"host_in,omitzero"`     // hosts or host:port; the value is a URL with one of them
	Min      Scalar  `yaml:"min" json:"min,omitzero"`             // numbers only
	Max      Scalar  `yaml:"max" json:"max,omitzero"`
	MaxLen   *int    `yaml:"max_len" json:"max_len,omitzero"` // characters
	Required bool    `yaml:"required" json:"required,omitzero"`
	Optional bool    `yaml:"optional" json:"optional,omitzero"` // lets Within pass an absent argument
}

// judgesValue reports whether the constraint asks for more than presence.
func (c Constraint) judgesValue() bool {
	return c.Equals != "" || c.OneOf != nil || c.Prefix != nil || c.Suffix != nil || c.Regex != nil ||
		c.NotRegex != nil || c.Matches != nil || c.Within != nil || c.HostIn != nil || c.Min != "" || c.Max != "" ||
		c.MaxLen != nil
}

// Scalar is one JSON scalar as JSON spells it: `"text"`, `100` or `true`. The empty Scalar is no value. It keeps
// the digits of a number as they were written; no float stands in between.
type Scalar string

// UnmarshalYAML reads a YAML scalar. It has the shape that YAML decoders accept without an import of theirs.
func (s *Scalar) UnmarshalYAML(unmarshal func(any) error) error {
	var text string
	if err := unmarshal(&text); err != nil {
		return err
	}
	var value any
	if err := unmarshal(&value); err != nil {
		return err
	}
	switch v := value.(type) {
	case bool:
		*s = Scalar(strconv.FormatBool(v)) // YAML also writes True and TRUE
	case int, int64, uint64, float64:
		*s = Scalar(text) // as written; Validate refuses what JSON would not write so
	default:
		quoted, err := jsontext.AppendQuote(nil, text)
		if err != nil {
			return err
		}
		*s = Scalar(quoted)
	}
	return nil
}

// Scalars is a list of scalars; in YAML a single one may stand for the list.
type Scalars []Scalar

// UnmarshalYAML reads one scalar or a list.
func (s *Scalars) UnmarshalYAML(unmarshal func(any) error) error {
	var list []Scalar
	if unmarshal(&list) == nil {
		*s = list
		return nil
	}
	var one Scalar
	if err := unmarshal(&one); err != nil {
		return err
	}
	*s = Scalars{one}
	return nil
}

// Strings is a list of strings; in YAML a single one may stand for the list.
type Strings []string

// UnmarshalYAML reads one string or a list.
func (s *Strings) UnmarshalYAML(unmarshal func(any) error) error {
	var list []string
	if unmarshal(&list) == nil {
		*s = list
		return nil
	}
	var one string
	if err := unmarshal(&one); err != nil {
		return err
	}
	*s = Strings{one}
	return nil
}
