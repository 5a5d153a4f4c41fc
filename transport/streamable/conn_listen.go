package streamable

import (
	"errors"
	"time"

	"github.com/rohitgs28/mcpx/transport"
)

// listen reads what the server says unasked, on one stream after the other, until the server has none or the connection ends.
func (c *Conn) listen() {
	after, retry := "", defaultRetry
	for tries := 0; ; tries++ {
		err := c.client.Listen(c.life, after, func(a transport.Arrival) error {
			tries = 0
			if a.EventID != "" {
				after = a.EventID
			}
			if a.Retry > 0 {
				retry = a.Retry
			}
			return c.arrive(a, nil)
		})
		if c.life.Err() != nil || c.sessionLost(err) || !worthListening(err) {
			return
		}
		pause := time.NewTimer(min(retry<<min(tries, 5), longestRetry))
		select {
		case <-pause.C:
		case <-c.life.Done():
			pause.Stop()
			return
		}
	}
}

// worthListening reports whether the next stream may come about: the last one ended, or broke, or the server had a bad time.
func worthListening(err error) bool {
	failure, ok := errors.AsType[*transport.Failure](err)
	if !ok {
		return err == nil
	}
	return failure.Cause == transport.Unreachable || failure.Cause == transport.TimedOut || failure.Status >= 500 || failure.Status == 429
}
