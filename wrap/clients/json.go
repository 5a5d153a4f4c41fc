package clients

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/tailscale/hujson"
)

var byteOrderMark = []byte("\xef\xbb\xbf")

// parseJSON reads JSON with comments and trailing commas, which is what most clients take.
func parseJSON(file []byte) (*node, error) {
	skip := 0
	if bytes.HasPrefix(file, byteOrderMark) {
		skip = len(byteOrderMark)
	}
	if offset := tooDeep(file[skip:]); offset >= 0 {
		return nil, placeError(file, skip+offset, "more than %d levels deep", maxDepth)
	}
	if len(bytes.TrimSpace(file[skip:])) == 0 {
		return &node{kind: object, start: skip, end: len(file)}, nil
	}
	value, err := hujson.Parse(file[skip:])
	if err != nil { // the parser wants a line end behind a comment, even behind the last one
		var again error
		if value, again = hujson.Parse(append(bytes.Clone(file[skip:]), '\n')); again != nil {
			return nil, jsonError(err)
		}
	}
	return jsonNode(&value, skip), nil
}

func jsonNode(v *hujson.Value, skip int) *node {
	n := &node{start: skip + v.StartOffset, end: skip + v.EndOffset, raw: true, inline: true}
	switch value := v.Value.(type) {
	case *hujson.Object:
		n.kind = object
		for i := range value.Members {
			m := &value.Members[i]
			key, _ := m.Name.Value.(hujson.Literal)
			n.add(member{key.String(), skip + m.Name.StartOffset, jsonNode(&m.Value, skip)})
			if i == len(value.Members)-1 && m.Value.AfterExtra != nil {
				n.comma = skip + m.Value.EndOffset + len(m.Value.AfterExtra) + 1
			}
		}
	case *hujson.Array:
		n.kind = array
		for i := range value.Elements {
			n.elems = append(n.elems, jsonNode(&value.Elements[i], skip))
		}
	case hujson.Literal:
		switch value.Kind() {
		case '"':
			n.kind, n.text = text, value.String()
		case 't', 'f':
			n.kind, n.text = boolean, string(value)
		default:
			n.kind, n.text = other, string(value)
		}
	}
	return n
}

var jsonPlace = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?s)^hujson: line (\d+), column (\d+): (.*)$`)
})

func jsonError(err error) error {
	match := jsonPlace().FindStringSubmatch(err.Error())
	if match == nil {
		return &PlaceError{Reason: "not JSON"}
	}
	line, _ := strconv.Atoi(match[1])
	column, _ := strconv.Atoi(match[2])
	reason, _, _ := strings.Cut(match[3], "invalid literal:") // behind it stands what the file says
	if reason == "" {
		reason = "invalid string, number or word"
	}
	return &PlaceError{line, column, "not JSON: " + reason}
}

// tooDeep gives the offset of the bracket that opens one level too many, -1 if there is none.
func tooDeep(file []byte) int {
	depth := 0
	for i := 0; i < len(file); i++ {
		switch c := file[i]; {
		case c == '"':
			for i++; i < len(file) && file[i] != '"'; i++ {
				if file[i] == '\\' {
					i++
				}
			}
		case c == '/' && i+1 < len(file) && file[i+1] == '/':
			for i < len(file) && file[i] != '\n' {
				i++
			}
		case c == '/' && i+1 < len(file) && file[i+1] == '*':
			end := bytes.Index(file[i+2:], []byte("*/"))
			if end < 0 {
				return -1
			}
			i += 2 + end + 1
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return i
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return -1
}

// quote writes a string so that JSON, TOML and YAML read it alike.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			b.WriteString(`\u` + strconv.FormatInt(0x10000+int64(r), 16)[1:])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
