package store

import (
	"strings"
	"unicode/utf8"
)

const (
	maxText      = 2 << 10 // what is searched for of a text; the line has all of it
	maxTextBytes = 8 << 20 // of the texts that are remembered
)

type knownText struct{ id, day int64 }

// text returns the id of a text that an event of this day has, nil for none.
func (w *writer) text(text string, day int64) (any, error) {
	if text == "" {
		return nil, nil
	}
	text = clip(text)
	known, ok := w.texts[text]
	if ok && known.day == day {
		return known.id, nil
	}
	// What another process removed in the meantime is made again.
	err := w.one(`INSERT INTO texts (text, day) VALUES (?, ?)
		ON CONFLICT (text) DO UPDATE SET day = excluded.day RETURNING id`, []any{text, day}, &known.id)
	if err != nil {
		return nil, err
	}
	if !ok {
		if w.textBytes += len(text); w.textBytes > maxTextBytes {
			w.texts, w.textBytes = map[string]knownText{}, len(text)
		}
	}
	w.texts[text] = knownText{known.id, day}
	return known.id, nil
}

// clip cuts a text that is too long to be searched for, between two characters.
func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.Clone(text[:end]) // the rest need not be kept
}
