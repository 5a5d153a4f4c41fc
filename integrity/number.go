package integrity

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// maxExponentDigits bounds the exponents that can be compared exactly. No float and no honest schema comes near.
const maxExponentDigits = 15

// plainInteger reports whether a number is spelled as RFC 8785 spells it, by far the most common case:
// up to 15 digits, no sign, fraction or exponent.
func plainInteger(token []byte) bool {
	if len(token) > 15 {
		return false
	}
	for _, c := range token {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// appendNumber appends the canonical spelling of a JSON number. It is that of RFC 8785 where that denotes
// the same value. RFC 8785 rounds every number to a float64, which would give 9007199254740993 and …992, or
// 1e400 and 1e500, one digest; such a number is spelled exactly instead: its significant digits as an
// integer, then "e" and the power of ten unless that is zero. So the spelling depends on the value alone,
// and two values never share one.
func appendNumber(dst, token []byte) ([]byte, error) {
	exact, err := parseDecimal(token)
	if err != nil {
		return nil, err
	}
	if len(exact.digits) == 0 {
		return append(dst, '0'), nil // -0 as well: RFC 8785, 3.2.2.3
	}
	if f, err := strconv.ParseFloat(string(token), 64); err == nil {
		start := len(dst)
		dst = jsontext.AppendFloat(dst, f, 64)
		if rounded, err := parseDecimal(dst[start:]); err == nil && rounded.equal(exact) {
			return dst, nil
		}
		dst = dst[:start]
	}
	if exact.negative {
		dst = append(dst, '-')
	}
	dst = append(dst, exact.digits...)
	if exact.exponent != 0 {
		dst = strconv.AppendInt(append(dst, 'e'), exact.exponent, 10)
	}
	return dst, nil
}

// A decimal is the number digits × 10^exponent. Its digits neither begin nor end with a zero; none: zero.
type decimal struct {
	negative bool
	digits   []byte
	exponent int64
}

func (d decimal) equal(e decimal) bool {
	return d.negative == e.negative && d.exponent == e.exponent && bytes.Equal(d.digits, e.digits)
}

// parseDecimal reads a JSON number without rounding.
func parseDecimal(token []byte) (decimal, error) {
	var d decimal
	mantissa, power := token, []byte(nil)
	if i := bytes.IndexAny(token, "eE"); i >= 0 {
		mantissa, power = token[:i], token[i+1:]
	}
	if mantissa, d.negative = bytes.CutPrefix(mantissa, []byte("-")); len(mantissa) == 0 {
		return decimal{}, fmt.Errorf("read number %q: no digits", token)
	}
	whole, fraction, _ := bytes.Cut(mantissa, []byte("."))
	digits := append(append(make([]byte, 0, len(mantissa)), whole...), fraction...)
	digits = bytes.TrimLeft(digits, "0")
	d.digits = bytes.TrimRight(digits, "0")
	if len(d.digits) == 0 {
		return decimal{}, nil
	}
	exponent, err := parseExponent(power)
	if err != nil {
		return decimal{}, fmt.Errorf("read number %.40q: %w", token, err)
	}
	d.exponent = exponent - int64(len(fraction)) + int64(len(digits)-len(d.digits))
	return d, nil
}

func parseExponent(power []byte) (int64, error) {
	sign := ""
	if len(power) > 0 && (power[0] == '-' || power[0] == '+') {
		sign, power = string(power[:1]), power[1:]
	}
	power = bytes.TrimLeft(power, "0")
	if len(power) == 0 {
		return 0, nil
	}
	if len(power) > maxExponentDigits {
		return 0, fmt.Errorf("exponent of more than %d digits", maxExponentDigits)
	}
	return strconv.ParseInt(sign+string(power), 10, 64)
}
