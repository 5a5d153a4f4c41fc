package policy

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

// judgedURI returns the form of a resource's URI in which rules judge it: percent-decoded, so that a rule sees
// one text however a server spells it. The second result says why the URI is refused: it is not in the normal
// form of RFC 3986 section 6.2.2, or parsers differ about it.
func judgedURI(uri []byte) (judged []byte, problem string) {
	for _, c := range uri {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\\\"<>^`{|}", c) >= 0 {
			return nil, "holds a character that a URI has to encode"
		}
	}
	scheme, rest, ok := bytes.Cut(uri, []byte(":"))
	if !ok || !normalScheme(scheme) {
		return nil, "has no lower-case scheme"
	}
	if bytes.IndexByte(rest, '#') >= 0 {
		return nil, "has a fragment"
	}
	authority, path, problem := splitAuthority(string(scheme), rest)
	if problem != "" {
		return nil, problem
	}
	if authority != "" {
		if problem = normalAuthority(string(scheme), authority); problem != "" {
			return nil, problem
		}
	}
	path, _, hasQuery := bytes.Cut(path, []byte("?"))
	if hasQuery && string(scheme) == "file" {
		return nil, "is a file URI with a query"
	}
	if problem = normalPath(path); problem != "" {
		return nil, problem
	}
	judged, ok = percentDecode(uri)
	if !ok {
		return nil, "has a percent escape that is not in its normal form"
	}
	return upperDrive(judged), ""
}

func normalScheme(scheme []byte) bool {
	if len(scheme) == 0 || scheme[0] < 'a' || scheme[0] > 'z' {
		return false
	}
	for _, c := range scheme {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func splitAuthority(scheme string, rest []byte) (authority string, path []byte, problem string) {
	after, ok := bytes.CutPrefix(rest, []byte("//"))
	if !ok {
		if _, web := schemes[scheme]; web || scheme == "file" {
			return "", nil, "has no // behind its scheme" // WHATWG supplies them
		}
		return "", rest, ""
	}
	end := bytes.IndexAny(after, "/?")
	if end < 0 {
		end = len(after)
	}
	authority, path = string(after[:end]), after[end:]
	_, web := schemes[scheme]
	switch {
	case scheme == "file" && authority != "":
		return "", nil, "is a file URI with a host" // file://localhost/x is file:///x
	case web && authority == "":
		return "", nil, "has no host"
	}
	return authority, path, ""
}

func normalAuthority(scheme, authority string) string {
	if strings.ContainsAny(authority, "@%") {
		return "has user information or a percent sign before its path"
	}
	if authority != strings.ToLower(authority) {
		return "has a host that is not in lower case"
	}
	web, ok := schemes[scheme]
	if !ok {
		return "" // a name that the server gives a meaning to
	}
	_, port, problem := splitHost(authority)
	if problem == "" && port == web {
		return "names the default port"
	}
	return problem
}

// normalPath refuses segments that servers clean away, and encoded separators.
func normalPath(path []byte) string {
	for i, rest := 0, path; rest != nil; i++ {
		segment, after, more := bytes.Cut(rest, []byte("/"))
		switch {
		case string(segment) == "." || string(segment) == "..":
			return "has a . or .. segment"
		case len(segment) == 0 && i > 0 && more:
			return "has an empty path segment"
		}
		rest = after // nil behind the last segment
	}
	return encodedSeparator(path)
}

func encodedSeparator(path []byte) string {
	for i, c := range path {
		if c != '%' || i+2 >= len(path) {
			continue
		}
		switch c := unhex(path[i+1])<<4 | unhex(path[i+2]); {
		case c == '/' || c == '\\':
			return "has an encoded slash or backslash"
		case c == '%' && i+4 < len(path) && unhex(path[i+3]) < 16 && unhex(path[i+4]) < 16:
			return "is encoded twice"
		}
	}
	return ""
}

// percentDecode fails on escapes that are not normal: lower-case digits, characters that need none, controls, and
// bytes that are not UTF-8. A URI without escapes is returned as it is.
func percentDecode(uri []byte) ([]byte, bool) {
	if bytes.IndexByte(uri, '%') < 0 {
		return uri, true
	}
	out := make([]byte, 0, len(uri))
	for i := 0; i < len(uri); i++ {
		if uri[i] != '%' {
			out = append(out, uri[i])
			continue
		}
		if i+2 >= len(uri) || unhex(uri[i+1]) > 15 || unhex(uri[i+2]) > 15 ||
			'a' <= uri[i+1] && uri[i+1] <= 'f' || 'a' <= uri[i+2] && uri[i+2] <= 'f' {
			return nil, false
		}
		c := unhex(uri[i+1])<<4 | unhex(uri[i+2])
		if c < ' ' || c == 0x7f || unreserved(c) {
			return nil, false
		}
		out = append(out, c)
		i += 2
	}
	return out, clean(out)
}

func unreserved(c byte) bool {
	return asciiLetter(c) || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// unhex returns the value of a hexadecimal digit, 255 for any other character.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// upperDrive writes the drive of file:///c:/… in upper case; both mean the same.
func upperDrive(uri []byte) []byte {
	const drive = len("file:///")
	if len(uri) > drive+1 && string(uri[:drive]) == "file:///" && uri[drive+1] == ':' && 'a' <= uri[drive] && uri[drive] <= 'z' {
		uri = bytes.Clone(uri)
		uri[drive] -= 'a' - 'A'
	}
	return uri
}

// judgedTemplate is [judgedURI] for a URI template (RFC 6570), which no normal form is defined for.
func judgedTemplate(template []byte) (judged []byte, problem string) {
	if !bytes.ContainsRune(template, '{') {
		return judgedURI(template)
	}
	if bytes.IndexByte(template, '\\') >= 0 {
		return nil, "has a backslash"
	}
	for segment := range bytes.SplitSeq(template, []byte("/")) {
		if string(segment) == "." || string(segment) == ".." {
			return nil, "has a . or .. segment"
		}
	}
	if problem = encodedSeparator(template); problem != "" {
		return nil, problem
	}
	judged, ok := percentDecode(template)
	if !ok || !clean(judged) {
		return nil, "has a percent escape that is not in its normal form, or a character that cannot be seen"
	}
	return upperDrive(judged), ""
}

// compileURIGlob compiles a pattern for judged URIs. Patterns may be written encoded or not.
func compileURIGlob(pattern string) (*glob, error) {
	if !utf8.ValidString(pattern) || !clean([]byte(pattern)) {
		return nil, errors.New("holds a control, bidi or zero-width character")
	}
	if err := checkURIPattern(pattern); err != nil {
		return nil, err
	}
	decoded, err := decodePattern(pattern)
	if err != nil {
		return nil, err
	}
	return compileGlob(string(upperDrive([]byte(decoded))), uriSyntax)
}

// checkURIPattern finds patterns that no URI in normal form can match.
func checkURIPattern(pattern string) error {
	scheme, rest, ok := strings.Cut(pattern, ":")
	if ok && !strings.ContainsAny(scheme, `*?[{\/`) {
		if !normalScheme([]byte(scheme)) {
			return errors.New("never matches: a scheme is lower-case letters, digits, dots, + and -")
		}
		if scheme == "file" && !strings.HasPrefix(rest, "///") && !strings.ContainsAny(rest[:min(3, len(rest))], `*?[{\`) {
			return errors.New("never matches: a file URI has three slashes, as in file:///data/**")
		}
	}
	if strings.Contains(pattern, "/../") || strings.Contains(pattern, "/./") || strings.HasSuffix(pattern, "/..") {
		return errors.New("never matches: a URI with . or .. segments is always denied")
	}
	if strings.Contains(pattern, "#") {
		return errors.New("never matches: a URI with a fragment is always denied")
	}
	return nil
}

func decodePattern(pattern string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '\\' && i+1 < len(pattern):
			out.WriteString(pattern[i : i+2])
			i++
		case c != '%':
			out.WriteByte(c)
		case i+2 >= len(pattern) || unhex(pattern[i+1]) > 15 || unhex(pattern[i+2]) > 15:
			return "", errors.New("holds a % without two hexadecimal digits; write %25 for a percent sign")
		default:
			c = unhex(pattern[i+1])<<4 | unhex(pattern[i+2])
			if c == '/' || c == '\\' || c < ' ' || c == 0x7f {
				return "", errors.New("never matches: an encoded slash, backslash or control is always denied")
			}
			if strings.IndexByte(`*?[]{},\!^-`, c) >= 0 {
				out.WriteByte('\\')
			}
			out.WriteByte(c)
			i += 2
		}
	}
	return out.String(), nil
}
