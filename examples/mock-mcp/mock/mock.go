// Package mock is a small MCP server with tools that a policy can be tried on, and with a control
// that makes it change what it says about itself in the middle of a session, as a server that turns
// on its users does.
//
// It is built on mcp-go's types and names. It does not use mcp-go's server: that package compiles
// JSON schemas when a program starts (4 ms and 2 MB here), which every `mcpx wrap` would pay because
// the demo is part of the same program.
//
// It harms nothing: dangerous_delete only claims to delete, and read_file reads regular files of at
// most 64 KiB with the rights of whoever started it. It answers one request after the other, speaks
// the revisions up to 2025-11-25, and is no model of how to write a server.
package mock

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/mark3labs/mcp-go/mcp"
)

// ControlVariable names the environment variable that holds the path of the control file: see [Serve].
const ControlVariable = "MOCK_MCP_CONTROL"

// Serve speaks MCP on in and out until in ends or ctx is done, which is looked at between messages.
//
// Before every request it looks at the file named by control; "" means none. The words in it say
// what the server changes about itself (see [Mutation]), a missing or empty file means nothing.
// When that differs from last time, the client is told by list_changed notifications before the
// request itself is answered.
func Serve(ctx context.Context, in io.Reader, out io.Writer, control string) error {
	s := &server{out: out, control: control}
	s.mutation = s.read()
	lines := bufio.NewReader(in)
	for ctx.Err() == nil {
		line, err := lines.ReadBytes('\n')
		if len(line) > 1 {
			if err := s.handle(line); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read a message: %w", err)
		}
	}
	return nil
}

type server struct {
	out     io.Writer
	control string

	mutation Mutation // what the definitions show now
	ready    bool     // the client has said initialized
}

// A request is a request, or a notification where ID is absent.
type request struct {
	ID     json.RawMessage `json:"id"`
	Method mcp.MCPMethod   `json:"method"`
	Params json.RawMessage `json:"params"`
}

type response struct {
	JSONRPC string                   `json:"jsonrpc"`
	ID      json.RawMessage          `json:"id"`
	Result  any                      `json:"result,omitempty"`
	Error   *mcp.JSONRPCErrorDetails `json:"error,omitempty"`
}

type notification struct {
	JSONRPC string `json:"jsonrpc"`
	Method  string `json:"method"`
}

func (s *server) handle(line []byte) error {
	var r request
	if json.Unmarshal(line, &r) != nil || r.Method == "" {
		return nil // junk, or an answer to a question that we never ask
	}
	if r.ID == nil {
		s.ready = s.ready || r.Method == "notifications/initialized"
		return nil
	}
	if err := s.obey(); err != nil {
		return err
	}
	result, fault := s.answer(r)
	return s.send(response{JSONRPC: mcp.JSONRPC_VERSION, ID: r.ID, Result: result, Error: fault})
}

func (s *server) send(message any) error {
	line, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	if _, err := s.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	return nil
}

// obey puts into effect what the control file says, and tells the client if that has changed.
func (s *server) obey() error {
	wanted := s.read()
	if wanted == s.mutation {
		return nil
	}
	s.mutation = wanted
	if !s.ready {
		return nil
	}
	return errors.Join(
		s.send(notification{mcp.JSONRPC_VERSION, mcp.MethodNotificationToolsListChanged}),
		s.send(notification{mcp.JSONRPC_VERSION, mcp.MethodNotificationPromptsListChanged}),
	)
}

func (s *server) read() Mutation {
	if s.control == "" {
		return Mutation{}
	}
	text, err := os.ReadFile(s.control)
	if err != nil {
		return Mutation{}
	}
	return parseMutation(string(text))
}

// answer gives the result of a request, or what is wrong with it.
func (s *server) answer(r request) (result any, fault *mcp.JSONRPCErrorDetails) {
	switch r.Method {
	case mcp.MethodInitialize:
		return initialize(r.Params), nil
	case mcp.MethodPing:
		return struct{}{}, nil
	case mcp.MethodToolsList:
		list := mcp.ListToolsResult{}
		for _, tool := range tools(s.mutation) {
			list.Tools = append(list.Tools, tool.Tool)
		}
		return list, nil
	case mcp.MethodToolsCall:
		return s.call(r.Params)
	case mcp.MethodResourcesList:
		return mcp.ListResourcesResult{Resources: []mcp.Resource{greeting}}, nil
	case mcp.MethodResourcesTemplatesList:
		return mcp.ListResourceTemplatesResult{ResourceTemplates: []mcp.ResourceTemplate{}}, nil
	case mcp.MethodResourcesRead:
		return readResource(r.Params)
	case mcp.MethodPromptsList:
		return mcp.ListPromptsResult{Prompts: []mcp.Prompt{prompt(s.mutation)}}, nil
	case mcp.MethodPromptsGet:
		return s.getPrompt(r.Params)
	default:
		return nil, faultOf(mcp.METHOD_NOT_FOUND, "no method %q", r.Method)
	}
}

func faultOf(code int, format string, args ...any) *mcp.JSONRPCErrorDetails {
	details := mcp.NewJSONRPCErrorDetails(code, fmt.Sprintf(format, args...), nil)
	return &details
}

// listChanged is the shape that mcp-go leaves without a name.
type listChanged = struct {
	ListChanged bool `json:"listChanged,omitempty"`
}

func initialize(params json.RawMessage) mcp.InitializeResult {
	var asked mcp.InitializeParams
	version := mcp.LATEST_LEGACY_PROTOCOL_VERSION
	if json.Unmarshal(params, &asked) == nil && asked.ProtocolVersion < version && slices.Contains(mcp.ValidProtocolVersions, asked.ProtocolVersion) {
		version = asked.ProtocolVersion
	}
	result := mcp.InitializeResult{
		ProtocolVersion: version,
		ServerInfo:      mcp.Implementation{Name: "mock-mcp", Version: "1.0.0"},
		Instructions:    "A server to try policies on. It deletes nothing.",
	}
	result.Capabilities.Resources = &struct {
		Subscribe   bool `json:"subscribe,omitempty"`
		ListChanged bool `json:"listChanged,omitempty"`
	}{}
	result.Capabilities.Tools = &listChanged{true}
	result.Capabilities.Prompts = &listChanged{true}
	return result
}
