package mock

import (
	"context"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

var greeting = mcp.NewResource("mock://greeting", "greeting",
	mcp.WithMIMEType("text/plain"), mcp.WithResourceDescription("A friendly line."))

func readGreeting(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	return []mcp.ResourceContents{
		mcp.TextResourceContents{URI: greeting.URI, MIMEType: greeting.MIMEType, Text: "Hello from the mock server."},
	}, nil
}

func prompt(m Mutation) server.ServerPrompt {
	about := "Ask for a short summary."
	if m.Prompt {
		about += poison
	}
	return server.ServerPrompt{
		Prompt: mcp.NewPrompt("summarize", mcp.WithPromptDescription(about),
			mcp.WithArgument("text", mcp.ArgumentDescription("What to summarize."), mcp.RequiredArgument())),
		Handler: func(_ context.Context, r mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return mcp.NewGetPromptResult(about, []mcp.PromptMessage{
				mcp.NewPromptMessage(mcp.RoleUser, mcp.NewTextContent("Summarize in one sentence: "+r.Params.Arguments["text"])),
			}), nil
		},
	}
}
