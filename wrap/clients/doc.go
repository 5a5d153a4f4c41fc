// Package clients knows the configuration files of MCP clients: where they are, which servers they name, and how to put mcpx in
// front of a server's command, and take it out again, without touching anything else in the file.
//
// A file is edited by replacing ranges of its bytes, so comments, order, indentation, line ends and a byte order mark stay as they
// are. Each result is read again and compared with what was meant before anybody gets to see it.
//
// The package starts nothing, asks nobody, and writes only what [Change.Write] is told to.
package clients
