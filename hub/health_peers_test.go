package hub

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	mcpgo "github.com/mark3labs/mcp-go/server"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/rohitgs28/mcpx/transport/streamable"
)

func TestProbeOfRealServers(t *testing.T) {
	sdk := func(opt *mcp.StreamableHTTPOptions) http.Handler {
		s := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
		return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, opt)
	}
	status := func(code int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	for _, tt := range []struct {
		name    string
		handler http.Handler
		state   string
		problem string
	}{
		{"go-sdk with sessions", sdk(nil), stateUp, ""},
		{"go-sdk without sessions", sdk(&mcp.StreamableHTTPOptions{Stateless: true}), stateUp, ""},
		{"mcp-go with sessions", mcpgo.NewStreamableHTTPServer(mcpgo.NewMCPServer("s", "1")), stateUp, ""},
		{"mcp-go without sessions", mcpgo.NewStreamableHTTPServer(mcpgo.NewMCPServer("s", "1"), mcpgo.WithStateLess(true)), stateUp, ""},
		{"wants a credential", status(401), stateReachable, ""},
		{"another path", status(404), stateReachable, ""},
		{"broken", status(500), "down", "server refused the request (status 500)"},
		{"no MCP at all", status(200), "down", "server gave an invalid answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var opened, ended atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tt.handler.ServeHTTP(w, r)
				if r.Method == http.MethodPost && w.Header().Get("Mcp-Session-Id") != "" && r.Header.Get("Mcp-Session-Id") == "" {
					opened.Add(1)
				}
				if r.Method == http.MethodDelete {
					ended.Add(1)
				}
			}))
			defer srv.Close()
			pool, err := streamable.NewPool(streamable.ClientOptions{URL: srv.URL})
			if err != nil {
				t.Fatal(err)
			}
			remote := newRemote(pool, "test")
			defer remote.close()
			for range 2 {
				state, err := remote.check(t.Context())
				problem := ""
				if err != nil {
					problem = publicProblem(err)
				}
				if state != tt.state || problem != tt.problem {
					t.Errorf("got %s, %q (%v), want %s, %q", state, problem, err, tt.state, tt.problem)
				}
			}
			for deadline := time.Now().Add(5 * time.Second); ended.Load() < opened.Load() && time.Now().Before(deadline); {
				select {
				case <-t.Context().Done():
				case <-time.After(10 * time.Millisecond):
				}
			}
			if ended.Load() < opened.Load() {
				t.Errorf("%d sessions opened, %d ended", opened.Load(), ended.Load())
			}
		})
	}
}
