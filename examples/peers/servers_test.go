package peers_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A server is a program and the conversation that is had with it.
type server struct {
	name    string
	version string                       // of the protocol, which the client asks for
	command func(folder string) []string // folder is the conversation's own; it has a file a.txt
	fails   string                       // steps that fail, also directly
	talk    func(*conversation)
}

func testServers(t *testing.T) []server {
	t.Helper()
	everything := build(t, "github.com/modelcontextprotocol/go-sdk/conformance/everything-server")
	start := func(string) []string { return []string{everything} }
	servers := []server{
		{"the Go SDK's server, legacy", legacy, start, "nowhere", talkToGo},
		{"the Go SDK's server, modern", modern, start, "nowhere", talkToGo},
	}
	node, modules := os.Getenv("PEERS_NODE"), os.Getenv("PEERS_MODULES")
	if node == "" {
		t.Log("PEERS_NODE is not set: only servers in Go are met")
		return servers
	}
	program := func(name, last string) []string {
		return []string{node, filepath.Join(modules, "@modelcontextprotocol", name, "dist", "index.js"), last}
	}
	nothing := "resources templates prompts" // they have none
	return append(servers,
		server{"server-everything", legacy, func(string) []string { return program("server-everything", "stdio") }, "", talkToEverything},
		server{"server-filesystem", legacy, func(folder string) []string { return program("server-filesystem", folder) }, nothing, talkToFilesystem},
		server{"server-memory", legacy, func(string) []string { return program("server-memory", "") }, nothing, talkToMemory},
	)
}

// A conversation is a session with what came of it so far.
type conversation struct {
	session
	ctx     context.Context
	version string
	folder  string
	seen    transcript
	notes   chan any // of progress and logging, as they come
}

// none are no arguments. A nil map is null on the wire of both clients, which servers in Go take for none, and others refuse.
var none = map[string]any{}

func (c *conversation) lists() {
	for _, what := range []string{"tools", "resources", "templates", "prompts"} {
		value, err := c.list(c.ctx, what)
		c.seen.note(what, value, err)
	}
}

// tool calls a tool and waits for as many notifications as belong to the call.
func (c *conversation) tool(name string, args map[string]any, notifications int) {
	value, err := c.call(c.ctx, name, args)
	c.seen.note(name, value, err)
	for range notifications {
		select {
		case note := <-c.notes:
			c.seen.note("notified", note, nil)
		case <-c.ctx.Done():
			c.seen.note("notified", nil, c.ctx.Err())
		}
	}
}

// atOnce makes calls that are all in flight together.
func (c *conversation) atOnce(tool string, args func(i int) map[string]any) {
	type answer struct {
		value any
		err   error
	}
	answers := make([]answer, 16)
	var calls sync.WaitGroup
	for i := range answers {
		calls.Go(func() { answers[i].value, answers[i].err = c.call(c.ctx, tool, args(i)) })
	}
	calls.Wait()
	for _, a := range answers {
		c.seen.note("at once", a.value, a.err)
	}
}

func (c *conversation) resource(name, uri string) {
	value, err := c.read(c.ctx, uri)
	c.seen.note(name, value, err)
}

func (c *conversation) prompted(name string, args map[string]string) {
	value, err := c.prompt(c.ctx, name, args)
	c.seen.note("prompt", value, err)
}

func (c *conversation) completed(prompt, argument, value string) {
	completion, err := c.complete(c.ctx, prompt, argument, value)
	c.seen.note("completion", completion, err)
}

func talkToGo(c *conversation) {
	c.lists()
	c.tool("test_simple_text", none, 0)
	c.tool("test_multiple_content_types", nil, 0)
	c.tool("test_error_handling", none, 0)
	c.tool("test_tool_with_progress", none, 3)
	if c.version == legacy {
		c.seen.note("level", nil, c.level(c.ctx, "debug"))
		c.tool("test_tool_with_logging", none, 3)
		c.tool("test_sampling", map[string]any{"prompt": "p"}, 0)
		c.tool("test_elicitation", map[string]any{"message": "m"}, 0)
	} else {
		c.tool("test_input_required_result_sampling", none, 0)
		c.tool("test_input_required_result_elicitation", none, 0)
		c.tool("test_input_required_result_multi_round", none, 0)
	}
	c.atOnce("test_simple_text", func(int) map[string]any { return none })
	c.resource("resource", "test://static-text")
	c.resource("template", "test://template/7/data")
	c.resource("nowhere", "test://nowhere")
	c.prompted("test_prompt_with_arguments", map[string]string{"arg1": "x", "arg2": "\u00e9"})
	c.completed("test_prompt_with_arguments", "arg1", "x")
}

func talkToEverything(c *conversation) {
	c.tool("get-sum", map[string]any{"a": 1.5, "b": 2}, 0)
	c.tool("get-sum", map[string]any{"a": "x"}, 0)
	c.tool("get-structured-content", map[string]any{"location": "Chicago"}, 0)
	c.tool("trigger-sampling-request", map[string]any{"prompt": "p"}, 0)
	c.tool("trigger-elicitation-request", none, 0)
	c.tool("get-roots-list", none, 0)
	c.lists()
	c.atOnce("echo", func(i int) map[string]any {
		return map[string]any{"message": strings.Repeat("\u2028 \U0001f600 \\ \" ", i)}
	})
	c.completed("completable-prompt", "department", "S")
	c.prompted("args-prompt", map[string]string{"city": "Paris", "state": "Texas"})
	c.resource("resource", "demo://resource/static/document/architecture.md")
}

func talkToFilesystem(c *conversation) {
	folder := c.folder
	c.lists()
	c.tool("read_text_file", map[string]any{"path": filepath.Join(folder, "a.txt")}, 0)
	c.tool("write_file", map[string]any{"path": filepath.Join(folder, "b.txt"), "content": "\u2028\n"}, 0)
	c.tool("list_directory", map[string]any{"path": folder}, 0)
	c.tool("read_text_file", map[string]any{"path": "/etc/hostname"}, 0)
}

func talkToMemory(c *conversation) {
	c.lists()
	ada := map[string]any{"name": "Ada", "entityType": "person", "observations": []string{"counts \u00e9 \U0001f600"}}
	c.tool("create_entities", map[string]any{"entities": []any{ada}}, 0)
	c.tool("read_graph", none, 0)
	c.tool("create_entities", map[string]any{"entities": "none"}, 0)
}
