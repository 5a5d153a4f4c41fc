package hub

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/transport/sse"
)

// streamPatience is how long a client may take to read what is written to its stream.
const streamPatience = 10 * time.Second

// stream sends the bundle unless the client has it, and each that follows, until the client goes, its token is no longer valid,
// or the hub stops.
func (f *fleet) stream(w *recorder, r *http.Request, c *caller, key bundleKey) error {
	if !f.streams.take(c.Name) {
		return tooMany("too many streams are open")
	}
	defer f.streams.give(c.Name)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(f.hub.streams, cancel)()
	changed := f.changes.next()
	d, err := f.document(ctx, key)
	if err != nil {
		return stored(err, "")
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy that waits for more would keep a change from arriving
	w.WriteHeader(http.StatusOK)
	out := bundleStream{w: w}
	err = out.alive()
	if !tagged(r.Header, d.tag) {
		err = errors.Join(err, out.send(d))
	}
	out.last = d.tag
	beat := time.NewTicker(uplink.KeepAlive)
	defer beat.Stop()
	for err == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			changed = f.changes.next()
			if err = f.still(ctx, c, key.server); err == nil {
				err = f.update(ctx, &out, key)
			}
		case <-beat.C:
			if err = f.still(ctx, c, key.server); err == nil {
				err = out.alive()
			}
		}
	}
	f.log.Debug().Err(err).Str("client", c.Name).Str("server", key.server).Msg("a policy stream ends")
	return nil
}

// still returns an error unless the caller may have the stream for longer.
func (f *fleet) still(ctx context.Context, c *caller, server string) error {
	if c.secret == "" {
		return nil
	}
	now, err := f.holder(ctx, c.secret)
	if err != nil {
		return err
	}
	return now.about(server)
}

func (f *fleet) update(ctx context.Context, out *bundleStream, key bundleKey) error {
	d, err := f.document(ctx, key)
	if err != nil || d.tag == out.last {
		return err
	}
	out.last = d.tag
	return out.send(d)
}

// A bundleStream is one that a client reads.
type bundleStream struct {
	w    http.ResponseWriter
	last string // ETag of the bundle that the client has
	buf  []byte
}

func (s *bundleStream) send(d *document) error {
	s.buf = sse.Append(s.buf[:0], sse.Event{Type: uplink.EventBundle, ID: d.tag, HasID: true, Data: d.text})
	return s.write()
}

// alive writes a comment.
func (s *bundleStream) alive() error {
	s.buf = append(s.buf[:0], ":\n\n"...)
	return s.write()
}

func (s *bundleStream) write() error {
	out := http.NewResponseController(s.w)
	if err := out.SetWriteDeadline(time.Now().Add(streamPatience)); err != nil {
		return err
	}
	if _, err := s.w.Write(s.buf); err != nil {
		return err
	}
	if cap(s.buf) > 64<<10 {
		s.buf = nil
	}
	return out.Flush()
}
