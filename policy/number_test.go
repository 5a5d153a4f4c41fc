package policy

import (
	"math/big"
	"testing"
)

func TestPlain(t *testing.T) {
	for token, want := range map[string]string{
		"0": "0", "-0": "0", "0.0": "0", "-0e5": "0", "1": "1", "-1": "-1", "100": "100", "1e2": "100", "1E+02": "100", "1.50": "1.5",
		"-12.5e-1": "-1.25", "0.00120": "0.0012", "120e-5": "0.0012", "9007199254740993": "9007199254740993",
		"0.1e1": "1", "10.010": "10.01",
	} {
		d, ok := parseDecimal([]byte(token))
		if !ok || d.plain() != want {
			t.Errorf("%s: got %q, %v; want %q", token, d.plain(), ok, want)
		}
	}
	for _, token := range []string{"", "-", "01", "+1", "1.", ".5", "1e", "1e+", "0x10", "1_0", "NaN", "Infinity", "1 ", "1e1025", "1e-2000", "1e99999999999999999999"} {
		if d, ok := parseDecimal([]byte(token)); ok {
			t.Errorf("%q is accepted as %s", token, d.plain())
		}
	}
}

// math/big is the oracle: the order of any two numbers, and the value of the plain form.
func FuzzDecimal(f *testing.F) {
	for _, seed := range [][2]string{{"1", "2"}, {"-1.5", "-15e-1"}, {"1e10", "9999999999"}, {"0", "-0.0"}, {"9007199254740993", "9007199254740992"}, {"0.001", "1e-3"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		d, ok := parseDecimal([]byte(a))
		e, ok2 := parseDecimal([]byte(b))
		if !ok || !ok2 {
			return
		}
		x, okX := new(big.Rat).SetString(a)
		y, okY := new(big.Rat).SetString(b)
		if !okX || !okY {
			return // zero with an exponent beyond what math/big takes
		}
		if got, want := d.compare(e), x.Cmp(y); got != want {
			t.Errorf("compare(%s, %s) = %d, want %d", a, b, got, want)
		}
		if z, ok := new(big.Rat).SetString(d.plain()); !ok || z.Cmp(x) != 0 {
			t.Errorf("%s in plain form is %s", a, d.plain())
		}
		if (d.plain() == e.plain()) != (x.Cmp(y) == 0) {
			t.Errorf("%s and %s: plain forms %s and %s", a, b, d.plain(), e.plain())
		}
	})
}
