package wrap

import (
	"context"
	"errors"
	"sync"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// openOutbox finds the events that the hub waits for. A nil outbox, of which the error says why it is none, has nothing to send.
func (l *liaison) openOutbox() (*audit.Outbox, error) {
	outbox, err := l.with.Log.Outbox(l.hub.Destination)
	if err == nil && outbox == nil {
		err = errors.New("the audit log is off or goes to a stream, so no events are sent to the hub: set audit.output to file")
	}
	return outbox, err
}

// forward sends the events of this process, and of those on this machine that have died, as long as ctx lasts.
func (l *liaison) forward(ctx context.Context, client *uplink.Client, outbox *audit.Outbox) {
	if outbox == nil {
		return
	}
	var retry backoff
	for ctx.Err() == nil {
		err := l.forwardRound(ctx, client, outbox)
		if err == nil {
			retry.reset()
			continue // the hub is back: what waits is sent now, not when the wait is over
		}
		l.trouble(aboutEvents, err)
		pause(ctx, retry.next(err))
	}
}

// forwardRound lasts until ctx ends or the hub has come back.
func (l *liaison) forwardRound(ctx context.Context, client *uplink.Client, outbox *audit.Outbox) error {
	round, cancel := context.WithCancel(ctx)
	defer cancel()
	var waker sync.WaitGroup
	defer waker.Wait()
	waker.Go(func() {
		select {
		case <-l.returned:
			cancel()
		case <-round.Done():
		}
	})
	err := outbox.Forward(round, l.forwarding(client))
	if round.Err() != nil {
		err = nil
	}
	cancel()
	return err
}

func (l *liaison) forwarding(client *uplink.Client) audit.ForwardOptions {
	return audit.ForwardOptions{
		Send: func(ctx context.Context, b audit.Batch) (uint64, error) {
			ack, err := client.SendEvents(ctx, b.Chain, b.Lines, b.Gap)
			l.stuck.Store(!l.answered(ctx, err))
			return ack.Acked, err
		},
		OnError: func(err error) { l.trouble(aboutEvents, err) },
		OnSent: func() {
			l.trouble(aboutEvents, nil)
			l.tell()
		},
	}
}

// drain sends what there is, as long as ctx lasts.
func (l *liaison) drain(ctx context.Context, client *uplink.Client, outbox *audit.Outbox) {
	if outbox == nil {
		return
	}
	if err := outbox.Drain(ctx, l.forwarding(client)); err != nil {
		l.log.Debug().Err(err).Msg("some events are left for the next wrapper to send")
	}
}
