package main

import (
	"reflect"
	"strings"

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
		Args:    operands(0, 0),
		RunE:    func(*cobra.Command, []string) error { return a.printJSON(configSchema()) },
	})
	return cmd
}

// configSchema describes the file from the types that [document.decode] reads it into, by the same rules.
func configSchema() *schema {
	w := &schemaWriter{defs: map[string]*schema{}, texts: keyTexts(), names: schemaNames()}
	root := w.object(reflect.TypeFor[config](), "")
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "mcpx.yaml"
	root.Description = "Configuration of mcpx, for mcpx wrap and mcpx hub."
	root.MinProperties = 1
	root.Defs = w.defs
	return root
}

// schemaNames are the names under which the schema holds what a type describes.
func schemaNames() map[reflect.Type]string {
	return map[reflect.Type]string{
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
		reflect.TypeFor[storeConfig]():           "store",
		reflect.TypeFor[otelConfig]():            "otel",
		reflect.TypeFor[adminConfig]():           "admin",
	}
}

type schemaWriter struct {
	defs  map[string]*schema
	texts map[string]keyText
	names map[reflect.Type]string
}

// The patterns of text that stands for something else. A variable is resolved later, whatever its key takes.
const (
	variableText = `\$\{[^}]+\}`
	sizeText     = `^[0-9]+(\.[0-9]+)?\s*([kKmMgG]([iI]?[bB])?|[bB])?$`
	durationText = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d|w))+$`
)

func (w *schemaWriter) of(t reflect.Type, opts tagOptions) *schema {
	switch t {
	case reflect.TypeFor[ignored]():
		return &schema{}
	case reflect.TypeFor[policy.Scalar]():
		return oneValue()
	case reflect.TypeFor[policy.Scalars]():
		return oneOrMany(oneValue())
	case reflect.TypeFor[policy.Strings]():
		return oneOrMany(&schema{Type: "string"})
	case reflect.TypeFor[secret]():
		return &schema{Type: "string", MinLength: 1}
	case durationType:
		return &schema{Type: "string", Pattern: durationText + "|" + variableText}
	default:
	}
	switch t.Kind() {
	case reflect.Pointer:
		return w.of(t.Elem(), opts)
	case reflect.Struct:
		return w.reference(t)
	case reflect.Map:
		return &schema{Type: "object", AdditionalProperties: w.of(t.Elem(), opts)}
	case reflect.Slice:
		if opts.list {
			return oneOrMany(w.of(t.Elem(), tagOptions{scalars: opts.scalars}))
		}
		return &schema{Type: "array", Items: w.of(t.Elem(), opts)}
	case reflect.Int64: // a size
		return &schema{AnyOf: []*schema{
			{Type: "integer", Minimum: 1},
			{Type: "string", Pattern: sizeText + "|" + variableText},
		}}
	case reflect.Int:
		return orVariable(&schema{Type: "integer"})
	case reflect.Float64:
		return orVariable(&schema{Type: "number"})
	case reflect.Bool:
		return orVariable(&schema{Type: "boolean"})
	case reflect.String:
		if opts.scalars {
			return oneValue()
		}
		return &schema{Type: "string"}
	default:
		return &schema{Not: &schema{}} // the decoder cannot read it either
	}
}

// reference describes a struct once, and gives what points there.
func (w *schemaWriter) reference(t reflect.Type) *schema {
	name := w.names[t]
	if name == "" {
		name = strings.ToLower(t.Name())
	}
	if _, done := w.defs[name]; !done {
		w.defs[name] = nil // it is being written: a type that holds itself ends here
		w.defs[name] = w.object(t, name)
	}
	return &schema{Ref: "#/$defs/" + name}
}

func (w *schemaWriter) object(t reflect.Type, name string) *schema {
	s := &schema{
		Type:                 "object",
		AdditionalProperties: false,
		Required:             requiredKeys(name),
	}
	w.properties(s, t, name)
	return s
}

func (w *schemaWriter) properties(s *schema, t reflect.Type, name string) {
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
		if about, ok := w.describe(name, key); ok {
			property = about.onto(property)
		}
		s.Properties = append(s.Properties, member{key, property})
	}
}

// onto adds to the schema of a key what its type does not say.
func (k keyText) onto(s *schema) *schema {
	if len(k.words) > 0 {
		s = orVariable(&schema{Enum: k.words})
	}
	if k.pattern != "" {
		s.Pattern = k.pattern + "|" + variableText
	}
	s.Description = k.text
	s.Default = k.standard
	return s
}

func oneValue() *schema {
	return &schema{Type: []string{"string", "number", "boolean"}}
}

func oneOrMany(one *schema) *schema {
	return &schema{AnyOf: []*schema{one, {Type: "array", Items: one}}}
}

func orVariable(s *schema) *schema {
	return &schema{AnyOf: []*schema{s, {Type: "string", Pattern: variableText}}}
}
