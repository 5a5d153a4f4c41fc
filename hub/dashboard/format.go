package dashboard

import (
	"strconv"
	"strings"
	"time"
)

// number writes n in groups of three digits: 1,234,567.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	var b strings.Builder
	b.WriteString(sign)
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(digits[i])
	}
	return b.String()
}

// short writes n in at most five characters, for axes: 950, 12k, 3.4M.
func short(n float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= unit.size {
			return trimmed(n/unit.size, 1) + unit.name
		}
	}
	return trimmed(n, 2)
}

// trimmed writes f with at most so many decimals, without zeros at the end.
func trimmed(f float64, decimals int) string {
	text := strconv.FormatFloat(f, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// share writes part of whole in percent, "" of nothing.
func share(part, whole int64) string {
	if whole <= 0 {
		return ""
	}
	percent := 100 * float64(part) / float64(whole)
	switch {
	case part == 0:
		return "0%"
	case percent < 0.1:
		return "<0.1%"
	case percent < 10:
		return trimmed(percent, 1) + "%"
	}
	return trimmed(percent, 0) + "%"
}

// millis writes how long something took, with three digits that count.
func millis(d time.Duration) string {
	switch ms := float64(d) / 1e6; {
	case d <= 0:
		return "0 ms"
	case ms < 0.01:
		return trimmed(float64(d)/1e3, 1) + " µs"
	case ms < 1:
		return trimmed(ms, 2) + " ms"
	case ms < 100:
		return trimmed(ms, 1) + " ms"
	case ms < 1000:
		return trimmed(ms, 0) + " ms"
	case ms < 60_000:
		return trimmed(ms/1000, 2) + " s"
	}
	return d.Round(time.Second).String()
}

// bytesText writes a size.
func bytesText(n int64) string {
	switch {
	case n < 1<<10:
		return number(n) + " bytes"
	case n < 1<<20:
		return trimmed(float64(n)/(1<<10), 1) + " KiB"
	}
	return trimmed(float64(n)/(1<<20), 1) + " MiB"
}

// ago writes how long before now something was.
func ago(now, then time.Time) string {
	d := now.Sub(then)
	switch {
	case d < -time.Minute:
		return "in the future"
	case d < 2*time.Second:
		return "just now"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s ago"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min ago"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h ago"
	}
	return strconv.Itoa(int(d.Hours()/24)) + " days ago"
}

// A stamp is a time as a page shows it, always UTC.
type stamp struct {
	Machine string // RFC 3339
	Date    string // "" for today
	Clock   string
	Full    string
	Ago     string
}

// stampOf returns nil for no time.
func stampOf(now, t time.Time) *stamp {
	if t.IsZero() || t.Year() < 1 || t.Year() > 9999 { // RFC 3339 has no others
		return nil
	}
	t, now = t.UTC(), now.UTC()
	s := &stamp{
		Machine: t.Format(time.RFC3339Nano), Clock: t.Format("15:04:05"), Ago: ago(now, t), Full: t.Format("2006-01-02 15:04:05.000 UTC"),
	}
	switch {
	case t.Year() != now.Year():
		s.Date = t.Format("2006-01-02")
	case t.YearDay() != now.YearDay():
		s.Date = t.Format("Jan 2")
	}
	return s
}
