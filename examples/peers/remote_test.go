package peers_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A remoteDialer connects a client to a URL.
type remoteDialer func(ctx context.Context, url string, over *http.Client, version string, notify func(any)) (session, error)

var remoteClients = map[string]remoteDialer{"go-sdk": reachSDK, "mcp-go": reachMCPGo}

func reachSDK(ctx context.Context, url string, over *http.Client, version string, notify func(any)) (session, error) {
	return connectSDK(ctx, &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: over}, version, notify)
}

// reachMCPGo listens to what a server says unasked where that has a stream of its own: told to, this client speaks no
// revision without sessions.
func reachMCPGo(ctx context.Context, url string, over *http.Client, version string, notify func(any)) (session, error) {
	options := []transport.StreamableHTTPCOption{transport.WithHTTPBasicClient(over), transport.WithHTTPLogger(slog.New(slog.DiscardHandler))}
	if version == legacy {
		options = append(options, transport.WithContinuousListening())
	}
	t, err := transport.NewStreamableHTTP(url, options...)
	if err != nil {
		return nil, err
	}
	return connectMCPGo(ctx, t, version, notify)
}

// TestClientsSeeTheSameOfARemoteServer: what a client sees of an HTTP server by itself, it sees over stdio through
// mcpx wrap --url.
func TestClientsSeeTheSameOfARemoteServer(t *testing.T) {
	mcpx, everything := build(t, "./cmd/mcpx"), build(t, "github.com/modelcontextprotocol/go-sdk/conformance/everything-server")
	for _, remote := range []struct {
		name, version, stateless string
	}{
		{"with sessions", legacy, "false"},
		{"stateless", modern, "true"},
	} {
		url := startRemote(t, everything, "-stateless="+remote.stateless)
		for name, reach := range remoteClients {
			t.Run(name+" "+remote.name, func(t *testing.T) {
				t.Parallel()
				talk := func(dial func(ctx context.Context, notify func(any)) (session, error)) transcript {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					defer cancel()
					notes := make(chan any, 64)
					s, err := dial(ctx, func(note any) { notes <- note })
					if err != nil {
						t.Fatal(err)
					}
					c := &conversation{session: s, ctx: ctx, version: remote.version, notes: notes}
					c.seen.note("hello", s.hello(), nil)
					talkToGo(c)
					if err := s.close(); err != nil {
						t.Errorf("close: %v", err)
					}
					return c.seen
				}
				wrapped := talk(func(ctx context.Context, notify func(any)) (session, error) {
					command := exec.CommandContext(ctx, mcpx, "wrap", "--url", url)
					command.Env = append(os.Environ(), "MCPX_CONFIG=", "MCPX_STATE_DIR="+t.TempDir())
					return clients[name](ctx, command, remote.version, notify)
				})
				if failed := wrapped.failed("nowhere"); len(failed) > 0 {
					t.Errorf("the conversation fails: %v", failed)
				}
				direct := talk(func(ctx context.Context, notify func(any)) (session, error) {
					return reach(ctx, url, http.DefaultClient, remote.version, notify)
				})
				if diff := cmp.Diff(direct, wrapped, failuresAlone); diff != "" {
					t.Errorf("through wrap the client sees another thing (-direct +wrapped):\n%s", diff)
				}
			})
		}
	}
}

// failuresAlone compares whether steps fail, not with which words: clients say what HTTP had to do with it.
var failuresAlone = cmp.Transformer("", func(s step) [3]any { return [3]any{s.Name, s.Value, s.Error != ""} })

// startRemote starts a server on a free port and waits until it listens.
func startRemote(t *testing.T, program string, args ...string) (url string) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, append(args, "-http", address)...)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-tick.C {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return "http://" + address + "/mcp"
		}
	}
	t.Fatalf("%s does not listen at %s", program, address)
	return ""
}
