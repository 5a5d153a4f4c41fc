package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOldCommandLinesStartTheHub(t *testing.T) {
	for _, test := range []struct{ name, args, want string }{
		{"file", "-c mcpx.yaml", "hub -c mcpx.yaml"},
		{"file and watch", "-c mcpx.yaml -watch", "hub -c mcpx.yaml --watch"},
		{"watch first", "-watch -c mcpx.yaml", "hub --watch -c mcpx.yaml"},
		{"one dash", "-config mcpx.yaml", "hub --config mcpx.yaml"},
		{"one dash and a value", "-config=mcpx.yaml -watch=true", "hub --config=mcpx.yaml --watch=true"},
		{"two dashes", "--config mcpx.yaml --watch", "hub --config mcpx.yaml --watch"},
		{"more flags", "-c mcpx.yaml -listen :80 --log-level debug", "hub -c mcpx.yaml --listen :80 --log-level debug"},
		{"a file like a flag", "-c -watch", "hub -c -watch"},
		{"a file like a command", "-c check", "hub -c check"},
		{"no file", "-c", "hub -c"},
		{"unknown flags are for the hub to refuse", "-c mcpx.yaml --nonsense", "hub -c mcpx.yaml --nonsense"},
		{"a subcommand behind", "-c mcpx.yaml check", "-c mcpx.yaml check"},
		{"one dash, and a subcommand", "-config mcpx.yaml check --json", "--config mcpx.yaml check --json"},
		{"a subcommand with a flag of this name", "wrap -c mcpx.yaml -watch", "wrap -c mcpx.yaml -watch"},
		{"another flag first", "--log-level debug -c mcpx.yaml", "--log-level debug -c mcpx.yaml"},
		{"joined", "-cmcpx.yaml", "-cmcpx.yaml"},
		{"nothing", "", ""},
		{"hub itself", "hub -c mcpx.yaml", "hub -c mcpx.yaml"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(strings.Fields(test.want), compatible(strings.Fields(test.args))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
