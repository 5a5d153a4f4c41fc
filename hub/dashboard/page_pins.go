package dashboard

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

type pinsPage struct {
	frame
	One     bool // of one server
	Name    string
	Servers []pinServer
	Done    *PinRef // has just been approved
	Path    string
}

// A pinServer is what was seen of a server, with what needs somebody first.
type pinServer struct {
	PinServer
	Path    string
	Waiting []pinName
	Settled []pinName
}

type pinName struct {
	PinName
	Word       string // changed, outdated, new or approved
	Candidates []pinCandidate
}

type pinCandidate struct {
	PinCandidate
	Past                bool // somebody decided against it, and nobody has seen it since
	Outdated            bool // it was replaced, but somebody still sees it
	Server              string
	FirstSeen, LastSeen *stamp
	ApprovedOn          *stamp
	Changes             []change
	Label               string // of its button, for screen readers: begins with what the button says
}

func (h *handler) pins(ctx context.Context, r *http.Request) (view, error) {
	server, one := "", r.PathValue("server") != ""
	if one {
		server = nameOf(r.PathValue("server"))
	}
	found, err := h.source.Pins(ctx, server)
	if err != nil {
		return view{}, err
	}
	page := pinsPage{frame: h.frame(ctx, "Pins", "Pins"), One: one, Name: server, Path: pinsPath(server)}
	if one {
		page.Title = "Pins of " + plain(server)
		if len(found) == 0 {
			return view{}, ErrNotFound
		}
	}
	digest := r.URL.Query().Get("approved")
	var k *comparer // the list of all servers tells no changes
	if one {
		k = new(comparer)
	}
	for _, s := range found {
		laid := pinServerOf(h.now(), s, k)
		for _, name := range laid.Settled {
			for _, c := range name.Candidates {
				if c.Approved && c.Digest == digest && digest != "" {
					page.Done = &c.PinRef
				}
			}
		}
		page.Servers = append(page.Servers, laid)
	}
	return view{"pins", page}, nil
}

// pinServerOf lays out a server, with the changes of its definitions if there is a comparer.
func pinServerOf(now time.Time, s PinServer, k *comparer) pinServer {
	laid := pinServer{PinServer: s, Path: pinsPath(s.Name)}
	for _, n := range s.Names {
		name := pinName{PinName: n, Word: "approved"}
		for _, c := range n.Candidates {
			candidate := pinCandidate{
				PinCandidate: c, Server: s.Name, FirstSeen: stampOf(now, c.First), LastSeen: stampOf(now, c.Last), ApprovedOn: stampOf(now, c.ApprovedAt),
			}
			if k != nil {
				for _, each := range c.Changes {
					candidate.Changes = append(candidate.Changes, k.lay(each))
				}
			}
			candidate.place(n)
			candidate.Label = candidate.Button() + ": " + n.Kind + " " + plain(clip(n.Name, maxShort)) + ", " + plain(clip(c.Digest, maxShort))
			name.Candidates = append(name.Candidates, candidate)
			switch {
			case candidate.Approved || candidate.Past:
			case !n.Approved:
				name.Word = "new"
			case !candidate.Outdated:
				name.Word = "changed"
			case name.Word == "approved":
				name.Word = "outdated"
			}
		}
		if name.Word == "approved" {
			laid.Settled = append(laid.Settled, name)
		} else {
			laid.Waiting = append(laid.Waiting, name)
		}
	}
	return laid
}

// place says how a definition stands to the approved one of its name, as `mcpx pins list --hub` does: whoever approves one decides
// against those that were seen until then.
func (c *pinCandidate) place(n PinName) {
	if c.Approved || !n.Approved {
		return
	}
	for _, other := range n.Candidates {
		if other.Approved {
			c.Past = !c.Last.After(other.ApprovedAt)
			c.Outdated = !c.Past && !c.First.After(other.ApprovedAt)
		}
	}
}

// Button is what its button says.
func (c *pinCandidate) Button() string {
	if c.Past || c.Outdated {
		return "Go back to this one"
	}
	return "Approve this one"
}

// approve approves exactly the definition that the button was of: its digest.
func (h *handler) approve(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		ErrorPage(w, r, http.StatusBadRequest, "The form cannot be read", "Go back and press the button again.")
		return
	}
	text := func(name string) string { return unplain(r.PostForm.Get(name)) }
	ref := PinRef{Kind: text("kind"), Name: text("name"), Digest: text("digest")}
	if ref.Kind == "" || ref.Digest == "" {
		ErrorPage(w, r, http.StatusBadRequest, "Nothing is approved", "The form did not say which definition. Go back and press the button again.")
		return
	}
	server := nameOf(r.PathValue("server"))
	if err := h.source.Approve(ctx, viewerOf(ctx).Name, server, []PinRef{ref}); err != nil {
		h.fail(w, r, err)
		return
	}
	http.Redirect(w, r, pinsPath(server)+"?"+url.Values{"approved": {ref.Digest}}.Encode(), http.StatusSeeOther)
}

type chainsPage struct {
	frame
	Chains   []chainView
	Problems []problemView
	Broken   int64 // chains with problems
	Checked  *stamp
	Intact   bool
}

type chainView struct {
	Chain
	Path string // of its last event
	Seen *stamp
}

type problemView struct {
	Problem
	When *stamp
	Path string
}

func (h *handler) chains(ctx context.Context, _ *http.Request) (view, error) {
	found, err := h.source.Chains(ctx)
	if err != nil {
		return view{}, err
	}
	now := h.now()
	page := chainsPage{frame: h.frame(ctx, "Record", "Record"), Checked: stampOf(now, found.Checked), Intact: found.Intact}
	for _, c := range found.Chains {
		if c.Problems > 0 {
			page.Broken++
		}
		page.Chains = append(page.Chains, chainView{c, eventPath(c.Principal, c.Chain, c.Seq), stampOf(now, c.Last)})
	}
	for _, p := range found.Problems {
		page.Problems = append(page.Problems, problemView{p, stampOf(now, p.At), eventPath(p.Principal, p.Chain, p.Seq)})
	}
	return view{"chains", page}, nil
}
