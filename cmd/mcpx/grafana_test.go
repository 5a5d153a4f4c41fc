package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v3"
)

// A dashboard is as much of Grafana's model as the tests look at.
type dashboard struct {
	UID    string  `json:"uid"`
	Panels []panel `json:"panels"`
	Notes  struct {
		List []struct {
			Name string `json:"name"`
			Expr string `json:"expr"`
		} `json:"list"`
	} `json:"annotations"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Type       string `json:"type"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Grid        struct {
		X, Y, W, H int
	} `json:"gridPos"`
	Source  source   `json:"datasource"`
	Panels  []panel  `json:"panels"`
	Targets []target `json:"targets"`
}

type source struct {
	UID string `json:"uid"`
}

type target struct {
	Source source `json:"datasource"`
	Expr   string `json:"expr"`
	Legend string `json:"legendFormat"`
	Ref    string `json:"refId"`
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile(examples + "/grafana/mcpx.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d, json.MatchCaseInsensitiveNames(true)); err != nil { // x and y of a grid, and no name twice
		t.Fatal(err)
	}
	return d
}

// An alertRule is a rule of alerts.yaml.
type alertRule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func readAlerts(t *testing.T) (all []alertRule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string      `yaml:"name"`
			Rules []alertRule `yaml:"rules"`
		} `yaml:"groups"`
	}
	readYAML(t, examples+"/grafana/alerts.yaml", &file)
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 10 {
		t.Fatalf("%d alerts", len(all))
	}
	return all
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", filepath.Base(path), err)
	}
}

func TestGrafanaDashboardIsSound(t *testing.T) {
	d := readDashboard(t)
	variables := map[string]bool{"__rate_interval": true, "__range": true}
	for _, v := range d.Templating.List {
		variables[v.Name] = true
	}
	variable := regexp.MustCompile(`\$\{?(\w+)`)
	ids, taken := map[int]string{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if other, ok := ids[p.ID]; ok || p.ID == 0 {
			t.Errorf("%q has the id of %q", p.Title, other)
		}
		ids[p.ID] = p.Title
		if g := p.Grid; g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%q is outside the grid: %+v", p.Title, g)
		}
		for x := range p.Grid.W {
			for y := range p.Grid.H {
				at := [2]int{p.Grid.X + x, p.Grid.Y + y}
				if other, ok := taken[at]; ok {
					t.Fatalf("%q lies over %q", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if refs[target.Ref] || target.Expr == "" || p.Source.UID != "${datasource}" || target.Source.UID != "${datasource}" {
				t.Errorf("%q: a query is empty, goes to a certain data source, or has the name of another one: %+v", p.Title, target)
			}
			refs[target.Ref] = true
			for _, match := range variable.FindAllStringSubmatch(target.Expr, -1) {
				if !variables[match[1]] {
					t.Errorf("%q asks for the variable %s, which is not there", p.Title, match[1])
				}
			}
		}
		if p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d is empty", p.ID)
		}
	}
	if len(ids) < 30 || d.UID == "" {
		t.Errorf("%d panels of %q", len(ids), d.UID)
	}
}

// grafanaHub has a server for everything that is counted by server.
const grafanaHub = `listen: 127.0.0.1:0
servers:
  - { name: web, url: "${MOCK}", policy: { deny_tools: ["dangerous_*"] } }
  - { name: trial, mode: shadow, url: "${MOCK}", policy: { deny_tools: ["dangerous_*"] } }
  - { name: moody, command: mock-mcp, args: [stdio], env: { MOCK_MCP_CONTROL: control } }
  - { name: fragile, command: chaos-server, args: [journal] }
inspection: { tool_integrity: warn }
circuit_breaker: { enabled: true, failure_threshold: 1000 }
`

// TestGrafanaAsksForWhatAHubExports holds every query of the dashboard and every alert to a hub to which has happened what is counted
// only when it happens.
func TestGrafanaAsksForWhatAHubExports(t *testing.T) {
	h := startHub(t, grafanaHub, "hub")
	for _, ask := range []struct {
		server, body string
		status       int
	}{
		{"web", call("dangerous_delete", hello), 403},
		{"trial", call("dangerous_delete", `{"path":"x"}`), 200},
		{"moody", listTools, 200},
		{"fragile", call("work", `{"longer than its lines may be":"`+strings.Repeat("x", 70_000)+`"}`), 502},
	} {
		if status, body := h.ask(t, ask.server, ask.body); status != ask.status {
			t.Fatalf("%s answers %d, want %d: %s", ask.server, status, ask.status, body)
		}
	}
	if err := os.WriteFile(filepath.Join(h.folder, "control"), []byte("description"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.ask(t, "moody", listTools)
	eventually(t, "the server is started again", func() bool {
		status, _ := h.ask(t, "fragile", call("work", `{}`))
		return status == 200
	})
	exported := exportedBy(h.page(t, "/metrics"))
	if runtime.GOOS != "linux" { // elsewhere the process tells less of itself
		exported["process_open_fds"], exported["process_max_fds"] = map[string]bool{}, map[string]bool{}
	}

	queries := map[string]string{}
	d := readDashboard(t)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries[p.Title+" "+target.Ref] = target.Expr
			labels := parsePromQuery(target.Expr).grouped
			for _, shown := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.Legend, -1) {
				if len(labels) > 0 && !slices.Contains(labels, shown[1]) {
					t.Errorf("%s: the legend shows %s, of which the query says nothing", p.Title, shown[1])
				}
			}
		}
	}
	for _, note := range d.Notes.List {
		if note.Expr != "" {
			queries[note.Name] = note.Expr
		}
	}
	offers := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		match := offers.FindStringSubmatch(v.Definition)
		if match == nil {
			t.Fatalf("variable %s: %s", v.Name, v.Definition)
		}
		queries["variable "+v.Name] = "sum by (" + match[2] + ") (" + match[1] + ")"
	}
	for _, rule := range readAlerts(t) {
		queries[rule.Alert] = rule.Expr
	}
	for name, expr := range queries {
		for _, why := range parsePromQuery(expr).unanswered(exported) {
			t.Errorf("%s: %s: %s", name, why, expr)
		}
	}
	if len(queries) < 60 {
		t.Errorf("only %d queries", len(queries))
	}
}

// exportedBy gives the metrics of a page, each with its labels.
func exportedBy(page string) map[string]map[string]bool {
	sample := regexp.MustCompile(`^(\w+)(?:\{(.*)\})? \S+$`)
	exported := map[string]map[string]bool{}
	for line := range strings.Lines(page) {
		match := sample.FindStringSubmatch(strings.TrimSpace(line))
		if match == nil {
			continue
		}
		if exported[match[1]] == nil {
			exported[match[1]] = map[string]bool{}
		}
		for _, label := range promMatcher.FindAllStringSubmatch(match[2], -1) {
			exported[match[1]][label[1]] = true
		}
	}
	return exported
}

// TestAlertsSayWhatToDo wants of each alert what a person who is woken by it needs, and a test by which it fires and one by which it
// does not.
func TestAlertsSayWhatToDo(t *testing.T) {
	var tests struct {
		Files    []string `yaml:"rule_files"`
		Interval string   `yaml:"evaluation_interval"`
		Tests    []struct {
			Name     string              `yaml:"name"`
			Interval string              `yaml:"interval"`
			Series   []map[string]string `yaml:"input_series"`
			Exprs    []struct {
				Expr    string           `yaml:"expr"`
				At      string           `yaml:"eval_time"`
				Samples []map[string]any `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		} `yaml:"tests"`
	}
	readYAML(t, root+"/.ci/metrics/alerts.test.yaml", &tests)
	fires, quiet := map[string]bool{}, map[string]bool{}
	named := regexp.MustCompile(`alertname="(\w+)"`)
	for _, test := range tests.Tests {
		for _, e := range test.Exprs {
			for _, match := range named.FindAllStringSubmatch(e.Expr, -1) {
				fires[match[1]] = fires[match[1]] || len(e.Samples) > 0
				quiet[match[1]] = quiet[match[1]] || len(e.Samples) == 0
			}
		}
	}
	label := regexp.MustCompile(`\$labels\.(\w+)`)
	seen := map[string]bool{}
	for _, rule := range readAlerts(t) {
		if seen[rule.Alert] || !fires[rule.Alert] || !quiet[rule.Alert] {
			t.Errorf("%s is there twice, or has no test by which it fires, or none by which it does not", rule.Alert)
		}
		seen[rule.Alert] = true
		if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s: severity %q", rule.Alert, severity)
		}
		q := parsePromQuery(rule.Expr)
		for _, key := range []string{"summary", "description", "runbook"} {
			text := rule.Annotations[key]
			if text == "" {
				t.Errorf("%s has no %s", rule.Alert, key)
			}
			for _, match := range label.FindAllStringSubmatch(text, -1) {
				if len(q.grouped) > 0 && !slices.Contains(q.grouped, match[1]) {
					t.Errorf("%s: %s shows the label %s, which it does not have", rule.Alert, key, match[1])
				}
			}
			commandsExist(t, rule.Alert, text)
		}
	}
	for _, p := range readDashboard(t).Panels {
		commandsExist(t, p.Title, p.Description)
	}
}

// commandsExist wants that the commands that a text names in backticks are there, with these flags.
func commandsExist(t *testing.T, where, text string) {
	t.Helper()
	for _, match := range regexp.MustCompile("`mcpx ([^`]+)`").FindAllStringSubmatch(text, -1) {
		words := strings.Fields(match[1])
		command, rest, err := (&app{}).rootCommand(nil).Find(words)
		if err == nil {
			err = command.ParseFlags(rest)
		}
		if err != nil || !command.Runnable() {
			t.Errorf("%s: mcpx %s: %v", where, match[1], err)
		}
	}
}
