package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// look brings what is known of the claimed chains up to date and claims what can be: our own chain, and where all is true those
// of dead processes, a few at a time. It reports whether there are more of them.
func (o *Outbox) look(all bool, tell func(error)) (more bool, err error) {
	chains, err := layout{log: o.files.path, folder: o.own != ""}.chains()
	if err != nil {
		return false, err
	}
	there := map[string][]segment{}
	for _, c := range chains {
		there[c.instance] = c.segments
	}
	for _, c := range o.chains {
		c.segments = there[c.instance]
	}
	for _, c := range chains {
		own := c.instance == o.own
		switch {
		case !own && !all, o.settled[c.instance], len(c.segments) == 0, o.has(c.instance):
			continue
		case !own && len(o.chains) > maxClaims:
			return true, nil
		}
		if err := o.claim(c, own, tell); err != nil {
			tell(err)
		}
	}
	for instance := range o.settled {
		if _, ok := there[instance]; !ok {
			delete(o.settled, instance)
		}
	}
	return false, nil
}

func (o *Outbox) has(instance string) bool {
	return slices.ContainsFunc(o.chains, func(c *outChain) bool { return c.instance == instance })
}

// claim takes a chain if it is for our hub, its process is dead or ours, and nobody else forwards it.
func (o *Outbox) claim(c chainFiles, own bool, tell func(error)) error {
	last := c.segments[len(c.segments)-1]
	if !own && !dead(last.path) {
		return nil
	}
	path := cursorPath(o.files.path, c.instance)
	cur, err := readCursor(path)
	bad := (*cursorError)(nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if !o.mayTake(own) || c.instance == "" && o.hub != LocalHub { // with the cursor went what was meant for a team's hub
			return o.settle(c.instance)
		}
		if err := createCursor(path, o.fresh(c.instance)); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("claim an audit log for the hub: %w", err)
		}
	case errors.As(err, &bad):
		if cur.hub != o.hub && (cur.hub != "" || !o.mayTake(own)) {
			return errors.Join(err, o.settle(c.instance))
		}
	case err != nil:
		return fmt.Errorf("claim an audit log for the hub: %w", err)
	case cur.hub != o.hub, !own && cur.finished(c.segments):
		return o.settle(c.instance)
	}
	file, cur, err := claimCursor(path)
	switch {
	case file == nil && (err == nil || errors.Is(err, fs.ErrNotExist)):
		return nil // somebody else forwards it, or the chain is gone
	case file == nil:
		return fmt.Errorf("claim an audit log for the hub: %w", err)
	}
	claimed := &outChain{o: o, instance: c.instance, own: own, segments: c.segments, file: file, cur: cur}
	if err != nil {
		tell(err)
		if err := claimed.mend(); err != nil {
			tell(err)
		}
	}
	if claimed.cur.hub != o.hub { // taken by another since we looked
		return file.Close()
	}
	if !own {
		claimed.recover(tell)
	}
	o.chains = append(o.chains, claimed)
	claimed.publish()
	return nil
}

// mayTake reports whether a chain of which no destination is known may be sent to our hub: to the local one, and what is our
// own to where we were told to send it.
func (o *Outbox) mayTake(own bool) bool {
	return o.hub == LocalHub && (!own || o.files.opts.Hub == "") || own && o.files.opts.Hub == o.hub
}

// settle notes that there is nothing to do for a chain of a folder.
func (o *Outbox) settle(instance string) error {
	if instance != "" {
		o.settled[instance] = true
	}
	return nil
}

func (o *Outbox) fresh(instance string) cursor {
	c := cursor{hub: o.hub, from: 1}
	if instance != "" {
		c.chain = o.files.chainName(instance)
	}
	return c
}

// mend rewrites a cursor that was torn or is none.
func (c *outChain) mend() error {
	fresh := c.o.fresh(c.instance)
	if c.cur.hub != "" {
		fresh.hub, fresh.from = c.cur.hub, c.cur.from
	}
	if c.cur.chain != "" {
		fresh.chain = c.cur.chain
	}
	c.cur = fresh
	return c.save()
}

// recover adds to the segments of a dead process what it left in a spool.
func (c *outChain) recover(tell func(error)) {
	for _, s := range c.segments {
		if !s.spool {
			continue
		}
		if err := s.recover(c.o.files.heads); err != nil && !errors.Is(err, fs.ErrNotExist) {
			tell(fmt.Errorf("recover what a process left: %w", err)) // the segment is sent all the same
		}
	}
}

// release lets go of a chain of a dead process, all of which is sent, or that is gone.
func (o *Outbox) release(c *outChain) {
	if n := len(c.segments); n > 0 {
		last := c.segments[n-1]
		if info, err := os.Lstat(last.path); err == nil && c.pos != nil && c.pos.path == last.path && c.pos.offset == info.Size() {
			c.cur.end, c.cur.size = stamp(last), uint64(info.Size()) //nolint:gosec // no size is negative
			_ = c.save()                                             // else the next process looks again
		}
	}
	_ = c.file.Close() // every write to it was looked at
	o.chains = slices.DeleteFunc(o.chains, func(other *outChain) bool { return other == c })
	_ = o.settle(c.instance)
}
