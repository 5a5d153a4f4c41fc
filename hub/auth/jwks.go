package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

const (
	refreshEvery = time.Hour              // after a fetch that went well
	refetchEvery = 10 * time.Second       // for the sake of unknown keys, over all of them
	firstRetry   = 500 * time.Millisecond // after a fetch that failed; doubled up to
	lastRetry    = 30 * time.Second
	fetchTimeout = 10 * time.Second
	maxDocument  = 1 << 20 // bytes of a JWK set
	maxRedirects = 3
)

// A keySource keeps the keys of an issuer: one goroutine fetches them, again and again. Keys outlive an outage of the
// issuer; a set without keys that the issuer publishes takes them away.
type keySource struct {
	uri     string
	client  *http.Client
	log     zerolog.Logger
	keys    atomic.Pointer[keySet] // nil: none, no token can be checked
	settled chan struct{}          // closed after the first fetch
	wake    chan struct{}          // a fetch is wanted now
	stop    context.CancelFunc
	stopped chan struct{}

	mu      sync.Mutex
	wanted  chan struct{} // nil, or closed at the end of the first fetch that starts after it was made
	asked   time.Time     // when wanted was last made
	failure error         // of the last fetch
}

func newKeySource(ctx context.Context, uri string, opt Options) *keySource {
	ctx, stop := context.WithCancel(ctx)
	s := &keySource{
		uri:     uri,
		client:  confined(opt.Client),
		log:     opt.Log.With().Str("jwks_uri", uri).Logger(),
		settled: make(chan struct{}),
		wake:    make(chan struct{}, 1),
		stop:    stop,
		stopped: make(chan struct{}),
	}
	go s.run(ctx)
	return s
}

// confined returns a client that does not wait long and does not leave the host. What the JWKS names is public: the
// request carries no cookie.
func confined(c *http.Client) *http.Client {
	var own http.Client
	if c != nil {
		own = *c
	} else {
		own.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DisableKeepAlives:      true, // the next fetch is an hour away
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	own.Jar = nil
	own.Timeout = fetchTimeout
	own.CheckRedirect = func(next *http.Request, before []*http.Request) error {
		first := before[0].URL
		if len(before) > maxRedirects || next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
			return errors.New("it redirects elsewhere: name the place itself in jwks_uri")
		}
		return nil
	}
	return &own
}

// current returns the keys that are there, nil for none.
func (s *keySource) current() *keySet { return s.keys.Load() }

func (s *keySource) ready() error {
	if s.current() != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return fmt.Errorf("no keys to check tokens with: %w", s.failure)
	}
	return errors.New("no keys to check tokens with: they are being fetched")
}

func (s *keySource) close() {
	s.stop()
	<-s.stopped
}

// refetch asks the issuer again, unless that was done a moment ago, and returns the keys that are there then. Whoever
// comes while others wait for an answer waits for the same one.
func (s *keySource) refetch(ctx context.Context) *keySet {
	if answer := s.want(); answer != nil {
		select {
		case <-answer:
		case <-s.stopped:
		case <-ctx.Done():
		}
	}
	return s.current()
}

// want returns what is closed when the issuer has answered, nil if it is not asked now.
func (s *keySource) want() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted == nil {
		if !s.asked.IsZero() && time.Since(s.asked) < refetchEvery {
			return nil
		}
		s.asked, s.wanted = time.Now(), make(chan struct{})
		select {
		case s.wake <- struct{}{}:
		default: // a fetch is about to start
		}
	}
	return s.wanted
}

// run fetches until ctx ends.
func (s *keySource) run(ctx context.Context) {
	defer close(s.stopped)
	retry := firstRetry
	for first := true; ; first = false {
		pause := refreshEvery
		if err := s.serve(ctx); err == nil {
			retry = firstRetry
		} else {
			pause, retry = retry, min(2*retry, lastRetry)
		}
		if first {
			close(s.settled)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.wake:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// serve fetches once, notes how it went, and lets those go who waited for it.
func (s *keySource) serve(ctx context.Context) error {
	s.mu.Lock()
	answered := s.wanted // who asks from now on may know of a key that this answer lacks
	select {
	case <-s.wake: // this fetch is what it wants
	default:
	}
	s.mu.Unlock()

	err := s.update(ctx)

	s.mu.Lock()
	defer s.mu.Unlock()
	if answered != nil {
		close(answered)
		s.wanted = nil
	}
	if ctx.Err() == nil { // else nobody is interested any more
		switch {
		case err != nil && s.failure == nil:
			s.log.Warn().Err(err).Bool("keys_kept", s.current() != nil).Msg("issuer's keys unavailable")
		case err == nil && s.failure != nil:
			s.log.Info().Msg("issuer's keys available again")
		}
	}
	s.failure = err
	return err
}

// update replaces the keys by what the issuer publishes now. The same document leaves the same set in place, and with
// it the tokens that it vouched for.
func (s *keySource) update(ctx context.Context) error {
	document, err := s.fetch(ctx)
	if err != nil {
		return fmt.Errorf("fetch %q: %w", s.uri, err)
	}
	set, err := parseKeys(document)
	switch old := s.current(); {
	case err != nil:
		return fmt.Errorf("read %q: %w", s.uri, err)
	case len(set.keys) == 0:
		s.keys.Store(nil)
		return fmt.Errorf("read %q: it has no key for RS256 or ES256", s.uri)
	case old == nil || old.sum != set.sum:
		s.keys.Store(set)
	}
	return nil
}

func (s *keySource) fetch(ctx context.Context) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.uri, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := s.client.Do(r)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // the caller names the URL
		}
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", response.StatusCode)
	}
	document, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err == nil && len(document) > maxDocument {
		err = fmt.Errorf("more than %d bytes", maxDocument)
	}
	return document, err
}
