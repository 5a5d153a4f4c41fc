package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

var (
	sizePattern     = lazyRegexp(`^([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)$`)
	durationPattern = lazyRegexp(`([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h|d|w)`)
)

// parseSize reads a number of bytes: "4096", "64MB" (10^6), "4MiB" (2^20).
func parseSize(s string) (int64, error) {
	const remedy = "write bytes or a size such as 64MB or 4MiB"
	match := sizePattern().FindStringSubmatch(strings.TrimSpace(s))
	if match == nil {
		return 0, fmt.Errorf("%q is no size: %s", s, remedy)
	}
	var unit float64
	switch strings.ToLower(match[2]) {
	case "", "b":
		unit = 1
	case "k", "kb":
		unit = 1e3
	case "m", "mb":
		unit = 1e6
	case "g", "gb":
		unit = 1e9
	case "kib":
		unit = 1 << 10
	case "mib":
		unit = 1 << 20
	case "gib":
		unit = 1 << 30
	default:
		return 0, fmt.Errorf("%q has an unknown unit: %s", s, remedy)
	}
	number, err := strconv.ParseFloat(match[1], 64)
	if err != nil || number*unit > math.MaxInt64/2 {
		return 0, fmt.Errorf("%q is too large", s)
	}
	if n := int64(number * unit); n > 0 {
		return n, nil
	}
	return 0, fmt.Errorf("%q must be more than zero; leave it out for the default", s)
}

// parseDuration reads what [time.ParseDuration] does, and days and weeks: "30d", "1d12h".
func parseDuration(s string) (time.Duration, error) {
	parts := durationPattern().FindAllStringSubmatch(s, -1)
	var matched int
	var total float64
	for _, part := range parts {
		matched += len(part[0])
		number, err := strconv.ParseFloat(part[1], 64)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration", s)
		}
		total += number * float64(durationUnit(part[2]))
	}
	if matched == 0 || matched != len(s) {
		return 0, fmt.Errorf("%q is no duration: write a number and a unit, such as 30s, 10m or 30d", s)
	}
	if total > math.MaxInt64/2 {
		return 0, fmt.Errorf("%q is too long", s)
	}
	if total < 1 {
		return 0, errors.New("a duration must be more than zero; leave it out for the default")
	}
	return time.Duration(total), nil
}

func durationUnit(unit string) time.Duration {
	switch unit {
	case "w":
		return 7 * 24 * time.Hour
	case "d":
		return 24 * time.Hour
	case "h":
		return time.Hour
	case "m":
		return time.Minute
	case "s":
		return time.Second
	case "ms":
		return time.Millisecond
	case "us", "µs":
		return time.Microsecond
	default: // "ns", the only one left in durationPattern
		return time.Nanosecond
	}
}
