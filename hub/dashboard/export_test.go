package dashboard

import "time"

// AppendTick is what a browser gets for a tick.
func AppendTick(now time.Time, t Tick) []byte { return appendTick(nil, now, t) }
