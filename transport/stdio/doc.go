// Package stdio speaks to peers over pipes: Conn frames messages by newlines, Child is a server's process, from its
// start to the stop of everything that it has started.
//
// What a child leaves behind when we are killed: on Linux nothing, by a process between us and it (package guard);
// on Windows nothing, by a job object. Elsewhere, and where /proc is not mounted, a child that outlives our SIGKILL has
// the end of its stdin to tell it to leave, and Stop reaches the process group only.
//
// It does not judge messages and knows no policy. It decides nothing about what a line says beyond whether it is one
// message of bounded size.
package stdio
