package dashboard

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Lengths of a plot, in pixels. Its width is the page's: what is drawn is placed in percent of it, and text is never stretched.
const (
	plotTop    = 10
	plotHeight = 170
	plotFoot   = 26
	leastBar   = 2 // of a bar that is not nothing: one denial among ten thousand calls shows
)

// A plot is what the template "plot" draws.
type plot struct {
	ID, Title, Description string
	Height, Bottom         int
	Steps                  int
	YTicks, XTicks         []tick
	Bars                   []bar
	Lines                  []line
	Hits                   []hit
	Legend                 []legend
	Head                   []string   // of the table of the same numbers
	Rows                   []tableRow // of steps in which there was anything
	Empty                  bool
}

type tick struct {
	At    string // pixels from the top, or percent from the left
	Label string
	Minor bool // left out where there is little room
}

type bar struct{ Kind, X, Width, Y, Height string }

type line struct{ Kind, Path string }

// A hit is the area of a step, which says its numbers when a pointer rests on it.
type hit struct{ X, Width, Title string }

type legend struct{ Kind, Name, Value string }

type tableRow struct {
	At    *stamp
	Cells []string
}

func newPlot(id, title string, span Span, series []Point) plot {
	return plot{
		ID: id, Title: title, Height: plotTop + plotHeight + plotFoot, Bottom: plotTop + plotHeight, Steps: len(series),
		XTicks: timeTicks(span), Empty: true,
	}
}

// callsPlot stacks what became of calls in each step.
func callsPlot(id string, span Span, series []Point, total Counts) plot {
	p := newPlot(id, "Calls", span, series)
	most := int64(0)
	for _, at := range series {
		most = max(most, at.Calls)
	}
	p.Empty = total.Calls+total.Denied+total.Errors == 0
	scale := linear(float64(most), true)
	p.YTicks = scale.ticks(short)
	p.Legend = []legend{
		{"passed", "passed", number(max(total.Calls-total.Denied-total.Errors-total.Shadowed, 0))},
		{"shadowed", "would be denied", number(total.Shadowed)},
		{"failed", "failed", number(total.Errors)},
		{"denied", "denied", number(total.Denied)},
	}
	p.Head = []string{"Calls", "Denied", "Would be denied", "Failed"}
	p.Description = fmt.Sprintf("%s calls, of which %s were denied, %s failed, and %s would have been denied by rules in shadow mode. At most %s in a step.",
		number(total.Calls), number(total.Denied), number(total.Errors), number(total.Shadowed), number(most))
	for i, at := range series {
		p.stack(i, scale, at.Counts)
		p.hit(i, stepTitle(span, at.At)+"\n"+fmt.Sprintf("%s calls, %s denied, %s failed", number(at.Calls), number(at.Denied), number(at.Errors)))
		if at.Calls+at.Errors > 0 {
			p.Rows = append(p.Rows, tableRow{stampOf(span.Until, at.At), []string{
				number(at.Calls), number(at.Denied), number(at.Shadowed), number(at.Errors),
			}})
		}
	}
	return p
}

// stack adds the bars of a step. Outcomes are counted when they come and calls when they are decided, so that a step can have more
// failures than calls. What is little gets its room from what is most.
func (p *plot) stack(i int, s scale, n Counts) {
	kinds := [...]string{"passed", "shadowed", "failed", "denied"}
	failed := min(n.Errors, max(n.Calls-n.Denied-n.Shadowed, 0))
	counts := [...]int64{n.Calls - n.Denied - n.Shadowed - failed, n.Shadowed, failed, n.Denied}
	var heights [len(counts)]float64
	most, over := 0, -plotHeight*float64(n.Calls)/s.high
	for k, count := range counts {
		if count > 0 {
			heights[k] = max(plotHeight*float64(count)/s.high, leastBar)
		}
		over += heights[k]
		if heights[k] > heights[most] {
			most = k
		}
	}
	heights[most] = max(heights[most]-max(over, 0), min(heights[most], leastBar))

	y, width := float64(plotTop+plotHeight), 100/float64(p.Steps)
	for k, height := range heights {
		if height > 0 {
			y -= height
			p.Bars = append(p.Bars, bar{kinds[k], percent(width * (float64(i) + 0.1)), percent(width * 0.8), decimal(y), decimal(height)})
		}
	}
}

func (p *plot) hit(i int, title string) {
	width := 100 / float64(p.Steps)
	p.Hits = append(p.Hits, hit{percent(width * float64(i)), percent(width), title})
}

// latencyPlot draws percentiles as lines, which break where there were no calls.
func latencyPlot(id string, span Span, series []Point, total Latency) plot {
	p := newPlot(id, "Latency of calls", span, series)
	var least, most float64 // in milliseconds
	for _, at := range series {
		if l := at.Latency; l.N > 0 {
			if low := inMillis(l.P50); least == 0 || low < least {
				least = low
			}
			most = max(most, inMillis(l.P99))
		}
	}
	p.Empty = total.N == 0 && most == 0
	scale := scaleOf(least, most)
	p.YTicks = scale.ticks(func(ms float64) string { return axisMillis(ms) })
	if scale.logarithmic {
		p.Title += ", logarithmic"
	}
	p.Legend = []legend{{"p50", "p50", latency(total, total.P50)}, {"p95", "p95", latency(total, total.P95)}, {"p99", "p99", latency(total, total.P99)}}
	p.Head = []string{"Answered", "p50", "p95", "p99"}
	p.Description = fmt.Sprintf("Of %s calls that ended, half took at most %s, 95 of 100 at most %s, 99 of 100 at most %s.",
		number(total.N), millis(total.P50), millis(total.P95), millis(total.P99))
	for i, at := range series {
		l := at.Latency
		if l.N == 0 {
			continue
		}
		p.hit(i, stepTitle(span, at.At)+"\n"+fmt.Sprintf("p50 %s, p95 %s, p99 %s, of %s", millis(l.P50), millis(l.P95), millis(l.P99), number(l.N)))
		p.Rows = append(p.Rows, tableRow{stampOf(span.Until, at.At), []string{number(l.N), millis(l.P50), millis(l.P95), millis(l.P99)}})
	}
	for _, percentile := range []struct {
		kind string
		of   func(Latency) time.Duration
	}{
		{"p99", func(l Latency) time.Duration { return l.P99 }},
		{"p95", func(l Latency) time.Duration { return l.P95 }},
		{"p50", func(l Latency) time.Duration { return l.P50 }},
	} {
		p.Lines = append(p.Lines, line{percentile.kind, path(series, scale, percentile.of)})
	}
	return p
}

// path draws one percentile. A step is one wide; a step alone between gaps becomes a dot.
func path(series []Point, s scale, of func(Latency) time.Duration) string {
	var b strings.Builder
	drawing := false
	for i, at := range series {
		if at.Latency.N == 0 {
			drawing = false
			continue
		}
		y := plotHeight * (1 - s.share(inMillis(of(at.Latency))))
		if !drawing {
			fmt.Fprintf(&b, "M%s %sh.01", decimal(float64(i)+0.5), decimal(y))
		} else {
			fmt.Fprintf(&b, "L%s %s", decimal(float64(i)+0.5), decimal(y))
		}
		drawing = true
	}
	return b.String()
}

// stepTitle says which step it is.
func stepTitle(span Span, at time.Time) string {
	at = at.UTC()
	layout := "15:04"
	if span.Until.Sub(span.Since) > 24*time.Hour {
		layout = "Jan 2 15:04"
	}
	return at.Format(layout) + "–" + at.Add(span.Step).Format("15:04") + " UTC"
}

func latency(of Latency, d time.Duration) string {
	if of.N == 0 {
		return "–"
	}
	return millis(d)
}

func axisMillis(ms float64) string {
	if ms >= 1000 {
		return trimmed(ms/1000, 1) + " s"
	}
	if ms > 0 && ms < 1 {
		return trimmed(ms*1000, 0) + " µs"
	}
	return trimmed(ms, 0) + " ms"
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func percent(f float64) string { return trimmed(f, 3) + "%" }

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }
