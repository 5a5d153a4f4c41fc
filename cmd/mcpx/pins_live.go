package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/stdio"
)

// liveTimeout adds the flag that bounds listLive.
func liveTimeout(command *cobra.Command, timeout *time.Duration) {
	command.Flags().DurationVar(timeout, "timeout", 2*time.Minute, "how long the COMMAND may take, its installation included")
}

// liveContext ends at the timeout and when the user interrupts.
func liveContext(c *cobra.Command, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	return ctx, func() { cancel(); stop() }
}

// approveLive lists a server as a wrapper would see it, and approves what it says.
func (a *app) approveLive(ctx context.Context, server string, targets []integrity.Target, argv []string) error {
	file, err := a.openPins()
	if err != nil {
		return err
	}
	if known, err := findPinned(file, server); err == nil {
		server = known
	}
	live, err := listLive(ctx, argv, a.err)
	if err != nil {
		return fmt.Errorf("list what %q offers: %w", argv[0], err)
	}
	pins := file.Server(server, integrity.Config{NewTools: "quarantine"})
	if _, err := pins.Instructions(live.instructions, live.instructions != nil); err != nil {
		return err
	}
	for kind, items := range map[integrity.Kind][][]byte{integrity.Tools: live.tools, integrity.Prompts: live.prompts} {
		if _, err := pins.Walk(kind).Page(items, true); err != nil {
			return err
		}
	}
	if len(targets) == 0 { // all: also what this has pinned, and what was pinned by first use before
		for _, e := range file.Entries(server) {
			targets = append(targets, e.Target)
		}
	}
	done, err := file.Approve(server, targets...)
	if err != nil {
		return err
	}
	return a.printApproved(server, done)
}

// A live is what a running server offers, raw.
type live struct {
	instructions   []byte // text; nil: none
	tools, prompts [][]byte
}

// listLive starts a server, lists what it offers and stops it. Its stderr goes to stderr. The end of ctx stops
// the server at once.
func listLive(ctx context.Context, argv []string, stderr io.Writer) (*live, error) {
	child, err := stdio.Start(stdio.Command{Args: argv, Stderr: stderr})
	if err != nil {
		return nil, err
	}
	abort := context.AfterFunc(ctx, func() { child.Stop(stdio.StopOptions{Exit: -1}) })
	l := &lister{conn: stdio.NewConn(child.Stdout(), child.Stdin(), stdio.Options{})}
	found, err := l.list(ctx)
	abort()
	closeErr := l.conn.Close()
	exit := child.Stop(stdio.StopOptions{})
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("stopped before the server had answered: %w", context.Cause(ctx))
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("the server ended before it had answered: %s", exit)
	case err != nil:
		return nil, err
	}
	return found, closeErr
}

// The revisions that a lister speaks: servers that refuse the handshake of the first are asked without one.
const (
	legacyRevision = "2025-11-25"
	modernRevision = "2026-07-28"
)

// A lister is the least of a client: it has one request under way at a time. The lists of a client library
// would be decoded and lose what it does not know, and pins cover every member.
type lister struct {
	conn   *stdio.Conn
	lastID int
	modern bool
}

func (l *lister) list(ctx context.Context) (*live, error) {
	greeting, err := l.greet(ctx)
	if err != nil {
		return nil, err
	}
	found := new(live)
	if text, ok := greeting.Text(jsonrpc.Instructions); ok {
		found.instructions = bytes.Clone(text)
	}
	capabilities := greeting.Field(jsonrpc.Capabilities)
	if jsonrpc.Member(capabilities, "tools") != nil {
		if found.tools, err = l.pages(ctx, "tools/list", jsonrpc.Tools); err != nil {
			return nil, err
		}
	}
	if jsonrpc.Member(capabilities, "prompts") != nil {
		found.prompts, err = l.pages(ctx, "prompts/list", jsonrpc.Prompts)
	}
	return found, err
}

// greet learns what the server offers, by the handshake or, from one that has none, by server/discover. The
// handshake comes first since some servers that expect it end at anything else.
func (l *lister) greet(ctx context.Context) (*jsonrpc.Message, error) {
	greeting, err := l.ask(ctx, "initialize", `"protocolVersion":"`+legacyRevision+`","capabilities":{},"clientInfo":`+ownInfo)
	if err == nil {
		return greeting, l.conn.Write(ctx, jsonrpc.NewRequest(jsonrpc.ID{}, "notifications/initialized", nil))
	}
	if _, refused := errors.AsType[*refusedError](err); !refused {
		return nil, err
	}
	l.modern = true
	return l.ask(ctx, "server/discover", "")
}

const ownInfo = `{"name":"mcpx","version":"1"}`

func (l *lister) pages(ctx context.Context, method string, field jsonrpc.Field) ([][]byte, error) {
	var items [][]byte
	cursor := ""
	for range policy.DefaultMaxPages {
		page, err := l.ask(ctx, method, cursor)
		if err != nil {
			return nil, err
		}
		for item := range jsonrpc.Elements(page.Field(field)) {
			items = append(items, item)
		}
		next := page.Field(jsonrpc.NextCursor)
		if _, ok := jsonrpc.Text(next); !ok {
			return items, nil
		}
		cursor = `"cursor":` + string(next)
	}
	return nil, fmt.Errorf("%s has more than %d pages", method, policy.DefaultMaxPages)
}

// A refusedError is an error that the server answered with.
type refusedError struct{ method, message string }

func (e *refusedError) Error() string {
	return fmt.Sprintf("%s: the server answered with an error: %q", e.method, e.message)
}

// ask sends a request with these members of params and waits for its result.
func (l *lister) ask(ctx context.Context, method, params string) (*jsonrpc.Message, error) {
	l.lastID++
	id, _ := jsonrpc.ParseID(strconv.AppendInt(nil, int64(l.lastID), 10))
	if err := l.conn.Write(ctx, jsonrpc.NewRequest(id, method, l.params(params))); err != nil {
		return nil, fmt.Errorf("send %s: %w", method, err)
	}
	var one [1]jsonrpc.Message
	for {
		if _, err := l.conn.Read(ctx, one[:]); err != nil {
			return nil, fmt.Errorf("wait for the answer to %s: %w", method, err)
		}
		m := &one[0]
		switch m.Kind {
		case jsonrpc.Result:
			if m.ID.Key() == id.Key() {
				return m.Clone(), nil
			}
		case jsonrpc.Error:
			if m.ID.IsZero() || m.ID.Key() == id.Key() {
				text, _ := m.Text(jsonrpc.ErrorMessage)
				return nil, &refusedError{method, string(text)}
			}
		case jsonrpc.Request:
			if err := l.conn.Write(ctx, answer(m)); err != nil {
				return nil, fmt.Errorf("answer %q: %w", m.Method, err)
			}
		case jsonrpc.Notification:
		default:
			if !m.Fault.Junk {
				return nil, fmt.Errorf("read the answer to %s: %w", method, m.Fault)
			}
		}
	}
}

// answer answers what a server asks of us: that we are there, and nothing else.
func answer(m *jsonrpc.Message) *jsonrpc.Message {
	if m.Method == "ping" {
		return jsonrpc.NewResult(m.ID, []byte("{}"))
	}
	return jsonrpc.NewError(m.ID, jsonrpc.MethodNotFound, "mcpx only lists", nil)
}

func (l *lister) params(members string) []byte {
	if l.modern {
		meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modernRevision +
			`","io.modelcontextprotocol/clientInfo":` + ownInfo + `,"io.modelcontextprotocol/clientCapabilities":{}}`
		if members != "" {
			meta += ","
		}
		members = meta + members
	}
	return []byte("{" + members + "}")
}
