package jsonrpc

import "bytes"

// salvage reads from a message that was refused what an answer needs: its id, if it is there once and well
// formed, its method, and whether it looked like something that is never answered.
func salvage(m *Message) {
	m.ID, m.Method = ID{}, ""
	ids, answer := 0, false
	for n, value := range Members(m.Raw) {
		switch {
		case string(n) == "id":
			ids++
			m.ID = salvagedID(value)
		case string(n) == "method":
			if text, ok := Text(value); ok && m.Method == "" && len(text) <= maxIDLength {
				m.Method = intern(text)
			}
		case string(n) == "result" || string(n) == "error":
			answer = true
		case bytes.EqualFold(n, []byte("id")):
			ids++
		}
	}
	if ids != 1 {
		m.ID = ID{}
	}
	m.Fault.Silent = answer && m.Method == "" || ids == 0 && m.Method != ""
}

// SalvageTail reads the id at the very end of an oversized message's last bytes, where many servers put it
// (`…,"jsonrpc":"2.0","id":7}`), if none was found at its beginning. An id found like this may be one of a
// nested object's, so it serves only to fail a request that is known to be in flight.
func SalvageTail(m *Message, tail []byte) {
	tail = bytes.TrimRight(tail, " \t\r\n")
	i := bytes.LastIndex(tail, []byte(`"id":`))
	if !m.ID.IsZero() || i < 0 || tail[len(tail)-1] != '}' {
		return
	}
	if id := salvagedID(bytes.Trim(tail[i+len(`"id":`):len(tail)-1], " ")); !id.IsZero() {
		m.ID = id
		m.Fault.Silent = m.Method == ""
	}
}

// salvagedID reads an id that no scan has accepted yet.
func salvagedID(token []byte) ID {
	id, ok := ParseID(token)
	if !ok || Valid(token) != nil {
		return ID{}
	}
	return id
}
