package dashboard

import (
	"math"
	"slices"
	"time"
)

// A scale places numbers between the bottom and the top of a plot.
type scale struct {
	low, high   float64
	logarithmic bool
	marks       []float64
}

// share returns how far from the bottom a number is: 0 to 1.
func (s scale) share(n float64) float64 {
	part := (n - s.low) / (s.high - s.low)
	if s.logarithmic {
		part = math.Log(max(n, s.low)/s.low) / math.Log(s.high/s.low)
	}
	return min(max(part, 0), 1)
}

func (s scale) ticks(label func(float64) string) []tick {
	ticks := make([]tick, 0, len(s.marks))
	for _, n := range s.marks {
		ticks = append(ticks, tick{At: decimal(plotTop + plotHeight*(1-s.share(n))), Label: label(n)})
	}
	return ticks
}

// linear is a scale from nothing to most, or a little more, with marks at 1, 2 or 5 times a power of ten.
func linear(most float64, whole bool) scale {
	if most <= 0 {
		most = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(most/4)))
	for _, times := range []float64{1, 2, 5, 10} {
		if most/(step*times) <= 5 {
			step *= times
			break
		}
	}
	if whole {
		step = max(step, 1)
	}
	s := scale{high: math.Ceil(most/step) * step}
	for n := 0; float64(n)*step <= s.high*1.001; n++ {
		s.marks = append(s.marks, float64(n)*step)
	}
	return s
}

// scaleOf is a linear scale for numbers of one size, else a logarithmic one.
func scaleOf(least, most float64) scale {
	if least <= 0 || most/least < 20 {
		return linear(most, false)
	}
	s := scale{logarithmic: true, low: math.Pow(10, math.Floor(math.Log10(least))), high: most}
	for power := s.low; power < most*10; power *= 10 {
		for _, times := range []float64{1, 2, 5} {
			n := power * times
			if n > s.low && len(s.marks) > 0 && s.marks[len(s.marks)-1] >= most {
				break
			}
			if n > least/2.5 || len(s.marks) == 0 {
				s.marks = append(s.marks, n)
			}
			if n <= least {
				s.marks = s.marks[len(s.marks)-1:]
			}
		}
	}
	s.low, s.high = s.marks[0], s.marks[len(s.marks)-1]
	if len(s.marks) > 6 { // powers of ten are enough
		s.marks = slices.DeleteFunc(s.marks, func(n float64) bool {
			power := math.Log10(n)
			return math.Abs(power-math.Round(power)) > 1e-9
		})
	}
	return s
}

// timeTicks marks whole hours or days of a span: those that a reader counts by.
func timeTicks(span Span) []tick {
	long := span.Until.Sub(span.Since)
	every, layout := 5*24*time.Hour, "Jan 2"
	switch {
	case long <= time.Hour:
		every, layout = 10*time.Minute, "15:04"
	case long <= 6*time.Hour:
		every, layout = time.Hour, "15:04"
	case long <= 24*time.Hour:
		every, layout = 4*time.Hour, "15:04"
	case long <= 7*24*time.Hour:
		every = 24 * time.Hour
	}
	if long <= 0 {
		return nil
	}
	var ticks []tick
	for at := span.Since.UTC().Truncate(min(every, 24*time.Hour)); at.Before(span.Until); at = at.Add(every) {
		place := 100 * float64(at.Sub(span.Since)) / float64(long)
		if place < 3 || place > 97 { // its label would be cut
			continue
		}
		ticks = append(ticks, tick{At: percent(place), Label: at.Format(layout), Minor: len(ticks)%2 == 1})
	}
	return ticks
}
