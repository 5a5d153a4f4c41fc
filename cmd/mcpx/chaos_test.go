//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// How long the chaos lasts, as a duration, and the seed of one that went wrong, as a number. The seed decides what is done to
// whom, not when the machine gets around to it.
const (
	chaosVariable     = "MCPX_CHAOS"
	chaosSeedVariable = "MCPX_CHAOS_SEED"
	chaosUsual        = 6 * time.Second
	chaosClients      = 2 // of each user
)

// TestChaos kills wrappers and hub, stops the hub, fills its disk and does everything to what goes between them, again and again.
// In the end, when all is healed and one more wrapper of each user has run, the hub's store has every call that a server saw, each
// once, and everything else that was ever in the audit logs; and it never thought that somebody had tampered with them.
func TestChaos(t *testing.T) {
	c := newChaos(t)
	ctx, cancel := context.WithTimeout(t.Context(), c.lasts)
	defer cancel()
	var clients sync.WaitGroup
	for i, u := range c.users {
		for j := range chaosClients {
			random := rand.New(rand.NewPCG(c.seed, uint64(100*(i+1)+j)))
			clients.Go(func() { u.work(ctx, random) })
		}
	}
	clients.Go(func() { c.replay(ctx) })
	c.tormentHub(ctx)
	clients.Wait()
	c.heal()
	c.finish()
}

// A chaos is one run of TestChaos.
type chaos struct {
	t     *testing.T
	seed  uint64
	lasts time.Duration
	home  *machine // of the hub
	store string
	hub   *serving
	way   *badWay
	users []*chaosUser
	did   map[string]int // to the hub, and how often
}

// A chaosUser is somebody whose wrappers keep their events in one log.
type chaosUser struct {
	*machine
	t     *testing.T
	name  string
	way   string // to the hub
	audit string // file or folder

	mu       sync.Mutex
	sessions []*chaosSession // guarded by mu
}

// newChaos starts a hub and makes three users: one whose log is in the folder where the hub's own is, so that the hub sends what
// is left there; one who has a folder of her own; and one whose wrappers all write to one file.
func newChaos(t *testing.T) *chaos {
	c := &chaos{t: t, seed: rand.Uint64N(1 << 32), lasts: chaosUsual, home: newMachine(t), did: map[string]int{}}
	var err error
	if text := os.Getenv(chaosSeedVariable); text != "" {
		if c.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", chaosSeedVariable, err)
		}
	}
	if text := os.Getenv(chaosVariable); text != "" {
		if c.lasts, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", chaosVariable, err)
		}
	}
	t.Logf("%s=%d %s=%s", chaosSeedVariable, c.seed, chaosVariable, c.lasts)
	state := filepath.Join(c.home.folder, "state", "mcpx")
	c.store = filepath.Join(state, hubName, storeName)
	c.startHub()
	way := filepath.Join(c.home.folder, "way")
	c.way = newBadWay(t, c.seed, way, filepath.Join(c.home.folder, "run", "mcpx", socketName))
	for _, name := range []string{"beside the hub", "folder", "file"} {
		u := &chaosUser{machine: newMachine(t), t: t, name: name, way: way}
		if name == "beside the hub" {
			u.machine = &machine{folder: c.home.folder, env: c.home.env}
		}
		u.audit = filepath.Join(u.folder, "state", "mcpx", auditName)
		settings := "audit: { max_size: 64KiB }\n" // so that chains have several files
		if name == "file" {
			u.audit = filepath.Join(u.folder, "log.jsonl")
			settings = "audit: { max_size: 64KiB, path: " + u.audit + " }\n"
		}
		config := filepath.Join(u.folder, "wrap.yaml")
		if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
			t.Fatal(err)
		}
		u.env = append(slices.Clip(u.env), configVariable+"="+config)
		c.users = append(c.users, u)
	}
	return c
}

func (c *chaos) startHub() {
	c.hub, _ = c.home.startHub(c.t, "--listen", "127.0.0.1:0")
}

// tormentHub returns with a hub that works.
func (c *chaos) tormentHub(ctx context.Context) {
	random := rand.New(rand.NewPCG(c.seed, 2))
	process := c.hub.command.Process
	signal := func(s syscall.Signal) {
		if err := process.Signal(s); err != nil {
			c.t.Errorf("signal %v: %v", s, err)
		}
	}
	restart := func() {
		<-c.hub.ended
		pauseChaos(ctx, random.IntN(1000))
		c.startHub()
		process = c.hub.command.Process
	}
	for pauseChaos(ctx, 200+random.IntN(1000)) {
		what := []string{"killed", "killed while stopped", "stopped", "ended", "disk full"}[random.IntN(5)]
		c.did[what]++
		switch what {
		case "killed":
			signal(syscall.SIGKILL)
			restart()
		case "killed while stopped":
			signal(syscall.SIGSTOP)
			pauseChaos(ctx, random.IntN(1000))
			signal(syscall.SIGKILL)
			restart()
		case "stopped":
			signal(syscall.SIGSTOP)
			pauseChaos(ctx, random.IntN(2000))
			signal(syscall.SIGCONT)
		case "ended":
			if code := c.hub.end(c.t, syscall.SIGTERM); code != 0 {
				c.t.Errorf("the hub ended with %d:\n%s", code, c.hub.text())
			}
			restart()
		case "disk full":
			free, err := fillDisk(process.Pid)
			if err != nil {
				c.t.Error(err)
			}
			pauseChaos(ctx, random.IntN(1500))
			if err := free(); err != nil {
				c.t.Error(err)
			}
		}
	}
}

// pauseChaos waits for some milliseconds. It reports whether ctx has not ended.
func pauseChaos(ctx context.Context, ms int) bool {
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (c *chaos) replay(ctx context.Context) {
	for pauseChaos(ctx, c.way.number(300)) {
		c.way.replay(ctx)
	}
}

// heal ends what is done to the hub. What was held back until now comes as late as can be, in no order.
func (c *chaos) heal() {
	c.way.heal()
	for range 50 {
		c.way.replay(c.t.Context())
	}
	c.t.Logf("to the hub: %v; on the way: %v", c.did, c.way)
}

// work runs one wrapper after the other. Most are killed.
func (u *chaosUser) work(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		u.session(ctx, random)
	}
}

// A chaosSession is a wrapper, its client and its server.
type chaosSession struct {
	name     string // with which all ids of its calls begin
	journal  string // of the server
	clean    bool   // the wrapper was not killed
	answered []string
}

// session runs a wrapper until it is killed or has made its calls.
func (u *chaosUser) session(ctx context.Context, random *rand.Rand) {
	u.mu.Lock()
	name := fmt.Sprintf("%s %d", u.name, len(u.sessions))
	s := &chaosSession{name: name, journal: filepath.Join(u.folder, name)}
	u.sessions = append(u.sessions, s)
	u.mu.Unlock()

	command := exec.Command("mcpx", "wrap", "--hub", u.way, "--name", "chaos", "--", chaosServerName, s.journal)
	command.Dir, command.Env = u.folder, u.env
	var stderr strings.Builder
	command.Stderr = &stderr
	in, err1 := command.StdinPipe()
	out, err2 := command.StdoutPipe()
	if err1 != nil || err2 != nil || command.Start() != nil {
		u.t.Errorf("%s does not start: %v %v", command, err1, err2)
		return
	}
	killed := make(chan struct{})
	kill := func() {
		close(killed)
		_ = command.Process.Kill() // it may have ended
	}
	hung := time.AfterFunc(time.Minute, func() {
		u.t.Errorf("%s hangs", name)
		_ = command.Process.Kill()
	})
	defer hung.Stop()
	var end *time.Timer
	bursts := 1 + random.IntN(60)
	if random.IntN(3) > 0 {
		end, bursts = time.AfterFunc(time.Duration(random.IntN(2000))*time.Millisecond, kill), 1<<30
	}
	err := s.converse(ctx, random, bursts, in, bufio.NewScanner(out))
	in.Close()
	exit := command.Wait()
	if end != nil && !end.Stop() {
		<-killed
		return
	}
	s.clean = err == nil && exit == nil
	if !s.clean {
		u.t.Errorf("%s: %v, %v:\n%s", name, err, exit, stderr.String())
	}
}

// converse calls in bursts, and waits for the answers to each.
func (s *chaosSession) converse(ctx context.Context, random *rand.Rand, bursts int, in io.Writer, out *bufio.Scanner) error {
	if _, err := io.WriteString(in, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"chaos","version":"1"}}}`+"\n"+
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`+"\n"); err != nil {
		return err
	}
	if err := s.answers(1, out); err != nil {
		return err
	}
	for burst := 0; burst < bursts && ctx.Err() == nil; burst++ {
		calls := 1 + random.IntN(8)
		var text strings.Builder
		for i := range calls {
			fmt.Fprintf(&text, `{"jsonrpc":"2.0","id":"%s.%d.%d","method":"tools/call","params":{"name":"work","arguments":{"burst":%[2]d}}}`+"\n", s.name, burst, i)
		}
		if _, err := io.WriteString(in, text.String()); err != nil {
			return err
		}
		if err := s.answers(calls, out); err != nil {
			return err
		}
		pauseChaos(ctx, random.IntN(40))
	}
	return nil
}

// answers reads the answers to n requests.
func (s *chaosSession) answers(n int, out *bufio.Scanner) error {
	for n > 0 {
		if !out.Scan() {
			return fmt.Errorf("%d answers are missing: %w", n, io.ErrUnexpectedEOF)
		}
		var m chaosMessage
		if err := json.Unmarshal(out.Bytes(), &m); err != nil {
			return err
		}
		if m.ID == nil {
			continue
		}
		if m.Error != nil {
			return fmt.Errorf("%s is answered with %s", m.ID, m.Error)
		}
		if id := string(m.ID); id != "0" {
			s.answered = append(s.answered, id)
		}
		n--
	}
	return nil
}
