package policy

import (
	"bytes"
	"cmp"
	"strings"
)

// Limits of the numbers that are compared: every float64 and far more fits, and no number of a message can ask
// for much memory.
const (
	maxNumberLen = 1024 // bytes of the token
	maxExponent  = 1024 // of 0.d × 10^e
)

// A decimal is an exact number: sign × 0.digits × 10^exp. The digits neither begin nor end with a zero; zero has
// none, no exponent and no sign.
type decimal struct {
	negative bool
	digits   []byte
	exp      int
}

// parseDecimal reads a JSON number. It fails on anything else and on numbers beyond the limits.
func parseDecimal(token []byte) (decimal, bool) {
	if len(token) == 0 || len(token) > maxNumberLen {
		return decimal{}, false
	}
	rest, negative := bytes.CutPrefix(token, []byte{'-'})
	whole, rest := splitDigits(rest)
	if len(whole) == 0 || len(whole) > 1 && whole[0] == '0' {
		return decimal{}, false
	}
	var fraction []byte
	if len(rest) > 0 && rest[0] == '.' {
		if fraction, rest = splitDigits(rest[1:]); len(fraction) == 0 {
			return decimal{}, false
		}
	}
	exp, ok := parseExponent(rest)
	if !ok {
		return decimal{}, false
	}
	digits := whole
	if len(fraction) > 0 {
		digits = append(append(make([]byte, 0, len(whole)+len(fraction)), whole...), fraction...)
	}
	significant := bytes.TrimLeft(digits, "0")
	exp += len(whole) - (len(digits) - len(significant))
	significant = bytes.TrimRight(significant, "0")
	if len(significant) == 0 {
		return decimal{}, true
	}
	if exp > maxExponent || exp < -maxExponent {
		return decimal{}, false
	}
	return decimal{negative, significant, exp}, true
}

func splitDigits(b []byte) (digits, rest []byte) {
	i := 0
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return b[:i], b[i:]
}

// parseExponent reads what follows the digits. An exponent too long to matter is clamped, so that 0e999999999
// is still zero.
func parseExponent(b []byte) (int, bool) {
	if len(b) == 0 {
		return 0, true
	}
	if b[0] != 'e' && b[0] != 'E' {
		return 0, false
	}
	sign, b := 1, b[1:]
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		if b[0] == '-' {
			sign = -1
		}
		b = b[1:]
	}
	digits, rest := splitDigits(b)
	if len(digits) == 0 || len(rest) > 0 {
		return 0, false
	}
	const clamp = 1 << 20
	n := 0
	for _, c := range digits {
		n = min(n*10+int(c-'0'), clamp)
	}
	return sign * n, true
}

// compare returns -1, 0 or +1 as d is less than, equal to or greater than e.
func (d decimal) compare(e decimal) int {
	if s, t := d.sign(), e.sign(); s != t || s == 0 {
		return cmp.Compare(s, t)
	}
	c := cmp.Compare(d.exp, e.exp)
	if c == 0 {
		c = bytes.Compare(d.digits, e.digits)
	}
	return c * d.sign()
}

func (d decimal) sign() int {
	switch {
	case len(d.digits) == 0:
		return 0
	case d.negative:
		return -1
	}
	return 1
}

// plain returns the number in plain decimal notation, without an exponent or zeros that say nothing.
func (d decimal) plain() string {
	if len(d.digits) == 0 {
		return "0"
	}
	var b strings.Builder
	if d.negative {
		b.WriteByte('-')
	}
	n := len(d.digits)
	switch {
	case d.exp <= 0:
		b.WriteString("0.")
		b.WriteString(strings.Repeat("0", -d.exp))
		b.Write(d.digits)
	case d.exp >= n:
		b.Write(d.digits)
		b.WriteString(strings.Repeat("0", d.exp-n))
	default:
		b.Write(d.digits[:d.exp])
		b.WriteByte('.')
		b.Write(d.digits[d.exp:])
	}
	return b.String()
}
