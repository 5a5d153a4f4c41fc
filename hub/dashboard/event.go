package dashboard

import (
	"slices"
	"strings"
	"time"
)

// maxWord is how much of a verdict is shown, in bytes: those that we know are shorter.
const maxWord = 24

// An eventView is an event as tables and its own page show it.
type eventView struct {
	Event
	When    *stamp
	Path    string
	Verdict string
	Class   string // of the verdict
	Subject string // what it is about: the target, else the method
	About   string // address of the subject; "": none
}

func eventViews(now time.Time, events []Event) []eventView {
	views := make([]eventView, len(events))
	for i, e := range events {
		views[i] = eventViewOf(now, e)
	}
	return views
}

func eventViewOf(now time.Time, e Event) eventView {
	v := eventView{Event: e, When: stampOf(now, e.Time), Path: eventPath(e.Principal, e.Chain, e.Seq)}
	v.Verdict, v.Class = verdictOf(e)
	v.Verdict = clip(v.Verdict, maxWord)
	v.Subject = e.Target
	switch {
	case e.Target == "" && e.Method == "":
	case e.Target == "":
		v.Subject, v.About = e.Method, searchPath(Query{Server: e.Server, Method: e.Method})
	case e.Method == "tools/call" && e.Server != "":
		v.About = toolPath(e.Server, e.Target)
	default:
		v.About = searchPath(Query{Server: e.Server, Target: e.Target})
	}
	return v
}

// verdictOf says what an event came to, and how a page marks it.
func verdictOf(e Event) (word, class string) {
	switch {
	case e.Flaw != "":
		return e.Flaw, "flaw"
	case e.Kind == "integrity" || e.Kind == "anomaly":
		return e.Kind, "anomaly"
	case e.Shadow:
		return "would deny", "shadow"
	case e.Decision == "deny" || e.Outcome == "denied":
		return "deny", "deny"
	case e.Outcome == "ok":
		return "ok", "ok"
	case e.Outcome == "cancelled":
		return "cancelled", "note"
	case e.Outcome != "":
		return strings.ReplaceAll(e.Outcome, "_", " "), "fail"
	case e.Decision == "allow":
		return "allow", "allow"
	}
	return e.Kind, "note"
}

// noteworthy leaves out what a list of decisions need not say twice: the outcomes of calls that ended well or were denied.
func noteworthy(events []Event) []Event {
	return slices.DeleteFunc(slices.Clone(events), func(e Event) bool {
		return e.Kind == "outcome" && (e.Outcome == "ok" || e.Outcome == "denied") && e.Flaw == ""
	})
}
