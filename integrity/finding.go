package integrity

import "fmt"

// A Kind is one sort of thing that a server says and that can be pinned.
type Kind uint8

// The kinds. A server has one set of instructions, its name is empty.
const (
	Tools Kind = iota + 1
	Prompts
	Instructions
)

// kinds lists them in the order in which people are shown them.
var kinds = [...]Kind{Instructions, Tools, Prompts}

// String returns the singular: tool, prompt or instructions.
func (k Kind) String() string {
	switch k {
	case Tools:
		return "tool"
	case Prompts:
		return "prompt"
	case Instructions:
		return "instructions"
	default:
		return "invalid"
	}
}

// ParseKind reads what String returns.
func ParseKind(name string) (Kind, error) {
	for _, kind := range kinds {
		if kind.String() == name {
			return kind, nil
		}
	}
	return 0, fmt.Errorf("kind %q is not tool, prompt or instructions", name)
}

// A Status is the result of comparing what a server says with what is pinned.
type Status uint8

// The states. Those up to Baseline are no violation.
const (
	Unchecked Status = iota // integrity is off: nothing was compared
	Same                    // as pinned
	Baseline                // pinned just now: no complete list had been seen before
	Added                   // new after the first complete list
	Removed                 // pinned, but no longer listed
	Changed                 // not as pinned, or not as the hub has approved
	Twin                    // of the same or a look-alike name as another one of the same list
	Shadowed                // another server has pinned a tool of that name
	Malformed               // cannot be judged: no name, a deceptive name, or members that read differently elsewhere
	Unknown                 // never seen; only Judge says so
)

var statusNames = [...]string{"unchecked", "same", "baseline", "added", "removed", "changed", "twin", "shadowed", "malformed", "unknown"}

func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "invalid"
}

// reason is the name under which a violation is audited: tool_changed, prompt_added, instructions_changed …
// It is empty for what is no violation, and never allocates for those that are.
func reason(k Kind, s Status) string {
	if s <= Baseline || int(s) >= len(statusNames) || k < Tools || k > Instructions {
		return ""
	}
	return reasons[k-Tools][s]
}

var reasons = func() (table [3][len(statusNames)]string) {
	for k := range table {
		for s, name := range statusNames {
			table[k][s] = (Tools + Kind(k)).String() + "_" + name
		}
	}
	return table
}()

// A Finding is what came of comparing one definition with its pin.
type Finding struct {
	Kind     Kind
	Index    int    // position among the items of the page; -1: about none of them
	Name     string // as the server wrote it; may hold anything
	Status   Status
	Withhold bool   // must not be delivered; never set unless tool_integrity is enforce
	Reason   string // tool_changed …; empty: no violation
	Detail   string // for people: which parts changed, which name it is a twin of; no control characters
}

// A Verdict says whether a call may pass. The zero Verdict refuses.
type Verdict struct {
	Allowed bool
	Status  Status
	Reason  string // tool_changed, tool_unknown …; empty: no violation. Also set where warn lets it pass

	Overruled bool // Changed since it is not what the hub has approved, whatever the lock file says
}
