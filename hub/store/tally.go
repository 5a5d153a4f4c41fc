package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// What is counted. The numbers stand in files.
const (
	measureCalls    = 1
	measureDenied   = 2
	measureShadowed = 3
	measureErrors   = 4
	measureRequests = 5
	measureLatency  = 16 // and the number of the bucket
)

// A tally is how often each measure was counted, in their order.
type tally []tallied

type tallied struct{ measure, n int64 }

func (t *tally) add(measure, n int64) {
	i, ok := slices.BinarySearchFunc(*t, measure, func(one tallied, measure int64) int { return cmp.Compare(one.measure, measure) })
	if !ok {
		*t = slices.Insert(*t, i, tallied{measure: measure})
	}
	(*t)[i].n += n
}

// encode returns a tally as table figures has it: for each measure how much greater it is than the one before, and its number.
func (t tally) encode() []byte {
	b := make([]byte, 0, 3*len(t))
	last := int64(0)
	for _, one := range t {
		b = binary.AppendUvarint(b, uint64(one.measure-last)) //nolint:gosec // they rise
		b = binary.AppendUvarint(b, uint64(one.n))            //nolint:gosec // at least 1
		last = one.measure
	}
	return b
}

var errTally = errors.New("the figures in the store are damaged")

// decodeTally calls use with what a row of table figures counts.
func decodeTally(b []byte, use func(measure, n int64)) error {
	measure := uint64(0)
	for len(b) > 0 {
		more, size := binary.Uvarint(b)
		if size <= 0 {
			return errTally
		}
		n, size2 := binary.Uvarint(b[size:])
		if size2 <= 0 || more == 0 || more >= measureLatency+maxBuckets || n >= 1<<62 {
			return errTally
		}
		if measure += more; measure >= measureLatency+maxBuckets {
			return errTally
		}
		use(int64(measure), int64(n))
		b = b[size+size2:]
	}
	return nil
}
