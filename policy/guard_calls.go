package policy

import (
	"slices"
	"time"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A call is one request that is in flight, in either direction.
type call struct {
	id      jsonrpc.ID // its memory is idText
	idText  []byte
	key     jsonrpc.Key
	name    string    // the method as it was sent
	method  Method    // what the protocol says of it
	target  []byte    // decoded; owns its memory
	trace   []byte    // id of the trace that it belongs to; empty: none is known
	span    Span      // nil: nobody wants one, or it has ended
	judged  *Decision // what the rules said of it, while it is held back or its span is open; nil: nobody asks
	modern  bool
	start   time.Time
	bytesIn int
	walk    *integrity.Walk  // a list: the walk that this page belongs to
	doubts  int              // of its survey when the walk began; -1: the walk verifies nothing
	changes changeSet        // a subscription: what the server has acknowledged
	prompt  bool             // a completion for a prompt
	own     bool             // our own, made for a survey
	message *jsonrpc.Message // held back until a survey is done; a copy
	args    []byte           // raw arguments, as long as the message lives

	late chan []byte // of large arguments: what the audit log says of them, once that is known; nil otherwise

	cancelled bool // by the client, which does not wait any more
}

// A table holds the requests of one direction. The guard's mutex guards it.
type table struct {
	numbers map[int64]*call // by integer id, which nearly all are
	texts   map[string]*call
	open    int     // calls that are neither our own nor cancelled
	spare   []*call // for reuse
}

const (
	maxSpare     = 128
	maxCancelled = 1024
)

func newTable() table { return table{numbers: make(map[int64]*call), texts: make(map[string]*call)} }

func (t *table) get(key jsonrpc.Key) *call {
	if n, ok := key.Number(); ok {
		return t.numbers[n]
	}
	return t.texts[key.Text()]
}

func (t *table) set(key jsonrpc.Key, c *call) {
	if n, ok := key.Number(); ok {
		t.numbers[n] = c
	} else {
		t.texts[key.Text()] = c
	}
}

func (t *table) remove(key jsonrpc.Key) {
	if n, ok := key.Number(); ok {
		delete(t.numbers, n)
	} else {
		delete(t.texts, key.Text())
	}
}

// all yields the calls in any order.
func (t *table) all(yield func(*call) bool) {
	for _, c := range t.numbers {
		if !yield(c) {
			return
		}
	}
	for _, c := range t.texts {
		if !yield(c) {
			return
		}
	}
}

// fresh returns an empty call.
func (t *table) fresh() *call {
	if n := len(t.spare); n > 0 {
		c := t.spare[n-1]
		t.spare = t.spare[:n-1]
		return c
	}
	return &call{}
}

// recycle takes back a call that nobody refers to any more. One that was cancelled may still be read by whoever records
// that.
func (t *table) recycle(c *call) {
	if len(t.spare) < maxSpare && !c.cancelled {
		*c = call{idText: c.idText, target: c.target[:0], trace: c.trace[:0]}
		t.spare = append(t.spare, c)
	}
}

// known reports whether a request of that id is in flight. One that was cancelled is: its answer may still come, and must
// not be taken for that of another request.
func (t *table) known(key jsonrpc.Key) bool { return t.get(key) != nil }

func (t *table) put(c *call) {
	if len(t.numbers)+len(t.texts)-t.open > maxCancelled {
		t.purge()
	}
	t.set(c.key, c)
	if !c.own {
		t.open++
	}
}

// take removes and returns a request, nil if there is none of that id.
func (t *table) take(key jsonrpc.Key) *call {
	c := t.get(key)
	if c == nil {
		return nil
	}
	t.remove(key)
	if !c.own && !c.cancelled {
		t.open--
	}
	return c
}

// cancel marks a request: its answer is not waited for any more.
func (t *table) cancel(key jsonrpc.Key) *call {
	c := t.get(key)
	if c == nil || c.own || c.cancelled {
		return nil
	}
	c.cancelled = true
	t.open--
	return c
}

// purge drops cancelled requests, whose answers may never come.
func (t *table) purge() {
	for c := range t.all {
		if c.cancelled {
			t.remove(c.key)
		}
	}
}

// drain removes and returns all requests.
func (t *table) drain() []*call {
	all := slices.Collect(t.all)
	clear(t.numbers)
	clear(t.texts)
	t.open = 0
	return all
}

// fill makes c the record of request m. What is stored survives m.
func (c *call) fill(m *jsonrpc.Message, now time.Time) {
	c.id, c.idText = m.ID.CloneInto(c.idText)
	c.key = m.ID.Key()
	c.name, c.start, c.bytesIn = m.Method, now, len(m.Raw)
	c.modern = isModern(m)
}

// aim notes what a request is about: its target and arguments.
func (c *call) aim(m *jsonrpc.Message) {
	var target []byte
	switch c.method.Target {
	case ToolTarget, PromptTarget:
		target, _ = m.Text(jsonrpc.Name)
		c.args = m.Field(jsonrpc.Arguments)
	case ResourceTarget:
		target, _ = m.Text(jsonrpc.URI)
	case RefTarget:
		kind, _ := m.Text(jsonrpc.RefType)
		if c.prompt = string(kind) == "ref/prompt"; c.prompt {
			target, _ = m.Text(jsonrpc.RefName)
		} else {
			target, _ = m.Text(jsonrpc.RefURI)
		}
	case SubscriptionsTarget: // each resource is judged, and one of them is the target
		c.args = m.Field(jsonrpc.Notifications)
	case NoTarget:
	}
	c.target = append(c.target[:0], target...)
}

// modernRevision is the first revision without sessions: a request's _meta names its own.
const modernRevision = "2026-07-28"

// isModern tells the era of a request. Revisions are dates, so they compare as text.
func isModern(m *jsonrpc.Message) bool {
	version, ok := m.Text(jsonrpc.MetaVersion)
	return ok && string(version) >= modernRevision
}
