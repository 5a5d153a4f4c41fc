package integrity

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// wrapWidth is the number of characters after which a line of a diff is wrapped, so that padding cannot push
// text out of sight.
const wrapWidth = 96

// FormatDiff renders changes for a terminal: each path, then what was there and what is there now. Text of
// several lines is shown line by line, without those that both sides begin and end with; objects and lists
// are spread over lines; characters that a reader cannot see are written as escapes.
func FormatDiff(changes []Change) string {
	var b strings.Builder
	for _, c := range changes {
		path := c.Path
		if path == "" {
			path = "(the whole)"
		}
		fmt.Fprintf(&b, "%s\n", Visible(path))
		old, new := readable(c.Old), readable(c.New)
		head, tail := sameEnds(old, new)
		omitted(&b, head)
		side(&b, "- ", old[head:len(old)-tail])
		side(&b, "+ ", new[head:len(new)-tail])
		omitted(&b, tail)
	}
	return b.String()
}

func omitted(b *strings.Builder, lines int) {
	switch lines {
	case 0:
	case 1:
		b.WriteString("    … 1 line the same\n")
	default:
		fmt.Fprintf(b, "    … %d lines the same\n", lines)
	}
}

func side(b *strings.Builder, sign string, lines []string) {
	for _, line := range lines {
		lead := "  " + sign
		for {
			part := line[:wrapAt(line)]
			fmt.Fprintf(b, "%s%s\n", lead, part)
			if line = line[len(part):]; line == "" {
				break
			}
			lead = "  " + sign + "  "
		}
	}
}

// wrapAt returns where to break a line: after the last space that fits, else after the last character.
func wrapAt(line string) int {
	n, space := 0, 0
	for i, r := range line {
		if n == wrapWidth {
			if space > 0 {
				return space
			}
			return i
		}
		if n++; r == ' ' {
			space = i + 1
		}
	}
	return len(line)
}

// readable spreads a JSON value over lines. A string of one line keeps its quotes, so that it is told from a
// number; one of several lines goes without.
func readable(value []byte) []string {
	if value == nil {
		return nil
	}
	if text, ok := jsonrpc.Text(value); ok {
		if lines := strings.Split(string(text), "\n"); len(lines) > 1 && utf8.Valid(text) {
			for i, line := range lines {
				lines[i] = Visible(line)
			}
			return lines
		}
	}
	if f := first(value); f == '{' || f == '[' {
		spread, err := jsontext.AppendFormat(nil, value,
			jsontext.Multiline(true), jsontext.WithIndent("  "), jsontext.PreserveRawStrings(true))
		if err == nil {
			lines := strings.Split(string(spread), "\n")
			for i, line := range lines {
				lines[i] = Visible(line)
			}
			return lines
		}
	}
	return []string{Visible(string(value))}
}

// sameEnds counts the lines that both begin and end with.
func sameEnds(a, b []string) (head, tail int) {
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return head, tail
}
