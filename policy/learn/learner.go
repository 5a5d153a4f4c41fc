package learn

import (
	"fmt"
	"strings"

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
	relaxed map[string]int // how many rules for a part have turned out to be too narrow
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
	unlisted  int  // refusals beyond those
	more      bool // of something there was too much
}

// A tool is what was seen of the calls of one.
type tool struct {
	calls    int            // that passed and are learnt from
	failed   int            // that ended with an error
	open     int            // without an outcome
	shadowed int            // that a rule in shadow mode would have denied
	unknown  int            // whose arguments are not in the log
	bare     map[string]int // calls without arguments by instance: none were given, or the instance records none
	args     map[string]*argument
}

// NewLearner returns a learner that knows nothing yet.
func NewLearner() *Learner {
	return &Learner{servers: map[string]*server{}, relaxed: map[string]int{}}
}

// Add takes in an event.
func (l *Learner) Add(r *audit.Record) {
	l.lesson.saw(r)
	if r.Kind != audit.Decision && r.Kind != audit.Outcome || r.Server == "" {
		return
	}
	if r.Kind == audit.Decision && r.Decision != "allow" {
		l.refused(r)
		return
	}
	if r.Kind == audit.Decision && single(r) {
		l.used(r)
		return
	}
	decision, outcome, lost := l.pairs.add(r)
	for _, r := range lost {
		l.unended(r)
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
	for _, w := range l.pairs.open {
		l.unended(w.record)
	}
	l.pairs = pairs{}
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
		l.lesson.incomplete(fmt.Sprintf("there are more than %d servers: the rest was not looked at", maxServers))
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
		t = &tool{bare: map[string]int{}, args: map[string]*argument{}}
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
	} else {
		s.unlisted++
	}
}

// used takes in a request that was allowed and has passed.
func (l *Learner) used(r *audit.Record) {
	s := l.server(r.Server)
	if s == nil {
		return
	}
	switch subjectOf(r) {
	case unknownMethod:
		s.note(s.methods, r.Method)
		if strings.HasPrefix(r.Method, "tasks/") { // without which no call may be made as a task
			s.note(s.methods, "tasks/result")
		}
	case question:
		s.note(s.asked, r.Method)
	case toolCall:
		l.called(s, r)
	case promptUse:
		s.note(s.prompts, r.Target)
	case resourceUse:
		if r.RequestID == "" { // what is told of a resource is no use of it
			return
		}
		uris, all := resourcesOf(r)
		for _, uri := range uris {
			s.note(s.resources, uri)
		}
		if !all {
			l.lesson.incomplete("the log does not have all resources of each subscriptions/listen: record them with audit.args: redacted, or full")
		}
	case templateUse:
		s.note(s.templates, r.Target)
	case none:
	}
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
	if policy.Shadowed(r.Decision, r.Reason) {
		t.shadowed++
	}
	switch arguments(r) {
	case hashed:
		t.unknown++
		return
	case missing:
		if !l.lesson.tells[r.Instance] { // until now
			t.bareCall(r.Instance)
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

// maxBare bounds the instances that may turn out to record arguments later.
const maxBare = 1000

func (t *tool) bareCall(instance string) {
	if _, ok := t.bare[instance]; !ok && len(t.bare) >= maxBare {
		t.unknown++
		return
	}
	t.bare[instance]++
}

// untold counts the calls whose arguments are not in the log.
func (t *tool) untold(tells map[string]bool) int {
	n := t.unknown
	for instance, calls := range t.bare {
		if !tells[instance] {
			n += calls
		}
	}
	return n
}
