package policy

import (
	"strconv"
	"strings"
	"testing"
)

// What Go's net/url and the WHATWG URL standard make of these differs, or one of them strips or maps something.
func TestHostIn(t *testing.T) {
	entries := []string{"good.com", "api.good.com:8443", "127.0.0.1", "[::1]:80", "xn--bcher-kva.example", "localhost", "kind.com"}
	const firstOdd = 20
	for i, row := range []struct {
		name, url string
		ok        bool
	}{ // the first block is read alike by all; what follows must be refused for how it is written, listed or not
		{"host", "https://good.com/x?y=//evil.com#z", true},
		{"no path", "https://good.com", true},
		{"host in capitals", "https://GOOD.com/", true},
		{"scheme in capitals", "HTTPS://good.com/", true},
		{"any port where the entry names none", "http://good.com:8080/", true},
		{"port of the entry", "https://api.good.com:8443/", true},
		{"other port", "https://api.good.com/", false},
		{"default port against an entry with it", "http://[::1]/", true},
		{"other default port", "https://[::1]/", false},
		{"IPv4", "http://127.0.0.1/", true},
		{"punycode", "https://xn--bcher-kva.example/", true},
		{"at sign in the path", "https://good.com/@evil.com", true},
		{"Unicode in the path", "https://good.com/é", true},
		{"other host", "https://evil.com/", false},
		{"subdomain", "https://a.good.com/", false},
		{"longer host", "https://good.com.evil.com/", false},
		{"longer label", "https://xgood.com/", false},
		{"all interfaces", "http://0.0.0.0/", false},
		{"fragment before the host ends", "https://evil.com#@good.com/", false},
		{"query before the host ends", "https://evil.com?@good.com/", false},

		{"no slashes", "https:good.com/", false},
		{"no slashes, evil", "https:evil.com/", false},
		{"one slash", "https:/good.com/", false},
		{"three slashes", "https:///good.com/", false},
		{"four slashes", "https:////good.com/", false},
		{"no scheme", "good.com/", false},
		{"no scheme, slashes", "//good.com/", false},
		{"user", "https://good.com@evil.com/", false},
		{"user, evil first", "https://evil.com@good.com/", false},
		{"empty user", "https://@good.com/", false},
		{"backslash as slash", `https:\\good.com\`, false},
		{"backslash before the at sign", `https://evil.com\@good.com/`, false},
		{"backslash in the path", `https://good.com/a\b`, false},
		{"tab inside", "https://go\tod.com/", false},
		{"line break", "https://good.com/\n", false},
		{"leading space", " https://good.com/", false},
		{"trailing space", "https://good.com/ ", false},
		{"NUL", "https://good.com\x00.evil.com/", false},
		{"percent in the host", "https://good.com%2eevil.com/", false},
		{"encoded host", "https://%67ood.com/", false},
		{"ideographic full stop", "https://good。com/", false},
		{"circled letter", "https://ⓖood.com/", false},
		{"Kelvin sign", "https://\u212aind.com/", false},
		{"zero-width space", "https://go\u200bod.com/", false},
		{"soft hyphen", "https://go\u00adod.com/", false},
		{"fullwidth solidus", "https://good.com／.evil.com/", false},
		{"trailing dot", "https://good.com./", false},
		{"empty label", "https://good..com/", false},
		{"label of 64 characters", "https://" + strings.Repeat("a", 64) + ".com/", false},
		{"underscore", "https://go_od.com/", false},
		{"empty port", "https://good.com:/", false},
		{"port with zeros", "https://good.com:0443/", false},
		{"port with a sign", "https://good.com:+443/", false},
		{"port too large", "https://good.com:99999/", false},
		{"two ports", "https://good.com:80:443/", false},
		{"semicolon", "https://good.com;evil.com/", false},
		{"IPv4, short", "http://127.1/", false},
		{"IPv4, decimal", "http://2130706433/", false},
		{"IPv4, hexadecimal", "http://0x7f.1/", false},
		{"IPv4, hexadecimal in one", "http://0x7f000001/", false},
		{"IPv4, octal", "http://0177.0.0.1/", false},
		{"IPv4, trailing dot", "http://127.0.0.1./", false},
		{"IPv4, too many parts", "http://127.0.0.0.1/", false},
		{"hexadecimal without digits", "http://good.0x/", false},
		{"IPv6, long form", "http://[0:0:0:0:0:0:0:1]/", false},
		{"IPv6, v4-mapped", "http://[::ffff:127.0.0.1]/", false},
		{"IPv6, zone", "http://[::1%25lo]/", false},
		{"IPv6, no bracket", "http://::1/", false},
		{"IPv6, open bracket", "http://[::1/", false},
		{"file", "file://good.com/x", false},
		{"script", "javascript://good.com/%0aalert(1)", false},
		{"data", "data://good.com/", false},
		{"blob", "blob:https://good.com/", false},
		{"view-source", "view-source:https://good.com/", false},
		{"bad escape", "https://good.com/%zz", false},
		{"empty", "", false},
		{"only a scheme", "https://", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := mustCompile(t, Config{ToolRules: map[string]ToolRule{"t": {Args: map[string]Constraint{"u": {HostIn: entries}}}}})
			got := e.Call([]byte("t"), []byte(`{"u":`+jsonText(row.url)+`}`))
			if got.Allow != row.ok {
				t.Errorf("%q: allow %v (%s), want %v", row.url, got.Allow, got.Reason, row.ok)
			}
			if odd := i >= firstOdd; odd == strings.Contains(got.Reason, "not listed") && !row.ok {
				t.Errorf("%q: %s", row.url, got.Reason)
			}
		})
	}
}

// jsonText quotes an ASCII or UTF-8 text for JSON; the tests use nothing that Go and JSON escape differently.
func jsonText(s string) string {
	out := []byte{'"'}
	for _, c := range []byte(s) {
		if c < ' ' || c == '"' || c == '\\' {
			out = append(out, `\u00`...)
			out = append(out, "0123456789abcdef"[c>>4])
			out = append(out, "0123456789abcdef"[c&15])
		} else {
			out = append(out, c)
		}
	}
	return string(append(out, '"'))
}

func TestHostEntries(t *testing.T) {
	for _, bad := range []string{
		"", "https://good.com", "*.good.com", "good.com/", "good.com:", "good.com:x", "user@good.com", "127.1", "::1",
		"[::1", "good_com", "bücher.example", "good.com.", "[::ffff:127.0.0.1]", "0x7f.1", "\u212aind.com",
	} {
		if _, err := parseHostEntry(bad); err == nil {
			t.Errorf("entry %s is accepted", strconv.Quote(bad))
		}
	}
}
