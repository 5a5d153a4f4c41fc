// Package stdio speaks to peers over pipes: Conn frames messages by newlines, Child is a server's process, from its
// start to the stop of everything that it has started.
//
// It does not judge messages and knows no policy. It decides nothing about what a line says beyond whether it is one
// message of bounded size.
package stdio
