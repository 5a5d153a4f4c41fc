package integrity

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A model says in the plainest way what must come of lists of a few tools in a few versions, under enforce and
// quarantine, where each list is one page.
type model struct {
	pins     map[string]int
	pending  map[string]int // a version, or one of the marks below
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
		switch {
		case alike[modelSkeleton[i.name]] > 1:
			want[n] = Twin
			m.pending[i.name] = modelTwin
			continue
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
		if want[n] == Changed || want[n] == Added {
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
	m.complete = true
	return want
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

// FuzzConversation plays what a server lists, restarts and approvals, as the bytes say, against the model.
func FuzzConversation(f *testing.F) {
	f.Add([]byte{3, 0, 10, 20, 3, 0, 11, 20, 250, 3, 0, 11, 20, 251, 3, 0, 11, 20})
	f.Add([]byte{1, 5, 2, 5, 6, 1, 5, 251, 2, 0, 1, 2, 0, 1, 250, 1, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 60 {
			return
		}
		path := filepath.Join(t.TempDir(), "mcpx.lock")
		m := &model{pins: make(map[string]int), pending: make(map[string]int)}
		file := openFile(t, path)
		p := file.Server("fs", Config{NewTools: "quarantine"})
		for len(script) > 0 {
			op := script[0]
			script = script[1:]
			switch op {
			case 250:
				file = openFile(t, path)
				p = file.Server("fs", Config{NewTools: "quarantine"})
			case 251:
				if !m.complete {
					continue
				}
				if _, err := openFile(t, path).Approve("fs"); m.approve() != (err == nil) {
					t.Fatalf("Approve: %v", err)
				}
			default:
				n := min(int(op)%6, len(script))
				playList(t, p, m, script[:n])
				script = script[n:]
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

func playList(t *testing.T, p *Pins, m *model, script []byte) {
	t.Helper()
	items := make([]modelItem, len(script))
	raw := make([]string, len(script))
	for i, b := range script {
		items[i] = modelItem{modelNames[int(b)%len(modelNames)], int(b) / len(modelNames) % 3}
		raw[i] = fmt.Sprintf(`{"name":%q,"v":%d}`, items[i].name, items[i].version)
	}
	found := list(t, p, Tools, raw...)
	want := m.list(items)
	listed := make(map[string]bool)
	for i, f := range found[:len(items)] {
		delivered := want[i] == Same || want[i] == Baseline
		if f.Status != want[i] || f.Withhold == delivered {
			t.Fatalf("list %v: item %d: %+v, want %s", items, i, f, want[i])
		}
		if v := p.Judge(Tools, []byte(f.Name)); v.Allowed != delivered {
			t.Fatalf("list %v: Judge(%q) = %+v after %s", items, f.Name, v, want[i])
		}
		listed[f.Name] = true
	}
	for _, f := range found[len(items):] {
		if _, pinned := m.pins[f.Name]; f.Status != Removed || listed[f.Name] || !pinned {
			t.Fatalf("list %v: %+v", items, f)
		}
	}
	for _, name := range modelNames {
		if _, pinned := m.pins[name]; !pinned && p.Judge(Tools, []byte(name)).Allowed {
			t.Fatalf("list %v: a call of %q, which is not pinned, is allowed", items, name)
		}
	}
}
