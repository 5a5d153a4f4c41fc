package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// soon is how long before its end a token is worth a word.
const soon = 14 * 24 * time.Hour

// checkHub asks the hub that wrappers without a --hub belong to.
func (a *app) checkHub(ctx context.Context) []finding {
	c, err := a.loadConfig()
	if err != nil {
		return nil // said already
	}
	t, err := a.hubFor(c, "")
	if err != nil {
		return []finding{{Severity: problemFound, What: err.Error()}}
	}
	if !t.present() {
		f := finding{Severity: noteFound, What: "no hub runs on this machine, and it is enrolled at none: events stay in the audit log", Fix: "mcpx hub, or mcpx login URL"}
		if t.Required {
			f.Severity, f.What = problemFound, "the configuration says hub.required, but there is no hub: nothing new starts without kept rules"
		}
		return []finding{f}
	}
	identity, err := t.ask(ctx)
	if err != nil {
		return []finding{{Severity: problemFound, What: err.Error(), Where: t.String(), Fix: "events wait meanwhile, and wrappers go by the rules they have"}}
	}
	sound := ok("it answers, as mcpx %s; we are %s", identity.Version, describeIdentity(&identity))
	sound.Where = t.String()
	found := []finding{sound}
	switch {
	case !t.Key.IsZero() && identity.Key != t.Key:
		found = append(found, finding{Severity: problemFound, What: t.otherKey(identity.Key).Error(), Where: t.String()})
	case t.Principal != "" && identity.Principal != t.Principal:
		found = append(found, finding{Severity: problemFound, What: fmt.Sprintf("at the login we were %q, now %q", t.Principal, identity.Principal), Where: t.String(), Fix: "mcpx login " + t.URL})
	}
	if left := time.Until(identity.Expires); !identity.Expires.IsZero() && left < soon {
		found = append(found, finding{Severity: noteFound, What: fmt.Sprintf("the token expires on %s", day(identity.Expires)), Where: t.String(), Fix: "mcpx hub token create there, then mcpx login " + t.URL})
	}
	return found
}

// ask asks a hub who it is and who we are.
func (t *hubTarget) ask(ctx context.Context) (uplink.Identity, error) {
	client, err := t.client()
	if err != nil {
		return uplink.Identity{}, t.explain(err)
	}
	defer client.Close()
	identity, err := client.Identity(ctx)
	return identity, t.explain(err)
}

// checkBundles looks at the rules that are kept of hubs: whether they are signed by a key that we know.
func (a *app) checkBundles(context.Context) []finding {
	state, err := stateDir()
	if err != nil {
		return nil // said already
	}
	files, err := filepath.Glob(filepath.Join(globLiteral(state), "bundles", "*.bundle"))
	if err != nil || len(files) == 0 {
		return nil // nothing is kept
	}
	keys, found := a.knownKeys(state)
	var servers, rehearsed []string
	for _, file := range files {
		bundle, err := openKept(file, keys)
		if err != nil {
			found = append(found, finding{Severity: problemFound, What: "rules kept of a hub cannot be used: " + err.Error(), Where: file,
				Fix: "wrappers refuse them; remove the file, and they are fetched again"})
			continue
		}
		servers = append(servers, bundle.Server)
		if slices.ContainsFunc(bundle.Layers, func(l uplink.Layer) bool { return l.Mode == uplink.ModeShadow }) {
			rehearsed = append(rehearsed, bundle.Server)
		}
	}
	slices.Sort(servers)
	servers = slices.Compact(servers) // of several hubs
	if len(servers) > 0 {
		found = append(found, finding{Severity: wellFound, What: "kept and signed, for " + few(servers), Where: filepath.Join(state, "bundles")})
	}
	if len(rehearsed) > 0 {
		slices.Sort(rehearsed)
		found = append(found, finding{Severity: noteFound, What: "in shadow mode at the hub, so that nothing is denied by its rules: " + few(slices.Compact(rehearsed)),
			Fix: "mcpx audit query --shadowed shows what they would have denied here"})
	}
	return found
}

// globLiteral makes of a path a pattern that matches it alone.
func globLiteral(path string) string {
	if filepath.Separator == '\\' {
		return path // has no escapes; brackets in it are rare
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// knownKeys are those of the login and the configuration, and those that were believed when they were first seen.
func (a *app) knownKeys(state string) (keys []uplink.Key, found []finding) {
	if l, err := readLogin(); err == nil && l != nil {
		keys = append(keys, l.Key)
	}
	if c, err := a.loadConfig(); err == nil && c.Hub.Key != "" {
		if key, err := uplink.ParseKey(c.Hub.Key); err == nil {
			keys = append(keys, key)
		}
	}
	files, _ := filepath.Glob(filepath.Join(globLiteral(state), "hub-*.key"))
	for _, file := range append(files, filepath.Join(state, audit.LocalHub+".key")) {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		key, keyErr := uplink.ParseKey(strings.TrimSpace(string(text)))
		if err = errors.Join(err, keyErr); err != nil {
			found = append(found, finding{Severity: problemFound, What: "the key of a hub cannot be read: " + err.Error(), Where: file, Fix: "remove the file to believe the hub anew"})
			continue
		}
		keys = append(keys, key)
	}
	return keys, found
}

func openKept(file string, keys []uplink.Key) (*uplink.Bundle, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > uplink.MaxDocument {
		return nil, fmt.Errorf("it has more than %d bytes", uplink.MaxDocument)
	}
	document, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	err = errors.New("no key of a hub is known here")
	for _, key := range keys {
		var bundle *uplink.Bundle
		if bundle, err = uplink.Open(key, document); err == nil {
			return bundle, nil
		}
	}
	return nil, err
}
