package uplink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/rohitgs28/mcpx/transport/sse"
)

// EventBundle is the type of the events of PathPolicy: the data is the document, the id its ETag. A reader passes over others.
const EventBundle = "bundle"

const mediaStream = "text/event-stream"

var (
	errSilent = errors.New("the hub is silent")
	errClosed = errors.New("the hub closed the stream")
)

// Watch gets the signed bundle of a server now, unless it is still the one with this ETag, and whenever it changes, until ctx
// ends, the hub closes the stream or is silent for too long. It always returns an error. got may keep the document.
func (c *Client) Watch(ctx context.Context, server, etag string, got func(document []byte, etag string)) error {
	const what = "watch policy"
	path, err := under(PathPolicy, server)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	header := http.Header{"Accept": {mediaStream}, "Cache-Control": {"no-store"}}
	if etag != "" {
		header.Set("If-None-Match", etag)
	}
	quiet := time.AfterFunc(c.silence, func() { end(fmt.Errorf("%w for over %v", errSilent, c.silence)) })
	defer quiet.Stop()
	response, err := c.do(ctx, what, request{method: http.MethodGet, path: path, header: header})
	if err != nil {
		return causeOf(ctx, what, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return causeOf(ctx, what, fmt.Errorf("%s: %w", what, refusal(response)))
	}
	if kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind != mediaStream {
		return fmt.Errorf("%s: the hub answered with %q, which is no event stream", what, visible(kind))
	}
	body := &watched{src: response.Body, quiet: quiet, silence: c.silence}
	return causeOf(ctx, what, readStream(sse.NewReader(body, MaxDocument), got))
}

// causeOf prefers the reason why we ended a call to what that did to it.
func causeOf(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	return err
}

func readStream(stream *sse.Reader, got func(document []byte, etag string)) error {
	for {
		e, err := stream.Next()
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("watch policy: %w", errClosed)
		case err != nil:
			return fmt.Errorf("watch policy: %w", err)
		case e.Type != EventBundle:
			continue
		case len(e.Data) == 0 || !e.HasID:
			return errors.New("watch policy: the hub sent a bundle without its document or ETag")
		}
		got(bytes.Clone(e.Data), e.ID)
	}
}

// A watched body ends its stream when a read brings nothing for too long. The time between reads is ours, not the hub's.
type watched struct {
	src     io.Reader
	quiet   *time.Timer
	silence time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	w.quiet.Reset(w.silence)
	n, err := w.src.Read(p)
	w.quiet.Stop()
	return n, err
}
