package hub

import (
	"net/http"
	"time"
)

// A recorder notes what becomes of one HTTP request, for the metrics.
type recorder struct {
	http.ResponseWriter
	began  time.Time
	server string // "" for what is no server's
	method string // of the message, "" for none
	status int    // 0: nothing was written
	usage  *usage // that the request has entered; nil: none

	principal   string
	undelivered *undelivered
}

func (h *Hub) newRecorder(w http.ResponseWriter) *recorder {
	return &recorder{ResponseWriter: w, began: time.Now(), undelivered: h.undelivered}
}

// enter counts the request as one that a server has to be kept for, and leave does not any more: what follows has no end.
func (r *recorder) enter(u *usage) bool {
	if !u.enter() {
		return false
	}
	r.usage = u
	return true
}

func (r *recorder) leave() {
	if r.usage != nil {
		r.usage.leave()
		r.usage = nil
	}
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if len(b) < bigWrite {
		return r.ResponseWriter.Write(b)
	}
	cut := func() { _ = http.NewResponseController(r.ResponseWriter).SetWriteDeadline(time.Unix(1, 0)) } // net/http can
	return r.undelivered.during(r.principal, len(b), cut, func() (int, error) { return r.ResponseWriter.Write(b) })
}

// Unwrap lets [http.ResponseController] reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// count adds a request that has ended to the metrics.
func (h *Hub) count(rec *recorder, r *http.Request) {
	method := rec.method
	if method == "" {
		method = r.Method
	}
	status := rec.status
	if status == 0 {
		status = http.StatusOK
	}
	h.metrics.request(rec.server, method, status, time.Since(rec.began))
}
