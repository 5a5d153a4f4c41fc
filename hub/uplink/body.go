package uplink

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

const (
	encodingHeader = "Content-Encoding"
	encodingGzip   = "gzip"
	firstBody      = 4 << 10 // what is set aside for a body of unknown size, in bytes
)

// ReadBody reads the body of a request for the hub: at most sent bytes as it comes, and at most plain bytes once it is
// uncompressed. Where it cannot the error is a *StatusError for the answer.
func ReadBody(r *http.Request, sent, plain int64) ([]byte, error) {
	tooLarge := &StatusError{Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
		Message: fmt.Sprintf("the body is over %d bytes as sent, or %d uncompressed", sent, plain)}
	if r.ContentLength > sent {
		return nil, tooLarge
	}
	body := io.Reader(http.MaxBytesReader(nil, r.Body, sent))
	size := r.ContentLength
	switch encodings := r.Header.Values(encodingHeader); {
	case len(encodings) == 0 || len(encodings) == 1 && encodings[0] == "identity":
	case len(encodings) == 1 && encodings[0] == encodingGzip:
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, badBody(err, tooLarge)
		}
		defer z.Close()
		body, size = z, 4*size
	default:
		return nil, &StatusError{Status: http.StatusUnsupportedMediaType, Code: "unsupported_encoding", Message: "the body may be plain or gzip"}
	}
	data, err := readAll(body, size, plain)
	if err != nil {
		return nil, badBody(err, tooLarge)
	}
	return data, nil
}

func badBody(err error, tooLarge *StatusError) error {
	var over *http.MaxBytesError
	if errors.Is(err, errTooLarge) || errors.As(err, &over) {
		return tooLarge
	}
	return &StatusError{Status: http.StatusBadRequest, Code: "bad_body", Message: "the body cannot be read: it is cut off or not gzip"}
}

var errTooLarge = errors.New("it is too large")

// readAll reads all of src, which is expected to have size bytes (-1: unknown) and must not have more than limit.
func readAll(src io.Reader, size, limit int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(max(firstBody, min(size, limit, 1<<20))) + bytes.MinRead) // a length is a claim: the rest grows as it comes
	n, err := b.ReadFrom(io.LimitReader(src, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, errTooLarge
	}
	return b.Bytes(), nil
}

// zippers keeps the state of compression, most of a megabyte, for the next of a row of batches. The garbage collector empties it.
type zippers struct{ pool sync.Pool }

// zip returns the compressed data.
func (z *zippers) zip(data []byte) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(len(data)/4 + bytes.MinRead) // events shrink to a quarter or less
	w, ok := z.pool.Get().(*gzip.Writer)
	if ok {
		w.Reset(&out)
	} else {
		var err error
		if w, err = gzip.NewWriterLevel(&out, gzip.BestSpeed); err != nil {
			return nil, err
		}
	}
	defer func() {
		w.Reset(io.Discard) // or it would hold out
		z.pool.Put(w)
	}()
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
