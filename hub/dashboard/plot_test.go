package dashboard

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

var day = Span{Since: time.Date(2026, 7, 27, 12, 15, 0, 0, time.UTC), Until: time.Date(2026, 7, 28, 12, 15, 0, 0, time.UTC), Step: 15 * time.Minute}

func pointsOf(latencies ...time.Duration) []Point {
	var series []Point
	for i, d := range latencies {
		p := Point{At: day.Since.Add(time.Duration(i) * day.Step)}
		if d > 0 {
			p.Calls, p.Latency = 1, Latency{N: 1, P50: d, P95: d, P99: d}
		}
		series = append(series, p)
	}
	return series
}

func TestLinesBreakWhereThereIsNothing(t *testing.T) {
	series := pointsOf(time.Millisecond, 2*time.Millisecond, 0, 0, time.Millisecond, 0, 3*time.Millisecond)
	p := latencyPlot("l", day, series, Latency{N: 4})
	for _, line := range p.Lines {
		if moves, draws := strings.Count(line.Path, "M"), strings.Count(line.Path, "L"); moves != 3 || draws != 1 {
			t.Errorf("%s is %q: %d moves and %d lines, want 3 and 1", line.Kind, line.Path, moves, draws)
		}
	}
	if len(p.Rows) != 4 {
		t.Errorf("the table has %d rows, want 4", len(p.Rows))
	}
}

// What is drawn stays in the plot, and the least that happened is seen.
func TestBarsStayInThePlot(t *testing.T) {
	series := []Point{
		{At: day.Since, Counts: Counts{Calls: 100_000, Denied: 1, Errors: 1, Shadowed: 1}},
		{At: day.Since.Add(day.Step), Counts: Counts{Calls: 0, Errors: 7}}, // outcomes of calls of the step before
		{At: day.Since.Add(2 * day.Step), Counts: Counts{Calls: 5, Denied: 5, Errors: 3}},
		{At: day.Since.Add(3 * day.Step)},
	}
	p := callsPlot("c", day, series, Counts{Calls: 100_005, Denied: 6})
	kinds := map[string]int{}
	for _, b := range p.Bars {
		kinds[b.Kind]++
		y, height := parsed(t, b.Y), parsed(t, b.Height)
		if y < plotTop-0.01 || y+height > plotTop+plotHeight+0.01 || height < leastBar-0.01 {
			t.Errorf("%s from %v, %v high", b.Kind, y, height)
		}
	}
	if kinds["denied"] != 2 || kinds["failed"] != 1 || kinds["shadowed"] != 1 || kinds["passed"] != 1 {
		t.Errorf("got bars %v", kinds)
	}
}

func TestNothingIsEmpty(t *testing.T) {
	for _, p := range []plot{callsPlot("c", day, nil, Counts{}), latencyPlot("l", day, pointsOf(0, 0), Latency{}), callsPlot("c", Span{}, nil, Counts{})} {
		if !p.Empty || len(p.Bars)+len(p.Rows) > 0 {
			t.Errorf("%s: got %d bars and %d rows", p.Title, len(p.Bars), len(p.Rows))
		}
	}
}

func TestTimeTicksAreWhole(t *testing.T) {
	for _, s := range spans {
		span, _ := spanOf(map[string][]string{"span": {s.name}}, day.Until)
		if got := span.Until.Sub(span.Since); got != s.long || span.Step != s.step {
			t.Errorf("%s is %v in steps of %v", s.name, got, span.Step)
		}
		ticks := timeTicks(span)
		if len(ticks) < 4 || len(ticks) > 8 {
			t.Errorf("%s has %d ticks: %v", s.name, len(ticks), ticks)
		}
		for _, tick := range ticks {
			if s.long <= 24*time.Hour && !strings.HasSuffix(tick.Label, "0") {
				t.Errorf("%s has a tick at %s", s.name, tick.Label)
			}
		}
	}
}

func FuzzScale(f *testing.F) {
	f.Add(1.0, 1.0)
	f.Add(0.0, 0.0)
	f.Add(0.004, 93000.0)
	f.Add(9.99, 1001.0)
	f.Fuzz(func(t *testing.T, least, most float64) {
		// Durations are from a nanosecond to 292 years, in milliseconds; 0 is none.
		if math.IsNaN(least) || math.IsNaN(most) || least < 0 || most < least || most > 1e13 || most > 0 && most < 1e-6 || least > 0 && least < 1e-6 {
			return
		}
		s := scaleOf(least, most)
		if len(s.marks) == 0 || len(s.marks) > 20 {
			t.Fatalf("%v to %v has %d marks", least, most, len(s.marks))
		}
		for i, n := range s.marks {
			if i > 0 && n <= s.marks[i-1] {
				t.Fatalf("%v to %v has marks %v", least, most, s.marks)
			}
		}
		low, high := s.share(least), s.share(most)
		if math.IsNaN(low) || math.IsNaN(high) || low < 0 || high > 1 || low > high || most > s.high*1.0001 {
			t.Fatalf("%v to %v are at %v and %v of %v", least, most, low, high, s)
		}
	})
}

func parsed(t *testing.T, number string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
