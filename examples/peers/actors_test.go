package peers_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	mcpgoserver "github.com/mark3labs/mcp-go/server"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// watched is a resource that changes whenever the tool touch is called.
const watched = "test://watched"

type toolInput struct {
	Text string `json:"text,omitempty"`
}

// actor is a server of the Go SDK with tools that do what servers do of their own accord. It notes every call.
func actor(d diary) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "actor", Version: "1"}, &mcp.ServerOptions{
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	s.AddResource(&mcp.Resource{URI: watched, Name: "watched"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: watched, Text: "w"}}}, nil
	})
	tool := func(name string, do func(context.Context, *mcp.CallToolRequest, string) (string, error)) {
		mcp.AddTool(s, &mcp.Tool{Name: name, Description: name}, func(ctx context.Context, r *mcp.CallToolRequest, in toolInput) (*mcp.CallToolResult, any, error) {
			d.note(name)
			text, err := do(ctx, r, in.Text)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, err
		})
	}
	echo := func(_ context.Context, _ *mcp.CallToolRequest, text string) (string, error) { return text, nil }
	tool("echo", echo)
	tool("forbidden", echo)
	tool(progressing, func(ctx context.Context, r *mcp.CallToolRequest, text string) (string, error) {
		for i := range 3 {
			if err := r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Progress: float64(i), Total: 3}); err != nil {
				return "", err
			}
		}
		return "done", d.wait(ctx, "progressed "+text)
	})
	tool("ask", func(ctx context.Context, r *mcp.CallToolRequest, _ string) (string, error) {
		answer, err := r.Session.Elicit(ctx, &mcp.ElicitParams{Message: "name?", RequestedSchema: map[string]any{"type": "object"}})
		if err != nil {
			return "", err
		}
		return fmt.Sprint(answer.Content["name"]), nil
	})
	var grown atomic.Int32
	tool("grow", func(context.Context, *mcp.CallToolRequest, string) (string, error) {
		name := fmt.Sprintf("grown_%d", grown.Add(1))
		mcp.AddTool(s, &mcp.Tool{Name: name, Description: name}, func(context.Context, *mcp.CallToolRequest, toolInput) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{}, nil, nil
		})
		return name, nil
	})
	tool("touch", func(ctx context.Context, _ *mcp.CallToolRequest, _ string) (string, error) {
		return "touched", s.ResourceUpdated(ctx, &mcp.ResourceUpdatedNotificationParams{URI: watched})
	})
	tool("crash", func(context.Context, *mcp.CallToolRequest, string) (string, error) {
		os.Exit(3)
		return "", nil
	})
	tool("wait", func(ctx context.Context, _ *mcp.CallToolRequest, text string) (string, error) {
		d.note("wait " + text)
		<-ctx.Done()
		d.note("cancelled " + text)
		return "", ctx.Err()
	})
	return s
}

// actorMCPGo is the same with mcp-go. Its library sends resources/updated to whom the server names.
func actorMCPGo(d diary) *mcpgoserver.MCPServer {
	s := mcpgoserver.NewMCPServer("actor", "1", mcpgoserver.WithToolCapabilities(true), mcpgoserver.WithResourceCapabilities(true, true), mcpgoserver.WithElicitation())
	s.AddResource(mcpgo.NewResource(watched, "watched"), func(context.Context, mcpgo.ReadResourceRequest) ([]mcpgo.ResourceContents, error) {
		return []mcpgo.ResourceContents{mcpgo.TextResourceContents{URI: watched, Text: "w"}}, nil
	})
	tool := func(name string, do func(context.Context, mcpgo.CallToolRequest) (string, error)) {
		s.AddTool(mcpgo.NewTool(name, mcpgo.WithDescription(name), mcpgo.WithString("text")), func(ctx context.Context, r mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
			d.note(name)
			text, err := do(ctx, r)
			if err != nil {
				return mcpgo.NewToolResultError(err.Error()), nil
			}
			return mcpgo.NewToolResultText(text), nil
		})
	}
	echo := func(_ context.Context, r mcpgo.CallToolRequest) (string, error) { return r.GetString("text", ""), nil }
	tool("echo", echo)
	tool("forbidden", echo)
	tool(progressing, func(ctx context.Context, r mcpgo.CallToolRequest) (string, error) {
		for i := range 3 {
			params := map[string]any{"progressToken": r.Params.Meta.ProgressToken, "progress": i, "total": 3}
			if err := s.SendNotificationToClient(ctx, "notifications/progress", params); err != nil {
				return "", err
			}
		}
		return "done", d.wait(ctx, "progressed "+r.GetString("text", ""))
	})
	tool("ask", func(ctx context.Context, _ mcpgo.CallToolRequest) (string, error) {
		answer, err := s.RequestElicitation(ctx, mcpgo.ElicitationRequest{Params: mcpgo.ElicitationParams{
			Message: "name?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}},
		}})
		if err != nil {
			return "", err
		}
		content, _ := answer.Content.(map[string]any)
		return fmt.Sprint(content["name"]), nil
	})
	var grown atomic.Int32
	tool("grow", func(context.Context, mcpgo.CallToolRequest) (string, error) {
		name := fmt.Sprintf("grown_%d", grown.Add(1))
		s.AddTool(mcpgo.NewTool(name), func(context.Context, mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
			return mcpgo.NewToolResultText(""), nil
		})
		return name, nil
	})
	tool("touch", func(context.Context, mcpgo.CallToolRequest) (string, error) {
		s.SendNotificationToAllClients("notifications/resources/updated", map[string]any{"uri": watched})
		return "touched", nil
	})
	tool("wait", func(ctx context.Context, r mcpgo.CallToolRequest) (string, error) {
		text := r.GetString("text", "")
		d.note("wait " + text)
		<-ctx.Done()
		d.note("cancelled " + text)
		return "", ctx.Err()
	})
	return s
}
