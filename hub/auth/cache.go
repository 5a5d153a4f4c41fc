package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	maxCached = 4096        // tokens
	cacheTime = time.Minute // how long a signature is not looked at again
)

// A cache remembers verified tokens by their digest, so that the next request costs no signature. What changes with
// time or place (expiry, audience) is judged anew each time. The zero cache is ready.
type cache struct {
	mu     sync.RWMutex
	keys   *keySet // the keys that vouch for all of them: with other keys they are forgotten
	tokens map[[sha256.Size]byte]cached
}

type cached struct {
	claims *claims
	until  time.Time
}

func (c *cache) get(digest [sha256.Size]byte, keys *keySet) *claims {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.keys != keys {
		return nil
	}
	hit := c.tokens[digest]
	if !time.Now().Before(hit.until) {
		return nil
	}
	return hit.claims
}

func (c *cache) put(digest [sha256.Size]byte, keys *keySet, verified *claims) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys != keys || c.tokens == nil {
		c.keys, c.tokens = keys, map[[sha256.Size]byte]cached{}
	}
	if len(c.tokens) >= maxCached {
		for one := range c.tokens { // the map's order is as good as chance, which no pattern of requests defeats
			delete(c.tokens, one)
			break
		}
	}
	c.tokens[digest] = cached{verified, time.Now().Add(cacheTime)}
}
