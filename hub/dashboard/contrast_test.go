package dashboard

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Text can be read in both schemes: a contrast of 4.5 or more (WCAG 2.2, 1.4.3), and 3 for what is drawn (1.4.11).
func TestContrast(t *testing.T) {
	style, err := assetFiles.ReadFile("assets/dashboard.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, found := strings.Cut(string(style), "prefers-color-scheme: dark")
	if !found {
		t.Fatal("there is no dark scheme")
	}
	pairs := []struct {
		text, ground string
		least        float64
	}{
		{"text", "ground", 4.5}, {"text", "card", 4.5}, {"text", "sunken", 4.5}, {"muted", "ground", 4.5}, {"muted", "card", 4.5}, {"muted", "sunken", 4.5},
		{"accent", "card", 4.5}, {"accent", "ground", 4.5}, {"accent", "sunken", 4.5}, {"accent-text", "accent-ground", 4.5},
		{"good", "card", 4.5}, {"good", "good-ground", 4.5}, {"good", "sunken", 4.5}, {"text", "good-ground", 4.5},
		{"deny", "card", 4.5}, {"deny", "deny-ground", 4.5}, {"deny", "sunken", 4.5}, {"text", "deny-ground", 4.5}, {"accent", "deny-ground", 4.5}, {"muted", "deny-ground", 4.5},
		{"fail", "card", 4.5}, {"fail", "fail-ground", 4.5}, {"fail", "sunken", 4.5}, {"shadow", "card", 4.5}, {"shadow", "shadow-ground", 4.5},
		{"mark", "mark-ground", 4.5}, {"p50", "card", 3}, {"p95", "card", 3}, {"p99", "card", 3}, {"plot-deny", "card", 3}, {"plot-shadow", "card", 3},
	}
	for scheme, rules := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(rules, -1) {
			if _, twice := colours[m[1]]; !twice {
				colours[m[1]] = luminance(t, m[2])
			}
		}
		for _, p := range pairs {
			text, known := colours[p.text]
			ground, grounded := colours[p.ground]
			if !known || !grounded {
				t.Fatalf("%s: %s or %s has no colour", scheme, p.text, p.ground)
			}
			if got := (max(text, ground) + 0.05) / (min(text, ground) + 0.05); got < p.least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, less than %v", scheme, p.text, p.ground, got, p.least)
			}
		}
	}
}

// luminance is the relative luminance of a colour, as WCAG defines it.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	var sum float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
