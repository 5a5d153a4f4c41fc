// Package hub is the HTTP gateway: one daemon in front of many MCP servers, for clients that speak Streamable HTTP. It routes,
// authenticates, limits and supervises; what becomes of a message is decided by the same policy.Guard as in a wrapper.
//
// The package reads no configuration file and no environment, and opens no audit log: cmd/mcpx does.
package hub
