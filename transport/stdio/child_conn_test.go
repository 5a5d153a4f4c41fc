//go:build unix

package stdio

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

func connect(t *testing.T, role string) *ChildConn {
	t.Helper()
	c, err := Connect(start(t, role, Command{}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChildConnCarriesMessagesAndEnds(t *testing.T) {
	c := connect(t, "echo")
	var m jsonrpc.Message
	text := strings.Repeat("x", 3<<20)
	jsonrpc.Scan([]byte(`{"jsonrpc":"2.0","id":"a","method":"m","params":{"name":"`+text+`"}}`), &m)
	written := make(chan error, 1)
	go func() {
		if err := c.Write(t.Context(), &m); err != nil {
			written <- err
			return
		}
		written <- c.WritePieces(m.AppendPieces(nil, m.EditID([]byte("12345"))))
	}()
	for _, want := range []string{`"a"`, "12345"} {
		got := make([]jsonrpc.Message, 1)
		if _, err := c.Read(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		if name, _ := got[0].Text(jsonrpc.Name); string(got[0].ID.Token()) != want || string(name) != text {
			t.Errorf("read %.60s…, want the id %s", got[0].Raw, want)
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(context.Background(), make([]jsonrpc.Message, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after Close: %v, want the end of file", err)
	}
}

func TestChildConnTellsHowTheChildEnded(t *testing.T) {
	c := connect(t, "exit 3")
	_, err := c.Read(t.Context(), make([]jsonrpc.Message, 1))
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 3 {
		t.Errorf("%v, want exit status 3", err)
	}
}

// A child that reads nothing must not keep a writer for ever.
func TestClosingAChildConnWakesItsWriter(t *testing.T) {
	c := connect(t, "deaf")
	var m jsonrpc.Message
	jsonrpc.Scan([]byte(`{"jsonrpc":"2.0","method":"`+strings.Repeat("x", 3<<20)+`"}`), &m)
	written := make(chan error, 1)
	go func() { written <- c.Write(t.Context(), &m) }()
	_, _ = c.Read(t.Context(), make([]jsonrpc.Message, 1)) // it says that it is ready
	_ = c.CloseWrite()
	if err := <-written; err == nil {
		t.Error("everything was written to a child that does not read")
	}
	c.child.Stop(StopOptions{Exit: -1, Term: -1})
}
