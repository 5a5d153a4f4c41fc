package jsonrpc

import "slices"

// The functions of this file put tokens in the place of others, all else byte for byte. They scan nothing: what they are
// given is a message that was scanned and tokens that were part of one, or numbers.

// An Edit is another token in the place of one part of a message. It belongs to that message.
type Edit struct {
	at    span
	token []byte
}

// EditID returns the edit that gives m another id. m has one and is not Invalid.
func (m *Message) EditID(token []byte) Edit { return Edit{m.id, token} }

// Edit returns the edit of a known member that m has.
func (m *Message) Edit(f Field, token []byte) Edit { return Edit{m.fields[f], token} }

// EditInto makes dst the message m with the edits, whose text is written to buf, or to more memory where buf has too
// little. It returns the text. dst and m are not the same; edits may be put into their order.
func (m *Message) EditInto(dst *Message, buf []byte, edits ...Edit) []byte {
	arrange(edits)
	buf = slices.Grow(buf[:0], m.editedSize(edits))
	at := uint32(0)
	for _, e := range edits {
		buf = append(append(buf, m.Raw[at:e.at.start]...), e.token...)
		at = e.at.end
	}
	buf = append(buf, m.Raw[at:]...)

	*dst = *m
	dst.Raw = buf
	for _, s := range [...]*span{&dst.id, &dst.params, &dst.result, &dst.failure} {
		s.move(edits)
	}
	for i := range dst.fields {
		dst.fields[i].move(edits)
	}
	dst.ID = ID{dst.at(dst.id)}
	return buf
}

// AppendPieces appends the parts of m's text with the edits, in order: who writes them one after the other copies
// nothing. edits may be put into their order.
func (m *Message) AppendPieces(dst [][]byte, edits ...Edit) [][]byte {
	arrange(edits)
	at := uint32(0)
	for _, e := range edits {
		dst = append(dst, m.Raw[at:e.at.start], e.token)
		at = e.at.end
	}
	return append(dst, m.Raw[at:])
}

func (m *Message) editedSize(edits []Edit) int {
	size := len(m.Raw)
	for _, e := range edits {
		size += len(e.token) - int(e.at.end-e.at.start)
	}
	return size
}

// move shifts a part of a message to where it is when the edits before its ends are made.
func (s *span) move(edits []Edit) {
	if s.end == 0 {
		return
	}
	was := *s
	for _, e := range edits {
		grown := uint32(len(e.token)) - (e.at.end - e.at.start) //nolint:gosec // it wraps where the token is shorter, and back when it is added
		if e.at.end <= was.start {
			s.start += grown
		}
		if e.at.end <= was.end {
			s.end += grown
		}
	}
}

// arrange sorts the few edits of one message by place.
func arrange(edits []Edit) {
	for i := 1; i < len(edits); i++ {
		for j := i; j > 0 && edits[j].at.start < edits[j-1].at.start; j-- {
			edits[j], edits[j-1] = edits[j-1], edits[j]
		}
	}
}
