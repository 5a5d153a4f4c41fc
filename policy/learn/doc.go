// Package learn reads the record of what happened: which policy would allow just that, and what another policy would have decided.
//
// It reads events as package audit wrote them, one after the other, and keeps a bounded summary. It decides nothing (that is
// package policy's), verifies no chain and prints nothing.
package learn

import (
	"bytes"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// Arguments as the log has them.
type recorded uint8

const (
	verbatim recorded = iota // or there were none
	hashed                   // only their hash: audit.args was hash, or they were too long
	missing                  // nothing: there were none, or audit.args was off
)

// largeArgs is the length of a message from which its arguments may be missing because they were hashed after it was forwarded: its
// outcome has the hash.
const largeArgs = 64 << 10

// redactedValue stands in a log for the value of an argument with a secret name.
const redactedValue = `"<redacted>"`

// arguments tells how the log has the arguments of a call.
func arguments(r *audit.Record) recorded {
	switch {
	case len(r.Args) == 0 && r.BytesIn > largeArgs:
		return hashed
	case len(r.Args) == 0:
		return missing
	case bytes.HasPrefix(r.Args, []byte(`"sha256:`)):
		return hashed
	default:
		return verbatim
	}
}

// tells reports whether an event shows that its instance records arguments, or their hashes.
func tells(r *audit.Record) bool {
	return r.Kind == audit.Decision && r.Method == "tools/call" && len(r.Args) > 0
}
