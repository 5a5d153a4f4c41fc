package audit

import (
	"crypto/sha256"
	"encoding/hex"
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

// link appends body as the next line of the chain.
func (h *head) link(out, body []byte) []byte {
	start := len(out)
	out = append(out, body[:fixedLen]...)
	h.seq++
	out = strconv.AppendUint(append(out, `,"seq":`...), h.seq, 10)
	out = hex.AppendEncode(append(out, `,"prev":"`...), h.hash[:])
	out = append(out, '"')
	out = append(out, body[fixedLen:]...)
	h.hash = sha256.Sum256(out[start:])
	return append(out, '\n')
}
