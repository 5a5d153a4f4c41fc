package policy

import (
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	recheckEvery = time.Second
	maxWithheld  = 64 // names of one list
)

// A withholding remembers what was taken out of a server's lists because of its pin: once that is approved, by whatever process,
// the clients are to know. It looks at the pins only while something is withheld and somebody is to be told. Its lock is taken
// before that of a guard.
type withholding struct {
	mu       sync.Mutex
	names    [surveyCount]map[string]bool
	attended map[*Guard]int // those whose clients can be told, by how many
	timer    *time.Timer    // nil: none is set
}

// attend adds or removes somebody who tells a guard's client what it has to say.
func (w *withholding) attend(g *Guard, by int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.attended == nil {
		w.attended = make(map[*Guard]int)
	}
	if w.attended[g] += by; w.attended[g] <= 0 {
		delete(w.attended, g)
	}
	if len(w.attended) > 0 {
		w.arm()
	} else if w.timer != nil && w.timer.Stop() { // if it did not, recheck is at work
		w.timer = nil
	}
}

func (w *withholding) add(list int, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.names[list] == nil {
		w.names[list] = make(map[string]bool)
	}
	if len(w.names[list]) < maxWithheld {
		w.names[list][name] = true
	}
	w.arm()
}

// announced is called when a server has said that it announces changes.
func (w *withholding) announced() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arm()
}

// arm sets the timer where there is something to look at, and perhaps somebody to tell. w.mu is held.
func (w *withholding) arm() {
	for _, names := range w.names {
		if len(names) > 0 && w.timer == nil && len(w.attended) > 0 {
			w.timer = time.AfterFunc(recheckEvery, w.recheck)
		}
	}
}

// recheck has the clients told to list again if something that was withheld is not withheld any more.
func (w *withholding) recheck() {
	var guards []*Guard
	w.mu.Lock()
	for g := range w.attended {
		if g.announcing() {
			guards = append(guards, g)
		}
	}
	var names [surveyCount][]string
	for i, set := range w.names {
		names[i] = slices.Collect(maps.Keys(set))
	}
	w.mu.Unlock()
	approved := len(guards) > 0 && anyAllowed(guards[0], names)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = nil
	switch {
	case approved:
		clear(w.names[:]) // their next lists say what is withheld then
		for _, g := range guards {
			g.Wake()
		}
	case len(guards) > 0:
		w.arm()
	}
}

// anyAllowed asks the pins, which all guards of a server share.
func anyAllowed(g *Guard, names [surveyCount][]string) bool {
	for i, names := range names {
		for _, name := range names {
			if g.opt.Pins.Judge(g.surveys[i].kind, []byte(name)).Allowed {
				return true
			}
		}
	}
	return false
}
