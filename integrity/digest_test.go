package integrity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// The vectors' digests were computed by another program from canonical forms that were written by hand.
func TestDigestVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/digest.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Name, JSON, Canonical, Digest string }
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			canonical, err := canonicalize([]byte(v.JSON))
			if err != nil || string(canonical) != v.Canonical {
				t.Errorf("canonicalize = %s, %v\nwant           %s", canonical, err, v.Canonical)
			}
			for _, form := range []string{v.JSON, v.Canonical} {
				if got, err := Digest([]byte(form)); err != nil || got != v.Digest {
					t.Errorf("Digest(%s) = %s, %v, want %s", form, got, err, v.Digest)
				}
			}
		})
	}
}

func TestDifferentValuesHaveDifferentDigests(t *testing.T) {
	seen := make(map[string]string)
	for _, value := range []string{
		`9007199254740992`, `9007199254740993`, `9007199254740994`, `-9007199254740993`,
		`1e400`, `1e401`, `-1e400`, `1e-400`, `1e-401`, `0`, `1`, `-1`, `"1"`, `"1.0"`, `true`, `"true"`, `null`, `"null"`,
		`1.7976931348623157e308`, `1.7976931348623159e308`, `0.1`, `0.10000000000000001`, `0.1000000000000000055`,
		`{}`, `[]`, `""`, `[[]]`, `{"a":[]}`, `{"a":{}}`, `["a"]`, `["A"]`, `[1,2]`, `[2,1]`, `[12]`, `{"a":1}`, `{"a":1,"b":null}`,
		`"é"`, `"e\u0301"`, `"\u00e9\u0000"`, `" "`, `"\u00a0"`,
	} {
		digest, err := Digest([]byte(value))
		if err != nil {
			t.Errorf("%s: %v", value, err)
		}
		if other, ok := seen[digest]; ok {
			t.Errorf("%s and %s have one digest", value, other)
		}
		seen[digest] = value
	}
}

func TestDigestRefuses(t *testing.T) {
	for name, value := range map[string]string{
		"nothing":                 ``,
		"a cut off object":        `{"a":1`,
		"two values":              `{} {}`,
		"a member twice":          `{"a":1,"a":1}`,
		"a member twice, escaped": `{"a":1,"\u0061":1}`,
		"a nested member twice":   `{"x":[{"a":1,"a":2}]}`,
		"invalid UTF-8":           "\"\xff\"",
		"a lone surrogate":        `"\ud800"`,
		"a swapped surrogate":     `"\udc00\ud800"`,
		"a leading zero":          `01`,
		"an endless exponent":     `1e9999999999999999`,
	} {
		if digest, err := Digest([]byte(value)); err == nil {
			t.Errorf("%s: Digest(%q) = %s, want an error", name, value, digest)
		}
	}
}

// FuzzDigest: a definition has one digest however it is spelled, and another one when any value in it changes.
func FuzzDigest(f *testing.F) {
	for _, seed := range []string{
		clean, `[1,-0,1.50,1e400,9007199254740993,0.1e-7]`, `{"é":"\u0000\ud83d\ude00","a":{"b":[null,true,false,""]}}`, `12`, `"x"`, `{}`,
	} {
		f.Add([]byte(seed), uint(3))
	}
	f.Fuzz(func(t *testing.T, value []byte, at uint) {
		digest, err := Digest(value)
		if err != nil {
			return
		}
		tree := parse(t, value)
		respelled := spell(nil, tree)
		if got, err := Digest(respelled); err != nil || got != digest {
			t.Errorf("respelled: Digest(%s) = %s, %v, want %s as for %s", respelled, got, err, digest, value)
		}
		left := at % 16
		changed, ok := mutate(tree, &left)
		if !ok {
			return
		}
		other := spell(nil, changed)
		if got, err := Digest(other); err == nil && got == digest {
			t.Errorf("%s and %s have one digest", value, other)
		}
	})
}

func parse(t *testing.T, value []byte) (tree any) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		t.Fatalf("encoding/json refuses %q: %v", value, err)
	}
	return tree
}

// spell writes a value as differently from its canonical form as JSON allows.
func spell(b []byte, tree any) []byte {
	switch v := tree.(type) {
	case map[string]any:
		b = append(b, "{ "...)
		names := slices.Sorted(maps.Keys(v))
		slices.Reverse(names)
		for i, name := range names {
			if i > 0 {
				b = append(b, " ,\n"...)
			}
			b = spell(append(spell(b, name), " :\t"...), v[name])
		}
		return append(b, " }"...)
	case []any:
		b = append(b, "[ "...)
		for i, element := range v {
			if i > 0 {
				b = append(b, " , "...)
			}
			b = spell(b, element)
		}
		return append(b, "\r]"...)
	case string:
		b = append(b, '"')
		for _, unit := range utf16.Encode([]rune(v)) {
			b = fmt.Appendf(b, `\u%04X`, unit)
		}
		return append(b, '"')
	case json.Number:
		mantissa, power, _ := strings.Cut(strings.ToLower(v.String()), "e")
		if !strings.Contains(mantissa, ".") {
			mantissa += "."
		}
		if power == "" {
			power = "+00"
		}
		return append(b, mantissa+"0E"+power...)
	default:
		return fmt.Append(b, jsonLiteral(v))
	}
}

func jsonLiteral(v any) string {
	if v == nil {
		return "null"
	}
	return fmt.Sprint(v)
}

// mutate changes the value number *left, counted in order, and reports whether there is one.
func mutate(tree any, left *uint) (any, bool) {
	switch v := tree.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if changed, ok := mutate(v[name], left); ok {
				next := maps.Clone(v)
				next[name] = changed
				return next, true
			}
		}
	case []any:
		for i := range v {
			if changed, ok := mutate(v[i], left); ok {
				next := slices.Clone(v)
				next[i] = changed
				return next, true
			}
		}
	}
	if *left > 0 {
		*left--
		return nil, false
	}
	switch v := tree.(type) {
	case map[string]any:
		next := maps.Clone(v)
		next["new"+strings.Join(slices.Sorted(maps.Keys(v)), "")] = nil
		return next, true
	case []any:
		return append(slices.Clone(v), nil), true
	case string:
		return v + "x", true
	case bool:
		return !v, true
	case nil:
		return false, true
	case json.Number:
		// The last digit of the number as it is written.
		if n, ok := new(big.Int).SetString(v.String(), 10); ok {
			return json.Number(n.Add(n, big.NewInt(1)).String()), true
		}
		mantissa, power, found := strings.Cut(strings.ToLower(v.String()), "e")
		if !strings.Contains(mantissa, ".") {
			mantissa += "."
		}
		if mantissa += "1"; found {
			mantissa += "e" + power
		}
		return json.Number(mantissa), true
	}
	return nil, false
}

// oneKB is a tool definition of about 1 KB.
var oneKB = []byte(strings.Replace(clean, "Reads a file", strings.Repeat("Reads a file from the disk. ", 15), 1))

func BenchmarkDigest(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(oneKB)))
	for b.Loop() {
		if _, err := Digest(oneKB); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	f, err := Open(b.TempDir() + "/mcpx.lock")
	if err != nil {
		b.Fatal(err)
	}
	p := f.Server("fs", Config{})
	var items [][]byte
	for i := range 100 {
		items = append(items, fmt.Appendf(nil, `{"name":"tool_%d"}`, i))
	}
	if _, err := p.Walk(Tools).Page(items, true); err != nil {
		b.Fatal(err)
	}
	name := []byte("tool_77")
	b.ReportAllocs()
	for b.Loop() {
		if !p.Judge(Tools, name).Allowed {
			b.Fatal("refused")
		}
	}
}

func BenchmarkPage(b *testing.B) {
	f, err := Open(b.TempDir() + "/mcpx.lock")
	if err != nil {
		b.Fatal(err)
	}
	p := f.Server("fs", Config{})
	var items [][]byte
	for i := range 50 {
		items = append(items, bytes.Replace(oneKB, []byte("read_file"), fmt.Appendf(nil, "read_file_%d", i), 1))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Walk(Tools).Page(items, true); err != nil {
			b.Fatal(err)
		}
	}
}
