package store

import (
	"math"
	"slices"
	"time"
)

const (
	perOctave  = 8   // buckets for each doubling of a latency
	maxBuckets = 512 // up to 500,000 years: more is not read from a file
)

// A Histogram counts durations in buckets that are 9 % wide, from a microsecond on. The zero Histogram is empty.
type Histogram struct {
	n       int64
	buckets []int64
}

// bucketOf returns the bucket of a latency in microseconds.
func bucketOf(micros int64) int64 { return int64(perOctave * math.Log2(float64(max(micros, 1)))) }

func (h *Histogram) add(bucket, n int64) {
	if more := int(bucket) + 1 - len(h.buckets); more > 0 {
		h.buckets = slices.Grow(h.buckets, more)[:bucket+1] // zero: nothing is ever cut off
	}
	h.buckets[bucket] += n
	h.n += n
}

// N is how many durations there are.
func (h *Histogram) N() int64 { return h.n }

// Quantile returns the duration that the fraction q of all do not exceed, within 5 % and a microsecond; 0 where there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(int64(math.Ceil(q*float64(h.n))), 1)
	seen := int64(0)
	for bucket, n := range h.buckets {
		if seen += n; seen >= rank {
			return time.Duration(math.Exp2((float64(bucket)+0.5)/perOctave) * float64(time.Microsecond))
		}
	}
	return 0
}
