package store

import (
	"math"
	"time"
)

// perOctave is how many buckets there are for each doubling of a latency: they are 9 % wide.
const perOctave = 8

// A Histogram counts durations in buckets that are 9 % wide, from a microsecond on. The zero Histogram is empty.
type Histogram struct {
	n       int64
	buckets map[int64]int64
}

// bucketOf returns the bucket of a latency in microseconds.
func bucketOf(micros int64) int64 { return int64(perOctave * math.Log2(float64(max(micros, 1)))) }

func (h *Histogram) add(bucket, n int64) {
	if h.buckets == nil {
		h.buckets = map[int64]int64{}
	}
	h.buckets[bucket] += n
	h.n += n
}

// Merge adds what another one has counted.
func (h *Histogram) Merge(other Histogram) {
	for bucket, n := range other.buckets {
		h.add(bucket, n)
	}
}

// N is how many durations there are.
func (h *Histogram) N() int64 { return h.n }

// Quantile returns the duration below which the fraction q of all are, within 5 %; 0 where there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := max(int64(math.Ceil(q*float64(h.n))), 1)
	const most = 64 * perOctave
	for bucket, seen := int64(0), int64(0); bucket < most; bucket++ {
		if seen += h.buckets[bucket]; seen >= rank {
			return time.Duration(math.Exp2((float64(bucket)+0.5)/perOctave) * float64(time.Microsecond))
		}
	}
	return 0
}
