package policy_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// BenchmarkGuard is one call and its answer through everything: rules and pins, with the audit file and without.
func BenchmarkGuard(b *testing.B) {
	on, off := true, false
	b.Run("audit", func(b *testing.B) { benchmarkGuard(b, &on) })
	b.Run("noaudit", func(b *testing.B) { benchmarkGuard(b, &off) })
}

func benchmarkGuard(b *testing.B, audited *bool) {
	dir := b.TempDir()
	log, err := audit.Open(audit.Options{Config: audit.Config{Enabled: audited}, DefaultDir: filepath.Join(dir, "audit"), StateDir: dir, Source: "wrap"})
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	file, err := integrity.Open(filepath.Join(dir, "mcpx.lock"))
	if err != nil {
		b.Fatal(err)
	}
	engine, err := policy.Compile(policy.Config{DenyTools: []string{"rm"}, AllowTools: []string{"echo", "list_*"}})
	if err != nil {
		b.Fatal(err)
	}
	g, err := policy.NewGuard(policy.GuardOptions{Server: "s", Engine: engine, Log: log, Pins: file.Server("s", integrity.Config{})})
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
		for _, work := range out.After {
			work()
		}
		out.Reset()
	}
	step(g.FromClient, []byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`))
	step(g.FromServer, []byte(`{"jsonrpc":"2.0","id":1,"result":{}}`))
	step(g.FromClient, []byte(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`))
	step(g.FromServer, []byte(`{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"echo"}]}}`))
	for _, size := range []int{200, 10_000, 1_000_000} {
		text := strings.Repeat("x", size)
		call := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":100000001,"method":"tools/call","params":{"name":"echo","arguments":{"text":"%s"}}}`, text)
		answer := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":100000001,"result":{"content":[{"type":"text","text":"%s"}]}}`, text)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(call) + len(answer)))
			for b.Loop() {
				step(g.FromClient, call)
				step(g.FromServer, answer)
			}
		})
	}
}
