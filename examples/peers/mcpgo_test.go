package peers_test

import (
	"context"
	"fmt"
	"os/exec"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// mcpGoSession is the client of mcp-go.
type mcpGoSession struct {
	*client.Client
	greeting *mcp.InitializeResult
}

func dialMCPGo(ctx context.Context, command *exec.Cmd, version string, notify func(any)) (session, error) {
	stdio := transport.NewStdioWithOptions(command.Path, command.Env, command.Args[1:],
		transport.WithCommandFunc(func(context.Context, string, []string, []string) (*exec.Cmd, error) { return command, nil }))
	return connectMCPGo(ctx, stdio, version, notify)
}

func connectMCPGo(ctx context.Context, over transport.Interface, version string, notify func(any)) (session, error) {
	c := client.NewClient(over, client.WithProtocolVersion(version),
		client.WithSamplingHandler(answers{}), client.WithElicitationHandler(answers{}), client.WithRootsHandler(answers{}))
	c.OnNotification(func(n mcp.JSONRPCNotification) {
		if n.Method == "notifications/progress" || n.Method == "notifications/message" {
			notify(n)
		}
	})
	if err := c.Start(ctx); err != nil {
		return nil, err
	}
	greeting, err := c.Initialize(ctx, mcp.InitializeRequest{Params: mcp.InitializeParams{
		ProtocolVersion: version, ClientInfo: mcp.Implementation{Name: "peers", Version: "1"},
	}})
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return mcpGoSession{c, greeting}, nil
}

// answers are what the client tells servers that ask it.
type answers struct{}

func (answers) CreateMessage(_ context.Context, r mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
	text := fmt.Sprintf("canned answer to %d messages", len(r.Messages))
	return &mcp.CreateMessageResult{Model: "m", SamplingMessage: mcp.SamplingMessage{Role: "assistant", Content: mcp.NewTextContent(text)}}, nil
}

func (answers) Elicit(context.Context, mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	return &mcp.ElicitationResult{ElicitationResponse: mcp.ElicitationResponse{
		Action: "accept", Content: map[string]any{"name": "Ada", "username": "ada", "email": "a@b.c", "color": "blue"},
	}}, nil
}

func (answers) ListRoots(context.Context, mcp.ListRootsRequest) (*mcp.ListRootsResult, error) {
	return &mcp.ListRootsResult{Roots: []mcp.Root{{URI: "file:///peers", Name: "peers"}}}, nil
}

func (s mcpGoSession) hello() any   { return s.greeting }
func (s mcpGoSession) close() error { return s.Close() }

func (s mcpGoSession) list(ctx context.Context, what string) (any, error) {
	switch what {
	case "tools":
		return s.ListTools(ctx, mcp.ListToolsRequest{})
	case "resources":
		return s.ListResources(ctx, mcp.ListResourcesRequest{})
	case "templates":
		return s.ListResourceTemplates(ctx, mcp.ListResourceTemplatesRequest{})
	default:
		return s.ListPrompts(ctx, mcp.ListPromptsRequest{})
	}
}

func (s mcpGoSession) call(ctx context.Context, tool string, args map[string]any) (any, error) {
	r := mcp.CallToolRequest{Params: mcp.CallToolParams{Name: tool, Arguments: args}}
	if tool == "test_tool_with_progress" {
		r.Params.Meta = &mcp.Meta{ProgressToken: "token"}
	}
	return s.CallTool(ctx, r)
}

func (s mcpGoSession) read(ctx context.Context, uri string) (any, error) {
	return s.ReadResource(ctx, mcp.ReadResourceRequest{Params: mcp.ReadResourceParams{URI: uri}})
}

func (s mcpGoSession) prompt(ctx context.Context, name string, args map[string]string) (any, error) {
	return s.GetPrompt(ctx, mcp.GetPromptRequest{Params: mcp.GetPromptParams{Name: name, Arguments: args}})
}

func (s mcpGoSession) complete(ctx context.Context, prompt, argument, value string) (any, error) {
	return s.Complete(ctx, mcp.CompleteRequest{Params: mcp.CompleteParams{
		Ref:      mcp.PromptReference{Type: "ref/prompt", Name: prompt},
		Argument: mcp.CompleteArgument{Name: argument, Value: value},
	}})
}

func (s mcpGoSession) level(ctx context.Context, level string) error {
	return s.SetLevel(ctx, mcp.SetLevelRequest{Params: mcp.SetLevelParams{Level: mcp.LoggingLevel(level)}})
}
