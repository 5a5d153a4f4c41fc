package dashboard_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub/dashboard"
)

// Whoever approves a definition decides against those that were seen until then: they wait for nobody, but where they are still seen.
func TestWhatWaitsForAPerson(t *testing.T) {
	approvedAt := noonClock().Add(-time.Hour)
	for _, test := range []struct {
		name                      string
		approved                  bool
		first, last               time.Duration // after the approval
		waits                     bool
		word, button, otherButton string
	}{
		{"never approved", false, -2 * time.Hour, time.Minute, true, ">new<", "Approve this one", "Go back"},
		{"seen since", true, time.Minute, time.Minute, true, ">changed<", "Approve this one", "Go back"},
		{"replaced, still seen", true, -time.Minute, time.Minute, true, ">outdated<", "Go back to this one", "Approve this"},
		{"replaced, not seen since", true, -time.Hour, -time.Minute, false, "Replaced:", "Go back to this one", "Approve this"},
		{"replaced, seen at the very moment", true, -time.Hour, 0, false, "Replaced:", "Go back to this one", "Approve this"},
	} {
		t.Run(test.name, func(t *testing.T) {
			other := dashboard.PinCandidate{
				PinRef: dashboard.PinRef{Kind: "tool", Name: "read", Digest: "other"}, Definition: "{}",
				First: approvedAt.Add(test.first), Last: approvedAt.Add(test.last),
			}
			name := dashboard.PinName{Kind: "tool", Name: "read", Approved: test.approved, Candidates: []dashboard.PinCandidate{other}}
			if test.approved {
				name.Candidates = []dashboard.PinCandidate{{
					PinRef: dashboard.PinRef{Kind: "tool", Name: "read", Digest: "ours"}, Approved: true, ApprovedBy: "ana", ApprovedAt: approvedAt,
					First: approvedAt.Add(-time.Hour), Last: approvedAt, Definition: "{}",
				}, other}
			}
			f := &fake{now: noonClock(), pinned: []dashboard.PinServer{{Name: "files", Names: []dashboard.PinName{name}}}}
			page := do(f, httptest.NewRequest("GET", "/dashboard/pins/files?approved=ours", nil)).Body.String()
			if waits := !strings.Contains(page, "All is as approved."); waits != test.waits {
				t.Errorf("it waits for a person: %t", waits)
			}
			if told := strings.Contains(page, "Approved: tool"); told == test.waits {
				t.Errorf("it says that the approval is all there was to do: %t", told)
			}
			if !strings.Contains(page, test.word) || strings.Count(page, `aria-label="`+test.button+": tool read, other") != 1 || strings.Contains(page, test.otherButton) {
				t.Errorf("not shown as %s with one button %q:\n%s", test.word, test.button, page)
			}
		})
	}
}
