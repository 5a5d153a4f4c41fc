package learn

import (
	"maps"
	"slices"
	"time"

	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// A Lesson is what was learnt.
type Lesson struct {
	Servers []Server  `json:"servers"`
	Events  int       `json:"events"`
	Calls   int       `json:"calls"` // that were learnt from
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`

	// Incomplete says why the lesson is not all that happened. Whoever knows more, such as that the record was edited, adds to it.
	Incomplete []string `json:"incomplete,omitempty"`

	tells map[string]bool // instances whose log has arguments, or their hashes: where it has none, none were given
}

// Complete reports whether the lesson is all that happened.
func (l *Lesson) Complete() bool { return len(l.Incomplete) == 0 }

func (l *Lesson) saw(r *audit.Record) {
	l.Events++
	if l.From.IsZero() || r.Time.Before(l.From) {
		l.From = r.Time
	}
	if r.Time.After(l.To) {
		l.To = r.Time
	}
	if tells(r) {
		if l.tells == nil {
			l.tells = map[string]bool{}
		}
		l.tells[r.Instance] = true
	}
}

func (l *Lesson) incomplete(why string) {
	if !slices.Contains(l.Incomplete, why) {
		l.Incomplete = append(l.Incomplete, why)
	}
}

// A Server is what a server may be asked, by the lesson.
type Server struct {
	Name   string            `json:"name"`
	Policy policy.Config     `json:"policy"`
	Notes  map[string]string `json:"notes,omitempty"` // what is behind a part of Policy, by its key: allow_tools, tool_rules.NAME, tool_rules.NAME.args.ARG, …
	Left   []string          `json:"left_out,omitempty"`
	Calls  int               `json:"calls"`
}

// Lesson returns what was learnt. Requests that are open count as without an outcome, so nothing is added afterwards.
func (l *Learner) Lesson() *Lesson {
	l.end()
	out := &l.lesson
	out.Servers, out.Calls = nil, 0
	for _, name := range slices.Sorted(maps.Keys(l.servers)) {
		s := l.conclude(name, l.servers[name])
		out.Calls += s.Calls
		out.Servers = append(out.Servers, s)
	}
	return out
}
