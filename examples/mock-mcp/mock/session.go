package mock

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// A session is the one client, as mcp-go's server sees it ([server.ClientSession]). Everything happens in the goroutine
// that serves, so nothing is locked.
type session struct {
	server  *server.MCPServer
	out     io.Writer
	control string

	mutation Mutation                     // what the definitions show now
	ready    bool                         // the client has initialized
	news     chan mcp.JSONRPCNotification // what mcp-go wants to tell the client
}

func newSession(out io.Writer, control string) *session {
	s := &session{server: newServer(), out: out, control: control, news: make(chan mcp.JSONRPCNotification, 8)}
	s.define(s.wanted())
	return s
}

func (s *session) SessionID() string                                   { return "stdio" }
func (s *session) Initialize()                                         { s.ready = true }
func (s *session) Initialized() bool                                   { return s.ready }
func (s *session) NotificationChannel() chan<- mcp.JSONRPCNotification { return s.news }

func (s *session) send(message mcp.JSONRPCMessage) error {
	line, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	if _, err := s.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	return nil
}
