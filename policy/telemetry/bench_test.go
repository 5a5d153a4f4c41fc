package telemetry

import (
	"net/http"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// BenchmarkGuard is one call and its answer through a guard without spans, with some that nobody keeps, and with some that are sent.
func BenchmarkGuard(b *testing.B) {
	c := newCollector(b)
	c.answer = func(http.ResponseWriter, *http.Request, int) bool { return true } // keeps nothing
	tel, _ := c.start(b, nil)
	b.Cleanup(func() { tel.Close(b.Context()) })
	for _, run := range []struct {
		name, flags string
		tracer      policy.Tracer
	}{{"off", "01", nil}, {"unsampled", "00", tel.Tracer(aLink())}, {"sampled", "01", tel.Tracer(aLink())}} {
		b.Run(run.name, func(b *testing.B) { benchmarkGuard(b, run.tracer, run.flags) })
	}
}

func benchmarkGuard(b *testing.B, tracer policy.Tracer, flags string) {
	off, dir := false, b.TempDir()
	log, err := audit.Open(audit.Options{Config: audit.Config{Enabled: &off}, DefaultDir: dir, StateDir: dir, Source: "wrap"})
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	engine, err := policy.Compile(policy.Config{DenyTools: []string{"rm"}})
	if err != nil {
		b.Fatal(err)
	}
	g, err := policy.NewGuard(policy.GuardOptions{Server: "s", Engine: engine, Log: log, Tracer: tracer, Handshaken: true})
	if err != nil {
		b.Fatal(err)
	}
	var s jsonrpc.Scanner
	var m jsonrpc.Message
	var out jsonrpc.Outbox
	step := func(judge func(*jsonrpc.Message, *jsonrpc.Outbox), raw []byte) {
		s.Scan(raw, &m)
		judge(&m, &out)
		g.Commit(&out)
		if len(out.ToClient)+len(out.ToServer) != 1 {
			b.Fatalf("%d to the client, %d to the server", len(out.ToClient), len(out.ToServer))
		}
		out.Reset()
	}
	call := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x"},"_meta":{"traceparent":"00-` + callersTrace + `-` + callersSpan + `-` + flags + `"}}}`)
	answer := []byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`)
	b.ReportAllocs()
	for b.Loop() {
		step(g.FromClient, call)
		step(g.FromServer, answer)
	}
}

// BenchmarkSpan is what a forwarded request costs in this package alone.
func BenchmarkSpan(b *testing.B) {
	c := newCollector(b)
	c.answer = func(http.ResponseWriter, *http.Request, int) bool { return true }
	tel, _ := c.start(b, nil)
	b.Cleanup(func() { tel.Close(b.Context()) })
	tracer := tel.Tracer(aLink())
	r := aCall()
	b.ReportAllocs()
	for b.Loop() {
		s := tracer.Begin(&r)
		s.Forward()
		s.End(policy.SpanEnd{Time: time.Now(), Outcome: "ok", Rule: "default"})
	}
}
