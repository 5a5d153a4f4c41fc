package wrap

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
	"github.com/rohitgs28/mcpx/policy"
)

// A hub that is not there is looked for soon at first, and less often the longer it is away: a wrapper costs a machine next to
// nothing where there never is a hub, and still finds one within seconds.
func TestAbsentHubIsLookedForLessOften(t *testing.T) {
	off := false
	log, err := audit.Open(audit.Options{Config: audit.Config{Enabled: &off}})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	engine, err := policy.Compile(policy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var looks []time.Duration // since the start
		began := time.Now()
		opt := Options{
			Guard: policy.GuardOptions{Server: "srv", Engine: engine, Log: log, Census: policy.NewCensus(0)},
			Log:   zerolog.Nop(),
			Hub: &Hub{Destination: audit.LocalHub, Dir: dir, Connect: func() (*uplink.Client, error) {
				looks = append(looks, time.Since(began))
				return nil, uplink.ErrNoHub
			}},
		}
		guard, err := policy.NewGuard(opt.Guard)
		if err != nil {
			t.Fatal(err)
		}
		l, err := opt.newLiaison(t.Context(), guard)
		if err != nil {
			t.Fatal(err)
		}
		l.attend(context.Background())
		const lasts = 10 * time.Minute
		<-time.After(lasts) // in the time of the bubble
		l.end()
		if len(looks) < 5 || looks[4] > 15*time.Second {
			t.Errorf("the first looks are at %v, want one every 3 s", looks[:min(5, len(looks))])
		}
		for i := range looks[1:] {
			if gap := looks[i+1] - looks[i]; gap < 2*time.Second || gap > 15*time.Second {
				t.Errorf("look %d comes %v after the one before, want 3 s to 15 s", i+1, gap)
			}
		}
		if most := int(lasts/(15*time.Second)) + 10; len(looks) > most {
			t.Errorf("%d looks in %v, want at most %d", len(looks), lasts, most)
		}
	})
}
