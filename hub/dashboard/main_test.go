package dashboard_test

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/rohitgs28/mcpx/hub/dashboard"
)

// TestMain serves the pages over made-up data instead of testing them where MCPX_DASHBOARD_DEV names an address, to be looked at:
//
//	MCPX_DASHBOARD_DEV=127.0.0.1:8099 go test ./hub/dashboard
//
// /hostile/dashboard/… are the same with hostile text everywhere.
func TestMain(m *testing.M) {
	address := os.Getenv("MCPX_DASHBOARD_DEV")
	if address == "" {
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, http.ListenAndServe(address, lookAt()))
	os.Exit(1)
}

func lookAt() http.Handler {
	pages := func(text string) http.Handler {
		f := &fake{now: time.Now(), text: text, live: make(chan dashboard.Tick)}
		go func() {
			for i := 0; ; i++ {
				f.live <- dashboard.Tick{Events: lateEvents(f, i), Missed: int64(i % 3), PerSec: 8.4, Total: 10_482_113 + int64(i), Alive: 12}
				<-time.After(400 * time.Millisecond)
			}
		}()
		pages := dashboard.New(dashboard.Options{Source: f, Version: "0.5.0"})
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f.now = time.Now()
			pages.ServeHTTP(w, r.WithContext(dashboard.WithViewer(r.Context(), dashboard.Viewer{Name: "ana" + text})))
		})
	}
	mux := http.NewServeMux()
	mux.Handle("/", pages(""))
	mux.Handle("/hostile/", http.StripPrefix("/hostile", pages(" "+hostile)))
	mux.HandleFunc("/dashboard/login", func(w http.ResponseWriter, _ *http.Request) {
		dashboard.LoginPage(w, http.StatusForbidden, "This token is not of an administrator.")
	})
	return mux
}

func lateEvents(f *fake, i int) []dashboard.Event {
	e := f.event(i)
	e.Seq, e.Time = uint64(5000+i), time.Now()
	return []dashboard.Event{e}
}
