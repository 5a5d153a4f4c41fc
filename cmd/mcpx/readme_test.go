package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// blocks gives the fenced blocks of a document that are in a language.
func blocks(t *testing.T, file, language string) []string {
	t.Helper()
	text, err := os.ReadFile(root + "/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, match := range fence.FindAllStringSubmatch(strings.ReplaceAll(string(text), "\r\n", "\n"), -1) {
		if match[1] == language {
			found = append(found, match[2])
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no %s blocks", file, language)
	}
	return found
}

// TestREADMECommands runs every command of the README from the top folder, and compares what it prints with what the
// README says it prints. There, … stands for anything.
func TestREADMECommands(t *testing.T) {
	environment := readmeEnvironment(t)
	terminals := newTerminals(t)
	environment = append(environment, "MOCK_URL=http://"+terminals.mock+"/mcp")
	var ran []string
	for _, block := range blocks(t, "README.md", "console") {
		for _, part := range strings.Split("\n"+block, "\n$ ")[1:] {
			line, want, _ := strings.Cut(part, "\n")
			ran = append(ran, line)
			if line == "go test ./..." {
				continue // this is that command
			}
			if program, args, ok := terminals.serves(line); ok {
				t.Run(line, func(t *testing.T) { terminals.open(t, environment, program, args, want) })
				continue
			}
			t.Run(line, func(t *testing.T) {
				words := splitWords(strings.ReplaceAll(line, "localhost:8080", terminals.hub))
				command := exec.CommandContext(t.Context(), words[0], words[1:]...)
				command.Dir, command.Env = root, environment
				var stderr bytes.Buffer
				command.Stderr = &stderr
				out, err := command.Output()
				exit, denied := errors.AsType[*exec.ExitError](err)
				if err != nil && !(denied && exit.ExitCode() == exitDenied && strings.HasPrefix(want, "deny ")) {
					t.Fatalf("%v\n%s%s", err, out, stderr.Bytes())
				}
				if want != "" && !bytes.HasSuffix(out, []byte("\n")) {
					out = append(out, '\n') // as a terminal shows it
				}
				if pattern := wildcard(want); !pattern.Match(bytes.ReplaceAll(out, []byte("\r\n"), []byte("\n"))) {
					t.Errorf("prints (%v)\n%s%s\nbut the README says\n%s", err, out, stderr.Bytes(), want)
				}
			})
		}
	}
	for _, must := range []string{"go run ./cmd/mcpx demo", "go test ./...", "go run ./examples/mock-mcp", "go run ./cmd/mcpx -c examples/demo.yaml"} {
		if !slices.Contains(ran, must) {
			t.Errorf("the README does not show %q", must)
		}
	}
}

// readmeEnvironment is that of a user who has Go, and mcpx in the PATH.
func readmeEnvironment(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPATH").Output()
	if err != nil {
		t.Fatal(err)
	}
	folders := strings.Fields(string(out))
	environment := append(os.Environ(),
		"GOCACHE="+folders[0], "GOMODCACHE="+folders[1], "GOPATH="+folders[2], "GOBIN="+t.TempDir(), "DATA_DIR="+t.TempDir())
	for name, value := range isolated(t.TempDir()) {
		environment = append(environment, name+"="+value)
	}
	return environment
}

// wildcard makes a pattern of expected output, in which … stands for anything.
func wildcard(want string) *regexp.Regexp {
	parts := strings.Split(want, "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	if want == "" {
		parts = []string{"", ""}
	}
	return regexp.MustCompile(`(?s)^` + strings.Join(parts, ".*?") + `$`)
}

// splitWords takes a command line apart as a shell would, single quotes included.
func splitWords(line string) (words []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}

// TestREADMEClientEntryWorks starts the server entry that the README shows.
func TestREADMEClientEntryWorks(t *testing.T) {
	for _, block := range blocks(t, "README.md", "json") {
		var client struct {
			MCPServers map[string]clientEntry `json:"mcpServers"`
		}
		if err := json.Unmarshal([]byte(block), &client); err != nil || len(client.MCPServers) == 0 {
			t.Fatalf("no client file (%v):\n%s", err, block)
		}
		for _, entry := range client.MCPServers {
			startEntry(t, entry)
		}
	}
}

// TestREADMEPolicyIsSound checks the configuration that the README shows.
func TestREADMEPolicyIsSound(t *testing.T) {
	for _, block := range blocks(t, "README.md", "yaml") {
		d := &document{file: "README.md", lookup: os.LookupEnv}
		d.config([]byte(strings.ReplaceAll(block, "/data", strings.ReplaceAll(t.TempDir(), `\`, "/"))))
		for _, p := range d.problems {
			t.Error(p.text(d.file))
		}
	}
}
