package stdio

import (
	"syscall"
	"time"
)

// StopOptions say how patient Stop is. Zero is 2 seconds, negative is no time at all.
type StopOptions struct {
	Exit time.Duration // for the child to leave after the end of its input
	Term time.Duration // for the child to leave after SIGTERM
}

const stopPatience = 2 * time.Second

// Stop ends the child as the protocol asks (stdio, "Shutdown"). The caller has closed Stdin
// before; Stop waits, sends SIGTERM to the group, waits, and kills the group and every descendant,
// which also happens when the leader leaves by itself and others stay behind. It returns when
// nothing is left. Several may call it at the same time: the least patient decides.
func (c *Child) Stop(opt StopOptions) Exit {
	if !c.goneWithin(opt.Exit) {
		// The only errors are that the leader is gone, or cannot be reached and is killed below.
		c.term.Do(func() { _ = c.proc.signal(syscall.SIGTERM) })
		if c.goneWithin(opt.Term) {
			<-c.done
		}
	} else {
		<-c.done // what the leader left behind may finish what it has to say
	}
	c.proc.sweep()
	return c.Exit()
}

func (c *Child) goneWithin(d time.Duration) bool {
	if d == 0 {
		d = stopPatience
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.gone:
		return true
	default:
	}
	select {
	case <-c.gone:
		return true
	case <-timer.C:
		return false
	}
}
