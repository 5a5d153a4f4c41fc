package policy

import "strings"

// Literal returns a pattern that matches one name and no other.
func Literal(name string) string {
	if !strings.ContainsAny(name, `*?[]{},\`) {
		return name
	}
	var b strings.Builder
	for _, r := range name {
		if strings.ContainsRune(`*?[]{},\`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
