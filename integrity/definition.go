package integrity

import (
	"fmt"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A definition is one item of a list, read once.
type definition struct {
	name      string // empty: none
	skeleton  string // see skeleton; empty where the name is deceptive
	canonical []byte
	digest    string
	problem   string // why it cannot be judged; empty: it can
}

// readDefinition reads the raw definition of a tool or prompt.
func readDefinition(raw []byte) definition {
	var d definition
	text, ok := jsonrpc.Text(jsonrpc.Member(raw, "name"))
	d.name = string(text)
	switch {
	case !ok || d.name == "":
		d.problem = "no name"
		return d
	case deceptive(d.name):
		d.problem = "a name with invisible or control characters"
		return d
	}
	d.skeleton = skeleton(d.name)
	if a, b := foldTwins(raw); a != "" {
		d.problem = fmt.Sprintf("members %s and %s are one to some clients", Visible(a), Visible(b))
		return d
	}
	canonical, err := canonicalize(raw)
	if err != nil {
		d.problem = Visible(err.Error())
		return d
	}
	d.canonical, d.digest = canonical, digestOf(canonical)
	return d
}

// vocabulary names the members of a definition whose own member names are fixed by the protocol too.
var vocabulary = [...]string{"", "annotations", "execution", "inputSchema", "outputSchema"}

// foldTwins returns two member names that differ, but not to a client that reads JSON without regard to
// case: such a client takes the last of them, others the exact one. Property names inside of schemas are
// the server's own and may differ by case.
func foldTwins(raw []byte) (a, b string) {
	for _, in := range vocabulary {
		object := raw
		if in != "" {
			object = jsonrpc.Member(raw, in)
		}
		seen := make(map[string]string, 8)
		for name := range jsonrpc.Members(object) {
			fold := foldName(string(name))
			if other, ok := seen[fold]; ok {
				return other, string(name)
			}
			seen[fold] = string(name)
		}
	}
	return "", ""
}
