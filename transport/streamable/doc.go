// Package streamable speaks Streamable HTTP, the protocol's HTTP transport, at both ends and in both of its eras: sessions up to revision
// 2025-11-25, single requests from 2026-07-28 on. At the client's end a Client is a transport.Upstream; at the server's end Incoming
// reads a POST and Reply answers it.
//
// The package decides nothing about messages, knows no principals and keeps no sessions: that is the hub's.
package streamable
