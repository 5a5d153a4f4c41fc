package policy

import (
	"fmt"
	"strings"
	"testing"
)

func benchEngine(b *testing.B, c Constraint) *Engine {
	b.Helper()
	e, err := compile(fakeFS{}, Config{
		AllowTools: []string{"read_file", "list_*", "search"},
		DenyTools:  []string{"*_secret", "write_file"},
		ToolRules:  map[string]ToolRule{"read_file": {Args: map[string]Constraint{"path": c}}},
	}, []Layer{{"client ci-bot", Config{AllowTools: []string{"read_*", "search"}}}})
	if err != nil {
		b.Fatal(err)
	}
	return e
}

func BenchmarkTool(b *testing.B) {
	e, name := benchEngine(b, Constraint{Required: true}), []byte("read_file")
	b.ReportAllocs()
	for b.Loop() {
		if !e.Tool(name).Allow {
			b.Fatal("denied")
		}
	}
}

func BenchmarkCall(b *testing.B) {
	small := `{"encoding":"utf-8","path":"` + root + `/dir/file.txt","head":100}`
	for _, bench := range []struct {
		name, tool string
		args       string
		c          Constraint
	}{
		{"without rules", "search", small, Constraint{Required: true}},
		{"prefix", "read_file", small, Constraint{Prefix: &root}},
		{"regex", "read_file", small, Constraint{Regex: new("^" + root + "/[a-z./]+$")}},
		{"max", "read_file", `{"path":250}`, Constraint{Min: "1", Max: "1000"}},
		{"within", "read_file", small, Constraint{Within: Strings{root}}},
		{"host_in", "read_file", `{"path":"https://api.example/v1/x"}`, Constraint{HostIn: Strings{"api.example"}}},
		{"prefix, 10 KB beside it", "read_file", `{"x":"` + strings.Repeat("x", 10_000) + `","path":"` + root + `/x"}`, Constraint{Prefix: &root}},
		{"max_len of 10 KB with escapes", "read_file", `{"path":"` + strings.Repeat(`a line of 40 characters, with an é in it\n`, 250) + `"}`, Constraint{MaxLen: new(20_000)}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			e, name, args := benchEngine(b, bench.c), []byte(bench.tool), []byte(bench.args)
			b.ReportAllocs()
			for b.Loop() {
				if d := e.Call(name, args); !d.Allow {
					b.Fatal(d.Reason)
				}
			}
		})
	}
}

// BenchmarkShadow is a call that all rules allow, and one that those in shadow mode would deny.
func BenchmarkShadow(b *testing.B) {
	for _, shadow := range []bool{false, true} {
		e, err := Compile(Config{AllowTools: []string{"read_*"}, DenyTools: []string{"write_file"}, Shadow: shadow})
		if err != nil {
			b.Fatal(err)
		}
		for _, tool := range []string{"read_file", "write_file"} {
			b.Run(fmt.Sprintf("shadow=%v/%s", shadow, tool), func(b *testing.B) {
				name := []byte(tool)
				b.ReportAllocs()
				for b.Loop() {
					if d := e.Call(name, nil); d.Allow != (shadow || tool == "read_file") {
						b.Fatal(d.Reason)
					}
				}
			})
		}
	}
}

func BenchmarkResource(b *testing.B) {
	e, err := Compile(Config{AllowResources: []string{"file:///data/**"}})
	if err != nil {
		b.Fatal(err)
	}
	uri := []byte("file:///data/dir/file.txt")
	b.ReportAllocs()
	for b.Loop() {
		if !e.Resource(uri).Allow {
			b.Fatal("denied")
		}
	}
}

// The decisions that every message needs must leave nothing for the garbage collector.
func TestCommonDecisionsAllocateNothing(t *testing.T) {
	rules := Config{
		AllowTools: []string{"read_*"}, AllowResources: []string{"file:///data/**"},
		ToolRules: map[string]ToolRule{"read_file": {DenyUnknownArgs: true, Args: map[string]Constraint{
			"path": {Prefix: new("/data/"), MaxLen: new(100)}, "head": {Min: "1", Max: "1000"}, "mode": {Regex: new("^[a-z]+$"), OneOf: Scalars{`"text"`}},
		}}},
	}
	name, args, uri := []byte("read_file"), []byte(`{"path":"/data/x","head":10,"mode":"text"}`), []byte("file:///data/x")
	for _, shadow := range []bool{false, true} {
		rules.Shadow = shadow
		e := mustCompile(t, rules)
		for what, f := range map[string]func() Decision{
			"tool":     func() Decision { return e.Tool(name) },
			"call":     func() Decision { return e.Call(name, args) },
			"resource": func() Decision { return e.Resource(uri) },
			"method":   func() Decision { return e.Method("tools/call", ClientRequest) },
		} {
			if d := f(); !d.Allow || d.Shadow {
				t.Errorf("shadow %v: %s: %s", shadow, what, d.Reason)
			}
			if n := testing.AllocsPerRun(100, func() { f() }); n != 0 {
				t.Errorf("shadow %v: %s: %v allocations", shadow, what, n)
			}
		}
	}
}
