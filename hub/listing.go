package hub

import (
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// serveListing answers GET /servers: what is served, without what may be a secret. Arguments, environment and headers are
// left out, of a URL the user and the query, of a command all but its name.
func serveListing(w http.ResponseWriter, servers []Server) {
	b := []byte(`{"servers":[`)
	for i := range servers {
		s := &servers[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":`...)
		b = jsonrpc.AppendString(b, s.Name)
		b = append(b, `,"transport":`...)
		b = jsonrpc.AppendString(b, s.Transport)
		if s.URL != "" {
			b = append(b, `,"url":`...)
			b = jsonrpc.AppendString(b, publicURL(s.URL))
		}
		if s.Command != "" {
			b = append(b, `,"command":`...)
			b = jsonrpc.AppendString(b, baseName(s.Command))
			b = append(b, `,"isolation":`...)
			b = jsonrpc.AppendString(b, s.Isolation)
		}
		b = append(b, `,"policy":`...)
		b = append(appendPolicy(b, &s.Policy), '}')
	}
	writeJSON(w, http.StatusOK, append(b, "]}"...))
}

// appendPolicy appends whether a policy is enforced and how much it says, not what.
func appendPolicy(b []byte, c *policy.Config) []byte {
	b = append(b, `{"mode":"`...)
	if c.Shadow {
		b = append(b, uplink.ModeShadow...)
	} else {
		b = append(b, "enforce"...)
	}
	b = append(b, `","read_only":`...)
	b = strconv.AppendBool(b, c.ReadOnly)
	for _, list := range []struct {
		name string
		size int
	}{
		{"allow_tools", len(c.AllowTools)}, {"deny_tools", len(c.DenyTools)}, {"tool_rules", len(c.ToolRules)},
		{"allow_resources", len(c.AllowResources)}, {"deny_resources", len(c.DenyResources)},
		{"allow_prompts", len(c.AllowPrompts)}, {"deny_prompts", len(c.DenyPrompts)}, {"allow_methods", len(c.AllowMethods)},
	} {
		b = append(append(append(b, `,"`...), list.name...), `":`...)
		b = strconv.AppendInt(b, int64(list.size), 10)
	}
	return append(b, '}')
}

// publicURL returns a URL without what may be a secret: user, query, fragment, and whatever in the path looks like a key, as
// some hosted servers have it.
func publicURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	segments := strings.Split(u.Path, "/")
	for i, s := range segments {
		if looksLikeKey(s) {
			segments[i] = "***"
		}
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String() + strings.Join(segments, "/")
}

// looksLikeKey reports whether a segment of a path is long and mixes letters with digits, as no word does.
func looksLikeKey(segment string) bool {
	const long = 16
	return len(segment) >= long && strings.ContainsAny(segment, "0123456789") &&
		strings.ContainsAny(strings.ToLower(segment), "abcdefghijklmnopqrstuvwxyz")
}

// baseName is the last part of a command's path, whichever system wrote it.
func baseName(command string) string { return path.Base(strings.ReplaceAll(command, `\`, "/")) }
