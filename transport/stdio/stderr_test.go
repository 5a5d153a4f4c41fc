package stdio

import (
	"bytes"
	"testing"
)

func TestTailKeepsTheLastBytes(t *testing.T) {
	var all []byte
	for i := range 300_000 {
		all = append(all, byte(i), byte(i>>8))
	}
	for _, step := range []int{1 << 10, 1000, tailSize - 1, tailSize, tailSize + 1, len(all)} {
		var tl tail
		for from := 0; from < len(all); from += step {
			to := min(from+step, len(all))
			tl.add(all[from:to])
			if want := all[max(0, to-tailSize):to]; !bytes.Equal(tl.bytes(), want) {
				t.Fatalf("in steps of %d: the tail after %d bytes is wrong", step, to)
			}
		}
	}
}
