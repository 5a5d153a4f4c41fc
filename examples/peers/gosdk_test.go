package peers_test

import (
	"context"
	"fmt"
	"os/exec"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// sdkSession is the official Go SDK's client.
type sdkSession struct{ *mcp.ClientSession }

func dialSDK(ctx context.Context, command *exec.Cmd, version string, notify func(any)) (session, error) {
	return connectSDK(ctx, &mcp.CommandTransport{Command: command}, version, notify)
}

func connectSDK(ctx context.Context, transport mcp.Transport, version string, notify func(any)) (session, error) {
	return connectSDKWith(ctx, transport, version, sdkOptions(notify))
}

func sdkOptions(notify func(any)) *mcp.ClientOptions {
	return &mcp.ClientOptions{
		CreateMessageHandler: func(_ context.Context, r *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			return &mcp.CreateMessageResult{Model: "m", Role: "assistant", Content: &mcp.TextContent{
				Text: fmt.Sprintf("canned answer to %d messages", len(r.Params.Messages)),
			}}, nil
		},
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "Ada", "username": "ada", "email": "a@b.c", "color": "blue"}}, nil
		},
		LoggingMessageHandler:       func(_ context.Context, r *mcp.LoggingMessageRequest) { notify(r.Params) },
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) { notify(r.Params) },
	}
}

func connectSDKWith(ctx context.Context, transport mcp.Transport, version string, options *mcp.ClientOptions) (session, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "peers", Version: "1"}, options)
	client.AddRoots(&mcp.Root{URI: "file:///peers", Name: "peers"})
	s, err := client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		return nil, err
	}
	return sdkSession{s}, nil
}

func (s sdkSession) hello() any   { return s.InitializeResult() }
func (s sdkSession) close() error { return s.Close() }

func (s sdkSession) list(ctx context.Context, what string) (any, error) {
	switch what {
	case "tools":
		return s.ListTools(ctx, nil)
	case "resources":
		return s.ListResources(ctx, nil)
	case "templates":
		return s.ListResourceTemplates(ctx, nil)
	default:
		return s.ListPrompts(ctx, nil)
	}
}

func (s sdkSession) call(ctx context.Context, tool string, args map[string]any) (any, error) {
	params := &mcp.CallToolParams{Name: tool, Arguments: args}
	if tool == "test_tool_with_progress" {
		params.SetProgressToken("token")
	}
	return s.CallTool(ctx, params)
}

func (s sdkSession) read(ctx context.Context, uri string) (any, error) {
	return s.ReadResource(ctx, &mcp.ReadResourceParams{URI: uri})
}

func (s sdkSession) prompt(ctx context.Context, name string, args map[string]string) (any, error) {
	return s.GetPrompt(ctx, &mcp.GetPromptParams{Name: name, Arguments: args})
}

func (s sdkSession) complete(ctx context.Context, prompt, argument, value string) (any, error) {
	return s.Complete(ctx, &mcp.CompleteParams{
		Ref:      &mcp.CompleteReference{Type: "ref/prompt", Name: prompt},
		Argument: mcp.CompleteParamsArgument{Name: argument, Value: value},
	})
}

func (s sdkSession) level(ctx context.Context, level string) error {
	return s.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: mcp.LoggingLevel(level)})
}
