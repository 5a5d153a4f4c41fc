package audit

import (
	"testing"
	"time"
)

func TestWaitingChainsAreTold(t *testing.T) {
	layouts(t, func(t *testing.T, opts Options) {
		opts.Hub = LocalHub
		before := time.Now()
		l := openLog(t, opts)
		appendEvents(t, l, "a", "b")
		l.flushSpool()
		all, err := Waiting(logPath(opts))
		if err != nil || len(all) != 1 {
			t.Fatalf("got %+v, %v, want one chain", all, err)
		}
		if w := all[0]; w.Hub != LocalHub || w.Name == "" || w.Bytes == 0 || w.Since.Before(before) || w.Since.After(time.Now()) {
			t.Errorf("got %+v", w)
		}
		o, err := l.Outbox(LocalHub)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		if err := o.Drain(t.Context(), ForwardOptions{Send: newFakeHub(t).send}); err != nil {
			t.Fatal(err)
		}
		if all, err := Waiting(logPath(opts)); err != nil || len(all) > 0 {
			t.Errorf("got %+v, %v once all is acknowledged", all, err)
		}
	})
}
