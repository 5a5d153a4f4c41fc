package store

import (
	"context"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// Limits of what is proposed. Who proposes too much of a server pushes out what he proposed himself and nobody approved; where
// a server has too much in all, what is new is refused. A Review of one server fits into uplink.MaxDocument by that.
const (
	maxDefinition  = 256 << 10
	maxInfo        = 64 << 10
	maxTarget      = 1 << 10 // of a tool or prompt
	maxDigest      = 128
	maxProposals   = 5000    // of a server
	maxServerBytes = 6 << 20 // of a server's definitions
	maxOwnCount    = 1000    // of one server, by one principal
	maxOwnBytes    = 2 << 20
	maxOwnServers  = 1000 // of one principal
	maxVersions    = 100  // of a definition
	maxWitnesses   = 20   // of a version
)

// Propose keeps what a wrapper has seen. It returns the definitions of which others, of the same version of the server, have
// seen another one: the first time for each. A server that does not tell its name and version cannot be compared.
func (s *Store) Propose(ctx context.Context, principal string, p uplink.Sightings) (split []uplink.Sighting, err error) {
	if err := checkSightings(principal, p); err != nil {
		return nil, err
	}
	if len(p.Items) == 0 {
		return nil, nil
	}
	err = s.update(ctx, len(p.Items), func(w *writer) error {
		r := proposal{
			w: w, now: s.nowMilli(), principal: principal, server: p.Server,
			version: versionOf(p.ServerInfo), info: p.ServerInfo, witness: principal + "@" + p.Host,
		}
		if err := r.measure(); err != nil {
			return err
		}
		for _, item := range p.Items {
			other, err := r.keep(item)
			if err != nil {
				return fmt.Errorf("propose %s %q of server %q: %w", item.Kind, item.Name, p.Server, err)
			}
			if other {
				split = append(split, item)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return split, nil
}

func checkSightings(principal string, p uplink.Sightings) error {
	switch {
	case principal == "" || len(principal) > maxName:
		return fmt.Errorf("principal %q: %w", clip(principal), ErrInvalid)
	case p.Server == "" || len(p.Server) > maxName:
		return fmt.Errorf("server %q: %w: it must have 1 to %d bytes", clip(p.Server), ErrInvalid, maxName)
	case len(p.Host) > maxName:
		return fmt.Errorf("host %q: %w: it must have at most %d bytes", clip(p.Host), ErrInvalid, maxName)
	case len(p.ServerInfo) > maxInfo:
		return fmt.Errorf("server info of %d bytes, more than %d: %w", len(p.ServerInfo), maxInfo, ErrLimit)
	case len(p.Items) > maxProposals:
		return fmt.Errorf("%d definitions at once, more than %d: %w", len(p.Items), maxProposals, ErrLimit)
	}
	for _, item := range p.Items {
		if err := checkSighting(item); err != nil {
			return fmt.Errorf("%s %q of server %q: %w", clip(item.Kind), clip(item.Name), p.Server, err)
		}
	}
	return nil
}

func checkSighting(item uplink.Sighting) error {
	switch item.Kind {
	case "tool", "prompt", "instructions":
	default:
		return fmt.Errorf("%w: a kind is tool, prompt or instructions", ErrInvalid)
	}
	switch {
	case (item.Name == "") != (item.Kind == "instructions"):
		return fmt.Errorf("%w: tools and prompts have a name, instructions have none", ErrInvalid)
	case len(item.Name) > maxTarget:
		return fmt.Errorf("a name of %d bytes, more than %d: %w", len(item.Name), maxTarget, ErrLimit)
	case item.Digest == "" || len(item.Digest) > maxDigest:
		return fmt.Errorf("digest %q: %w", clip(item.Digest), ErrInvalid)
	case len(item.Definition) == 0:
		return fmt.Errorf("%w: there is no definition", ErrInvalid)
	case len(item.Definition) > maxDefinition:
		return fmt.Errorf("a definition of %d bytes, more than %d: %w", len(item.Definition), maxDefinition, ErrLimit)
	}
	return nil
}

// versionOf names the version of a server, empty if it does not say one.
func versionOf(info uplink.RawJSON) string {
	var said struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	if err := json.Unmarshal(info, &said); err != nil || said.Version == "" {
		return ""
	}
	return strconv.Quote(said.Name) + " " + strconv.Quote(said.Version)
}

// A proposal is what one wrapper saw of one server.
type proposal struct {
	w                          *writer
	now                        int64
	principal, server, witness string
	version                    string
	info                       uplink.RawJSON

	count, bytes       int64 // of the server
	ownCount, ownBytes int64 // of the server, by the principal
	servers            int64 // of the principal
}

func (r *proposal) measure() error {
	err := r.w.one(`SELECT count(*), coalesce(sum(size), 0) FROM definitions WHERE server = ?`, []any{r.server}, &r.count, &r.bytes)
	if err != nil {
		return err
	}
	err = r.w.one(`SELECT count(*), coalesce(sum(size), 0) FROM definitions WHERE principal = ? AND server = ?`,
		[]any{r.principal, r.server}, &r.ownCount, &r.ownBytes)
	if err != nil {
		return err
	}
	return r.w.one(`SELECT count(DISTINCT server) FROM definitions WHERE principal = ?`, []any{r.principal}, &r.servers)
}

// keep keeps one definition, and reports whether it is to be told that others have seen another one.
func (r *proposal) keep(item uplink.Sighting) (split bool, err error) {
	var definition int64
	err = r.w.one(`UPDATE definitions SET last = ? WHERE server = ? AND kind = ? AND name = ? AND digest = ? RETURNING id`,
		[]any{r.now, r.server, item.Kind, item.Name, item.Digest}, &definition)
	if isNone(err) {
		definition, err = r.add(item)
	}
	if err != nil {
		return false, err
	}
	var version int64
	var told bool
	err = r.w.one(`INSERT INTO versions (definition, version, info, last) VALUES (?, ?, ?, ?)
		ON CONFLICT (definition, version) DO UPDATE SET last = excluded.last, info = excluded.info RETURNING id, split`,
		[]any{definition, r.version, append([]byte{}, r.info...), r.now}, &version, &told)
	if err != nil {
		return false, err
	}
	err = r.w.exec(`DELETE FROM versions WHERE id IN (SELECT id FROM versions WHERE definition = ? ORDER BY last DESC, id DESC LIMIT -1 OFFSET ?)`,
		definition, maxVersions)
	if err != nil {
		return false, err
	}
	err = r.w.exec(`INSERT INTO sightings (version, witness, at)
		SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM sightings WHERE version = ?1) < ?4 ON CONFLICT DO NOTHING`,
		version, r.witness, r.now, maxWitnesses)
	if err != nil || told || r.version == "" {
		return false, err
	}
	return r.compare(item, version)
}

// compare reports whether somebody else saw another definition of this version, and remembers that it was told.
func (r *proposal) compare(item uplink.Sighting, version int64) (split bool, err error) {
	err = r.w.one(`SELECT EXISTS (SELECT 1 FROM definitions d JOIN versions v ON v.definition = d.id JOIN sightings x ON x.version = v.id
		WHERE d.server = ? AND d.kind = ? AND d.name = ? AND d.digest <> ? AND v.version = ? AND x.witness <> ?)`,
		[]any{r.server, item.Kind, item.Name, item.Digest, r.version, r.witness}, &split)
	if err != nil || !split {
		return false, err
	}
	return true, r.w.exec(`UPDATE versions SET split = 1 WHERE id = ?`, version)
}

// add makes room for a definition that is new, and keeps it.
func (r *proposal) add(item uplink.Sighting) (id int64, err error) {
	size := int64(len(item.Definition))
	for r.ownCount > 0 && (r.ownCount >= maxOwnCount || r.ownBytes+size > maxOwnBytes) {
		var freed int64
		err := r.w.one(`DELETE FROM definitions WHERE id = (
			SELECT d.id FROM definitions d WHERE principal = ?1 AND server = ?2 AND last < ?3 AND NOT EXISTS (
				SELECT 1 FROM approvals a WHERE a.server = ?2 AND a.kind = d.kind AND a.name = d.name AND a.digest = d.digest)
			ORDER BY last LIMIT 1) RETURNING size`, []any{r.principal, r.server, r.now}, &freed)
		if isNone(err) {
			return 0, fmt.Errorf("%q has proposed too much of this server: %w", r.principal, ErrLimit)
		}
		if err != nil {
			return 0, err
		}
		r.ownCount, r.ownBytes = r.ownCount-1, r.ownBytes-freed
		r.count, r.bytes = r.count-1, r.bytes-freed
	}
	switch {
	case r.count >= maxProposals || r.bytes+size > maxServerBytes:
		return 0, fmt.Errorf("%d definitions with %d bytes are proposed: %w", r.count, r.bytes, ErrLimit)
	case r.ownCount == 0 && r.servers >= maxOwnServers:
		return 0, fmt.Errorf("%q has proposed definitions of %d servers: %w", r.principal, r.servers, ErrLimit)
	}
	if r.ownCount == 0 {
		r.servers++
	}
	r.ownCount, r.ownBytes = r.ownCount+1, r.ownBytes+size
	r.count, r.bytes = r.count+1, r.bytes+size
	err = r.w.one(`INSERT INTO definitions (server, kind, name, digest, definition, size, principal, first, last)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?8, ?8) RETURNING id`,
		[]any{r.server, item.Kind, item.Name, item.Digest, []byte(item.Definition), size, r.principal, r.now}, &id)
	return id, err
}
