package mock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/server"
)

// Path is where a [Handler] is served.
const Path = "/mcp"

const (
	readTimeout  = 10 * time.Second // for the head of a request
	drainTimeout = 2 * time.Second
)

// ServeHTTP serves a [Handler] on a listener until ctx is done.
func ServeHTTP(ctx context.Context, listener net.Listener, control string) error {
	mux := http.NewServeMux()
	mux.Handle(Path, Handler(control))
	web := &http.Server{Handler: mux, ReadHeaderTimeout: readTimeout}
	done := make(chan error, 1)
	go func() { done <- web.Serve(listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := web.Shutdown(drain); err != nil {
		_ = web.Close() // streams that nobody ends
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}

// Handler speaks MCP over Streamable HTTP, with sessions and without. Before every request it looks at the control
// file, as [Serve] does; all clients see the same definitions.
func Handler(control string) http.Handler {
	s := newServer()
	h := &handler{server: s, next: server.NewStreamableHTTPServer(s, server.WithEndpointPath(Path)), control: control, shown: wanted(control)}
	define(s, h.shown)
	return h
}

type handler struct {
	server  *server.MCPServer
	next    http.Handler
	control string

	mu    sync.Mutex
	shown Mutation // guarded by mu
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.obey()
	h.next.ServeHTTP(w, r)
}

func (h *handler) obey() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := wanted(h.control); m != h.shown {
		h.shown = m
		define(h.server, m)
	}
}
