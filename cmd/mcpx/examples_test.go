package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const examples = "../../examples"

func TestExampleConfigsAreSound(t *testing.T) {
	t.Setenv("DATA_DIR", t.TempDir())
	files, err := filepath.Glob(examples + "/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	for _, file := range append(files, root+"/mcpx.example.yaml") {
		if _, err := readConfig(file); err != nil {
			t.Error(err)
		}
	}
}

// TestFullExampleShowsEveryKey holds the reference to what the loader knows: a key that is added must be explained.
func TestFullExampleShowsEveryKey(t *testing.T) {
	text, err := os.ReadFile(root + "/mcpx.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var keys func(reflect.Type) []string
	keys = func(typ reflect.Type) (all []string) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[yaml.Node]() || typ == reflect.TypeFor[pastedServer]() {
			return nil
		}
		for field := range typ.Fields() {
			if key, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); key != "" && key != "-" {
				all = append(append(all, key), keys(field.Type)...)
			}
		}
		return all
	}
	known := keys(reflect.TypeFor[config]())
	slices.Sort(known)
	for _, key := range slices.Compact(known) {
		if !bytes.Contains(text, []byte(key+":")) && !bytes.Contains(text, []byte("`"+key+"`")) && !bytes.Contains(text, []byte("`"+strings.TrimSuffix(key, "_file"))) {
			t.Errorf("mcpx.example.yaml does not show %s", key)
		}
	}
}

// A clientEntry is a server in a client's file.
type clientEntry struct {
	Command string            `json:"command"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env"`
}

// TestClientFilesWork starts each entry of each client file, with the mock server in place of npx and the example policy
// in place of the user's.
func TestClientFilesWork(t *testing.T) {
	files, err := filepath.Glob(examples + "/clients/*.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("client files: %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var client struct {
			Servers    map[string]clientEntry `json:"servers"`
			MCPServers map[string]clientEntry `json:"mcpServers"`
		}
		if err := json.Unmarshal(text, &client); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(client.Servers)+len(client.MCPServers) == 0 {
			t.Errorf("%s: no servers", file)
		}
		for _, servers := range []map[string]clientEntry{client.Servers, client.MCPServers} {
			for name, entry := range servers {
				t.Run(filepath.Base(file)+"/"+name, func(t *testing.T) { startEntry(t, entry) })
			}
		}
	}
}

const greetAndList = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/list"}
{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"delete_entities","arguments":{}}}
`

func startEntry(t *testing.T, entry clientEntry) {
	if entry.Command != "mcpx" {
		t.Fatalf("command is %q, want mcpx", entry.Command)
	}
	dash := slices.Index(entry.Args, "--")
	if dash < 0 || !slices.Equal(entry.Args[dash+1:dash+3], []string{"npx", "-y"}) {
		t.Fatalf("args %q do not start a server with npx", entry.Args)
	}
	args := append(slices.Clone(entry.Args[:dash+1]), "mock-mcp")
	named := slices.Index(args, "--config") + 1
	policy, err := filepath.Abs(filepath.Join(examples, filepath.Base(args[named])))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	args[named] = filepath.Join(folder, "mcpx.yaml") // beside which pins are kept
	text, err := os.ReadFile(policy)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(args[named], text, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), entry.Command, args...)
	command.Env = os.Environ()
	for name, value := range isolated(folder) {
		command.Env = append(command.Env, name+"="+value)
	}
	command.Env = append(command.Env, "DATA_DIR="+folder)
	command.Stdin = strings.NewReader(greetAndList)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	for _, want := range []string{`"id":2,"result":`, `denied by mcpx`} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("the client does not get %s:\n%s%s", want, out, stderr.Bytes())
		}
	}
}
