package guard

import (
	"errors"
	"io"
	"strconv"
)

// What the two sides of a lifeline say. To the guard: one launch, then a byte per wish, a signal's
// number for the group or SweepNow. From the guard: records of a kind and a number.
const (
	SweepNow byte = 0

	Started byte = 's' // the leader's process id
	Failed  byte = 'f' // errno; the guard leaves
	Exited  byte = 'x' // the leader's wait status
)

// A Launch says what the guard starts: the leader of a new process group, with the guard's stdio as its own.
type Launch struct {
	Path string   // of the program
	Dir  string   // empty: the guard's own
	Args []string // argv
	Env  []string
}

const (
	recordSize = 5  // a kind, 32 bits
	headSize   = 16 // two numbers of eight hexadecimal digits: bytes of text behind it, arguments in it
)

// maxLaunch is more than any system lets a process be started with.
const maxLaunch = 64 << 20

func record(kind byte, n int) []byte {
	return []byte{kind, byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)} //nolint:gosec // 32 bits, byte by byte
}

// ReadRecord reads the next thing that a guard says.
func ReadRecord(r io.Reader) (kind byte, n int, err error) {
	var b [recordSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, 0, err
	}
	return b[0], int(b[1]) | int(b[2])<<8 | int(b[3])<<16 | int(b[4])<<24, nil
}

// Encode writes the launch as a guard reads it. NUL, which no argument can hold, ends each string.
func (l Launch) Encode() []byte {
	list := append([]string{l.Path, l.Dir}, l.Args...)
	b := make([]byte, headSize, 4096)
	for _, s := range append(list, l.Env...) {
		b = append(append(b, s...), 0)
	}
	putHex(b[:8], len(b)-headSize)
	putHex(b[8:headSize], len(l.Args))
	return b
}

func putHex(dst []byte, n int) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = "0123456789abcdef"[n&15]
		n >>= 4
	}
}

func readLaunch(r io.Reader) (Launch, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Launch{}, err
	}
	size, err := strconv.ParseUint(string(head[:8]), 16, 32)
	if err != nil || size > maxLaunch {
		return Launch{}, errors.New("launch of an impossible size")
	}
	args, err := strconv.ParseUint(string(head[8:]), 16, 32)
	if err != nil {
		return Launch{}, err
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(r, text); err != nil {
		return Launch{}, err
	}
	list := split(string(text))
	if uint64(len(list)) < 2+args {
		return Launch{}, errors.New("launch cut short")
	}
	return Launch{Path: list[0], Dir: list[1], Args: list[2 : 2+args], Env: list[2+args:]}, nil
}

// split returns the strings that a NUL ends.
func split(text string) (list []string) {
	from := 0
	for i := range len(text) {
		if text[i] == 0 {
			list = append(list, text[from:i])
			from = i + 1
		}
	}
	return list
}
