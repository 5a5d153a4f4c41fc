package store

import "github.com/rohitgs28/mcpx/integrity/audit"

// The numbers that events carry in place of words. They stand in files: never change one. 0 is what has none, 255 a word that
// this version does not know.
const unknownCode = 255

// kindCodes: the schema has an index of those above 2.
var kindCodes = map[string]int64{
	string(audit.Decision): kindDecision, string(audit.Outcome): kindOutcome,
	string(audit.Integrity): 3, string(audit.Lifecycle): 4, string(audit.Anomaly): 5,
}

const (
	kindDecision = 1
	kindOutcome  = 2
)

// decisionCodes: the schema has an index of denyCode, and of shadowCode.
var decisionCodes = map[string]int64{allow: 1, deny: denyCode}

const (
	allow = "allow"
	deny  = "deny"

	denyCode   = 2
	shadowCode = 3 // allow, in shadow mode only
)

var outcomeCodes = map[string]int64{
	"ok": 1, "tool_error": 2, "error": 3, "denied": 4, "timeout": 5, "cancelled": 6, "dropped": 7,
}

// failedCodes are the outcomes that are failures. The schema has an index of them, by these numbers: 2, 3, 5 and 7.
var failedCodes = func() map[int64]bool {
	failed := make(map[int64]bool)
	for outcome, n := range outcomeCodes {
		if audit.IsFailure(outcome) {
			failed[n] = true
		}
	}
	return failed
}()

func code(codes map[string]int64, word string) int64 {
	if word == "" {
		return 0
	}
	if n, ok := codes[word]; ok {
		return n
	}
	return unknownCode
}

// What is wrong with a stored event.
const (
	flawGap     = 1 // events before it are missing
	flawEdited  = 2 // it was not written after the one before it
	flawForeign = 3 // it is of a server that its sender may not speak for; its place in the chain is right
)

var flaws = map[int64]string{flawGap: ReasonGap, flawEdited: ReasonEdited, flawForeign: ReasonForeign}
