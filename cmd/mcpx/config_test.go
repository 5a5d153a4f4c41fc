package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

var update = flag.Bool("update", false, "write what the tests got into their golden files")

// TestBadConfigNamesEverythingWrong reads testdata/config/bad/RULE.yaml and compares all problems
// with RULE.want beside it.
func TestBadConfigNamesEverythingWrong(t *testing.T) {
	files, err := filepath.Glob("testdata/config/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad configurations: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			_, err := readConfig(file)
			bad, ok := errors.AsType[*configError](err)
			if !ok {
				t.Fatalf("got %v, want problems", err)
			}
			bad.File = filepath.Base(file)
			here, err := filepath.Abs(filepath.Dir(file))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(strings.Join(bad.lines(), "\n")+"\n", here+string(filepath.Separator), "")
			golden := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGoodConfigIsReadWhole(t *testing.T) {
	t.Setenv("DATA", "/data")
	t.Setenv("TOKEN", "s3cret")
	got, err := readConfig("testdata/config/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(got.Path)
	want := &config{
		Listen: ":9090",
		TLS:    tlsConfig{CertFile: filepath.Join(folder, "cert.pem"), KeyFile: filepath.Join(folder, "key.pem"), ClientCAFile: filepath.Join(folder, "ca.pem")},
		Servers: []server{
			{
				Name: "filesystem", Transport: "stdio", Command: "npx",
				Args:           []string{"-y", "@modelcontextprotocol/server-filesystem", "8080", "/data"},
				Env:            map[string]string{"LOG_LEVEL": "info", "PORT": "8080", "VERBOSE": "true", "PRICE": "5$"},
				Workdir:        filepath.Join(folder, "work"),
				RequestTimeout: 90 * time.Second,
				Isolation:      "client",
				Mode:           "shadow",
				Policy: policy.Config{
					Shadow:     true,
					AllowTools: []string{"read_file", "list_*"},
					DenyTools:  []string{"write_file"},
					ReadOnly:   true,
					ToolRules: map[string]policy.ToolRule{
						"read_file": {
							DenyUnknownArgs: true,
							Args: map[string]policy.Constraint{
								"path": {Within: policy.Strings{"/data"}, MaxLen: new(200)},
								"head": {Min: "1", Max: "9007199254740993", Optional: true},
								"mode": {OneOf: policy.Scalars{`"text"`, "7", "true"}, Equals: "7"},
							},
						},
						"query": {Args: map[string]policy.Constraint{"sql": {Regex: new("^SELECT .*$"), Required: true}}},
					},
					AllowResources: []string{"file:///data/**"},
					DenyResources:  []string{"file:///data/secret/**"},
					AllowPrompts:   []string{"ask"},
					DenyPrompts:    []string{"admin_*"},
					ServerRequests: policy.ServerRequests{Sampling: "deny", Elicitation: "allow", Roots: "allow"},
					AllowMethods:   []string{"vendor/*"},
					OnDeny:         "tool_error",
				},
			},
			{
				Name: "remote", URL: "https://mcp.example.com/mcp", Transport: "http", Isolation: "shared", RequestTimeout: 30 * time.Second,
				Headers: map[string]secret{"Authorization": "Bearer s3cret"},
			},
			{Name: "rules-only", Isolation: "shared", RequestTimeout: 30 * time.Second, Policy: policy.Config{DenyTools: []string{"delete"}}},
			{Name: "my-server", Transport: "stdio", Command: "uvx", Args: []string{"mcp-server-git"}, Isolation: "shared", RequestTimeout: 30 * time.Second},
			{Name: "web", Transport: "http", URL: "https://web.example.com/mcp", Isolation: "shared", RequestTimeout: 30 * time.Second},
		},
		Auth: authConfig{
			Enabled: new(true), Type: "bearer", PublicPaths: []string{"/metrics"},
			Clients: []authClient{{Name: "ci-bot", Token: "s3cret"}, {Name: "analyst", Token: "file-token", TokenFile: "secret.txt"}},
		},
		Clients: map[string]clientConfig{"ci-bot": {Servers: map[string]policy.Override{"filesystem": {AllowTools: []string{"read_file"}}}}},
		RateLimit: policy.RateConfig{
			Enabled: true, RPS: 100, Burst: 20, PerTool: true, ToolRPS: 0.5, ToolBurst: 5, PerClient: true, ClientRPS: 50, ClientBurst: 20,
		},
		CircuitBreaker: breakerConfig{Enabled: new(true), FailureThreshold: 3, Cooldown: time.Minute, HalfOpenMax: 2},
		Inspection:     integrity.Config{ToolIntegrity: "warn", FilterToolsList: new(false), NewTools: "quarantine", ShadowedTools: "enforce"},
		Limits:         limits{MaxMessage: 32 << 20, MaxBody: 1e6, MaxDepth: 32, MaxPages: 10},
		CORS:           corsConfig{AllowedOrigins: []string{"https://app.example.com"}, AllowedHeaders: []string{"X-Trace"}, MaxAge: time.Hour},
		Audit: audit.Config{
			Enabled: new(true), Output: "file", Path: filepath.Join(folder, "log") + string(filepath.Separator),
			MaxSize: 10e6, Retain: 30 * 24 * time.Hour, OnFailure: "warn", Args: "redacted", Redact: []string{"token", "password"},
		},
		Hub:   hubConfig{URL: "https://hub.example.com", Token: "file-token", TokenFile: "secret.txt", Policy: "merge", Required: true, Pending: 200e6},
		Store: storeConfig{Path: filepath.Join(folder, "state", "hub.db"), Retain: 30 * 24 * time.Hour},
		Otel: otelConfig{
			Endpoint: "https://otel.example.com:4318", Headers: map[string]secret{"x-key": "s3cret"}, Traces: true, Sample: 0.1,
			ServiceName: "gate", Interval: 15 * time.Second, Given: true,
		},
		Admin: adminConfig{Enabled: true, Listen: ":8443", URL: "https://hub.example.com:8443"},
		Path:  got.Path,
	}
	// Compared without their masks: the type prints as <secret> to everyone else.
	plain := cmp.Transformer("plain", func(s secret) []byte { return []byte(s) })
	if diff := cmp.Diff(want, got, plain, cmpopts.IgnoreUnexported(config{}, server{})); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", got, got, got.Auth, got.Servers[1].Headers); strings.Contains(text, "s3cret") || strings.Contains(text, "file-token") {
		t.Errorf("a secret is printed: %s", text)
	}
}

func TestWithoutFileTheDefaultsHold(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AppData", t.TempDir())
	t.Setenv("MCPX_CONFIG", "")
	got, err := (&app{}).loadConfig()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaults(), got, cmpopts.IgnoreUnexported(config{})); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

// TestConfigIsFoundInOrder removes the file found each time and looks for the next.
func TestConfigIsFoundInOrder(t *testing.T) {
	home, work := t.TempDir(), t.TempDir()
	t.Chdir(work)
	t.Setenv("XDG_CONFIG_HOME", home)
	flagged, named := filepath.Join(t.TempDir(), "flag.yaml"), filepath.Join(t.TempDir(), "named.yaml")
	users := filepath.Join(home, "mcpx", "mcpx.yaml")
	for _, path := range []string{flagged, named, "mcpx.yaml", users} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("listen: ':1'\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := &app{configPath: flagged}
	t.Setenv("MCPX_CONFIG", named)
	found := func(want string) {
		t.Helper()
		if got, err := a.findConfig(); err != nil || got != want {
			t.Errorf("found %q, %v; want %q", got, err, want)
		}
	}
	found(flagged)
	a.configPath = ""
	found(named)
	if err := os.Remove(named); err != nil {
		t.Fatal(err)
	}
	if got, err := a.findConfig(); err == nil {
		t.Errorf("$MCPX_CONFIG names a file that is gone: found %q, want an error", got)
	}
	t.Setenv("MCPX_CONFIG", "")
	if err := os.WriteFile("mcpx.yml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	found("mcpx.yaml")
	if err := os.Remove("mcpx.yaml"); err != nil {
		t.Fatal(err)
	}
	if got, err := a.findConfig(); err == nil || !strings.Contains(err.Error(), `"mcpx.yml" is not read: rename it to mcpx.yaml, or name it with --config`) {
		t.Errorf("only mcpx.yml is there: found %q, %v; want an error that names it", got, err)
	}
	a.configPath = "mcpx.yml"
	found("mcpx.yml")
	a.configPath = ""
	if err := os.Remove("mcpx.yml"); err != nil {
		t.Fatal(err)
	}
	found(users)
}

// TestAliasesCannotExplode reads a small file that stands for 2^40 nodes.
func TestAliasesCannotExplode(t *testing.T) {
	var b strings.Builder
	b.WriteString("mcpServers:\n  s0: { command: x, env: &e0 { A: b } }\n")
	for i := range 40 {
		fmt.Fprintf(&b, "  s%d: { command: x, env: &e%d { <<: [*e%d, *e%d] } }\n", i+1, i+1, i, i)
	}
	d := &document{file: "bomb.yaml", lookup: os.LookupEnv}
	d.config([]byte(b.String()))
	if !d.overflow {
		t.Errorf("read without complaint, %d nodes", d.visits)
	}
}

// FuzzConfig holds that no file makes the loader panic, and that every reading finds the same.
func FuzzConfig(f *testing.F) {
	files, _ := filepath.Glob("testdata/config/bad/*.yaml")
	for _, file := range append(files, "testdata/config/good.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("a: &a [*a]")
	f.Add("servers: &a\n  - <<: *a")
	f.Fuzz(func(t *testing.T, text string) {
		d := &document{file: "fuzz.yaml", folder: "testdata", lookup: func(string) (string, bool) { return "value", true }}
		d.config([]byte(text))
		again := &document{file: "fuzz.yaml", folder: d.folder, lookup: d.lookup}
		again.config([]byte(text))
		sortProblems(d.problems)
		sortProblems(again.problems)
		if diff := cmp.Diff(d.problems, again.problems); diff != "" {
			t.Errorf("two readings differ:\n%s", diff)
		}
		for _, p := range d.problems {
			if p.Message == "" {
				t.Errorf("a problem without a message: %+v", p)
			}
		}
	})
}
