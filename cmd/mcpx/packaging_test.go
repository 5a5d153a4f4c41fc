package main

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// understood wants of a command line what can be known without running it: that there is such a command, and that it
// has these flags.
func understood(t *testing.T, where string, args []string) {
	t.Helper()
	command, rest, err := (&app{}).rootCommand(nil).Find(args)
	if err != nil {
		t.Errorf("%s: %q: %v", where, args, err)
		return
	}
	if err := command.ParseFlags(rest); err != nil {
		t.Errorf("%s: %q: %v", where, args, err)
		return
	}
	if err := command.ValidateArgs(command.Flags().Args()); err != nil || !command.Runnable() {
		t.Errorf("%s: %q: %v", where, args, err)
	}
}

func TestSystemdUnitStartsWhatThereIs(t *testing.T) {
	text, err := os.ReadFile(examples + "/systemd/mcpx-hub.service")
	if err != nil {
		t.Fatal(err)
	}
	set := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		switch {
		case line == "", strings.HasPrefix(line, "#"), line == "[Unit]", line == "[Service]", line == "[Install]":
		case !ok:
			t.Errorf("no setting: %s", line)
		default:
			set[key] = append(set[key], value)
		}
	}
	for _, key := range []string{"ExecStartPre", "ExecStart"} {
		for _, line := range set[key] {
			words := strings.Fields(line)
			if words[0] != "/usr/local/bin/mcpx" {
				t.Errorf("%s runs %s", key, words[0])
			}
			understood(t, key, words[1:])
		}
	}
	for key, want := range map[string]string{
		"ExecReload": "/bin/kill -HUP $MAINPID", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": "",
		"User": "mcpx", "WantedBy": "multi-user.target", "Environment": stateVariable + "=/var/lib/mcpx",
	} {
		if !slices.Equal(set[key], []string{want}) {
			t.Errorf("%s is %q, want %q", key, set[key], want)
		}
	}
}

var instruction = regexp.MustCompile(`(?m)^(FROM|COPY|USER|ENV|HEALTHCHECK|ENTRYPOINT|CMD|RUN) (.*)$`)

// TestImagesAreSmallAndHarmless reads the Dockerfile stage by stage.
func TestImagesAreSmallAndHarmless(t *testing.T) {
	text, err := os.ReadFile(root + "/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	joined := regexp.MustCompile(`\\\n\s*`).ReplaceAllString(strings.ReplaceAll(string(text), "\r\n", "\n"), "")
	stages := map[string]map[string][]string{}
	var stage map[string][]string
	for _, match := range instruction.FindAllStringSubmatch(joined, -1) {
		if match[1] == "FROM" {
			from := strings.Fields(match[2])
			stage = map[string][]string{"FROM": {from[0]}}
			stages[from[2]] = stage
			continue
		}
		stage[match[1]] = append(stage[match[1]], match[2])
	}
	if want := goVersion(t); stages["build"]["FROM"][0] != "golang:"+want {
		t.Errorf("is built by %s, and go.mod says Go %s", stages["build"]["FROM"][0], want)
	}
	for _, name := range []string{"mcpx", "mock"} {
		stage := stages[name]
		if stage["FROM"][0] != "scratch" || !slices.Equal(stage["USER"], []string{"65532:65532"}) || len(stage["RUN"]) > 0 {
			t.Errorf("%s: from %s, user %s, runs %s", name, stage["FROM"], stage["USER"], stage["RUN"])
		}
	}
	words := func(text string) (list []string) {
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return list
	}
	mcpx := stages["mcpx"]
	_, check, _ := strings.Cut(mcpx["HEALTHCHECK"][0], "CMD ")
	entry := words(mcpx["ENTRYPOINT"][0])
	understood(t, "CMD", append(entry[1:], words(mcpx["CMD"][0])...))
	if probe := words(check); probe[0] != entry[0] {
		t.Errorf("the health check runs %s, the image %s", probe[0], entry[0])
	} else {
		understood(t, "HEALTHCHECK", probe[1:])
	}
	for _, name := range []string{configVariable, stateVariable} {
		if !strings.Contains(mcpx["ENV"][0], name+"=/") {
			t.Errorf("ENV %s does not set %s", mcpx["ENV"], name)
		}
	}
}

func goVersion(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(text))[1]
}

// TestComposeRunsTheDemo wants compose.yaml to run what the README runs.
func TestComposeRunsTheDemo(t *testing.T) {
	text, err := os.ReadFile(root + "/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type service struct {
		Build       struct{ Context, Target string }
		Command     []string
		Environment map[string]string
		Volumes     []string
		Ports       []string
		Healthcheck struct{ Test []string }
	}
	var file struct {
		Services map[string]service
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(file.Services)); !slices.Equal(got, []string{"hub", "mock"}) {
		t.Fatalf("services %q", got)
	}
	hub := file.Services["hub"]
	understood(t, "hub", hub.Command)
	understood(t, "health check", hub.Healthcheck.Test[2:])
	for name, value := range hub.Environment {
		t.Setenv(name, value)
	}
	c, err := readConfig(examples + "/demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c.Servers[0].URL != "http://mock:3001/mcp" || file.Services["mock"].Build.Target != "mock" {
		t.Errorf("the hub's server is %s", c.Servers[0].URL)
	}
	if !slices.Contains(hub.Command, "/config/demo.yaml") || !slices.Contains(hub.Volumes, "./examples:/config:ro") {
		t.Errorf("demo.yaml is not there: %q %q", hub.Command, hub.Volumes)
	}
	for _, port := range hub.Ports {
		if !strings.HasPrefix(port, "127.0.0.1:") {
			t.Errorf("port %s is open to everyone", port)
		}
	}
}
