package policy

import "strings"

// IsServerName reports whether a name is one of a server: lower case letters, digits, - and _ of ASCII, of which the last two
// may not come first.
func IsServerName(name string) bool {
	return name != "" && name[0] != '-' && name[0] != '_' && !strings.ContainsFunc(name, foreign)
}

// ServerName makes the name of a server of what somebody else calls it: lower case, with a hyphen for whatever else stands
// between letters and digits. It is "" where nothing is left.
func ServerName(text string) string {
	return strings.Trim(strings.Join(strings.FieldsFunc(strings.ToLower(text), foreign), "-"), "-_")
}

func foreign(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
}
