package play

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// An event is what the demo reads of a line of the audit log.
type event struct {
	Method   string `json:"method"`
	Target   string `json:"target"`
	Decision string `json:"decision"`
	Rule     string `json:"rule"`
}

// record has mcpx verify the audit log that the wrapper left, and tells which calls it denied.
func (p *player) record(ctx context.Context, n *narrator) error {
	n.step("Everything is on record, in a chain of hashes")
	var verified struct {
		Intact bool              `json:"intact"`
		Chains []json.RawMessage `json:"chains"`
		Events int               `json:"events"`
	}
	out, err := p.mcpx(ctx, "audit", "verify", "--json", "--config", p.config).Output()
	if err != nil {
		return fmt.Errorf("mcpx audit verify: %w\n%s", err, out)
	}
	if err := json.Unmarshal(out, &verified); err != nil {
		return fmt.Errorf("mcpx audit verify: read %q: %w", out, err)
	}
	if !verified.Intact || len(verified.Chains) != 1 {
		return fmt.Errorf("the audit log does not verify as one chain: %s", out)
	}
	decisions, err := p.decisions(ctx)
	if err != nil {
		return err
	}
	calls := map[string]int{}
	for _, e := range decisions {
		if e.Method == "tools/call" {
			calls[e.Decision]++
		}
		if e.Decision == "deny" {
			n.say("     %-5s %-16s %s", e.Decision, e.Target, e.Rule)
		}
	}
	if calls["allow"] != 3 || calls["deny"] != 4 {
		return fmt.Errorf("the audit log has %d allowed and %d denied calls, want 3 and 4", calls["allow"], calls["deny"])
	}
	n.passed("mcpx audit verify", fmt.Sprintf("chain of %d events intact, 3 calls allowed, 4 denied", verified.Events))
	return nil
}

func (p *player) decisions(ctx context.Context) (all []event, err error) {
	out, err := p.mcpx(ctx, "audit", "query", "--kind", "decision", "--json", "--config", p.config).Output()
	if err != nil {
		return nil, fmt.Errorf("mcpx audit query: %w", err)
	}
	for lines := json.NewDecoder(bytes.NewReader(out)); ; {
		var e event
		err := lines.Decode(&e)
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("mcpx audit query: read an event: %w", err)
		}
		all = append(all, e)
	}
}
