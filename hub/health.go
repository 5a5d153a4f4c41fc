package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

const (
	// probeTimeout is how long a server may take to show that it is there.
	probeTimeout = 5 * time.Second
	// probeFresh is how long the result of a probe serves whoever asks: /health cannot be used to flood the servers.
	probeFresh = time.Second
)

// A checkup finds out how a server is. state is one word; an error is that it does not work. It must end with the context.
type checkup func(context.Context) (state string, err error)

// A prober knows how one server is. At most one checkup runs at a time, and everybody who asks meanwhile waits for it. It is
// safe for concurrent use.
type prober struct {
	check checkup
	log   zerolog.Logger

	ctx    context.Context // of the checkups: who asked first does not decide how long all others wait
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu     sync.Mutex
	latest *probe // guarded by mu
	ill    bool   // the last one found an error; guarded by mu
	closed bool   // guarded by mu
}

// A probe is one checkup and what it found.
type probe struct {
	done chan struct{} // closed when the rest is there

	at      time.Time // of the end
	latency time.Duration
	state   string
	problem string // for clients; "": healthy
}

func newProber(check checkup, log zerolog.Logger) *prober {
	ctx, cancel := context.WithCancel(context.Background())
	return &prober{check: check, log: log, ctx: ctx, cancel: cancel}
}

// close ends the checkup that runs, if there is one.
func (p *prober) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.all.Wait()
}

// health returns what the latest probe found. It starts one if the last is too old.
func (p *prober) health(ctx context.Context) probe {
	p.mu.Lock()
	q := p.latest
	switch {
	case p.closed:
		p.mu.Unlock()
		return probe{state: "stopped", problem: "the server is no longer served"}
	case q == nil || q.finished() && time.Since(q.at) >= probeFresh:
		q = &probe{done: make(chan struct{})}
		p.latest = q
		p.all.Go(func() { p.run(q) })
	}
	p.mu.Unlock()
	select {
	case <-q.done:
		return *q
	case <-ctx.Done():
		return probe{state: "unknown", problem: "nobody waited for the answer"}
	}
}

func (q *probe) finished() bool {
	select {
	case <-q.done:
		return true
	default:
		return false
	}
}

func (p *prober) run(q *probe) {
	ctx, cancel := context.WithTimeout(p.ctx, probeTimeout)
	defer cancel()
	began := time.Now()
	state, err := p.check(ctx)
	q.at, q.state = time.Now(), state
	q.latency = q.at.Sub(began)
	if err != nil {
		q.problem = publicProblem(err)
	}
	p.mu.Lock()
	recovered := p.ill && err == nil
	fell := !p.ill && err != nil && !p.closed
	p.ill = err != nil
	p.mu.Unlock()
	switch {
	case fell:
		p.log.Warn().Err(err).Msg("server is unhealthy")
	case recovered:
		p.log.Info().Msg("server is healthy again")
	}
	close(q.done)
}

// publicProblem says what is wrong without the addresses and paths that an error holds.
func publicProblem(err error) string {
	var failure *transport.Failure
	switch {
	case errors.As(err, &failure) && failure.Status != 0:
		return fmt.Sprintf("%s (status %d)", failure.Public(), failure.Status)
	case failure != nil:
		return failure.Public()
	case errors.Is(err, context.DeadlineExceeded):
		return "server did not answer in time"
	}
	return "server failed"
}

// A patient is a server as /health shows it.
type patient struct {
	server *Server
	prober *prober
}

// serveHealth answers GET /health: it looks at every server, all at once.
func serveHealth(w http.ResponseWriter, r *http.Request, patients []patient) {
	found := make([]probe, len(patients))
	var all sync.WaitGroup
	for i, p := range patients {
		all.Go(func() { found[i] = p.prober.health(r.Context()) })
	}
	all.Wait()
	down := 0
	for _, q := range found {
		if q.problem != "" {
			down++
		}
	}
	verdict, status := "healthy", http.StatusOK
	switch {
	case down == 0:
	case down < len(patients):
		verdict = "degraded"
	default:
		verdict, status = "unhealthy", http.StatusServiceUnavailable
	}
	b := append([]byte(nil), `{"status":"`...)
	b = append(append(b, verdict...), `","servers":[`...)
	for i, p := range patients {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPatient(b, p.server, &found[i])
	}
	writeJSON(w, status, append(b, "]}"...))
}

func appendPatient(b []byte, s *Server, q *probe) []byte {
	b = append(b, `{"name":`...)
	b = jsonrpc.AppendString(b, s.Name)
	b = append(b, `,"healthy":`...)
	b = strconv.AppendBool(b, q.problem == "")
	b = append(b, `,"state":`...)
	b = jsonrpc.AppendString(b, q.state)
	b = append(b, `,"latency_ms":`...)
	b = strconv.AppendInt(b, q.latency.Round(time.Millisecond).Milliseconds(), 10)
	b = append(b, `,"error":`...)
	b = jsonrpc.AppendString(b, q.problem)
	b = append(b, `,"policy":`...)
	return append(appendPolicy(b, &s.Policy), '}')
}

// serveAlive answers GET /healthz: the process runs.
func serveAlive(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, []byte(`{"status":"ok"}`))
}

// serveReady answers GET /readyz. missing says in public words what requests would have to wait for, "" for nothing.
func serveReady(w http.ResponseWriter, missing string) {
	if missing == "" {
		writeJSON(w, http.StatusOK, []byte(`{"status":"ok"}`))
		return
	}
	b := jsonrpc.AppendString([]byte(`{"status":"unavailable","error":`), missing)
	writeJSON(w, http.StatusServiceUnavailable, append(b, '}'))
}
