package stdio

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

// What the two sides of a lifeline say. To the guard: one launch, then a byte per wish, a signal's
// number for the group or sweepNow. From the guard: records of a kind and a number.
const (
	sweepNow byte = 0

	recordStarted byte = 's' // the leader's process id
	recordFailed  byte = 'f' // errno; the guard leaves
	recordExited  byte = 'x' // the leader's wait status
)

const recordSize = 5

// maxLaunch is more than any system lets a process be started with.
const maxLaunch = 64 << 20

func record(kind byte, n int) []byte {
	return binary.LittleEndian.AppendUint32([]byte{kind}, uint32(n)) //nolint:gosec // 32 bits each
}

func readRecord(r io.Reader) (kind byte, n int, err error) {
	var b [recordSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, 0, err
	}
	return b[0], int(binary.LittleEndian.Uint32(b[1:])), nil
}

// encodeLaunch writes all but the files, which the guard inherits as its own stdio. NUL, which no
// argument can hold, ends each string.
func encodeLaunch(l launch) []byte {
	list := append([]string{l.path, l.dir}, l.args...)
	b := binary.LittleEndian.AppendUint32(make([]byte, 8, 4096), uint32(len(l.args))) //nolint:gosec // argv is short
	for _, s := range append(list, l.env...) {
		b = append(append(b, s...), 0)
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-8)) //nolint:gosec // at least the head
	return b
}

func decodeLaunch(r io.Reader) (launch, error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return launch{}, err
	}
	size := binary.LittleEndian.Uint64(head[:])
	if size < 4 || size > maxLaunch {
		return launch{}, errors.New("launch of an impossible size")
	}
	text := make([]byte, size-4)
	if _, err := io.ReadFull(r, text); err != nil {
		return launch{}, err
	}
	args := int(binary.LittleEndian.Uint32(head[8:]))
	list := strings.Split(string(text), "\x00")
	list = list[:len(list)-1] // after the last NUL
	if len(list) < 2+args {
		return launch{}, errors.New("launch cut short")
	}
	return launch{path: list[0], dir: list[1], args: list[2 : 2+args], env: list[2+args:]}, nil
}
