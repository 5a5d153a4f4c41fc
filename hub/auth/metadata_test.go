package auth

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

func known(server string) bool { return server == "files" }

func TestMetadata(t *testing.T) {
	issuer := httptest.NewServer(newIssuer())
	defer issuer.Close()
	oauth := func(resource string, servers ...string) Config {
		c := oauthConfig(issuer.URL)
		c.OAuth.Resource, c.OAuth.AuthorizationServers = resource, servers
		return c
	}
	doc := func(resource string, servers ...string) map[string]any {
		list := []any{}
		for _, s := range servers {
			list = append(list, s)
		}
		return map[string]any{"resource": resource, "authorization_servers": list,
			"scopes_supported": []any{"mcp:use"}, "bearer_methods_supported": []any{"header"}}
	}
	const fallback = "https://issuer.example.com"
	for _, row := range []struct {
		name, method string
		cfg          Config
		path         string
		status       int
		want         map[string]any
	}{
		{"gateway", "GET", oauth(gateway), WellKnown, 200, doc(gateway, fallback)},
		{"gateway, its path", "GET", oauth(gateway), WellKnown + "/mcp", 200, doc(gateway, fallback)},
		{"server", "GET", oauth(gateway), WellKnown + "/mcp/files", 200, doc(gateway+"/files", fallback)},
		{"head", "HEAD", oauth(gateway), WellKnown + "/mcp/files", 200, nil},
		{"servers named", "GET", oauth(gateway, "https://a.example.com", "https://b.example.com"), WellKnown, 200, doc(gateway, "https://a.example.com", "https://b.example.com")},
		{"slash at the end", "GET", oauth(gateway + "/"), WellKnown + "/mcp/files", 200, doc(gateway+"/files", fallback)},
		{"below a prefix", "GET", oauth("https://example.com/a/mcp"), WellKnown + "/a/mcp/files", 200, doc("https://example.com/a/mcp/files", fallback)},
		{"prefix taken away by a proxy", "GET", oauth("https://example.com/a/mcp"), WellKnown + "/mcp/files", 200, doc("https://example.com/a/mcp/files", fallback)},
		{"host alone", "GET", oauth("https://gw.example.com"), WellKnown, 200, doc("https://gw.example.com", fallback)},
		{"server of a host alone", "GET", oauth("https://gw.example.com"), WellKnown + "/files", 200, doc("https://gw.example.com/files", fallback)},
		{"unknown server", "GET", oauth(gateway), WellKnown + "/mcp/db", 404, nil},
		{"server elsewhere", "GET", oauth(gateway), WellKnown + "/files", 404, nil},
		{"below a server", "GET", oauth(gateway), WellKnown + "/mcp/files/x", 404, nil},
		{"glued", "GET", oauth(gateway), WellKnown + "2", 404, nil},
		{"post", "POST", oauth(gateway), WellKnown, 405, nil},
		{"bearer", "GET", Config{Enabled: true, Type: Bearer, Token: "x"}, WellKnown, 404, nil},
		{"off", "GET", Config{}, WellKnown, 404, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := httptest.NewServer(open(t, row.cfg, nil).Metadata(known))
			defer server.Close()
			r, err := http.NewRequest(row.method, server.URL+row.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != row.status || response.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("got %d %s, want %d", response.StatusCode, response.Header, row.status)
			}
			if cached := response.Header.Get("Cache-Control") != ""; cached != (row.status == 200) {
				t.Errorf("Cache-Control: %t", cached)
			}
			if row.want == nil {
				return
			}
			var got map[string]any
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestClientFollowsChallenge: the SDK's client goes from the challenge to the document, which must describe the URL it called.
func TestClientFollowsChallenge(t *testing.T) {
	issuer := httptest.NewServer(newIssuer(ecSigner("e")))
	defer issuer.Close()
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	defer server.Close()
	for _, prefix := range []string{"/mcp", "/deep/mcp", ""} {
		cfg := oauthConfig(issuer.URL)
		cfg.OAuth.Resource, cfg.OAuth.Issuer = server.URL+prefix, issuer.URL
		a := open(t, cfg, nil)
		handler = a.Metadata(known)
		for _, name := range []string{"", "files"} {
			_, err := a.Authenticate(httptest.NewRequest(http.MethodPost, "/", http.NoBody), name)
			h := http.Header{}
			err.(*Challenge).SetHeader(h) //nolint:errorlint // it is always one
			challenges, err := oauthex.ParseWWWAuthenticate(h.Values("WWW-Authenticate"))
			if err != nil {
				t.Fatal(err)
			}
			resource, err := url.JoinPath(server.URL+prefix, name)
			if err != nil {
				t.Fatal(err)
			}
			resource = strings.TrimSuffix(resource, "/")
			m, err := oauthex.GetProtectedResourceMetadata(t.Context(), challenges[0].Params["resource_metadata"], resource, server.Client())
			if err != nil {
				t.Fatalf("%q: %v", resource, err)
			}
			if diff := cmp.Diff([]string{issuer.URL}, m.AuthorizationServers); diff != "" {
				t.Error(diff)
			}
		}
	}
}
