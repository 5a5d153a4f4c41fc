// Package guard is a program within the program: the process that stands between us and one server, and is never in
// the way of its data. It exists on Linux only.
//
//	mcpx wrap ── lifeline ──> guard ──> server ──> whatever the server starts
//	     └────── stdin, stdout, stderr ────┘
//
// It is needed because the kernel kills only a direct child when its parent dies. What npx or a shell started, above
// all in a session of its own, would outlive a SIGKILL of ours; once its parents are dead nothing tells whose it was.
// The guard adopts every orphan of its server (PR_SET_CHILD_SUBREAPER), so whatever is below it is the server's and
// nothing else is. When the lifeline ends, for whatever reason, it kills all that is below it and leaves. Only the
// guard reaps and signals, so a signal never reaches a process that got a dead one's number.
//
// A guard is the running program again, by the name of Name. It runs from the init function of this package, before
// main and before nearly every other package is initialized: each server has one, its client waits for it, and what
// the rest of the program prepares at its start (metrics, a web server, tables) took several times what the guard
// itself takes. Go initializes packages in the order of their import paths, each as soon as its imports are. So this
// package may import only what is ready early, the packages around os: nothing that needs reflect or unicode, as fmt,
// bytes, strings and encoding/binary do. A test and the linter watch over that.
//
// It judges nothing and reads no configuration: who starts a guard (package stdio) tells it all.
package guard
