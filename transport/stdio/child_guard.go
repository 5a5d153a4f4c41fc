package stdio

import (
	"os"
	"sync/atomic"
)

// guardName is argv[0] of a guard, by which GuardMain knows that it is one.
const guardName = "mcpx-guard"

// guardReady is set once this process is known to call GuardMain, so that running its program
// again yields a guard and not a second copy of whatever it does.
var guardReady atomic.Bool

// GuardMain makes this program able to guard the children that Start starts. A program calls it
// first thing in main (a test in TestMain) and leaves at once when it reports true:
//
//	if stdio.GuardMain() {
//		return
//	}
//
// A guard is this program again, between us and one server, and never in the way of its data:
//
//	mcpx wrap ── lifeline ──> guard ──> server ──> whatever the server starts
//	     └────── stdin, stdout, stderr ────┘
//
// It is needed because the kernel kills only a direct child when its parent dies. What npx or a
// shell started, above all in a session of its own, would outlive a SIGKILL of ours; once its
// parents are dead nothing tells whose it was. The guard adopts every orphan of its server
// (PR_SET_CHILD_SUBREAPER), so whatever is below it is the server's and nothing else is. When the
// lifeline ends, for whatever reason, it kills all that is below it and leaves. Only the guard
// reaps and signals, so a signal never reaches a process that got a dead one's number.
//
// When the guard itself is killed the server dies with it (parent-death signal), and Start's side
// kills the group; only what left the group and ignores the end of its input would stay.
//
// Guards exist on Linux with /proc. Windows has job objects, which do the same. Elsewhere, and in a
// program that does not call GuardMain, a child that outlives our SIGKILL has the end of its stdin
// to tell it to leave, and Stop reaches the process group only.
func GuardMain() (handled bool) {
	if guardSupported && len(os.Args) > 0 && os.Args[0] == guardName {
		guard()
		return true
	}
	guardReady.Store(guardSupported)
	return false
}
