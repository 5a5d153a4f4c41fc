package store

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/integrity/audit"
)

// childPath tells the test binary to append to the store that it names until it is killed.
const childPath = "MCPX_TEST_STORE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		if err := childAppends(path, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// childAppends reads the name of its chain and goes on with it from seq 1, several batches at once, and says what was
// acknowledged. It gives up when its parent is gone.
func childAppends(path string, in io.Reader, out io.Writer) error {
	name, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return err
	}
	s, err := Open(context.Background(), Options{Path: path})
	if err != nil {
		return err
	}
	defer s.Close()
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			chain := fmt.Sprint(strings.TrimSpace(name), "-", i)
			var w chainWriter
			for {
				a, err := s.Append(context.Background(), Batch{Principal: "ada", Chain: chain, Lines: w.lines(1 + i*20)}, nil)
				if err != nil {
					return
				}
				mu.Lock()
				_, err = fmt.Fprintln(out, chain, a.Acked)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return nil
}

// startChild starts a process that appends, and returns what it has said of each chain so far, after it was killed.
func startChild(t *testing.T, path, name string) (kill func() map[string]uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childPath+"="+path)
	cmd.Stdin = strings.NewReader(name + "\n")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked := map[string]uint64{}
	begun, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(out)
		for first := true; lines.Scan(); first = false {
			var chain string
			var n uint64
			if _, err := fmt.Sscan(lines.Text(), &chain, &n); err == nil {
				acked[chain] = n
			}
			if first {
				close(begun)
			}
		}
	}()
	select {
	case <-begun:
	case <-time.After(20 * time.Second):
		t.Error("the child does not append")
	}
	return func() map[string]uint64 {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
		return acked
	}
}

// Processes that append to one file are killed at any moment, while another one goes on: nothing that was acknowledged is lost,
// nothing is half stored, and the figures are those of the events.
func TestKilledProcessesLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	s := openStore(t, Options{Path: path})
	var w chainWriter
	own := int64(0)
	acked := map[string]uint64{}
	for round := range 5 {
		kill := startChild(t, path, fmt.Sprint("child-", round))
		for until := time.Now().Add(time.Duration(rand.IntN(150)) * time.Millisecond); time.Now().Before(until); own += 10 {
			if _, err := s.Append(t.Context(), Batch{Principal: "ada", Chain: "own", Lines: w.lines(10)}, nil); err != nil {
				t.Fatal(err)
			}
		}
		maps.Copy(acked, kill())
	}
	acked["own"] = uint64(own)
	fleet, err := s.Fleet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want Figures
	outcomes := int64(0)
	for _, c := range fleet.Chains {
		n := int64(c.Seq)
		want.Calls, want.Denied, outcomes = want.Calls+(n+1)/2, want.Denied+(n+19)/20, outcomes+n/2 // see chainWriter
		if c.Seq < acked[c.Chain] || c.Events != int64(c.Seq) || c.Problems > 0 {
			t.Errorf("%s: %d events up to %d, %d problems; acknowledged were %d", c.Chain, c.Events, c.Seq, c.Problems, acked[c.Chain])
		}
		delete(acked, c.Chain)
	}
	if len(acked) > 0 {
		t.Errorf("chains are lost: %v", acked)
	}
	sound(t, s, fleet.Events)
	now := time.Now()
	counted, err := s.Series(t.Context(), Name{}, Span{Since: now.Add(-24 * time.Hour), Until: now.Add(24 * time.Hour)})
	if err != nil || len(counted) != 1 || counted[0].Calls != want.Calls || counted[0].Denied != want.Denied || counted[0].Latency.N() != outcomes {
		t.Errorf("figures %+v, want %d calls, %d of them denied, %d outcomes: %v", counted, want.Calls, want.Denied, outcomes, err)
	}
	page, err := s.Events(t.Context(), Filter{}, 10, "")
	if err != nil || len(page.Events) != 10 || page.Events[0].Kind == audit.Kind("") {
		t.Errorf("%d events: %v", len(page.Events), err)
	}
}
