package jsonrpc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// corpus is a file of testdata/differential: lines with what is odd about them.
func corpus(t *testing.T, file string) (names []string, lines [][]byte) {
	t.Helper()
	data, err := os.ReadFile("testdata/differential/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var entries []struct {
		Name, Line string
		Base64     []byte // instead of Line, for what is no text
	}
	if err := json.Unmarshal(data, &entries); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, e := range entries {
		names = append(names, e.Name)
		lines = append(lines, append([]byte(e.Line), e.Base64...))
	}
	return names, lines
}

// TestEveryParserReadsTheSame holds what Scan and the readers of values see in accepted lines against what encoding/json,
// Node and Python see. Node and Python may be missing, except in CI.
func TestEveryParserReadsTheSame(t *testing.T) {
	names, lines := corpus(t, "accepted.json")
	var forwarded [][]byte
	var ours []string
	for i, line := range lines {
		var m jsonrpc.Message
		if fault := jsonrpc.Scan(bytes.Clone(line), &m); fault != nil {
			t.Fatalf("%s: %v", names[i], fault)
		}
		forwarded, ours = append(forwarded, m.Raw), append(ours, view(&m))
	}
	for _, line := range mutations(lines, 20_000) {
		var m jsonrpc.Message
		if jsonrpc.Scan(line, &m) == nil {
			names, forwarded, ours = append(names, "a mutation"), append(forwarded, m.Raw), append(ours, view(&m))
		}
	}
	t.Logf("%d lines, %d of them mutations that are accepted", len(names), len(names)-len(lines))
	compare := func(parser string, theirs []string) {
		if len(theirs) != len(ours) {
			t.Fatalf("%s reads %d of %d lines", parser, len(theirs), len(ours))
		}
		for i := range ours {
			if ours[i] != theirs[i] {
				t.Errorf("%s: %s\n%s\nwe see   %s\nthey see %s", parser, names[i], forwarded[i], ours[i], theirs[i])
			}
		}
	}
	var loose []string
	for _, line := range forwarded {
		loose = append(loose, looseView(t, line))
	}
	compare("encoding/json", loose)
	for _, reader := range [][]string{{"node", "testdata/differential/reader.mjs"}, {"python3", "testdata/differential/reader.py"}} {
		if _, err := exec.LookPath(reader[0]); err != nil {
			if os.Getenv("CI") != "" {
				t.Errorf("%v: in CI it is needed", err)
			}
			t.Logf("not compared with %s: %v", reader[0], err)
			continue
		}
		compare(reader[0], readBy(t, reader, forwarded))
	}
}

func readBy(t *testing.T, reader []string, lines [][]byte) []string {
	t.Helper()
	command := exec.Command(reader[0], reader[1:]...)
	command.Stdin = bytes.NewReader(append(bytes.Join(lines, []byte("\n")), '\n'))
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", reader[0], err, stderr.Bytes())
	}
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(out), "\r\n", "\n"), "\n"), "\n")
}

func TestAttacksAreRefused(t *testing.T) {
	names, lines := corpus(t, "refused.json")
	for i, line := range lines {
		var m jsonrpc.Message
		if fault := jsonrpc.Scan(bytes.Clone(line), &m); fault == nil || m.Kind != jsonrpc.Invalid {
			t.Errorf("%s is accepted: %q", names[i], line)
		}
	}
}

// mutations are lines with a few bytes changed, doubled, taken out or taken from others: always the same ones.
func mutations(lines [][]byte, count int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{`\u0061`, `"`, `\`, `,`, `:`, `{`, `}`, `[`, `]`, `0`, `-`, `.`, `e`, `null`, `"a":1,`, `"name":`, "\u017f", "\ufeff", `\ud800`, ` `, "\t", "\x00", "\xff", `\n`, `/`}
	made := make([][]byte, count)
	for i := range made {
		line := bytes.Clone(lines[r.IntN(len(lines))])
		for range 1 + r.IntN(3) {
			from := r.IntN(len(line))
			to := min(len(line), from+r.IntN(6))
			other := lines[r.IntN(len(lines))]
			start := r.IntN(len(other))
			switch r.IntN(4) {
			case 0:
				line = slices.Replace(line, from, to, []byte(pieces[r.IntN(len(pieces))])...)
			case 1:
				line = slices.Insert(line, from, []byte(pieces[r.IntN(len(pieces))])...)
			case 2:
				line[from] = "0123456789abcdefABCDEF_ "[r.IntN(24)]
			default:
				line = slices.Replace(line, from, to, other[start:min(len(other), start+r.IntN(24))]...)
			}
			if len(line) == 0 {
				line = []byte("{}")
			}
		}
		made[i] = bytes.ReplaceAll(line, []byte("\n"), []byte(" "))
	}
	return made
}

// view is what a parser sees, in a form that every language can write: kind, id, method, name, URI and arguments, then
// all, with tabs between. Texts are UTF-16 units escaped to ASCII, numbers the bits of a double, members are sorted.
// What is absent is empty.
func view(m *jsonrpc.Message) string {
	kind := map[jsonrpc.Kind]string{jsonrpc.Request: "request", jsonrpc.Notification: "notification", jsonrpc.Result: "result", jsonrpc.Error: "error"}[m.Kind]
	method := ""
	if m.Method != "" {
		method = escaped(m.Method)
	}
	return strings.Join([]string{kind, rawValue(m.ID.Token()), method, rawValue(m.Field(jsonrpc.Name)), rawValue(m.Field(jsonrpc.URI)),
		rawValue(m.Field(jsonrpc.Arguments)), rawValue(m.Raw)}, "\t")
}

// rawValue reads a value as the rules do.
func rawValue(raw []byte) string {
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '{':
		var members []string
		for name, value := range jsonrpc.Members(raw) {
			members = append(members, escaped(string(name))+":"+rawValue(value))
		}
		slices.Sort(members)
		return "{" + strings.Join(members, ",") + "}"
	case '[':
		var elements []string
		for value := range jsonrpc.Elements(raw) {
			elements = append(elements, rawValue(value))
		}
		return "[" + strings.Join(elements, ",") + "]"
	case '"':
		text, _ := jsonrpc.Text(raw)
		return escaped(string(text))
	case 't', 'f', 'n':
		return string(raw)
	default:
		return number(string(raw))
	}
}

// looseView is view by encoding/json.
func looseView(t *testing.T, line []byte) string {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		t.Fatalf("encoding/json: %v: %q", err, line)
	}
	kind := "error"
	_, hasID := m["id"]
	if _, has := m["method"]; has && hasID {
		kind = "request"
	} else if has {
		kind = "notification"
	} else if _, has := m["result"]; has {
		kind = "result"
	}
	of := func(o map[string]any, name string) string {
		value, has := o[name]
		if !has || name == "id" && value == nil {
			return ""
		}
		return looseValue(value)
	}
	params, _ := m["params"].(map[string]any)
	return strings.Join([]string{kind, of(m, "id"), of(m, "method"), of(params, "name"), of(params, "uri"), of(params, "arguments"), looseValue(m)}, "\t")
}

func looseValue(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var members []string
		for name := range maps.Keys(v) {
			members = append(members, escaped(name)+":"+looseValue(v[name]))
		}
		slices.Sort(members)
		return "{" + strings.Join(members, ",") + "}"
	case []any:
		var elements []string
		for _, value := range v {
			elements = append(elements, looseValue(value))
		}
		return "[" + strings.Join(elements, ",") + "]"
	case string:
		return escaped(v)
	case json.Number:
		return number(string(v))
	case nil:
		return "null"
	default:
		return fmt.Sprint(v)
	}
}

func escaped(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, unit := range utf16.Encode([]rune(text)) {
		if unit < ' ' || unit > '~' || unit == '"' || unit == '\\' {
			fmt.Fprintf(&b, `\u%04x`, unit)
		} else {
			b.WriteByte(byte(unit))
		}
	}
	b.WriteByte('"')
	return b.String()
}

func number(token string) string {
	f, _ := strconv.ParseFloat(token, 64) // beyond doubles: infinite, in every language
	return fmt.Sprintf("#%016x", math.Float64bits(f))
}
