package hub_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub/store"
)

// A liveView is the stream of events that a page reads.
type liveView struct {
	ticks chan liveTick
	ended chan error
	end   context.CancelFunc
}

// A liveTick is what of an event of the stream is looked at.
type liveTick struct {
	name   string
	Missed int64
	Rows   []struct{ Key string }
}

func (b *browser) live() *liveView {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", b.at+"/live", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	client := *b.http
	client.Timeout = 0
	response, err := client.Do(r)
	if err != nil || response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		b.t.Fatalf("live: %v, %+v", err, response)
	}
	v := &liveView{ticks: make(chan liveTick, 1000), ended: make(chan error, 1), end: cancel}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer response.Body.Close()
		v.ended <- v.read(response.Body)
	})
	b.t.Cleanup(func() { cancel(); reading.Wait() })
	return v
}

func (v *liveView) read(from io.Reader) error {
	lines := bufio.NewReaderSize(from, 1<<20)
	name := ""
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		if after, ok := strings.CutPrefix(line, "event: "); ok {
			name = strings.TrimSpace(after)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			tick := liveTick{name: name}
			if err := json.Unmarshal([]byte(data), &tick); err != nil {
				return fmt.Errorf("%w: %s", err, data)
			}
			v.ticks <- tick
		}
	}
}

// next waits for a tick.
func (v *liveView) next(t testing.TB) liveTick {
	t.Helper()
	select {
	case tick := <-v.ticks:
		return tick
	case err := <-v.ended:
		t.Fatalf("the stream has ended: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("nothing comes")
	}
	return liveTick{}
}

// begun waits until the stream is at what arrives from now on.
func (v *liveView) begun(t testing.TB) {
	t.Helper()
	for v.next(t).name != "tick" {
	}
}

func TestRevokedTokenEndsSessionAndStream(t *testing.T) {
	g, at := startDashboard(t, config())
	boss := g.token(store.Token{Name: "boss", Admin: true})
	byForm, byLink, local := newBrowser(t, at), newBrowser(t, at), newBrowser(t, at)
	if got := byForm.login(boss); got.status != 303 {
		t.Fatalf("login: %+v", got)
	}
	byLink.open(g.clientOf(boss))
	local.open(g.client())
	views := []*liveView{byForm.live(), byLink.live()}
	other := local.live()
	for _, v := range append(views, other) {
		v.begun(t)
	}
	if err := g.store.RevokeToken(t.Context(), "boss"); err != nil {
		t.Fatal(err)
	}
	if byForm.in() { // and of the other nobody asks for a page
		t.Error("after its token was revoked the session goes on")
	}
	for i, v := range views {
		select {
		case <-v.ended:
		case <-time.After(10 * time.Second):
			t.Errorf("stream %d goes on", i)
		}
	}
	if byLink.in() || !local.in() {
		t.Errorf("after it was revoked: in by link %v, local %v", byLink.in(), local.in())
	}
	if got := local.send("POST", "/dashboard/logout", ""); got.status != 303 {
		t.Errorf("log-out: %d", got.status)
	}
	select {
	case <-other.ended:
	case <-time.After(10 * time.Second):
		t.Error("after log-out the stream goes on")
	}
}

// A stream that nobody ends does not hold up the end of the hub.
func TestHubEndsLiveStreams(t *testing.T) {
	g, at := startDashboard(t, config())
	b := newBrowser(t, at)
	b.open(g.client())
	v := b.live()
	v.begun(t)
	began := time.Now()
	g.stop()
	<-v.ended
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the hub took %v to end", took)
	}
}

// At thousands of events a second those who read hear of every one, although somebody else does not read, and all are stored.
func TestLiveKeepsUpWithEvents(t *testing.T) {
	g, at := startDashboard(t, config())
	b := newBrowser(t, at)
	b.open(g.client())
	readers := []*liveView{b.live(), b.live()}
	for _, v := range readers {
		v.begun(t)
	}
	stuck := dialLive(t, b)
	defer stuck.Close()
	const batches, each = 20, 500
	calls := make([]string, batches*each)
	for i := range calls {
		calls[i] = "read"
	}
	lines := wrote(t, "files", calls...)
	c := g.clientOf(g.token(store.Token{Name: "laptop"}))
	stored := 0
	for at := 0; at < len(lines); at += each {
		ack, err := c.SendEvents(t.Context(), "m-1", []byte(batch(lines[at:min(at+each, len(lines))]...)), false)
		if err != nil {
			t.Fatal(err)
		}
		stored += ack.Stored
	}
	if stored != len(lines) {
		t.Fatalf("%d of %d events are stored", stored, len(lines))
	}
	for i, v := range readers {
		told := int64(0)
		for told < int64(len(lines)) {
			tick := v.next(t)
			if len(tick.Rows) > 40 {
				t.Errorf("reader %d gets %d rows at once", i, len(tick.Rows))
			}
			told += tick.Missed + int64(len(tick.Rows))
		}
		if told > int64(len(lines))+10 { // and what the hub has recorded itself
			t.Errorf("reader %d is told of %d events, and there were %d", i, told, len(lines))
		}
	}
}

// dialLive asks for the stream of events and reads nothing of it.
func dialLive(t *testing.T, b *browser) net.Conn {
	t.Helper()
	u, err := url.Parse(b.at)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).SetReadBuffer(1 << 10); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", b.at+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range b.http.Jar.Cookies(r.URL) {
		r.AddCookie(cookie)
	}
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	return conn
}
