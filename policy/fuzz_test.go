package policy

import (
	"encoding/json" // as an example of a parser that folds the case of names
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Whatever the configuration and the call: no panic, one answer, a tool that is denied cannot be called, and another layer
// only restricts.
func FuzzCall(f *testing.F) {
	f.Add("read_*", "", "*", "path", "^/data/", "read_file", `{"path":"/data/x"}`)
	f.Add("", "x", "q?", "/a/b", "", "Q1", `{"a":{"b":[1]}}`)
	f.Add("{a,b}", "[a-z]*", "a", "ſql", "(?i)select", "a", `{"\u017fql":null,"x":1e999}`)
	f.Add("", "", "t", "k", ".", "t", `[1]`)
	f.Add("*", "\\*", "t", "k", "k", "t\u202e", `{"\u212a":"k"}`)
	f.Fuzz(func(t *testing.T, allow, deny, key, arg, expr, name, args string) {
		rules := map[string]ToolRule{key: {Args: map[string]Constraint{arg: {Regex: &expr, MaxLen: new(100)}}}}
		override := Layer{"client", Config{AllowTools: list(allow), DenyTools: list(deny), ToolRules: rules}}
		e, err := Compile(Config{AllowTools: list(allow), ToolRules: rules})
		if err != nil {
			return
		}
		stricter, err := Compile(Config{AllowTools: list(allow), ToolRules: rules}, override)
		if err != nil {
			return
		}
		d := e.Call([]byte(name), []byte(args)) // also when it is no JSON
		if again := e.Call([]byte(name), []byte(args)); again != d {
			t.Errorf("%v, then %v", d, again)
		}
		if explained, _ := e.Explain([]byte(name), []byte(args)); explained != d {
			t.Errorf("decided %v, explained %v", d, explained)
		}
		if d.Allow && !e.Tool([]byte(name)).Allow {
			t.Error("a denied tool can be called")
		}
		if !d.Allow && stricter.Call([]byte(name), []byte(args)).Allow {
			t.Error("an override opened what was denied")
		}
	})
}

func list(pattern string) []string {
	if pattern == "" {
		return nil
	}
	return []string{pattern}
}

// No parser may find a value for a ruled argument that the rule did not see: not one that compares names exactly,
// and not one that folds them.
func FuzzArgumentsHideNothing(f *testing.F) {
	f.Add(`{"task":"good"}`)
	f.Add(`{"task":"good","TASK":"evil"}`)
	f.Add("{\"task\":\"good\",\"ta\u017fk\":\"evil\"}")
	f.Add("{\"tas\u212a\":\"evil\"}")
	f.Add(`{"task":"g\u006fod","x":{"task":"evil"}}`)
	f.Add(`{"\u0074ask":"evil"}`)
	f.Add(" { \"x\" : [ ] , \"task\" : \"good\" } ")
	good := regexp.MustCompile(`\Agood\z`)
	e, err := Compile(Config{ToolRules: map[string]ToolRule{"t": {Args: map[string]Constraint{"task": {Matches: new("good")}}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, args string) {
		if !jsontext.Value(args).IsValid() || !e.Call([]byte("t"), []byte(args)).Allow {
			return
		}
		loose := struct{ Task *any }{}
		if err := json.Unmarshal([]byte(args), &loose); err != nil {
			t.Fatalf("allowed, but %v", err)
		}
		exact := map[string]any{}
		if err := json.Unmarshal([]byte(args), &exact); err != nil {
			t.Fatalf("allowed, but %v", err)
		}
		values := []any{}
		if loose.Task != nil {
			values = append(values, *loose.Task)
		}
		if v, ok := exact["task"]; ok {
			values = append(values, v)
		}
		for _, v := range values {
			if s, ok := v.(string); !ok || !good.MatchString(s) {
				t.Errorf("%s: a parser finds %v", args, v)
			}
		}
	})
}

// The short way through a pattern of texts and stars gives what its regular expression gives.
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{{"*a*ab*b", "aabab"}, {"ab*ba", "aba"}, {"**", ""}, {"a*", "a\n"}, {"*é*", "xéy"}, {"a*b*c*", "abcabc"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		g, err := compileGlob(pattern, nameSyntax)
		if err != nil || g.re != nil || !utf8.ValidString(name) {
			return
		}
		tr := translator{rest: pattern}
		if err := tr.run(); err != nil {
			t.Fatal(err)
		}
		if got, want := g.match([]byte(name)), regexp.MustCompile(`\A(?s:`+tr.expr.String()+`)\z`).MatchString(name); got != want {
			t.Errorf("%q on %q: %v, the expression says %v", pattern, name, got, want)
		}
	})
}

func FuzzWithin(f *testing.F) {
	for _, seed := range []string{"/data/x", "/data/../x", "//data//x", "/data", "/data/./", "/datax", "data", "/data/%2e%2e", "/data/~"} {
		f.Add(seed)
	}
	roots := mustRoots(f, []string{"/data"}, false)
	f.Fuzz(func(t *testing.T, text string) {
		if judgeWithin(scalar{text: []byte(text), quoted: true}, roots, fakeFS{}, false) != "" {
			return
		}
		if clean := path.Clean(text); clean != "/data" && !strings.HasPrefix(clean, "/data/") || strings.Contains(text, "..") && strings.Contains("/"+text+"/", "/../") {
			t.Errorf("%q passes", text)
		}
	})
}

func FuzzHost(f *testing.F) {
	for _, seed := range []string{"https://good.com/", "https://good.com@evil.com", "https://GOOD.com:8/x?y#z", "https:/good.com", `https://good.com\x`, "https://good.com:0/%2e"} {
		f.Add(seed)
	}
	entry := []hostEntry{{host: "good.com"}}
	f.Fuzz(func(t *testing.T, text string) {
		if judgeHost(scalar{text: []byte(text), quoted: true}, entry) != "" {
			return
		}
		if u, err := url.Parse(text); err != nil || !strings.EqualFold(u.Hostname(), "good.com") || u.User != nil {
			t.Errorf("%q passes, and Go reads %v, %v", text, u, err)
		}
		if rest := strings.ToLower(text[strings.Index(text, "://")+3:]); !strings.HasPrefix(rest, "good.com") || len(rest) > 8 && !strings.ContainsAny(rest[8:9], "/?#:") {
			t.Errorf("%q passes", text)
		}
	})
}

func FuzzResource(f *testing.F) {
	for _, seed := range []string{"file:///data/x", "file:///data/../x", "file:///data/%2e%2e/x", "file:///data/a%20b", "file:////data/x", "file:///data//x", "file:///data/x#y"} {
		f.Add(seed)
	}
	e, err := Compile(Config{AllowResources: []string{"file:///data/**"}, DenyResources: []string{"file:///data/secret"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !e.Resource([]byte(text)).Allow {
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "file" || u.Host != "" {
			t.Fatalf("%q passes, and Go reads %v, %v", text, u, err)
		}
		if p := path.Clean(u.Path); !strings.HasPrefix(p+"/", "/data/") || p == "/data/secret" && !strings.HasSuffix(u.Path, "/") {
			t.Errorf("%q passes and names %s", text, p)
		}
	})
}
