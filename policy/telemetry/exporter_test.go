package telemetry

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/rohitgs28/mcpx/policy"
)

// calls makes so many spans.
func calls(tel *Telemetry, n int) {
	tracer := tel.Tracer(aLink())
	for range n {
		r := aCall()
		tracer.Begin(&r).End(policy.SpanEnd{Time: time.Now(), Outcome: "ok"})
	}
}

func tracesOnly(p *Plan) { p.metrics = target{} }

func TestExport(t *testing.T) {
	t.Parallel()
	status := func(code int, headers ...string) func(http.ResponseWriter, *http.Request, int) bool {
		return func(w http.ResponseWriter, _ *http.Request, n int) bool {
			if n > 1 {
				return false
			}
			for _, h := range headers {
				name, value, _ := strings.Cut(h, ":")
				w.Header().Set(name, value)
			}
			w.WriteHeader(code)
			return true
		}
	}
	for _, row := range []struct {
		name     string
		answer   func(http.ResponseWriter, *http.Request, int) bool
		requests int // while it runs, not at its end
		spans    int
		warning  string
	}{
		{"taken", nil, 1, 2, ""},
		{"unavailable for a moment", status(503), 2, 2, ""},
		{"too many, for a moment", status(429, "Retry-After:0"), 2, 2, ""},
		{"a gateway without a backend, for a moment", status(502), 2, 2, ""},
		{"refused", status(400), 1, 0, "the collector answers 400"},
		{"not allowed", status(401), 1, 0, "the collector answers 401"},
		{"a fault inside is none that passes", status(500), 1, 0, "the collector answers 500"},
		{"a redirect", status(307, "Location:/elsewhere"), 1, 0, "the collector answers 307"},
		{"always unavailable", func(w http.ResponseWriter, _ *http.Request, _ int) bool { w.WriteHeader(503); return true }, maxAttempts, 0, "the collector answers 503"},
		{"come back in a year", status(503, "Retry-After:31536000"), 1, 0, "the collector answers 503"},
		{"an answer that is no message", func(w http.ResponseWriter, _ *http.Request, _ int) bool { _, _ = w.Write([]byte("OK")); return true }, 1, 0, ""},
		{"part of it", func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			text, _ := proto.Marshal(&collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: 1, ErrorMessage: "too old\x1b[2J"}})
			_, _ = w.Write(text)
			return true
		}, 1, 0, `refused 1 of 2 spans: "too old\x1b[2J"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t)
			c.answer = row.answer
			tel, said := c.start(t, tracesOnly)
			calls(tel, 2)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := tel.provider.ForceFlush(ctx); err != nil {
				t.Error(err)
			}
			c.mu.Lock()
			if len(c.requests) != row.requests || len(c.spans) != row.spans {
				t.Errorf("%d requests, %d spans taken, want %d and %d", len(c.requests), len(c.spans), row.requests, row.spans)
			}
			for _, r := range c.requests {
				if r.URL.Path != "/v1/traces" || r.Header.Get("User-Agent") != "mcpx/1.2.3" || r.Header.Get("Content-Encoding") != "gzip" {
					t.Errorf("%s with %v", r.URL, r.Header)
				}
			}
			c.mu.Unlock()
			shut(t, tel)
			if all := strings.Join(said.warnings, "\n"); row.warning == "" && all != "" || !strings.Contains(all, row.warning) {
				t.Errorf("said %q, want %q", all, row.warning)
			}
		})
	}
}

func TestResource(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,mcpx.mode=mine,service.name=less")
	t.Setenv("OTEL_SERVICE_NAME", "gate")
	c := newCollector(t)
	tel, said := c.start(t, tracesOnly)
	calls(tel, 1)
	shut(t, tel)
	delete(c.about, "process.pid")
	delete(c.about, "host.name")
	delete(c.about, "telemetry.sdk.version")
	want := map[string]string{
		"service.name": "gate", "service.version": "1.2.3", "service.instance.id": "me", "mcpx.mode": "mine",
		"deployment.environment.name": "test", "telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "go",
	}
	if diff := cmp.Diff(want, c.about); diff != "" || len(said.warnings) > 0 {
		t.Errorf("(-want +got)\n%s%q", diff, said.warnings)
	}
}

func TestHeadersAndCertificates(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	var theirs atomic.Pointer[http.Header]
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		theirs.Store(&r.Header)
	}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c := newCollector(t)
	c.URL = server.URL
	run := func(file string) *said {
		tel, said := c.start(t, func(p *Plan) {
			tracesOnly(p)
			p.traces.headers, p.traces.authority = map[string]string{"Authorization": "Bearer x"}, file
		})
		calls(tel, 1)
		shut(t, tel)
		return said
	}
	if said := run(authority); len(said.warnings) > 0 || asked.Load() != 1 || theirs.Load().Get("Authorization") != "Bearer x" {
		t.Errorf("with the authority: %d requests, said %q", asked.Load(), said.warnings)
	}
	if said := run(""); asked.Load() != 1 || len(said.warnings) != 2 || !strings.Contains(said.warnings[0], "certificate") {
		t.Errorf("without: %d requests, said %q", asked.Load(), said.warnings)
	}
	for _, bad := range []string{filepath.Join(t.TempDir(), "none"), os.Args[0]} {
		p := Plan{traces: target{url: server.URL, authority: bad, timeout: time.Second}}
		if tel, err := Start(p, Options{Warn: func(string, error) {}, Debug: func(string, error) {}}); err == nil || tel != nil {
			t.Errorf("%q is an authority", bad)
		}
	}
}

// A collector that says nothing delays the end no longer than it may, and what is lost is counted.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	defer close(release)
	c := newCollector(t)
	c.URL = server.URL
	tel, said := c.start(t, nil)
	calls(tel, 5)
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	tel.Close(ctx)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	said.mu.Lock()
	defer said.mu.Unlock()
	if all := strings.Join(said.warnings, "\n"); !strings.Contains(all, "5 of 5 spans did not reach the collector") {
		t.Errorf("said %q", all)
	}
}

// While a collector is away it is one line that says so, however much there is to send; and the end does not wait for it.
func TestCollectorThatIsDown(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	c.Close()
	tel, said := c.start(t, tracesOnly)
	for range 3 {
		calls(tel, 3000) // more than the queue takes
		_ = tel.provider.ForceFlush(t.Context())
	}
	calls(tel, 1)
	began := time.Now()
	shut(t, tel)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the end took %v", took)
	}
	if len(said.warnings) != 2 || !strings.Contains(said.warnings[1], "9001 of 9001 spans") {
		t.Errorf("said %q", said.warnings)
	}
}

// What sends nothing runs nothing.
func TestNothingRunsWithoutAPlan(t *testing.T) {
	tel, err := Start(Plan{}, Options{Warn: func(text string, err error) { t.Error(text, err) }, Debug: func(string, error) {}})
	if err != nil {
		t.Fatal(err)
	}
	calls(tel, 100)
	var b strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&b, 2); err != nil || strings.Contains(b.String(), "go.opentelemetry.io") {
		t.Errorf("%v\n%s", err, b.String())
	}
	shut(t, tel)
}
