package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// serve is an MCP server on stdio that answers at once and does nothing. It looks for what it needs where our client puts it,
// which mcpx hands on byte for byte.
func serve(in io.Reader, out io.Writer) error {
	lines := bufio.NewReaderSize(in, 64<<10)
	var answer []byte
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		behind, ok := bytes.CutPrefix(line, []byte(opening))
		if !ok { // a notification
			continue
		}
		id, rest, _ := bytes.Cut(behind, []byte(`,"method":"`))
		method, _, _ := bytes.Cut(rest, []byte{'"'})
		answer = append(append(append(answer[:0], opening...), id...), `,"result":`...)
		switch string(method) {
		case "initialize":
			answer = append(answer, `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}`...)
		case "tools/list":
			answer = append(answer, `{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}`...)
		default:
			answer = append(answer, `{"content":[{"type":"text","text":"`+payload+`"}]}`...)
		}
		if _, err := out.Write(append(answer, "}\n"...)); err != nil {
			return err
		}
	}
}

const opening = `{"jsonrpc":"2.0","id":`

// payload is what calls carry either way.
var payload = strings.Repeat("0123456789abcdef", 16)

// A session is one client with its server, which may be behind a wrapper.
type session struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	id   int
	line []byte
}

// open starts a server and introduces the client to it. It returns how long it took until the first answer.
func open(ctx context.Context, h *home, argv ...string) (*session, time.Duration, error) {
	s := &session{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...)}
	s.cmd.Env, s.cmd.Dir, s.cmd.Stderr = h.env(), h.dir, os.Stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, 0, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, 0, err
	}
	s.in, s.out = in, bufio.NewReaderSize(out, 64<<10)
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, 0, err
	}
	_, err = s.ask(`initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`)
	took := time.Since(began)
	if err == nil {
		_, err = io.WriteString(in, `{"jsonrpc":"2.0","method":"notifications/initialized"}`+"\n")
	}
	if err == nil {
		_, err = s.ask(`tools/list"}`)
	}
	if err != nil {
		return nil, 0, errors.Join(err, s.close())
	}
	return s, took, nil
}

// ask sends a request, given from its method on, and returns how long its answer took.
func (s *session) ask(request string) (time.Duration, error) {
	s.id++
	s.line = strconv.AppendInt(append(s.line[:0], opening...), int64(s.id), 10)
	s.line = append(append(append(s.line, `,"method":"`...), request...), '\n')
	began := time.Now()
	if _, err := s.in.Write(s.line); err != nil {
		return 0, err
	}
	answer, err := s.out.ReadSlice('\n')
	took := time.Since(began)
	if err != nil {
		return 0, fmt.Errorf("read answer: %w", err)
	}
	want := strconv.AppendInt(append(s.line[:0], opening...), int64(s.id), 10)
	if !bytes.HasPrefix(answer, append(want, ',')) || !bytes.Contains(answer, []byte(`"result":`)) {
		return 0, fmt.Errorf("answer %d is %.200q", s.id, answer)
	}
	return took, nil
}

var callRequest = `tools/call","params":{"name":"echo","arguments":{"text":"` + payload + `"}}}`

// call makes one call of a tool.
func (s *session) call() (time.Duration, error) { return s.ask(callRequest) }

// close ends the session as a client does, and waits for the end of its processes.
func (s *session) close() error {
	_ = s.in.Close()
	return s.cmd.Wait()
}

// A home is a folder with all that the processes of one measurement keep.
type home struct{ dir string }

// newHome makes one that ends with the measurement. Its path is short: the hub's socket is in it.
func newHome() (*home, error) {
	dir, err := os.MkdirTemp("", "mcpxbench")
	return &home{dir}, err
}

func (h *home) state() string { return filepath.Join(h.dir, "state") }

func (h *home) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "TMPDIR=" + h.dir, "MCPX_STATE_DIR=" + h.state()}
}

func (h *home) remove() { _ = os.RemoveAll(h.dir) }

// wrapped is the command of the echo server behind an mcpx.
func wrapped(mcpx string) []string { return append([]string{mcpx, "wrap", "--"}, direct()...) }

// direct is the command of the echo server itself.
func direct() []string {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return []string{self, "serve"}
}
