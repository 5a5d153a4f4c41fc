// Package uplink is what a wrapper, or a person's command, and a hub say to each other over HTTP under /v1: the types of both
// ends and the client's end. The server's end is package hub; what is kept there is package store's.
//
// A wrapper sends the events of its audit log and where it lives, proposes what it pinned, and gets the bundle of rules, pins
// and revocations for one server, signed by the hub. The package decides nothing by itself and keeps nothing on the disk.
package uplink
