package policy

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// schemes are those whose host Go and browsers find in the same place, with their default ports. In others
// (javascript://host/…) the host may mean nothing.
var schemes = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}

// A hostEntry is an entry of `host_in`: a lower-case host, and a port where the entry names one.
type hostEntry struct{ host, port string }

func parseHostEntry(entry string) (hostEntry, error) {
	if entry == "" {
		return hostEntry{}, errors.New("is empty; name a host")
	}
	if strings.Contains(entry, "://") {
		return hostEntry{}, errors.New("is a URL; name only the host, or host:port")
	}
	if strings.Contains(entry, "*") {
		return hostEntry{}, errors.New("holds a wildcard, but hosts are exact; list each one")
	}
	host, port, problem := splitHost(entry)
	if problem != "" {
		return hostEntry{}, errors.New(problem)
	}
	return hostEntry{host, port}, nil
}

// judgeHost returns what is wrong with a URL, "" if its host is one of the entries.
func judgeHost(s scalar, entries []hostEntry) string {
	if !s.quoted {
		return "is not a URL"
	}
	scheme, host, port, problem := parseURL(string(s.text))
	if problem != "" {
		return problem
	}
	if port == "" {
		port = schemes[scheme]
	}
	for _, e := range entries {
		if e.host == host && (e.port == "" || e.port == port) {
			return ""
		}
	}
	return "names a host that is not listed"
}

// parseURL finds scheme, host and port of a URL, and refuses what Go's net/url and the WHATWG URL standard
// (browsers, Node) could read differently: missing slashes, user info, backslashes, characters that one of them
// strips, percent signs, Unicode and odd spellings of addresses in the host.
func parseURL(text string) (scheme, host, port, problem string) {
	if !clean([]byte(text)) || strings.ContainsAny(text, ` \`) {
		return "", "", "", `holds a space, a backslash or a character that cannot be seen`
	}
	scheme, rest, ok := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	if _, known := schemes[scheme]; !ok || !known {
		return "", "", "", "is not an http, https, ws, wss or ftp URL"
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	if strings.Contains(authority, "@") {
		return "", "", "", "holds user information"
	}
	if host, port, problem = splitHost(authority); problem != "" {
		return "", "", "", problem
	}
	u, err := url.Parse(text)
	if err != nil || !strings.EqualFold(u.Hostname(), strings.Trim(host, "[]")) || u.Port() != port {
		return "", "", "", "is not a URL that all parsers agree on"
	}
	return scheme, host, port, ""
}

// splitHost reads host or host:port in its one plain spelling and returns the host in lower case.
func splitHost(authority string) (host, port, problem string) {
	host = authority
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, port = authority[:i], authority[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || strconv.FormatUint(n, 10) != port {
			return "", "", "has a port that is not a plain number"
		}
	}
	if !ascii([]byte(host)) { // before lower case makes a k of a Kelvin sign
		return "", "", "has no host in plain ASCII form"
	}
	host = strings.ToLower(host)
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		// A v4-mapped address has two spellings, and means a v4 one.
		if !ok || err != nil || !a.Is6() || a.Is4In6() || a.Zone() != "" || a.String() != inner {
			return "", "", "has an IPv6 address that is not in its plain form"
		}
		return host, port, ""
	}
	if !plainHost(host) {
		return "", "", "has no host in plain ASCII form"
	}
	return host, port, ""
}

// plainHost accepts names of letters, digits and hyphens, and IPv4 addresses of four decimal numbers.
func plainHost(host string) bool {
	if len(host) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		if !plainLabel(label) {
			return false
		}
		last = label
	}
	// WHATWG reads a name whose last label is a number, hexadecimal too, as an IPv4 address.
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || '0' <= last[0] && last[0] <= '9' {
		a, err := netip.ParseAddr(host)
		return err == nil && a.String() == host
	}
	return true
}

func plainLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for _, c := range []byte(label) {
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
