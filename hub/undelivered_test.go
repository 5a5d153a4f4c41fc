package hub

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Where too much waits to be taken, those are cut off who are slow, of the principal that has most, and no more of them than it takes.
func TestSlowClientsAreCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUndelivered()
		u.most = 100
		var cut []string // guarded by u.mu
		write := func(name, principal string, size int, takes time.Duration) {
			broken := make(chan struct{})
			go func() {
				_, _ = u.during(principal, size, func() { cut = append(cut, name); close(broken) }, func() (int, error) {
					select {
					case <-broken:
					case <-time.After(takes):
					}
					return size, nil
				})
			}()
			synctest.Wait()
		}
		wants := func(after time.Duration, want ...string) {
			t.Helper()
			<-time.After(after)
			synctest.Wait()
			u.mu.Lock()
			defer u.mu.Unlock()
			if !slices.Equal(cut, want) {
				t.Errorf("cut off: %q", cut)
			}
			cut = nil
		}
		write("ann's first", "ann", 30, time.Minute)
		<-time.After(time.Millisecond)
		write("ann's second", "ann", 30, time.Minute)
		write("bob's", "bob", 40, time.Minute)
		wants(10 * time.Second) // it is not more than there may be
		write("a quick one", "eve", 20, time.Second)
		wants(5*time.Second, "ann's first")
		write("a large one", "eve", 60, time.Minute) // then bob has most
		wants(time.Millisecond, "bob's")
		write("another", "eve", 60, time.Minute)
		wants(0, "ann's second")
		wants(time.Second)
		wants(2*time.Second, "a large one") // once it is slow
		wants(5 * time.Minute)
		if u.bytes != 0 || len(u.writes) != 0 {
			t.Errorf("%d bytes of %d writes are left", u.bytes, len(u.writes))
		}
	})
}

// Somebody who began a moment ago is given time, also where all of it is his.
func TestQuickClientsAreNotCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUndelivered()
		u.most = 10
		began, ended := time.Now(), time.Duration(0)
		_, _ = u.during("ann", 1000, func() { t.Error("cut off") }, func() (int, error) {
			<-time.After(slowAfter - time.Millisecond)
			ended = time.Since(began)
			return 0, nil
		})
		if ended != slowAfter-time.Millisecond {
			t.Errorf("ended after %v", ended)
		}
		<-time.After(time.Minute)
	})
}

// On a real connection the write of a client that reads nothing fails.
func TestWriteToWhoReadsNothingIsCutOff(t *testing.T) {
	h := &Hub{undelivered: newUndelivered()}
	h.undelivered.most = 1 << 20
	wrote := make(chan error, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := h.newRecorder(w).Write(make([]byte, 64<<20)) // more than any system takes in one go
		wrote <- err
	}))
	t.Cleanup(s.Close)
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-wrote:
		if err == nil {
			t.Error("the client has taken what it did not read")
		}
	case <-time.After(20 * time.Second):
		t.Error("the write is still under way")
	}
}
