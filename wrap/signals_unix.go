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

// ignoreBrokenPipes lets a write to a client that is gone fail instead of killing us: the server is still to be stopped.
// A signal that is ignored would be so for the server too; one that is caught is not.
func ignoreBrokenPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
