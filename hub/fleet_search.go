package hub

import (
	"context"
	"net/http"

	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

// serveSearch gives events of the store, newest first: as many as are wanted, or as an answer holds, or as are found in the
// time that a page may take.
func (f *fleet) serveSearch(w *recorder, r *http.Request, c *caller, _ []string) error {
	search, err := uplink.ParseSearch(r.URL.RawQuery)
	if err != nil {
		return &refusal{status: http.StatusBadRequest, code: "invalid_request", message: err.Error()}
	}
	if len(c.Servers) > 0 { // an administrator of some servers
		if search.Server == "" {
			return forbidden("the hub token is limited to servers: name one of them")
		}
		if err := c.about(search.Server); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), storePatience)
	defer cancel()
	filter := store.Filter{
		Server: search.Server, Target: search.Target, Decision: search.Decision, Principal: search.Principal,
		Kind: audit.Kind(search.Kind), Outcome: search.Outcome, Client: search.Client, Method: search.Method, Rule: search.Rule,
		Host: search.Host, User: search.User, TraceID: search.Trace, Shadowed: search.Shadowed, Since: search.Since, Until: search.Until,
	}
	limit := search.Limit
	if limit == 0 {
		limit = uplink.MaxFound
	}
	for {
		page, err := f.store.Events(ctx, filter, limit, search.Before)
		if err != nil {
			return stored(err, "")
		}
		found := uplink.Found{Events: make([]uplink.FoundEvent, len(page.Events)), Next: page.Next, Searched: page.Searched}
		for i, e := range page.Events {
			found.Events[i] = uplink.FoundEvent{Principal: e.Principal, Chain: e.Chain, Flaw: e.Flaw, Line: string(e.Raw)}
		}
		document, err := uplink.Encode(found)
		if err != nil {
			return err
		}
		if len(document) <= uplink.MaxDocument {
			writeJSON(w, http.StatusOK, document)
			return nil
		}
		limit = len(page.Events) / 2 // one event always fits
	}
}
