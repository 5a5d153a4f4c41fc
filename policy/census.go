package policy

import (
	"bytes"
	"sync"
	"time"

	"github.com/rohitgs28/mcpx/integrity"
)

// A Census knows whether the lists of one server were read whole since the last reason to doubt them. The guards of all
// links to that server share one, so that a server is not asked again for each of them. It is safe for concurrent use.
type Census struct {
	maxAge   time.Duration
	withheld withholding

	mu    sync.Mutex
	lists [surveyCount]count
	infos [2][]byte // serverInfo as it was said last, to legacy and to modern clients
}

// A count is about one list. The census's mutex guards it.
type count struct {
	verified time.Time           // when the whole list was walked; zero: not since the last doubt
	doubts   int                 // how often the list became doubtful
	pages    map[string]openWalk // walks of clients, by the raw cursor of their next page and the client
}

// NewCensus returns the census of one server. After maxAge a list is read again even if the server was silent about
// changes; 0 means that it need not be.
func NewCensus(maxAge time.Duration) *Census { return &Census{maxAge: maxAge} }

// Doubt is for what makes everything doubtful: the server was started again.
func (c *Census) Doubt() {
	for i := range c.lists {
		c.doubt(i)
	}
}

// Notified is told the method of a notification of the server that reached no link.
func (c *Census) Notified(method string) {
	switch method {
	case "notifications/tools/list_changed":
		c.doubt(toolSurvey)
	case "notifications/prompts/list_changed":
		c.doubt(promptSurvey)
	}
}

func (c *Census) doubt(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists[i].verified = time.Time{}
	c.lists[i].doubts++
}

func (c *Census) doubts(i int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lists[i].doubts
}

// verified reports whether a list can be relied on.
func (c *Census) verified(i int, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.lists[i].verified
	return !at.IsZero() && (c.maxAge == 0 || now.Sub(at) < c.maxAge)
}

// verify notes that a list was walked whole, unless it has become doubtful since the walk began.
func (c *Census) verify(i, doubts int, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lists[i].doubts != doubts {
		return false
	}
	c.lists[i].verified = now
	return true
}

// identify notes what the server calls itself. Another name or version makes its lists doubtful.
func (c *Census) identify(info []byte, modern bool) {
	era := 0
	if modern {
		era = 1
	}
	c.mu.Lock()
	previous := c.infos[era]
	c.infos[era] = bytes.Clone(info)
	c.mu.Unlock()
	if previous != nil && !bytes.Equal(previous, info) {
		c.Doubt()
	}
}

// maxOpenWalks bounds the walks that clients began and did not go on with.
const maxOpenWalks = 64

// An openWalk waits for its next page.
type openWalk struct {
	walk   *integrity.Walk
	doubts int
}

func (c *Census) keep(i int, page string, w openWalk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.lists[i]
	if len(l.pages) >= maxOpenWalks {
		clear(l.pages)
	}
	if l.pages == nil {
		l.pages = make(map[string]openWalk)
	}
	l.pages[page] = w
}

// resume returns the walk whose next page that is, once.
func (c *Census) resume(i int, page string) (openWalk, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, known := c.lists[i].pages[page]
	delete(c.lists[i].pages, page)
	return w, known
}
