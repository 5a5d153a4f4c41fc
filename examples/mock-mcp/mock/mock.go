// Package mock is a small MCP server with tools that a policy can be tried on, and with a control
// that makes it change what it says about itself in the middle of a session, as a server that turns
// on its users does. It is built on mcp-go's server.
//
// It harms nothing: dangerous_delete only claims to delete, and read_file reads regular files of at
// most 64 KiB with the rights of whoever started it. It asks nobody for a credential. Over stdio ([Serve]) it
// answers one request after the other and speaks the revisions up to 2025-11-25, over HTTP ([Handler]) all of them.
package mock

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// ControlVariable names the environment variable that holds the path of the control file: see [Serve].
const ControlVariable = "MOCK_MCP_CONTROL"

// maxLine bounds a message, in bytes.
const maxLine = 16 << 20

// Serve speaks MCP on in and out until in ends or ctx is done, which is looked at between messages.
//
// Before every request it looks at the file named by control; "" means none. The words in it say
// what the server changes about itself (see [Mutation]), a missing or empty file means nothing.
// When that differs from last time, the client is told by list_changed notifications before the
// request itself is answered.
//
// The lines are read here and not by mcp-go's stdio server: that one drops the calls that it has
// not answered yet when in ends, loses a last line without line feed, has one session per process,
// and lets answers overtake notifications.
func Serve(ctx context.Context, in io.Reader, out io.Writer, control string) error {
	s := newSession(out, control)
	if err := s.server.RegisterSession(ctx, s); err != nil {
		return fmt.Errorf("register the session: %w", err)
	}
	ctx = s.server.WithContext(ctx, s)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for ctx.Err() == nil && lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := s.handle(ctx, lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read a message: %w", err)
	}
	return nil
}

func newServer() *server.MCPServer {
	s := server.NewMCPServer("mock-mcp", "1.0.0",
		server.WithToolCapabilities(true),
		server.WithPromptCapabilities(true),
		server.WithResourceCapabilities(false, false),
		server.WithInstructions("A server to try policies on. It deletes nothing."))
	s.AddResource(greeting, readGreeting)
	return s
}

// handle answers one message.
func (s *session) handle(ctx context.Context, line []byte) error {
	var head struct {
		ID     any           `json:"id"`
		Method mcp.MCPMethod `json:"method"`
	}
	_ = json.Unmarshal(line, &head) // mcp-go answers what is no message
	if head.ID != nil {
		if err := s.obey(); err != nil {
			return err
		}
		if head.Method == mcp.MethodServerDiscover || head.Method == mcp.MethodSubscriptionsListen {
			// They belong to later revisions. A client that learns so begins with initialize instead.
			return s.send(mcp.NewJSONRPCError(mcp.NewRequestId(head.ID), mcp.METHOD_NOT_FOUND, fmt.Sprintf("no method %q", head.Method), nil))
		}
	}
	if answer := s.server.HandleMessage(ctx, line); answer != nil {
		return s.send(answer)
	}
	return nil
}

// obey puts into effect what the control file says, and tells the client if that has changed.
func (s *session) obey() error {
	wanted := s.wanted()
	if wanted == s.mutation {
		return nil
	}
	s.define(wanted)
	for {
		select {
		case news := <-s.news:
			if err := s.send(news); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// define makes the definitions what m says. mcp-go puts a list_changed notification for each kind into s.news once
// the client has initialized.
func (s *session) define(m Mutation) {
	s.mutation = m
	define(s.server, m)
}

func (s *session) wanted() Mutation { return wanted(s.control) }

func define(s *server.MCPServer, m Mutation) {
	s.SetTools(tools(m)...)
	s.SetPrompts(prompt(m))
}

// wanted gives what a control file says.
func wanted(control string) Mutation {
	if control == "" {
		return Mutation{}
	}
	text, err := os.ReadFile(control)
	if err != nil {
		return Mutation{}
	}
	return parseMutation(string(text))
}
