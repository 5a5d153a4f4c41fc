package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v3"
)

// printedSchema is the schema as an editor gets it.
func printedSchema(t *testing.T) (*jsonschema.Schema, *jsonschema.Resolved) {
	t.Helper()
	var out bytes.Buffer
	if err := (&app{out: &out}).printJSON(configSchema()); err != nil {
		t.Fatal(err)
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(out.Bytes(), &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		t.Fatal(err)
	}
	return &schema, resolved
}

// yamlValue reads a file as an editor does, merge keys resolved.
func yamlValue(t *testing.T, file string) any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	plain, err := json.Marshal(value)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	value = nil
	if err := json.Unmarshal(plain, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestSchemaTakesEveryGoodFile(t *testing.T) {
	_, schema := printedSchema(t)
	var files []string
	for _, pattern := range []string{examples + "/*.yaml", root + "/mcpx.example.yaml", "testdata/config/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		if err := schema.Validate(yamlValue(t, file)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestSchemaRefusesBadFiles takes the bad files whose fault is one of shape.
func TestSchemaRefusesBadFiles(t *testing.T) {
	_, schema := printedSchema(t)
	for _, name := range []string{"auth-type", "enums", "no-value", "not-a-mapping", "unknown-key", "wrong-types"} {
		if err := schema.Validate(yamlValue(t, "testdata/config/bad/"+name+".yaml")); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	for name, text := range map[string]string{
		"unknown key":          "nonsense: true",
		"unknown key below":    "servers: [{ name: a, comand: x }]",
		"unknown rule":         "servers: [{ name: a, policy: { tool_rules: { t: { args: { a: { start: x } } } } } }]",
		"no name":              "servers: [{ command: x }]",
		"bad name":             "servers: [{ name: A B }]",
		"number for a string":  "servers: [{ name: a, command: 7 }]",
		"text for a number":    "rate_limit: { rps: fast }",
		"text for a boolean":   "rate_limit: { enabled: 'yes' }",
		"size without unit":    "limits: { max_body: 4 apples }",
		"duration of a number": "circuit_breaker: { cooldown: 30 }",
		"unknown word":         "servers: [{ name: a, isolation: none }]",
		"empty secret":         "auth: { token: '' }",
		"nothing":              "{}",
	} {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err == nil {
			t.Errorf("%s passes: %s", name, text)
		}
	}
	for _, text := range []string{
		"rate_limit: { rps: '${RPS}', enabled: '${LIMIT:-true}' }",
		"limits: { max_body: 4MiB, max_message: '${SIZE}' }",
		"servers: [{ name: '${NAME}', command: x, args: [1, true, x], isolation: '${ISOLATION}' }]",
		"circuit_breaker: { cooldown: 1d12h }",
		"servers: [{ name: a, policy: { tool_rules: { t: { args: { a: { one_of: x, within: [/a, /b], min: 1.5 } } } } } }]",
	} {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestSchemaExplainsEveryKey wants a text for each key but those that only a client's file has, and a key for each text.
func TestSchemaExplainsEveryKey(t *testing.T) {
	schema, _ := printedSchema(t)
	objects := maps.Clone(schema.Defs)
	objects[""] = schema
	for name, object := range objects {
		for key, property := range object.Properties {
			if property.Description == "" && !reflect.DeepEqual(property, &jsonschema.Schema{}) {
				t.Errorf("%s.%s has no text", name, key)
			}
		}
	}
	for path := range keyTexts() {
		name, key, _ := strings.Cut(path, ".")
		if objects[name] == nil || objects[name].Properties[key] == nil {
			t.Errorf("there is a text for %s, which is no key", path)
		}
	}
}

var saidWords = regexp.MustCompile(`(?:use|is not|is neither) ([\w, ]+)$`)

// TestSchemaKnowsTheWordsOfTheLoader gives each key with a set of words one that it does not know: the error lists them.
func TestSchemaKnowsTheWordsOfTheLoader(t *testing.T) {
	for path, about := range keyTexts() {
		if len(about.words) == 0 || strings.HasPrefix(path, "pasted_server.") || path == "server.transport" {
			continue // clients write more than the loader lists, and it lists what suits url or command
		}
		object, key, _ := strings.Cut(path, ".")
		format := map[string]string{
			"server":          "servers: [{ name: a, command: x, %s: %q }]",
			"policy":          "servers: [{ name: a, command: x, policy: { %s: %q } }]",
			"server_requests": "servers: [{ name: a, command: x, policy: { server_requests: { %s: %q } } }]",
			"hub":             "hub: { url: https://hub.example.com, token: t, %s: %q }",
		}[object]
		if format == "" {
			format = object + ": { %s: %q }"
		}
		problems := func(word string) (all string) {
			d := &document{file: "x.yaml", lookup: os.LookupEnv}
			d.config([]byte(fmt.Sprintf(format, key, word)))
			for _, p := range d.problems {
				if strings.HasSuffix(p.Path, key) {
					all += p.Message
				}
			}
			return all
		}
		said := saidWords.FindStringSubmatch(problems("nonsense"))
		if said == nil {
			t.Errorf("%s takes anything: %q", path, problems("nonsense"))
			continue
		}
		words := strings.Split(strings.NewReplacer(" or ", ", ", " nor ", ", ").Replace(said[1]), ", ")
		slices.Sort(words)
		if diff := cmp.Diff(words, slices.Sorted(slices.Values(about.words))); diff != "" {
			t.Errorf("%s (-loader +schema):\n%s", path, diff)
		}
		for _, word := range about.words {
			if said := problems(word); said != "" && object != "auth" {
				t.Errorf("%s: %s: %s", path, word, said)
			}
		}
	}
}

// TestSchemaStatesTheDefaults writes the defaults of each section into a file, which must then be the same as none.
func TestSchemaStatesTheDefaults(t *testing.T) {
	for _, section := range []string{"limits", "circuit_breaker", "cors", "hub", "auth", "store", "admin"} {
		var b strings.Builder
		for path, about := range keyTexts() {
			if name, key, _ := strings.Cut(path, "."); name == section && about.standard != nil {
				fmt.Fprintf(&b, "  %s: %v\n", key, about.standard)
			}
		}
		d := &document{file: "x.yaml", lookup: os.LookupEnv}
		d.places = map[string]place{}
		d.parse([]byte("listen: " + fmt.Sprint(keyTexts()[".listen"].standard) + "\n" + section + ":\n" + b.String()))
		c, want := defaults(), defaults()
		d.decode(c)
		plain := cmp.Exporter(func(reflect.Type) bool { return true })
		if diff := cmp.Diff(want, c, plain); diff != "" || len(d.problems) > 0 {
			t.Errorf("%s (-default +schema): %v\n%s", section, d.problems, diff)
		}
	}
}
