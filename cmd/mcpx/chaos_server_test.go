package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// chaosServerName is what the test binary poses as to be an MCP server that writes the id of each call that it sees to a file.
const chaosServerName = "chaos-server"

func chaosServerMain() {
	if err := serveChaos(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A chaosMessage is as much of a message as client and server of the chaos test look at.
type chaosMessage struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Error  json.RawMessage `json:"error"`
}

// serveChaos answers until its client has gone. The id of a call is in the journal before the call is answered.
func serveChaos(journal string, in io.Reader, out io.Writer) error {
	file, err := os.OpenFile(journal, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var m chaosMessage
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return err
		}
		result := `{}`
		switch m.Method {
		case "initialize":
			result = `{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"chaos","version":"1"}}`
		case "tools/list":
			result = `{"tools":[{"name":"work","inputSchema":{"type":"object"}}]}`
		case "tools/call":
			result = `{"content":[]}`
			if _, err := fmt.Fprintf(file, "%s\n", m.ID); err != nil {
				return err
			}
		}
		if m.ID == nil {
			continue
		}
		if _, err := fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", m.ID, result); err != nil {
			return err
		}
	}
	return lines.Err()
}
