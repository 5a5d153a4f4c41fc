package stdio

import (
	"testing"
)

// BenchmarkStart is what a session pays before its server runs, and the way back.
func BenchmarkStart(b *testing.B) {
	l, err := prepare(Command{Args: []string{"true"}})
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name   string
		launch func(launch) (process, error)
	}{
		{"guarded", func(l launch) (process, error) { s := newStarter(l.args, l.files); return s.start(l) }},
		{"plain", func(l launch) (process, error) { return startGroup(l) }},
	} {
		run := func(b *testing.B, whole bool) {
			b.ReportAllocs()
			for b.Loop() {
				e, err := openEnds(false)
				if err != nil {
					b.Fatal(err)
				}
				l.files = e.child
				p, err := bench.launch(l)
				if err != nil {
					b.Fatal(err)
				}
				e.started()
				if !whole {
					b.StopTimer()
				}
				p.wait()
				p.sweep()
				e.close()
				if !whole {
					b.StartTimer()
				}
			}
		}
		b.Run(bench.name+"/start", func(b *testing.B) { run(b, false) })
		b.Run(bench.name+"/whole", func(b *testing.B) { run(b, true) })
	}
}
