package audit

import (
	"strings"
	"testing"
)

func TestIsCut(t *testing.T) {
	for _, text := range []string{"x", strings.Repeat("ä", 40), "…(+1 bytes)"} {
		quoted := string(appendText(nil, text, 10))
		if cut := len(text) > 10; IsCut(strings.Trim(quoted, `"`)) != cut {
			t.Errorf("%s: cut is %v", quoted, !cut)
		}
	}
	for text, want := range map[string]bool{
		"": false, "x…(+12 bytes)": true, "…(+0 bytes)": true, "x…(+ bytes)": false, "x…(+-1 bytes)": false, "x(+1 bytes)": false, "x…(+1 bytes) ": false, "x…(+1": false,
	} {
		if IsCut(text) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
}
