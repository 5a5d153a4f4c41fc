// Package jsonrpc reads one JSON-RPC 2.0 message as MCP uses it (both protocol eras) and finds what decisions
// need, in one pass and without decoding the rest.
//
// A scan accepts exactly the messages that every mainstream parser reads the same way: RFC 8259 grammar, UTF-8,
// no name twice in an object (escaped or not), no names that a case-folding parser would take for one of the
// protocol's, no unpaired surrogates, one value and nothing behind it, bounded depth. The raw bytes are kept:
// what a judged message holds is what is forwarded, byte for byte, less white space between tokens.
//
// The package knows no transport and no policy, and it does not validate the contents of params and results
// beyond the members that it finds.
package jsonrpc
