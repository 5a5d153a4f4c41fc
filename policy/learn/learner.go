package learn

import (
	"maps"
	"slices"
	"time"

	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	maxServers   = 1000
	maxTools     = 1000 // of a server
	maxArguments = 200  // of a tool
	maxNamed     = 1000 // resources, prompts or methods of a server
	maxRefused   = 100  // kinds of refusals of a server
)

// A Learner takes in a record, event by event.
type Learner struct {
	pairs   pairs
	servers map[string]*server
	relaxed map[string]bool // rules that have turned out to be too narrow
	lesson  Lesson
}

// A server is what was seen of one.
type server struct {
	calls     int
	tools     map[string]*tool
	resources map[string]int // by URI
	templates map[string]int
	prompts   map[string]int
	methods   map[string]int // that mcpx does not know
	asked     map[string]int // of its client
	refused   map[[2]string]int
	more      bool // of something there was too much
}

// A tool is what was seen of the calls of one.
type tool struct {
	calls    int // that passed and are learnt from
	failed   int // that ended with an error
	open     int // without an outcome
	shadowed int // that a rule in shadow mode would have denied
	unknown  int // whose arguments are not in the log
	args     map[string]*argument
}

// NewLearner returns a learner that knows nothing yet.
func NewLearner() *Learner {
	return &Learner{servers: map[string]*server{}, relaxed: map[string]bool{}}
}

// Add takes in an event. The learner keeps r while the request that it is about is open.
func (l *Learner) Add(r *audit.Record) {
	l.lesson.saw(r)
	if r.Kind != audit.Decision && r.Kind != audit.Outcome || r.Server == "" {
		return
	}
	if r.Kind == audit.Decision && r.Decision != "allow" {
		l.refused(r)
		return
	}
	if r.Kind == audit.Decision && r.RequestID == "" { // a notification has no outcome
		l.used(r)
		return
	}
	decision, outcome, lost := l.pairs.add(r)
	if lost != nil {
		l.unended(lost)
	}
	switch {
	case decision == nil:
	case passed(outcome):
		l.used(decision)
	default:
		if t := l.tool(decision); t != nil {
			t.failed++
		}
	}
}

// end counts the requests that have no outcome in the record.
func (l *Learner) end() {
	for key, r := range l.pairs.open {
		l.unended(r)
		delete(l.pairs.open, key)
	}
	l.pairs.order = nil
}

func (l *Learner) unended(r *audit.Record) {
	if t := l.tool(r); t != nil {
		t.open++
	}
}

func (l *Learner) server(name string) *server {
	s := l.servers[name]
	if s == nil && len(l.servers) < maxServers {
		s = &server{
			tools: map[string]*tool{}, resources: map[string]int{}, templates: map[string]int{}, prompts: map[string]int{},
			methods: map[string]int{}, asked: map[string]int{}, refused: map[[2]string]int{},
		}
		l.servers[name] = s
	}
	if s == nil {
		l.lesson.incomplete("there are more than 1000 servers: the rest was not looked at")
	}
	return s
}

// tool returns what is known of the tool that a call names, nil for what is none.
func (l *Learner) tool(r *audit.Record) *tool {
	s := l.server(r.Server)
	if r.Method != "tools/call" || s == nil {
		return nil
	}
	t := s.tools[r.Target]
	if t == nil && len(s.tools) < maxTools {
		t = &tool{args: map[string]*argument{}}
		s.tools[r.Target] = t
	}
	s.more = s.more || t == nil
	return t
}

func (l *Learner) refused(r *audit.Record) {
	s := l.server(r.Server)
	if s == nil {
		return
	}
	what := [2]string{r.Method + " " + r.Target, r.Rule}
	if _, ok := s.refused[what]; ok || len(s.refused) < maxRefused {
		s.refused[what]++
	}
}

// used takes in a request that was allowed and has passed.
func (l *Learner) used(r *audit.Record) {
	s := l.server(r.Server)
	if s == nil {
		return
	}
	m, known := policy.Lookup(r.Method)
	switch {
	case !known:
		s.note(s.methods, r.Method)
	case m.Kinds&policy.ServerRequest != 0 && m.Kinds&policy.ClientRequest == 0:
		s.note(s.asked, r.Method)
	case m.Target == policy.ToolTarget:
		l.called(s, r)
	case m.Target == policy.PromptTarget:
		s.note(s.prompts, r.Target)
	case m.Target == policy.ResourceTarget && r.Kind == audit.Decision && r.RequestID != "":
		s.note(s.resources, r.Target)
	case m.Target == policy.RefTarget:
		if hasScheme(r.Target) {
			s.note(s.templates, r.Target)
		} else {
			s.note(s.prompts, r.Target)
		}
	}
}

func hasScheme(text string) bool {
	for i, c := range []byte(text) {
		if c == ':' {
			return i > 0
		}
		if (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return false
}

func (s *server) note(names map[string]int, name string) {
	if _, ok := names[name]; !ok && len(names) >= maxNamed {
		s.more = true
		return
	}
	names[name]++
}

func (l *Learner) called(s *server, r *audit.Record) {
	t := l.tool(r)
	if t == nil {
		return
	}
	s.calls++
	t.calls++
	if rehearsed(r) {
		t.shadowed++
	}
	switch arguments(r) {
	case hashed:
		t.unknown++
		return
	case missing:
		if !l.lesson.verbatim[r.Instance] {
			t.unknown++
		}
		return
	case verbatim:
	}
	for name, value := range jsonrpc.Members(r.Args) {
		a := t.args[string(name)]
		if a == nil {
			if len(t.args) >= maxArguments {
				s.more = true
				continue
			}
			a = newArgument()
			t.args[string(name)] = a
		}
		a.add(value)
	}
}

// A Lesson is what was learnt.
type Lesson struct {
	Servers []Server  `json:"servers"`
	Events  int       `json:"events"`
	Calls   int       `json:"calls"` // that were learnt from
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`

	// Incomplete says why the lesson is not all that happened. Whoever knows more, such as that the record was edited, adds to it.
	Incomplete []string `json:"incomplete,omitempty"`

	verbatim map[string]bool // instances whose log has arguments
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
	if l.verbatim == nil {
		l.verbatim = map[string]bool{}
	}
	if r.Method == "tools/call" && arguments(r) == verbatim {
		l.verbatim[r.Instance] = true
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
