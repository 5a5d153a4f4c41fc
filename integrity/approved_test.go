package integrity

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// approvedTools is what a hub says that has approved these tools.
func approvedTools(t *testing.T, items ...string) []Approved {
	t.Helper()
	var list []Approved
	for _, item := range items {
		d := readDefinition([]byte(item))
		digest, err := DigestOf(Target{Tools, d.name}, []byte(item))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, Approved{Target{Tools, d.name}, digest})
	}
	return list
}

const (
	v1 = `{"name":"read","description":"Reads"}`
	v2 = `{"name":"read","description":"Reads and tells"}`
)

func entryOf(t *testing.T, p *Pins, target Target) Entry {
	t.Helper()
	for _, e := range openFile(t, p.file.path).Entries(p.name) {
		if e.Target == target {
			return e
		}
	}
	t.Fatalf("no %s in the lock file", target)
	return Entry{}
}

// What a hub has approved is in effect at once, counts for more than the lock file, and leaves nothing that waits.
func TestHubApprovesWhatWasWithheld(t *testing.T) {
	for name, rows := range map[string]struct {
		cfg   Config
		first []string // the baseline
	}{
		"changed":     {Config{}, []string{v1, other}},
		"quarantined": {Config{NewTools: "quarantine"}, []string{other}},
	} {
		t.Run(name, func(t *testing.T) {
			path := lockPath(t)
			p := openFile(t, path).Server("fs", rows.cfg)
			list(t, p, Tools, rows.first...)
			list(t, p, Tools, v2, other)
			if p.Judge(Tools, []byte("read")).Allowed {
				t.Fatal("allowed before anybody approved it")
			}
			if !p.SetApproved(approvedTools(t, v2)) || p.SetApproved(approvedTools(t, v2)) {
				t.Error("SetApproved does not tell a change from none")
			}
			wantJudge(t, "approved", p, "read", true, "")
			wantJudge(t, "a tool that the hub does not name", p, "list", true, "")
			e := entryOf(t, p, Target{Tools, "read"})
			if e.Status != Same || !e.Approved || e.PinnedDigest != approvedTools(t, v2)[0].Digest {
				t.Errorf("the lock file has %+v", e)
			}
			wantBrief(t, "approved", list(t, p, Tools, v2, other), "0 read same", "1 list same")

			p = openFile(t, path).Server("fs", rows.cfg) // offline, without a bundle
			wantBrief(t, "restart", list(t, p, Tools, v2, other), "0 read same", "1 list same")
		})
	}
}

func TestHubOverrulesThePin(t *testing.T) {
	path := lockPath(t)
	p := openFile(t, path).Server("fs", Config{})
	list(t, p, Tools, v1)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p.SetApproved(approvedTools(t, v2))
	wantJudge(t, "at once", p, "read", false, "tool_changed")
	if v := p.Judge(Tools, []byte("read")); !v.Overruled {
		t.Errorf("not said to be the hub's word: %+v", v)
	}
	found := list(t, p, Tools, v1)
	wantBrief(t, "listed", found, "0 read changed withheld")
	if found[0].Detail != "not what the hub approved" {
		t.Errorf("detail %q", found[0].Detail)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the lock file was changed: %v\n%s", err, after)
	}
	warn := openFile(t, path).Server("fs", Config{ToolIntegrity: "warn"})
	warn.SetApproved(approvedTools(t, v2))
	wantJudge(t, "warn", warn, "read", true, "tool_changed")

	wantBrief(t, "as approved", list(t, p, Tools, v2), "0 read same")
	found = list(t, p, Tools, v1)
	if want := "not what the hub approved: description"; found[0].Detail != want {
		t.Errorf("detail %q, want %q", found[0].Detail, want)
	}
	p.SetApproved(nil)
	wantJudge(t, "the hub's word is gone, its pin stays", p, "read", false, "tool_changed")
}

// What is wrong with a definition by itself, or with its place among others, is not cured by a hub.
func TestHubDoesNotCure(t *testing.T) {
	f := openFile(t, lockPath(t))
	list(t, f.Server("mail", Config{}), Tools, v1)
	strict := Config{ShadowedTools: "enforce"}
	for name, row := range map[string]struct {
		items []string
		want  Status
	}{
		"twin":      {[]string{v1, `{"name":"Read"}`}, Twin},
		"malformed": {[]string{`{"name":"read","description":"Reads","Description":"x"}`}, Malformed},
		"shadowed":  {[]string{v1}, Shadowed},
	} {
		p := f.Server(name, strict)
		p.SetApproved(approvedTools(t, v1))
		if found := list(t, p, Tools, row.items...); found[0].Status != row.want || !found[0].Withhold {
			t.Errorf("%s: %+v", name, found[0])
		}
		if v := p.Judge(Tools, []byte("read")); v.Allowed {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestTwoDigestsApproveNeither(t *testing.T) {
	p := openFile(t, lockPath(t)).Server("fs", Config{})
	list(t, p, Tools, v1)
	p.SetApproved(append(approvedTools(t, v1, v2), Approved{Target{Kind(9), "read"}, "x"}, Approved{Target{}, "x"}))
	wantJudge(t, "two", p, "read", false, "tool_changed")
	wantJudge(t, "never listed", p, "write", false, "tool_unknown")
}

func TestHubApprovesInstructions(t *testing.T) {
	digest, err := DigestOf(Target{Kind: Instructions}, []byte(`"Be brief"`))
	if err != nil {
		t.Fatal(err)
	}
	path := lockPath(t)
	p := openFile(t, path).Server("fs", Config{})
	if _, err := p.Instructions([]byte("Be kind"), true); err != nil {
		t.Fatal(err)
	}
	p.SetApproved([]Approved{{Target{Kind: Instructions}, digest}})
	for _, row := range []struct {
		name, text string
		want       Status
	}{
		{"as pinned, not as approved", "Be kind", Changed},
		{"as approved", "Be brief", Same},
		{"neither", "Be evil", Changed},
	} {
		found, err := p.Instructions([]byte(row.text), true)
		if err != nil || found.Status != row.want || found.Withhold != (row.want == Changed) {
			t.Errorf("%s: %+v, %v", row.name, found, err)
		}
	}
	p = openFile(t, path).Server("fs", Config{})
	if found, err := p.Instructions([]byte("Be brief"), true); err != nil || found.Status != Same {
		t.Errorf("after a restart without the hub: %+v, %v", found, err)
	}
}

// A lock file that cannot be written keeps nothing that a hub approved from passing.
func TestApprovedBesideLockThatCannotBeWritten(t *testing.T) {
	path := lockPath(t)
	p := openFile(t, path).Server("fs", Config{NewTools: "quarantine"})
	list(t, p, Tools, other)
	if err := os.Mkdir(path+".lck", 0o700); err != nil {
		t.Fatal(err)
	}
	p.SetApproved(approvedTools(t, v1))
	wantBrief(t, "listed", list(t, p, Tools, v1, other), "0 read same", "1 list same")
	wantJudge(t, "listed", p, "read", true, "")
	if err := os.Remove(path + ".lck"); err != nil {
		t.Fatal(err)
	}
	list(t, p, Tools, v1, other)
	if e := entryOf(t, p, Target{Tools, "read"}); e.Status != Same || !e.Approved {
		t.Errorf("not pinned when it could be: %+v", e)
	}
}

func TestSightings(t *testing.T) {
	path := lockPath(t)
	p := openFile(t, path).Server("fs", Config{NewTools: "quarantine"})
	told := 0
	p.OnSighting(func() {
		told++
		p.Sightings() // no lock is held
	})
	brief := func() (lines []string) {
		for _, s := range p.Sightings() {
			lines = append(lines, fmt.Sprintf("%s %s %s", s.Target, s.Status, s.Definition))
		}
		return lines
	}
	say := func(text string) {
		t.Helper()
		if _, err := p.Instructions([]byte(text), text != ""); err != nil {
			t.Fatal(err)
		}
	}
	const canonical1, canonical2 = `{"description":"Reads","name":"read"}`, `{"description":"Reads and tells","name":"read"}`
	for _, row := range []struct {
		name string
		do   func()
		told int
		want []string
	}{
		{"nothing", func() {}, 0, nil},
		{"a list", func() { list(t, p, Tools, v1) }, 1, []string{`tool "read" same ` + canonical1}},
		{"the same list", func() { list(t, p, Tools, v1) }, 1, []string{`tool "read" same ` + canonical1}},
		{"a change", func() { list(t, p, Tools, v2) }, 2, []string{`tool "read" changed ` + canonical2}},
		{"a page that is not the last", func() { _, _ = p.Walk(Tools).Page(raws(other), false) }, 3, []string{
			`tool "list" added {"inputSchema":{"type":"object"},"name":"list"}`, `tool "read" changed ` + canonical2,
		}},
		{"twins", func() { list(t, p, Tools, v2, `{"name":"x"}`, `{"name":"X"}`) }, 4, []string{`tool "read" changed ` + canonical2}},
		{"gone", func() { list(t, p, Tools) }, 5, nil},
		{"back", func() { list(t, p, Tools, v1) }, 6, []string{`tool "read" same ` + canonical1}},
		{"no instructions", func() { say("") }, 7, []string{"instructions same null", `tool "read" same ` + canonical1}},
		{"the same", func() { say("") }, 7, []string{"instructions same null", `tool "read" same ` + canonical1}},
		{"instructions", func() { say("Be evil") }, 8, []string{`instructions changed "Be evil"`, `tool "read" same ` + canonical1}},
	} {
		row.do()
		if diff := cmp.Diff(row.want, brief()); diff != "" || told != row.told {
			t.Errorf("%s: told %d times, want %d (-want +got)\n%s", row.name, told, row.told, diff)
		}
	}
}

func TestDigestOf(t *testing.T) {
	read := Target{Tools, "read"}
	for _, row := range []struct {
		name       string
		target     Target
		definition string
		same       string // a definition with the same digest; "": it is refused
	}{
		{"tool", read, v1, `{"name":"read","description":"Reads"}`},
		{"another spelling", read, `{"description":"R\u0065ads", "name":"read"}`, v1},
		{"prompt", Target{Prompts, "read"}, v1, v1},
		{"instructions", Target{Kind: Instructions}, ` "Be kind" `, `"Be kind"`},
		{"no instructions", Target{Kind: Instructions}, "null", "null"},
		{"of another name", Target{Tools, "write"}, v1, ""},
		{"named instructions", Target{Instructions, "x"}, `"Be kind"`, ""},
		{"empty instructions", Target{Kind: Instructions}, `""`, ""},
		{"an object for instructions", Target{Kind: Instructions}, `{}`, ""},
		{"no name", Target{Kind: Tools}, `{}`, ""},
		{"members that fold to one", read, `{"name":"read","Name":"x"}`, ""},
		{"a member twice", read, `{"name":"read","a":1,"a":2}`, ""},
		{"no JSON", read, `{"name":"read"`, ""},
		{"trailing junk", read, v1 + "x", ""},
		{"no kind", Target{Name: "read"}, v1, ""},
	} {
		got, err := DigestOf(row.target, []byte(row.definition))
		if row.same == "" {
			if err == nil {
				t.Errorf("%s: accepted", row.name)
			}
			continue
		}
		if want, wantErr := Digest([]byte(row.same)); err != nil || wantErr != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", row.name, got, err, want)
		}
	}
}

func TestParseKind(t *testing.T) {
	for _, kind := range kinds {
		if got, err := ParseKind(kind.String()); err != nil || got != kind {
			t.Errorf("%s: %v, %v", kind, got, err)
		}
	}
	for _, name := range []string{"", "Tool", "tools", "invalid"} {
		if got, err := ParseKind(name); err == nil {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// The hub changes its word while calls are judged and lists come in. What it approves in each of its versions is never
// refused, what it approves in none of them never allowed.
func TestSetApprovedBesideJudgeAndWalks(t *testing.T) {
	p := openFile(t, lockPath(t)).Server("fs", Config{})
	list(t, p, Tools, v1, other)
	evil := strings.Replace(other, "object", "evil", 1)
	with, without := approvedTools(t, v1, evil), approvedTools(t, evil)
	p.SetApproved(with)
	stop := make(chan struct{})
	var judges, writers sync.WaitGroup
	judges.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if !p.Judge(Tools, []byte("read")).Allowed || p.Judge(Tools, []byte("list")).Allowed {
				t.Error("a call is not judged as the hub says")
				return
			}
			p.Sightings()
		}
	})
	writers.Go(func() {
		for range 30 {
			p.SetApproved(without)
			p.SetApproved(with)
		}
	})
	writers.Go(func() {
		for range 30 {
			if _, err := p.Walk(Tools).Page(raws(v1, other), true); err != nil {
				t.Error(err)
			}
		}
	})
	writers.Wait()
	close(stop)
	judges.Wait()
}

func TestAllowedCallUnderHubDoesNotAllocate(t *testing.T) {
	p := openFile(t, lockPath(t)).Server("fs", Config{})
	p.SetApproved(approvedTools(t, clean))
	list(t, p, Tools, clean)
	name := []byte("read_file")
	if n := testing.AllocsPerRun(100, func() { p.Judge(Tools, name) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkJudgeUnderHub(b *testing.B) {
	for _, hub := range []bool{false, true} {
		b.Run(fmt.Sprintf("hub=%t", hub), func(b *testing.B) {
			f, err := Open(filepath.Join(b.TempDir(), "mcpx.lock"))
			if err != nil {
				b.Fatal(err)
			}
			p := f.Server("fs", Config{})
			if hub {
				digest, _ := Digest([]byte(v1))
				p.SetApproved([]Approved{{Target{Tools, "read"}, digest}})
			}
			if _, err := p.Walk(Tools).Page(raws(v1), true); err != nil {
				b.Fatal(err)
			}
			name := []byte("read")
			b.ReportAllocs()
			for b.Loop() {
				if !p.Judge(Tools, name).Allowed {
					b.Fatal("refused")
				}
			}
		})
	}
}
