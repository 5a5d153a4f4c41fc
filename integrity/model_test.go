package integrity

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A model says in the plainest way what must come of lists of a few tools in a few versions, under enforce and
// quarantine, where each list is one page.
type model struct {
	pins     map[string]int
	pending  map[string]int // a version, or one of the marks below
	approved map[string]int // by the hub; forgotten at a restart
	last     map[string]int // what this process has listed and may be listed still, like pending
	complete bool
}

const (
	modelTwin = -1
	modelGone = -2
)

// modelNames look alike in pairs: the second and third of each are twins of the first.
var modelNames = []string{"a", "A", "а", "read", "Read", "x", "y"}

var modelSkeleton = map[string]string{"a": "a", "A": "a", "а": "a", "read": "read", "Read": "read", "x": "x", "y": "y"}

type modelItem struct {
	name    string
	version int
}

func (m *model) list(items []modelItem) []Status {
	alike := make(map[string]int)
	for _, i := range items {
		alike[modelSkeleton[i.name]]++
	}
	listed := make(map[string]bool)
	want := make([]Status, len(items))
	for n, i := range items {
		listed[i.name] = true
		pin, pinned := m.pins[i.name]
		approved, ruled := m.approved[i.name]
		switch {
		case alike[modelSkeleton[i.name]] > 1:
			want[n] = Twin
			m.pending[i.name], m.last[i.name] = modelTwin, modelTwin
			continue
		case ruled && approved == i.version:
			want[n] = Same
			m.pins[i.name] = i.version
		case ruled:
			want[n] = Changed
		case pinned && pin == i.version:
			want[n] = Same
		case pinned:
			want[n] = Changed
		case !m.complete:
			want[n] = Baseline
			m.pins[i.name] = i.version
		default:
			want[n] = Added
		}
		m.last[i.name] = i.version
		if (want[n] == Changed || want[n] == Added) && (!pinned || pin != i.version) {
			m.pending[i.name] = i.version
		} else {
			delete(m.pending, i.name)
		}
	}
	for name := range m.pins {
		if !listed[name] {
			m.pending[name] = modelGone
		}
	}
	for name := range m.pending {
		if _, pinned := m.pins[name]; !pinned && !listed[name] {
			delete(m.pending, name)
		}
	}
	for name := range m.last {
		if _, pinned := m.pins[name]; !pinned && !listed[name] {
			delete(m.last, name)
		}
	}
	m.complete = true
	return want
}

// rule replaces what the hub has approved.
func (m *model) rule(approved map[string]int) {
	m.approved = approved
	for name, version := range approved {
		if last, seen := m.last[name]; m.pending[name] == version && (!seen || last == version) {
			if _, waits := m.pending[name]; waits {
				m.pins[name] = version
				delete(m.pending, name)
			}
		}
	}
}

// allows says whether a call of that name passes.
func (m *model) allows(name string) bool {
	now, known := m.last[name]
	if pending, waits := m.pending[name]; !known && waits && pending != modelGone {
		now, known = pending, true
	}
	pin, pinned := m.pins[name]
	if !known {
		now, known = pin, pinned
	}
	approved, ruled := m.approved[name]
	switch {
	case !known || now == modelTwin:
		return false
	case ruled:
		return now == approved
	default:
		return pinned && now == pin
	}
}

// approve approves everything and reports whether that can be.
func (m *model) approve() bool {
	for _, version := range m.pending {
		if version == modelTwin {
			return false
		}
	}
	for name, version := range m.pending {
		if m.pins[name] = version; version == modelGone {
			delete(m.pins, name)
		}
	}
	clear(m.pending)
	return true
}

// FuzzConversation plays what a server lists, restarts, approvals here and by the hub, as the bytes say, against the model.
func FuzzConversation(f *testing.F) {
	f.Add([]byte{3, 0, 10, 20, 3, 0, 11, 20, 250, 3, 0, 11, 20, 251, 3, 0, 11, 20})
	f.Add([]byte{1, 5, 2, 5, 6, 1, 5, 251, 2, 0, 1, 2, 0, 1, 250, 1, 0, 0})
	f.Add([]byte{2, 5, 6, 252, 1, 12, 2, 5, 6, 2, 12, 6, 252, 1, 5, 250, 252, 1, 19, 2, 12, 6, 2, 19, 6, 252, 0, 251, 2, 19, 6})
	f.Add([]byte{1, 5, 2, 5, 6, 252, 1, 6, 2, 5, 6, 250, 252, 1, 13, 2, 5, 6, 2, 5, 13, 252, 0, 2, 5, 6})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 60 {
			return
		}
		path := filepath.Join(t.TempDir(), "mcpx.lock")
		m := &model{pins: make(map[string]int), pending: make(map[string]int), last: make(map[string]int)}
		file := openFile(t, path)
		p := file.Server("fs", Config{NewTools: "quarantine"})
		stale := false // a pin that another process has forgotten counts until something is listed
		for len(script) > 0 {
			op := script[0]
			script = script[1:]
			n := min(int(op)%6, len(script))
			switch op {
			case 250:
				file = openFile(t, path)
				p = file.Server("fs", Config{NewTools: "quarantine"})
				m.approved, m.last = nil, make(map[string]int)
				stale = false
			case 251:
				if !m.complete {
					continue
				}
				stale = true
				if _, err := openFile(t, path).Approve("fs"); m.approve() != (err == nil) {
					t.Fatalf("Approve: %v", err)
				}
			case 252:
				if len(script) > 0 {
					n = min(int(script[0])%4, len(script)-1)
					stale = !playRuling(p, m, script[1:1+n]) && stale
					n++
				}
				script = script[n:]
			default:
				playList(t, p, m, script[:n])
				stale = false
				script = script[n:]
			}
			for _, name := range modelNames {
				if v := p.Judge(Tools, []byte(name)); v.Allowed != m.allows(name) && !(stale && v.Allowed) {
					t.Fatalf("after %d: Judge(%q) = %+v, want allowed %t\n%+v", op, name, v, m.allows(name), m)
				}
			}
		}
		if data, err := os.ReadFile(path); err == nil {
			again, err := encode(openFile(t, path).content.Load())
			if err != nil || !bytes.Equal(again, data) {
				t.Errorf("reading and writing changes the file: %v\n%s\n%s", err, data, again)
			}
		}
	})
}

func modelByte(b byte) modelItem {
	return modelItem{modelNames[int(b)%len(modelNames)], int(b) / len(modelNames) % 3}
}

func (i modelItem) raw() string { return fmt.Sprintf(`{"name":%q,"v":%d}`, i.name, i.version) }

func playRuling(p *Pins, m *model, script []byte) (changed bool) {
	var list []Approved
	approved := make(map[string]int)
	for _, b := range script {
		i := modelByte(b)
		if _, twice := approved[i.name]; twice {
			continue
		}
		digest, _ := Digest([]byte(i.raw()))
		approved[i.name] = i.version
		list = append(list, Approved{Target{Tools, i.name}, digest})
	}
	m.rule(approved)
	return p.SetApproved(list)
}

func playList(t *testing.T, p *Pins, m *model, script []byte) {
	t.Helper()
	items := make([]modelItem, len(script))
	raw := make([]string, len(script))
	for i, b := range script {
		items[i] = modelByte(b)
		raw[i] = items[i].raw()
	}
	found := list(t, p, Tools, raw...)
	want := m.list(items)
	listed := make(map[string]bool)
	var sighted []string
	for i, f := range found[:len(items)] {
		delivered := want[i] == Same || want[i] == Baseline
		if f.Status != want[i] || f.Withhold == delivered {
			t.Fatalf("list %v: item %d: %+v, want %s", items, i, f, want[i])
		}
		listed[f.Name] = true
		if want[i] != Twin {
			digest, _ := Digest([]byte(raw[i]))
			sighted = append(sighted, f.Name+" "+digest)
		}
	}
	for _, f := range found[len(items):] {
		if _, pinned := m.pins[f.Name]; f.Status != Removed || listed[f.Name] || !pinned {
			t.Fatalf("list %v: %+v", items, f)
		}
	}
	var got []string
	for _, s := range p.Sightings() {
		if digest, err := DigestOf(s.Target, s.Definition); err != nil || digest != s.Digest {
			t.Fatalf("list %v: %s has digest %s, its definition %s, %v", items, s.Target, s.Digest, digest, err)
		}
		got = append(got, s.Name+" "+s.Digest)
	}
	if slices.Sort(sighted); !slices.Equal(got, sighted) {
		t.Fatalf("list %v: sightings %q, want %q", items, got, sighted)
	}
}
