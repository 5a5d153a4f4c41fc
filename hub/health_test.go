package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

func wellAfter(d time.Duration) checkup {
	return func(ctx context.Context) (string, error) {
		select {
		case <-time.After(d):
			return stateUp, nil
		case <-ctx.Done():
			return "down", ctx.Err()
		}
	}
}

func TestOneProbeServesAllWhoAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := 0
		p := newProber(func(ctx context.Context) (string, error) {
			checks++
			return wellAfter(100 * time.Millisecond)(ctx)
		}, zerolog.Nop())
		defer p.close()
		askAll := func(want int) {
			t.Helper()
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					if got := p.health(t.Context()); got.problem != "" || got.state != stateUp || got.latency != 100*time.Millisecond {
						t.Errorf("got %+v", got)
					}
				})
			}
			all.Wait()
			if checks != want {
				t.Errorf("%d probes, want %d", checks, want)
			}
		}
		askAll(1)
		<-time.After(probeFresh - time.Millisecond)
		askAll(1) // what was found a moment ago
		<-time.After(time.Millisecond)
		askAll(2)
	})
}

func TestAProbeEndsInTimeAndNobodyWaitsForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProber(wellAfter(time.Hour), zerolog.Nop())
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if got := p.health(impatient); got.problem == "" || time.Since(began) != time.Second {
			t.Errorf("who waits for a second got %+v after %v", got, time.Since(began))
		}
		if got := p.health(t.Context()); got.problem != "server did not answer in time" || time.Since(began) != probeTimeout {
			t.Errorf("got %+v after %v", got, time.Since(began))
		}
		<-time.After(2 * time.Second)
		go func() {
			<-time.After(time.Second)
			p.close()
		}()
		began = time.Now()
		if got := p.health(t.Context()); got.problem == "" || time.Since(began) != time.Second {
			t.Errorf("while it was closed: got %+v after %v", got, time.Since(began))
		}
		if got := p.health(t.Context()); got.problem == "" {
			t.Errorf("after it was closed: got %+v", got)
		}
	})
}

func TestAChangeOfHealthIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		err := error(&transport.Failure{Cause: transport.Unreachable, Err: errors.New("dial tcp 10.9.8.7:1: refused")})
		p := newProber(func(context.Context) (string, error) { return "down", err }, zerolog.New(&log))
		defer p.close()
		for range 3 {
			if got := p.health(t.Context()).problem; got != "server unreachable" {
				t.Errorf("clients read %q", got)
			}
			<-time.After(2 * probeFresh)
		}
		err = nil
		p.health(t.Context())
		if down, up := log.count("10.9.8.7"), log.count("healthy again"); down != 1 || up != 1 {
			t.Errorf("logged %d and %d times, want once each", down, up)
		}
	})
}

func TestHealthPage(t *testing.T) {
	well := func() (string, error) { return stateUp, nil }
	idle := func() (string, error) { return "idle", nil }
	down := func() (string, error) { return "down", &transport.Failure{Cause: transport.Refused, Status: 503} }
	odd := func() (string, error) { return "failed", errors.New("fork/exec /home/me/secret: no such file") }
	for _, tt := range []struct {
		name   string
		checks []func() (string, error)
		status int
		want   string
	}{
		{"all well", []func() (string, error){well, idle}, 200, "healthy up: idle:"},
		{"some down", []func() (string, error){well, down}, 200, "degraded up: down:server refused the request (status 503)"},
		{"all down", []func() (string, error){down, odd}, 503, "unhealthy down:server refused the request (status 503) failed:server failed"},
		{"no servers", nil, 200, "healthy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var patients []patient
			for i, check := range tt.checks {
				p := newProber(func(context.Context) (string, error) { return check() }, zerolog.Nop())
				defer p.close()
				patients = append(patients, patient{&Server{Name: fmt.Sprint("s", i), Policy: policy.Config{ReadOnly: true, DenyTools: []string{"x", "y"}}}, p})
			}
			w := httptest.NewRecorder()
			serveHealth(w, httptest.NewRequest("GET", "/health", nil), patients)
			var page struct {
				Status  string
				Servers []struct {
					Name, State, Error string
					Healthy            bool
					Latency            *int `json:"latency_ms"`
					Policy             struct {
						ReadOnly  bool `json:"read_only"`
						DenyTools int  `json:"deny_tools"`
					}
				}
			}
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
				t.Fatalf("%v in %s", err, w.Body)
			}
			got := page.Status
			for i, s := range page.Servers {
				got += " " + s.State + ":" + s.Error
				if s.Name != fmt.Sprint("s", i) || s.Healthy != (s.Error == "") || s.Latency == nil || !s.Policy.ReadOnly || s.Policy.DenyTools != 2 {
					t.Errorf("server %d: %+v", i, s)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || w.Code != tt.status {
				t.Errorf("status %d (-want +got):\n%s", w.Code, diff)
			}
		})
	}
}

func TestReadyAndAlive(t *testing.T) {
	w := httptest.NewRecorder()
	serveAlive(w, nil)
	if w.Code != 200 || w.Body.String() != "{\"status\":\"ok\"}\n" {
		t.Errorf("alive: %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	serveReady(w, "")
	if w.Code != 200 || w.Body.String() != "{\"status\":\"ok\"}\n" {
		t.Errorf("ready: %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	serveReady(w, "no keys")
	if w.Code != 503 || w.Body.String() != "{\"status\":\"unavailable\",\"error\":\"no keys\"}\n" {
		t.Errorf("not ready: %d %s", w.Code, w.Body)
	}
}

func TestListingHoldsNoSecrets(t *testing.T) {
	w := httptest.NewRecorder()
	serveListing(w, []Server{
		{Name: "remote", Transport: "http", URL: "https://user:SECRET@host:8443/mcp/v1/sk4f9s8SECRET00x/x?key=SECRET#SECRET",
			Headers: map[string]string{"Authorization": "SECRET"}, Policy: policy.Config{AllowTools: []string{"SECRET"}}},
		{Name: "child", Transport: "stdio", Command: "/home/SECRET/bin/npx", Args: []string{"SECRET"}, Env: map[string]string{"A": "SECRET"},
			Workdir: "/SECRET", Isolation: PerClient},
		{Name: "windows", Transport: "stdio", Command: `C:\SECRET\server.exe`, Isolation: Shared},
	})
	if strings.Contains(w.Body.String(), "SECRET") {
		t.Errorf("a secret in %s", w.Body)
	}
	var page struct{ Servers []map[string]any }
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{
		{"name": "remote", "transport": "http", "url": "https://host:8443/mcp/v1/***/x"},
		{"name": "child", "transport": "stdio", "command": "npx", "isolation": "client"},
		{"name": "windows", "transport": "stdio", "command": "server.exe", "isolation": "shared"},
	}
	for _, s := range page.Servers {
		if _, ok := s["policy"].(map[string]any); !ok {
			t.Errorf("policy of %v", s["name"])
		}
		delete(s, "policy")
	}
	if diff := cmp.Diff(want, page.Servers); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
}

func TestProbeFindsTheEra(t *testing.T) {
	refused := func(status int) error { return failed(transport.Refused, status) }
	legacyError := errors.New("method not found") // as a JSON-RPC error
	for _, tt := range []struct {
		name                 string
		discover, initialize error // nil: a result
		state                string
		problem              string
		asked                string // in three probes
	}{
		{"modern", nil, nil, stateUp, "", "server/discover server/discover server/discover"},
		{"legacy that does not know the method", legacyError, nil, stateUp, "", "server/discover initialize initialize initialize"},
		{"legacy that wants a session", refused(400), nil, stateUp, "", "server/discover initialize initialize initialize"},
		{"legacy that gives no message", failed(transport.BadAnswer, 200), nil, stateUp, "", "server/discover initialize initialize initialize"},
		{"wants a credential", refused(401), nil, stateReachable, "", "server/discover server/discover server/discover"},
		{"forbidden", refused(403), nil, stateReachable, "", "server/discover server/discover server/discover"},
		{"nothing there", refused(404), refused(404), stateReachable, "",
			"server/discover initialize server/discover initialize server/discover initialize"},
		{"answers errors only", legacyError, legacyError, stateReachable, "",
			"server/discover initialize server/discover initialize server/discover initialize"},
		{"no MCP", failed(transport.BadAnswer, 200), failed(transport.BadAnswer, 200), "down", "server gave an invalid answer (status 200)",
			"server/discover initialize server/discover initialize server/discover initialize"},
		{"outage", refused(502), nil, "down", "server refused the request (status 502)", "server/discover server/discover server/discover"},
		{"no connection", failed(transport.Unreachable, 0), nil, "down", "server unreachable", "server/discover server/discover server/discover"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked []string
			closed := 0
			check := askOverNetwork(func() (transport.Upstream, error) {
				s := &scripted{}
				s.call = func(_ context.Context, m *jsonrpc.Message, yield transport.Yield) error {
					asked = append(asked, m.Method)
					err := tt.discover
					if m.Method == "initialize" {
						err = tt.initialize
					}
					switch {
					case err == nil:
						return yield(transport.Arrival{Message: jsonrpc.NewResult(m.ID, []byte(`{}`))})
					case errors.Is(err, legacyError):
						return yield(transport.Arrival{Message: jsonrpc.NewError(m.ID, jsonrpc.MethodNotFound, "no", nil)})
					}
					return err
				}
				return &closeCounter{s, &closed}, nil
			}, "1.2.3")
			for range 3 {
				state, err := check(t.Context())
				problem := ""
				if err != nil {
					problem = publicProblem(err)
				}
				if state != tt.state || problem != tt.problem {
					t.Errorf("got %s, %q, want %s, %q", state, problem, tt.state, tt.problem)
				}
			}
			if got := strings.Join(asked, " "); got != tt.asked {
				t.Errorf("asked %s, want %s", got, tt.asked)
			}
			if closed != len(asked) {
				t.Errorf("%d of %d sessions ended", closed, len(asked))
			}
		})
	}
}

type closeCounter struct {
	*scripted
	closed *int
}

func (c *closeCounter) Close() error {
	*c.closed++
	return nil
}

func TestAServerThatChangesItsEraIsFoundAgain(t *testing.T) {
	legacy := true
	check := askOverNetwork(func() (transport.Upstream, error) {
		return &scripted{call: func(_ context.Context, m *jsonrpc.Message, yield transport.Yield) error {
			if (m.Method == "initialize") != legacy {
				return failed(transport.Refused, 404)
			}
			return yield(transport.Arrival{Message: jsonrpc.NewResult(m.ID, []byte(`{}`))})
		}}, nil
	}, "1")
	for _, legacy = range []bool{true, true, false, false, true} {
		if state, err := check(t.Context()); state != stateUp || err != nil {
			t.Errorf("legacy %v: %s, %v", legacy, state, err)
		}
	}
}
