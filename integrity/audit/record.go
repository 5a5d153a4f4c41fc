package audit

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A Record is an event as it stands in a log.
type Record struct {
	Raw []byte // the line without its end

	Time      time.Time
	ID        string
	Seq       uint64
	Prev      string
	Source    string
	Instance  string
	Host      string
	User      string
	Server    string
	Client    string
	Era       string
	Session   string
	RequestID string // the raw token
	Method    string
	Target    string
	Decision  string
	Rule      string
	Reason    string
	Outcome   string
	LatencyMS float64
	BytesIn   int64
	BytesOut  int64
	TraceID   string
	Kind      Kind
	// Raw JSON, empty if absent.
	ClientInfo, ServerInfo, Args []byte
}

// parseRecord reads a line strictly: one object, no name twice, each known member of its type, and time, id, seq, prev
// and kind present. Members of a later version are passed over. The record keeps line.
func parseRecord(line []byte) (*Record, error) {
	r := &Record{Raw: line}
	if r.readWritten(line) {
		return r, r.complete()
	}
	return readStrictly(line)
}

// readStrictly is parseRecord for any line.
func readStrictly(line []byte) (*Record, error) {
	r := &Record{Raw: line}
	if err := members(line, r.set); err != nil {
		return nil, err
	}
	return r, r.complete()
}

// members calls set with each member of a JSON object, and nothing else may be there.
func members(object []byte, set func(name string, value jsontext.Value) error) error {
	dec := jsontext.NewDecoder(bytes.NewReader(object))
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != '{' {
		return errShape
	}
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if err := set(name, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

func (r *Record) complete() error {
	switch {
	case r.Time.IsZero():
		return errors.New("there is no time")
	case r.ID == "":
		return errors.New("there is no id")
	case r.Seq == 0:
		return errors.New("there is no seq")
	case r.Prev == "":
		return errors.New("there is no prev")
	case r.Kind == "":
		return errors.New("there is no kind")
	}
	return nil
}

func (r *Record) set(name string, value jsontext.Value) (err error) {
	if to := r.text(name); to != nil {
		*to, err = unquote(value)
		return err
	}
	switch name {
	case "time":
		text, err := unquote(value)
		if err != nil {
			return err
		}
		r.Time, err = time.Parse(time.RFC3339Nano, text)
		return err
	case "seq":
		r.Seq, err = number(value, parseUint)
	case "latency_ms":
		r.LatencyMS, err = number(value, parseFloat)
	case "bytes_in":
		r.BytesIn, err = number(value, parseInt)
	case "bytes_out":
		r.BytesOut, err = number(value, parseInt)
	case "prev":
		if r.Prev, err = unquote(value); err != nil {
			return err
		}
		if b, err := hex.DecodeString(r.Prev); err != nil || len(b) != len(head{}.hash) {
			return errors.New("not a SHA-256")
		}
	case "kind":
		text, err := unquote(value)
		r.Kind = Kind(text)
		return err
	case "request_id":
		r.RequestID = string(value)
	case "client_info":
		r.ClientInfo = bytes.Clone(value)
	case "server_info":
		r.ServerInfo = bytes.Clone(value)
	case "args":
		r.Args = bytes.Clone(value)
	}
	return err
}

// text returns where a member that is a string goes.
func (r *Record) text(name string) *string {
	switch name {
	case "id":
		return &r.ID
	case "source":
		return &r.Source
	case "instance":
		return &r.Instance
	case "host":
		return &r.Host
	case "user":
		return &r.User
	case "server":
		return &r.Server
	case "client":
		return &r.Client
	case "era":
		return &r.Era
	case "session":
		return &r.Session
	case "method":
		return &r.Method
	case "target":
		return &r.Target
	case "decision":
		return &r.Decision
	case "rule":
		return &r.Rule
	case "reason":
		return &r.Reason
	case "outcome":
		return &r.Outcome
	case "trace_id":
		return &r.TraceID
	}
	return nil
}

func unquote(value jsontext.Value) (string, error) {
	if value.Kind() != '"' {
		return "", errors.New("not a string")
	}
	if text, ok := plainText(value); ok {
		return string(text), nil
	}
	text, err := jsontext.AppendUnquote(nil, value)
	return string(text), err
}

// number reads a JSON number with parse, which refuses what does not fit.
func number[T uint64 | int64 | float64](value jsontext.Value, parse func(string) (T, error)) (T, error) {
	if value.Kind() != '0' {
		return 0, errors.New("not a number")
	}
	return parse(string(value))
}

func parseUint(s string) (uint64, error)   { return strconv.ParseUint(s, 10, 64) }
func parseInt(s string) (int64, error)     { return strconv.ParseInt(s, 10, 64) }
func parseFloat(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

// errTorn is the error of a last line that has no end: its writer died, or is about to write the rest.
var errTorn = errors.New("the last line is torn")

// A lineReader reads the lines of a log, each of limited length.
type lineReader struct {
	r     *bufio.Reader
	line  int    // the number of the last line read, from 1
	read  int64  // bytes up to the end of that line
	reuse []byte // if not nil, takes each line in place of the one before
}

func newLineReader(r io.Reader) *lineReader { return &lineReader{r: bufio.NewReaderSize(r, 64<<10)} }

// newLineScanner returns a reader whose lines are valid until its next one is read.
func newLineScanner() *lineReader {
	return &lineReader{r: bufio.NewReaderSize(nil, 64<<10), reuse: make([]byte, 0, page)}
}

func (l *lineReader) reset(r io.Reader) {
	l.r.Reset(r)
	l.line, l.read = 0, 0
}

// next returns the next line without its end; the caller may keep it, unless lines are reused. At the end of the file it returns io.EOF, or
// errTorn with what there is. A line that is too long is passed over: its error is a *longLineError.
func (l *lineReader) next() ([]byte, error) {
	l.line++
	line, err := l.nextInto(l.reuse[:0])
	if l.reuse != nil && cap(line) > cap(l.reuse) {
		l.reuse = line[:0]
	}
	return line, err
}

func (l *lineReader) nextInto(line []byte) ([]byte, error) {
	long := false
	for {
		part, err := l.r.ReadSlice('\n')
		l.read += int64(len(part))
		if len(line)+len(part) > maxLine {
			long = true
			line = line[:0]
		} else {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) == 0 && !long:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			return line, errTorn
		case err != nil:
			return nil, err
		case long:
			return nil, &longLineError{}
		}
		return line[:len(line)-1], nil
	}
}

type longLineError struct{}

func (*longLineError) Error() string { return fmt.Sprintf("longer than %d bytes", maxLine) }

// firstRecord reads the first event of a file.
func firstRecord(path string) (*Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	line, err := newLineReader(f).next()
	if err != nil {
		return nil, fmt.Errorf("%s: read the first event: %w", path, err)
	}
	r, err := parseRecord(line)
	if err != nil {
		return nil, fmt.Errorf("%s:1: %w", path, err)
	}
	return r, nil
}
