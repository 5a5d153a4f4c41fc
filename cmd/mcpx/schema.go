package main

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Help with writing the configuration file",
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration file, for editors",
		Long: `Schema prints a JSON Schema (2020-12) of mcpx.yaml: its keys, what they take and what they mean. An editor that knows
it completes and explains keys and underlines mistakes while you type. Most find it by a first line such as

  # yaml-language-server: $schema=mcpx.schema.json

The schema holds the shape of a file. Whether its parts fit each other is what ` + "`mcpx check`" + ` says.`,
		Example: "  mcpx config schema > mcpx.schema.json",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return a.printJSON(configSchema()) },
	})
	return cmd
}

// configSchema describes the file from the types that [document.decode] reads it into, by the same rules.
func configSchema() *jsonschema.Schema {
	w := &schemaWriter{defs: map[string]*jsonschema.Schema{}}
	root := w.object(reflect.TypeFor[config](), "")
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "mcpx.yaml"
	root.Description = "Configuration of mcpx, for mcpx wrap and mcpx hub."
	root.MinProperties = new(1)
	root.Defs = w.defs
	return root
}

// schemaNames are the names under which the schema holds what a type describes.
var schemaNames = map[reflect.Type]string{
	reflect.TypeFor[tlsConfig]():             "tls",
	reflect.TypeFor[server]():                "server",
	reflect.TypeFor[pastedServer]():          "pasted_server",
	reflect.TypeFor[authConfig]():            "auth",
	reflect.TypeFor[authClient]():            "auth_client",
	reflect.TypeFor[oauthConfig]():           "oauth",
	reflect.TypeFor[clientConfig]():          "client",
	reflect.TypeFor[policy.Config]():         "policy",
	reflect.TypeFor[policy.Override]():       "override",
	reflect.TypeFor[policy.ToolRule]():       "tool_rule",
	reflect.TypeFor[policy.Constraint]():     "constraint",
	reflect.TypeFor[policy.ServerRequests](): "server_requests",
	reflect.TypeFor[policy.RateConfig]():     "rate_limit",
	reflect.TypeFor[breakerConfig]():         "circuit_breaker",
	reflect.TypeFor[integrity.Config]():      "inspection",
	reflect.TypeFor[limits]():                "limits",
	reflect.TypeFor[corsConfig]():            "cors",
	reflect.TypeFor[audit.Config]():          "audit",
	reflect.TypeFor[hubConfig]():             "hub",
}

type schemaWriter struct {
	defs map[string]*jsonschema.Schema
}

// The patterns of text that stands for something else. A variable is resolved later, whatever its key takes.
const (
	variableText = `\$\{[^}]+\}`
	sizeText     = `^[0-9]+(\.[0-9]+)?\s*([kKmMgG]([iI]?[bB])?|[bB])?$`
	durationText = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d|w))+$`
)

func (w *schemaWriter) of(t reflect.Type, opts tagOptions) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[ignored]():
		return &jsonschema.Schema{}
	case reflect.TypeFor[policy.Scalar]():
		return oneValue()
	case reflect.TypeFor[policy.Scalars]():
		return oneOrMany(oneValue())
	case reflect.TypeFor[policy.Strings]():
		return oneOrMany(&jsonschema.Schema{Type: "string"})
	case reflect.TypeFor[secret]():
		return &jsonschema.Schema{Type: "string", MinLength: new(1)}
	case durationType:
		return &jsonschema.Schema{Type: "string", Pattern: durationText + "|" + variableText}
	default:
	}
	switch t.Kind() {
	case reflect.Pointer:
		return w.of(t.Elem(), opts)
	case reflect.Struct:
		return w.reference(t)
	case reflect.Map:
		return &jsonschema.Schema{Type: "object", AdditionalProperties: w.of(t.Elem(), opts)}
	case reflect.Slice:
		if opts.list {
			return oneOrMany(w.of(t.Elem(), tagOptions{scalars: opts.scalars}))
		}
		return &jsonschema.Schema{Type: "array", Items: w.of(t.Elem(), opts)}
	case reflect.Int64: // a size
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "integer", Minimum: new(1.0)},
			{Type: "string", Pattern: sizeText + "|" + variableText},
		}}
	case reflect.Int:
		return orVariable(&jsonschema.Schema{Type: "integer"})
	case reflect.Float64:
		return orVariable(&jsonschema.Schema{Type: "number"})
	case reflect.Bool:
		return orVariable(&jsonschema.Schema{Type: "boolean"})
	case reflect.String:
		if opts.scalars {
			return oneValue()
		}
		return &jsonschema.Schema{Type: "string"}
	default:
		return &jsonschema.Schema{Not: &jsonschema.Schema{}} // the decoder cannot read it either
	}
}

// reference describes a struct once, and gives what points there.
func (w *schemaWriter) reference(t reflect.Type) *jsonschema.Schema {
	name := schemaNames[t]
	if name == "" {
		name = strings.ToLower(t.Name())
	}
	if _, done := w.defs[name]; !done {
		w.defs[name] = nil // it is being written: a type that holds itself ends here
		w.defs[name] = w.object(t, name)
	}
	return &jsonschema.Schema{Ref: "#/$defs/" + name}
}

func (w *schemaWriter) object(t reflect.Type, name string) *jsonschema.Schema {
	s := &jsonschema.Schema{
		Type:                 "object",
		Properties:           map[string]*jsonschema.Schema{},
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
		Required:             requiredKeys[name],
	}
	w.properties(s, t, name)
	return s
}

func (w *schemaWriter) properties(s *jsonschema.Schema, t reflect.Type, name string) {
	for f := range t.Fields() {
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if strings.Contains(options, "inline") {
			w.properties(s, f.Type, name)
			continue
		}
		if key == "" || key == "-" {
			continue
		}
		property := w.of(f.Type, tagOptions{scalars: strings.Contains(options, "scalars"), list: strings.Contains(options, "list")})
		if about, ok := describe(name, key); ok {
			property = about.onto(property)
		}
		s.Properties[key] = property
		s.PropertyOrder = append(s.PropertyOrder, key)
	}
}

// onto adds to the schema of a key what its type does not say.
func (k keyText) onto(s *jsonschema.Schema) *jsonschema.Schema {
	if len(k.words) > 0 {
		words := make([]any, len(k.words))
		for i, word := range k.words {
			words[i] = word
		}
		s = orVariable(&jsonschema.Schema{Enum: words})
	}
	if k.pattern != "" {
		s.Pattern = k.pattern + "|" + variableText
	}
	s.Description = k.text
	if k.standard != nil {
		s.Default, _ = json.Marshal(k.standard) // text, a number or a boolean
	}
	return s
}

func oneValue() *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"string", "number", "boolean"}}
}

func oneOrMany(one *jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{one, {Type: "array", Items: one.CloneSchemas()}}}
}

func orVariable(s *jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{s, {Type: "string", Pattern: variableText}}}
}
