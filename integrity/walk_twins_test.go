package integrity

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestTwinsAreNeverDelivered(t *testing.T) {
	for name, twins := range map[string][2]string{
		"same name":       {"read_file", "read_file"},
		"case":            {"read_file", "Read_File"},
		"Cyrillic":        {"read_file", "reаd_file"},
		"Greek":           {"token", "tοken"},
		"full width":      {"read_file", "ｒead_file"},
		"ligature":        {"read_file", "read_ﬁle"},
		"Kelvin sign":     {"kill", "\u212aill"},
		"long s":          {"list", "liſt"},
		"trailing space":  {"list", "list "},
		"no-break space":  {"a b", "a\u00a0b"},
		"hyphen":          {"a-b", "a‐b"},
		"composed accent": {"é", "e\u0301"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := fmt.Sprintf(`{"name":%q}`, twins[0]), fmt.Sprintf(`{"name":%q,"title":"evil"}`, twins[1])
			testTwins(t, a, b, twins[0], twins[1])
		})
	}
}

func testTwins(t *testing.T, a, b, nameA, nameB string) {
	const by = `{"name":"bystander"}`
	refused := func(when string, p *Pins) {
		t.Helper()
		wantJudge(t, when, p, nameA, false, "tool_twin")
		wantJudge(t, when, p, nameB, false, "tool_twin")
		wantJudge(t, when, p, "bystander", true, "")
	}
	p := openFile(t, lockPath(t)).Server("fs", Config{})
	for range 2 {
		wantBrief(t, "one page, from the start", list(t, p, Tools, a, by, b)[:1], "0 "+nameA+" twin withheld")
		refused("from the start", p)
	}

	path := lockPath(t)
	p = openFile(t, path).Server("fs", Config{})
	list(t, p, Tools, a, by)
	for range 2 {
		found := list(t, p, Tools, by, b, a)
		wantBrief(t, "later", found, "0 bystander same", "1 "+nameB+" twin withheld", "2 "+nameA+" twin withheld")
		refused("later", p)
	}
	p = openFile(t, path).Server("fs", Config{})
	refusedPinned := p.Judge(Tools, []byte(nameA))
	if refusedPinned.Allowed {
		t.Errorf("after a restart, before a list: %+v", refusedPinned)
	}
	found := pages(t, p, Tools, []string{a, by}, []string{b})
	wantBrief(t, "restart, across pages", found, "0 "+nameA+" twin withheld", "1 bystander same", "0 "+nameB+" twin withheld")
	refused("restart, across pages", p)
	list(t, p, Tools, a, by)
	wantBrief(t, "gone", list(t, p, Tools, a, by), "0 "+nameA+" same", "1 bystander same")
	wantJudge(t, "gone", p, nameA, true, "")
}

func TestTwinAcrossPagesOfTheBaseline(t *testing.T) {
	p := openFile(t, lockPath(t)).Server("fs", Config{})
	found := pages(t, p, Tools, []string{`{"name":"a"}`}, []string{`{"name":"A"}`, `{"name":"b"}`})
	wantBrief(t, "first walk", found, "0 a baseline", "0 A twin withheld", "1 b baseline", "-1 a twin withheld")
	wantJudge(t, "first walk", p, "a", false, "tool_twin")
	wantJudge(t, "first walk", p, "A", false, "tool_twin")
	found = pages(t, p, Tools, []string{`{"name":"a"}`}, []string{`{"name":"A"}`, `{"name":"b"}`})
	wantBrief(t, "second walk", found, "0 a twin withheld", "0 A twin withheld", "1 b same")
}

// A new look-alike of a pinned tool is not delivered on a page that comes before the pinned one.
func TestTwinOfPinnedToolOnAnEarlierPage(t *testing.T) {
	p := openFile(t, lockPath(t)).Server("fs", Config{})
	list(t, p, Tools, `{"name":"a"}`)
	found := pages(t, p, Tools, []string{`{"name":"A"}`}, []string{`{"name":"a"}`})
	wantBrief(t, "walk", found, "0 A twin withheld", "0 a twin withheld")
}

func TestRenameByCaseIsNoTwin(t *testing.T) {
	p := openFile(t, lockPath(t)).Server("fs", Config{})
	list(t, p, Tools, `{"name":"get"}`)
	wantBrief(t, "renamed", list(t, p, Tools, `{"name":"Get"}`), "0 Get added", "-1 get removed")
}

func TestDeceptiveNamesAreWithheld(t *testing.T) {
	for name, item := range map[string]string{
		"none":        `{"title":"x"}`,
		"empty":       `{"name":""}`,
		"no string":   `{"name":7}`,
		"no object":   `["name"]`,
		"NUL":         `{"name":"a\u0000"}`,
		"newline":     `{"name":"a\nb"}`,
		"escape":      `{"name":"a\u001b[2J"}`,
		"C1 control":  `{"name":"a\u009b"}`,
		"zero width":  "{\"name\":\"a\u200bb\"}",
		"bidi":        "{\"name\":\"a\u202eb\"}",
		"soft hyphen": "{\"name\":\"a\u00adb\"}",
		"tag":         "{\"name\":\"a\U000e0041\"}",
		"filler":      "{\"name\":\"a\u3164\"}",
		"two names":   `{"name":"a","Name":"b"}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := openFile(t, lockPath(t)).Server("fs", Config{})
			found := list(t, p, Tools, other, item)
			if f := found[1]; f.Status != Malformed || !f.Withhold || f.Reason != "tool_malformed" || f.Detail == "" {
				t.Errorf("got %+v", f)
			}
			if strings.ContainsFunc(found[1].Detail, hidden) {
				t.Errorf("detail %q holds what a reader cannot see", found[1].Detail)
			}
			data, err := os.ReadFile(p.file.Path())
			if err != nil || strings.Contains(string(data), `"a`) {
				t.Errorf("the lock file took it up: %v\n%s", err, data)
			}
		})
	}
}

func TestShadowedTool(t *testing.T) {
	f := openFile(t, lockPath(t))
	list(t, f.Server("mail", Config{}), Tools, `{"name":"send"}`)
	p := f.Server("evil", Config{})
	wantBrief(t, "warn", list(t, p, Tools, `{"name":"Send"}`), "0 Send baseline", "-1 Send shadowed")
	wantBrief(t, "once", list(t, p, Tools, `{"name":"Send"}`), "0 Send same")
	wantJudge(t, "warn", p, "Send", true, "")

	strict := Config{ShadowedTools: "enforce"}
	p = f.Server("third", strict)
	for range 2 {
		wantBrief(t, "enforce", list(t, p, Tools, `{"name":"send"}`, `{"name":"x"}`)[:1], "0 send shadowed withheld")
		wantJudge(t, "enforce", p, "send", false, "tool_shadowed")
		wantJudge(t, "enforce", p, "x", true, "")
	}
	if _, err := f.Approve("third", Target{Tools, "send"}); err != nil {
		t.Fatal(err)
	}
	wantJudge(t, "approved", p, "send", true, "")
	wantBrief(t, "approved", list(t, p, Tools, `{"name":"send"}`, `{"name":"x"}`), "0 send same", "1 x same")
	mail := f.Server("mail", strict)
	wantJudge(t, "the first one, not approved", mail, "send", false, "tool_shadowed")
}
