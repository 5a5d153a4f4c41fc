package hub

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestEveryResponseHasAnID(t *testing.T) {
	long := strings.Repeat("x", maxRequestID)
	for _, tt := range []struct {
		name string
		sent []string
		kept bool
	}{
		{"none", nil, false},
		{"a client's own", []string{"req-1.a_B"}, true},
		{"the longest", []string{long}, true},
		{"too long", []string{long + "x"}, false},
		{"empty", []string{""}, false},
		{"two", []string{"a", "b"}, false},
		{"space", []string{"a b"}, false},
		{"line break", []string{"a\r\nSet-Cookie: x"}, false},
		{"not ASCII", []string{"ä"}, false},
		{"markup", []string{"<script>"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["X-Request-Id"] = tt.sent
			w := httptest.NewRecorder()
			id := beginResponse(w, r)
			if got := w.Header().Values("X-Request-ID"); len(got) != 1 || got[0] != id {
				t.Errorf("header %q, returned %q", got, id)
			}
			if tt.kept {
				if id != tt.sent[0] {
					t.Errorf("got %q, want the client's own", id)
				}
				return
			}
			if u, err := uuid.Parse(id); err != nil || u.Version() != 7 {
				t.Errorf("got %q, want a UUIDv7", id)
			}
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers: %v", w.Header())
			}
		})
	}
}

func FuzzRequestID(f *testing.F) {
	for _, id := range []string{"", "a", "a b", "a\n", strings.Repeat("x", 129), "0190-7f", "\x00"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		id := requestID(http.Header{"X-Request-Id": {sent}})
		if id == "" || len(id) > maxRequestID || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
			t.Errorf("%q became %q", sent, id)
		}
	})
}

func TestErrorsHaveOneEnvelope(t *testing.T) {
	w := httptest.NewRecorder()
	writeError(w, http.StatusForbidden, "origin_not_allowed", "no \"pages\"\n of \u2028 this\xff")
	var got struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if w.Code != 403 || got.Error.Code != "origin_not_allowed" || got.Error.Message != "no \"pages\"\n of \u2028 this\ufffd" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("headers: %v", w.Header())
	}
}

func BenchmarkBeginResponse(b *testing.B) {
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		beginResponse(w, r)
	}
}
