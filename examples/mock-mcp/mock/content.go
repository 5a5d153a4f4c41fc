package mock

import (
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
)

var greeting = mcp.NewResource("mock://greeting", "greeting",
	mcp.WithMIMEType("text/plain"), mcp.WithResourceDescription("A friendly line."))

func readResource(params json.RawMessage) (any, *mcp.JSONRPCErrorDetails) {
	var p struct {
		URI string `json:"uri"`
	}
	if err := json.Unmarshal(params, &p); err != nil || p.URI != greeting.URI {
		return nil, faultOf(mcp.RESOURCE_NOT_FOUND, "no resource %q", p.URI)
	}
	return mcp.ReadResourceResult{Contents: []mcp.ResourceContents{
		mcp.TextResourceContents{URI: p.URI, MIMEType: greeting.MIMEType, Text: "Hello from the mock server."},
	}}, nil
}

func prompt(m Mutation) mcp.Prompt {
	about := "Ask for a short summary."
	if m.Prompt {
		about += poison
	}
	return mcp.NewPrompt("summarize", mcp.WithPromptDescription(about),
		mcp.WithArgument("text", mcp.ArgumentDescription("What to summarize."), mcp.RequiredArgument()))
}

func (s *server) getPrompt(params json.RawMessage) (any, *mcp.JSONRPCErrorDetails) {
	var p mcp.GetPromptParams
	if err := json.Unmarshal(params, &p); err != nil || p.Name != prompt(s.mutation).Name {
		return nil, faultOf(mcp.INVALID_PARAMS, "no prompt %q", p.Name)
	}
	return mcp.NewGetPromptResult(prompt(s.mutation).Description, []mcp.PromptMessage{
		mcp.NewPromptMessage(mcp.RoleUser, mcp.NewTextContent("Summarize in one sentence: "+p.Arguments["text"])),
	}), nil
}
