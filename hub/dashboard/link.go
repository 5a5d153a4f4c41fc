package dashboard

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// root is where the pages are. Names from outside get into an address as one escaped segment, or as a value of its query.
const root = "/dashboard"

// AssetsPath is the prefix of the addresses of style and script, which are the same for everybody and need no session.
const AssetsPath = root + "/assets/"

func serverPath(server string) string { return root + "/servers/" + segmentOf(server) }

func toolPath(server, tool string) string {
	return serverPath(server) + "/tools?" + url.Values{"tool": {plain(tool)}}.Encode()
}

func pinsPath(server string) string { return root + "/pins/" + segmentOf(server) }

func eventPath(principal, chain string, seq uint64) string {
	return root + "/events/" + segmentOf(principal) + "/" + segmentOf(chain) + "/" + strconv.FormatUint(seq, 10)
}

// segmentOf escapes a name for a path. Browsers resolve . and .. also where their dots are escaped: such a name, none at all, and
// one that looks as what is made of these get a ~ in front, which nameOf takes away.
func segmentOf(name string) string { return url.PathEscape(segmentNameOf(name)) }

func segmentNameOf(name string) string {
	if name == "." || name == ".." || name == "" || name[0] == '~' {
		return "~" + name
	}
	return name
}

// nameOf reads a name from a segment of a path.
func nameOf(segment string) string { return strings.TrimPrefix(segment, "~") }

// searchPath is the permalink of a search: what is set, and nothing else.
func searchPath(q Query) string {
	values := url.Values{}
	for _, f := range searchTexts {
		if text := *f.of(&q); text != "" {
			values.Set(f.name, plain(text))
		}
	}
	for name, t := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !t.IsZero() {
			values.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	if q.Limit != 0 && q.Limit != usualLimit {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	if len(values) == 0 {
		return root + "/search"
	}
	return root + "/search?" + values.Encode()
}
