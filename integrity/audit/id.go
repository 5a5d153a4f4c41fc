package audit

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/bits"
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
	nanos  int            // of cached
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
		c.second, c.nanos = second, t.Nanosecond()
		return append(b, c.cached[:]...)
	}
	if nanos := t.Nanosecond(); nanos != c.nanos { // events of one batch share their time
		c.nanos = nanos
		for i := stampLen - 2; i >= stampLen-10; i-- {
			c.cached[i] = byte('0' + nanos%10)
			nanos /= 10
		}
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
	high := uint64(c.milli)<<16 | 0x7000 | uint64(c.count) //nolint:gosec // after 1970
	low := c.random.Uint64()>>2 | 0x8000000000000000
	var id [idLen]byte
	putHex(id[0:8], hex8(high>>32))
	putHex(id[9:13], hex8(high))
	putHex(id[14:18], hex8(high)>>32)
	putHex(id[19:23], hex8(low>>32))
	putHex(id[24:32], hex8(low>>16))
	putHex(id[32:36], hex8(low)>>32)
	id[8], id[13], id[18], id[23] = '-', '-', '-', '-'
	return append(b, id[:]...)
}

// hex8 returns the lower 32 bits of v as eight hexadecimal digits, the first one in the lowest byte.
func hex8(v uint64) uint64 {
	const ones = 0x0101010101010101
	v = uint64(bits.ReverseBytes32(uint32(v))) //nolint:gosec // the lower half is meant
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	v = (v>>4 | v<<8) & 0x0f0f0f0f0f0f0f0f
	letters := (v + 6*ones) >> 4 & ones // 1 where the digit is a letter
	return v + '0'*ones + letters*('a'-'9'-1)
}

// putHex stores the first digits of what hex8 returned.
func putHex(b []byte, digits uint64) {
	if len(b) == 8 {
		binary.LittleEndian.PutUint64(b, digits)
		return
	}
	binary.LittleEndian.PutUint32(b, uint32(digits)) //nolint:gosec // the lower half is meant
}
