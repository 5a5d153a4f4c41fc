package audit

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// stampLen is the length of a time as appendStamp writes it, idLen that of an id. Both are fixed, so that the chain's
// members can be put behind them when the event is written.
const (
	stampLen = len("2006-01-02T15:04:05.000000000Z")
	idLen    = 36
)

// A clock makes times and UUIDs. The caller guards it.
type clock struct {
	now    func() time.Time
	second int64          // of cached
	cached [stampLen]byte // the last time written
	milli  int64          // of the last id
	count  uint16         // 12 bits, of the last id
	random *rand.ChaCha8  // seeded from the system; a read of the system's source for each event is too slow
}

func newClock(now func() time.Time) clock {
	if now == nil {
		now = time.Now
	}
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails, as its documentation says
	return clock{now: now, second: -1, random: rand.NewChaCha8(seed)}
}

// appendStamp appends t as RFC 3339 in UTC with nine digits.
func (c *clock) appendStamp(b []byte, t time.Time) []byte {
	if second := t.Unix(); second != c.second {
		t.UTC().AppendFormat(c.cached[:0], "2006-01-02T15:04:05.000000000Z")
		c.second = second
		return append(b, c.cached[:]...)
	}
	nanos := t.Nanosecond()
	for i := stampLen - 2; i >= stampLen-10; i-- {
		c.cached[i] = byte('0' + nanos%10)
		nanos /= 10
	}
	return append(b, c.cached[:]...)
}

// appendID appends a UUID version 7 that is greater than the one before: RFC 9562, 6.2, method 1, with a counter of 12
// bits that starts at random in its lower half each millisecond and borrows from the next one when it is full.
func (c *clock) appendID(b []byte, t time.Time) []byte {
	if milli := t.UnixMilli(); milli > c.milli {
		c.milli, c.count = milli, uint16(c.random.Uint64()&0x7ff)
	} else if c.count++; c.count > 0xfff {
		c.milli, c.count = c.milli+1, 0
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(c.milli)<<16|0x7000|uint64(c.count)) //nolint:gosec // after 1970
	binary.BigEndian.PutUint64(id[8:], c.random.Uint64()>>2|0x8000000000000000)
	for i, v := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, hexDigits[v>>4], hexDigits[v&15])
	}
	return b
}
