package audit

import (
	"crypto/sha256"
	"errors"
	"strconv"
)

var (
	errShape    = errors.New("not a JSON object")
	errTrailing = errors.New("something follows the value")
)

// A head is the end of a chain: the number of its last event and the hash of that event's line. The zero head is that
// of a chain without events.
type head struct {
	seq  uint64
	hash [sha256.Size]byte
}

// linkLen is how much longer than the event that is staged its line is, without the digits of seq.
const linkLen = len(`,"seq":`) + len(`,"prev":""`) + 2*sha256.Size + len("\n")

// lineSize is how long the line of body is, as the next one of the chain or the one after that.
func (h *head) lineSize(body []byte) int {
	digits := 1
	for n := h.seq + 1; n > 9; n /= 10 {
		digits++
	}
	return len(body) + linkLen + digits
}

// link appends body as the next line of the chain, made longer by pad spaces.
func (h *head) link(out, body []byte, pad int) []byte {
	start := len(out)
	out = append(out, body[:fixedLen]...)
	h.seq++
	out = strconv.AppendUint(append(out, `,"seq":`...), h.seq, 10)
	out = appendHex(append(out, `,"prev":"`...), &h.hash)
	out = append(out, '"')
	last := len(body) - len("}")
	out = append(out, body[fixedLen:last]...)
	for range pad {
		out = append(out, ' ')
	}
	out = append(out, body[last:]...)
	h.hash = sha256.Sum256(out[start:])
	return append(out, '\n')
}
