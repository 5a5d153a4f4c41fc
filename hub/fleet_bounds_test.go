package hub

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlotsLeaveRoomForOthers(t *testing.T) {
	s := newSlots(3, 2)
	for i, want := range []bool{true, true, false} {
		if got := s.take("a"); got != want {
			t.Errorf("a principal's slot %d: %v", i, got)
		}
	}
	if !s.take("b") || s.take("b") || s.take("c") {
		t.Error("the total is not 3")
	}
	s.give("a")
	if !s.take("c") || s.count() != 3 {
		t.Error("a slot that was given back is not there")
	}
}

func TestWhoWaitsForASlotGetsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1, 1)
		s.take("a")
		got := make(chan bool, 8)
		for i := range cap(got) {
			go func() {
				who := fmt.Sprint(i)
				ok := s.wait(t.Context(), who)
				got <- ok
				if ok {
					s.give(who)
				}
			}()
		}
		synctest.Wait()
		s.give("a")
		for range cap(got) {
			if !<-got {
				t.Error("one that waits gets none")
			}
		}
		s.take("a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if s.wait(ctx, "b") {
			t.Error("there is a slot where there is none")
		}
	})
}

func TestPaceAndNoveltyBeginAnew(t *testing.T) {
	now := time.Unix(1000, 0)
	p := pace{most: 2, per: time.Minute}
	n := novelty{most: 2, per: time.Hour}
	for i, want := range []bool{true, true, false} {
		if got := p.allow("a", now); got != want {
			t.Errorf("step %d: %v", i, got)
		}
		if got := n.allow("a", fmt.Sprint("name", i), now); got != want {
			t.Errorf("name %d: %v", i, got)
		}
	}
	if !p.allow("b", now) || !n.allow("b", "name2", now) {
		t.Error("one principal uses up what is another's")
	}
	if !n.allow("a", "name1", now) {
		t.Error("a name that was named before is refused")
	}
	later := now.Add(time.Hour)
	if !p.allow("a", later) || !n.allow("a", "name2", later) {
		t.Error("a new window does not begin")
	}
	if !p.allow("a", now) || !n.allow("a", "name0", now) {
		t.Error("a clock that was set back ends everything")
	}
}

func TestServersThatOnlyWrappersKnowAreBounded(t *testing.T) {
	m := testMetrics("served")
	m.addFleet()
	for i := range 2 * maxFleetServers {
		m.fleet.server(fmt.Sprint("s", i)).count([]byte("t"), true, "c")
	}
	m.fleet.server("served").count([]byte("t"), true, "c")
	if got := len(scrape(t, m, `^mcpx_tool_calls_total`)); got != maxFleetServers+2 {
		t.Errorf("%d series", got)
	}
	wantScrape(t, m, `^mcpx_tool_calls_total.*server="(other|served)"`,
		fmt.Sprintf(`mcpx_tool_calls_total{client="c",decision="allow",server="other",source="wrap",tool="t"} %d`, maxFleetServers),
		`mcpx_tool_calls_total{client="c",decision="allow",server="served",source="wrap",tool="t"} 1`)
}
