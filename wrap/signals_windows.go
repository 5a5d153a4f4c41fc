package wrap

import "os"

var (
	stopSignals   = []os.Signal{os.Interrupt}
	passedSignals []os.Signal
)

func stops(os.Signal) bool { return true }

// IgnoreBrokenPipes has nothing to do here: such a write fails.
func IgnoreBrokenPipes() {}
