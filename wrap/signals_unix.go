//go:build unix

package wrap

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
)

var (
	stopSignals   = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT}
	passedSignals = []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH}
)

func stops(sig os.Signal) bool { return slices.Contains(stopSignals, sig) }

// IgnoreBrokenPipes lets a write to a reader that is gone fail instead of killing us: there is a server to be stopped, or another
// file to be changed. A signal that is ignored would be so for the server too; one that is caught is not.
func IgnoreBrokenPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
