package store

import (
	"context"
	"fmt"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// Review returns what was proposed for a server, for all servers with "". Where that is more than 6 MiB of definitions, which
// one server alone cannot be, further ones are null.
func (s *Store) Review(ctx context.Context, server string) ([]uplink.Review, error) {
	reviews, err := s.review(ctx, server)
	if err != nil {
		return nil, fmt.Errorf("review: %w", err)
	}
	return reviews, nil
}

func (s *Store) review(ctx context.Context, server string) ([]uplink.Review, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT d.id, d.server, d.kind, d.name, d.digest, d.definition, d.first, d.last, a.by, a.at
		FROM definitions d LEFT JOIN approvals a ON a.server = d.server AND a.kind = d.kind AND a.name = d.name AND a.digest = d.digest
		WHERE ?1 = '' OR d.server = ?1 ORDER BY d.server, d.kind, d.name, d.last DESC, d.id DESC`, server)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	reviews := []uplink.Review{}
	at := map[int64]*uplink.Proposal{} // by id of the definition
	var order []int64
	of := map[int64]string{}
	total := 0
	for rows.Next() {
		var id, first, last int64
		var name string
		var definition []byte
		var by *string
		var when *int64
		p := &uplink.Proposal{By: []string{}}
		if err := rows.Scan(&id, &name, &p.Kind, &p.Name, &p.Digest, &definition, &first, &last, &by, &when); err != nil {
			return nil, err
		}
		if total += len(definition); total > maxServerBytes {
			definition = []byte("null")
		}
		p.Definition, p.First, p.Last = definition, milli(first), milli(last)
		if by != nil {
			p.Approved, p.ApprovedBy, p.ApprovedAt = true, *by, milli(*when)
		}
		at[id], of[id] = p, name
		order = append(order, id)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if err := s.witnesses(ctx, server, at); err != nil {
		return nil, err
	}
	for _, id := range order {
		if n := len(reviews); n == 0 || reviews[n-1].Server != of[id] {
			reviews = append(reviews, uplink.Review{Server: of[id]})
		}
		r := &reviews[len(reviews)-1]
		r.Items = append(r.Items, *at[id])
	}
	return reviews, nil
}

// Undecided counts the definitions that nobody has decided about: nothing of that name is approved, or they were first seen after
// what is. It does not read the definitions themselves, of which there may be much.
func (s *Store) Undecided(ctx context.Context) (n int, err error) {
	err = s.readers.QueryRowContext(ctx, `SELECT count(*) FROM definitions d LEFT JOIN approvals a
		ON a.server = d.server AND a.kind = d.kind AND a.name = d.name
		AND EXISTS (SELECT 1 FROM definitions o WHERE o.server = a.server AND o.kind = a.kind AND o.name = a.name AND o.digest = a.digest)
		WHERE a.digest IS NULL OR a.digest <> d.digest AND d.first > a.at`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count what waits for approval: %w", err)
	}
	return n, nil
}

// witnesses adds who saw the definitions first, and what the server said of itself last.
func (s *Store) witnesses(ctx context.Context, server string, at map[int64]*uplink.Proposal) error {
	rows, err := s.readers.QueryContext(ctx, `SELECT v.definition, v.info, x.witness FROM versions v
		JOIN definitions d ON d.id = v.definition JOIN sightings x ON x.version = v.id
		WHERE ?1 = '' OR d.server = ?1 ORDER BY v.definition, v.last DESC, v.id DESC, x.at, x.witness`, server)
	if err != nil {
		return err
	}
	defer rows.Close()
	seen := map[string]bool{}
	last := int64(0)
	for rows.Next() {
		var id int64
		var info []byte
		var witness string
		if err := rows.Scan(&id, &info, &witness); err != nil {
			return err
		}
		p := at[id]
		if p == nil { // it came in between
			continue
		}
		if id != last {
			last = id
			clear(seen)
			if len(info) > 0 {
				p.ServerInfo = info
			}
		}
		if !seen[witness] && len(p.By) < maxWitnesses {
			seen[witness] = true
			p.By = append(p.By, witness)
		}
	}
	return rows.Err()
}
