package main

import (
	"bytes"
	"encoding/json"
)

// A schema is the part of JSON Schema (2020-12) that is used here. It is a type of our own since every library for it
// would be part of every wrapper, which starts twice per server; tests validate with one.
type schema struct {
	Schema      string `json:"$schema,omitempty"`
	Ref         string `json:"$ref,omitempty"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
	Default     any    `json:"default,omitempty"` // text, a number or a boolean; an interface that holds false is not empty

	Type      any      `json:"type,omitempty"` // a word or a list of words
	Enum      []string `json:"enum,omitempty"`
	Pattern   string   `json:"pattern,omitempty"`
	MinLength int      `json:"minLength,omitempty"`
	Minimum   float64  `json:"minimum,omitempty"`

	Items                *schema  `json:"items,omitempty"`
	Properties           members  `json:"properties,omitempty"`
	AdditionalProperties any      `json:"additionalProperties,omitempty"` // false, or a *schema
	MinProperties        int      `json:"minProperties,omitempty"`
	Required             []string `json:"required,omitempty"`

	AnyOf []*schema          `json:"anyOf,omitempty"`
	Not   *schema            `json:"not,omitempty"`
	Defs  map[string]*schema `json:"$defs,omitempty"`
}

// members are the keys of an object, in the order of the file: editors offer them so.
type members []member

type member struct {
	key   string
	value *schema
}

// MarshalJSON writes an object.
func (m members) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, member := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(member.key)
		if err != nil {
			return nil, err
		}
		b.Write(append(key, ':'))
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(member.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
