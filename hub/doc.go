// Package hub is the HTTP gateway: one daemon in front of many MCP servers, for clients that speak Streamable HTTP. It routes,
// authenticates, limits and supervises; what becomes of a message is decided by the same policy.Guard as in a wrapper.
//
// With a store it is also what wrappers report to: under /v1 it takes their events, hands them policy and pins, and answers to
// administrators (see package uplink). That part decides about no call: it tells guards, its own and those of wrappers, by what
// to decide.
//
// The package reads no configuration file and no environment, and opens neither an audit log nor a store: cmd/mcpx does.
package hub
