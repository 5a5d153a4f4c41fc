package uplink

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/rohitgs28/mcpx/policy"
)

// A Bundle is what a hub says about one server to one principal. As it is sent and kept it is a signed document: one line of
// JSON, and a line with the base64 of its Ed25519 signature, which no line feed ends.
type Bundle struct {
	Server    string         `json:"server"`
	Principal string         `json:"principal"`
	Serial    int64          `json:"serial"` // from 1; rises with every change; never falls
	Layers    []Layer        `json:"layers"` // all must allow, beside the wrapper's own policy
	Pins      []ApprovalItem `json:"pins"`   // what is approved: it counts for more than what the wrapper has pinned by itself
	Revoked   []Revocation   `json:"revoked"`
}

// A Layer is a [policy.Layer] as it is sent.
type Layer struct {
	Label  string        `json:"label"`
	Policy policy.Config `json:"policy"`

	// Mode is "" or ModeShadow, which stands for Policy.Shadow. A wrapper that knows no modes refuses the bundle, and keeps to the
	// one before it.
	Mode string `json:"mode,omitzero"`
}

// ModeShadow is that of a layer that is rehearsed.
const ModeShadow = "shadow"

// AsLayer returns a layer as it is sent.
func AsLayer(l policy.Layer) Layer {
	out := Layer{Label: l.Label, Policy: l.Config}
	if l.Config.Shadow {
		out.Mode = ModeShadow
	}
	return out
}

// Rules returns a layer that was received.
func (l Layer) Rules() policy.Layer {
	rules := policy.Layer{Label: l.Label, Config: l.Policy}
	rules.Config.Shadow = l.Mode == ModeShadow
	return rules
}

// maxLabel bounds the label of a layer, in bytes. It is part of the name of each of its rules.
const maxLabel = 256

// check reports what a wrapper could not follow.
func (b *Bundle) check() error {
	switch {
	case !ValidServer(b.Server):
		return fmt.Errorf("server %q is not a name", b.Server)
	case b.Principal == "":
		return errors.New("it names no principal")
	case b.Serial < 1:
		return fmt.Errorf("serial %d is none", b.Serial)
	case b.Layers == nil || b.Pins == nil || b.Revoked == nil: // left out or null: nobody says that there are none
		return errors.New("it has no layers, pins or revoked")
	}
	for i, l := range b.Layers {
		if !printable(l.Label, maxLabel) {
			return fmt.Errorf("layers[%d]: label %q is not a name", i, l.Label)
		}
		if l.Mode != "" && l.Mode != ModeShadow {
			return fmt.Errorf("layer %q: mode %q is not known", l.Label, l.Mode)
		}
		if err := l.Policy.Validate(); err != nil {
			return fmt.Errorf("layer %q: %w", l.Label, err)
		}
	}
	pinned := make(map[[2]string]bool, len(b.Pins))
	for _, p := range b.Pins {
		target := [2]string{p.Kind, p.Name}
		switch {
		case !validKind(p.Kind):
			return fmt.Errorf("pin of %q: %q is no kind", p.Name, p.Kind)
		case p.Digest == "":
			return fmt.Errorf("pin of %s %q: it has no digest", p.Kind, p.Name)
		case pinned[target]:
			return fmt.Errorf("pin of %s %q: it is there twice", p.Kind, p.Name)
		}
		pinned[target] = true
	}
	for _, r := range b.Revoked {
		if err := (policy.Config{DenyTools: []string{policy.Literal(r.Tool)}}).Validate(); err != nil {
			return fmt.Errorf("revocation of %q: no policy can deny it: %w", r.Tool, err)
		}
	}
	return nil
}

// validKind reports whether definitions of this kind are pinned; see package integrity.
func validKind(kind string) bool {
	switch kind {
	case "tool", "prompt", "instructions":
		return true
	default:
		return false
	}
}

// printable reports whether a text of 1 to limit bytes can be shown as it is.
func printable(text string, limit int) bool {
	if text == "" || len(text) > limit || !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
