package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
)

// hubPlaces is where a hub keeps what it knows, and the key by which wrappers know it again.
type hubPlaces struct{ store, key string }

// hubPlaces gives those of the configuration's hub. The key is beside the store: who moves one moves both.
func (c *config) hubPlaces() (hubPlaces, error) {
	if c.Store.Path == "" {
		folder, err := statePath(hubName)
		if err != nil {
			return hubPlaces{}, err
		}
		return hubPlaces{filepath.Join(folder, storeName), filepath.Join(folder, keyName)}, nil
	}
	return hubPlaces{c.Store.Path, strings.TrimSuffix(c.Store.Path, filepath.Ext(storeName)) + ".key"}, nil
}

// open opens store and key, and makes what is not there yet.
func (h hubPlaces) open(ctx context.Context, retain time.Duration, onError func(error)) (*store.Store, ed25519.PrivateKey, error) {
	st, err := store.Open(ctx, store.Options{Path: h.store, Retain: retain, OnError: onError})
	if err != nil {
		return nil, nil, fmt.Errorf("open the hub's store: %w", err)
	}
	key, err := uplink.LoadKey(h.key)
	if err != nil {
		_ = st.Close()
		return nil, nil, fmt.Errorf("load the hub's key: %w", err)
	}
	return st, key, nil
}

// keepAll is how a command opens a store whose events are none of its business.
const keepAll time.Duration = -1
