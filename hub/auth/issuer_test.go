package auth

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/rs/zerolog"
)

// TestMain lets the test binary pose as an issuer: a process of its own that can be killed.
func TestMain(m *testing.M) {
	if address := os.Getenv("MCPX_TEST_ISSUER"); address != "" {
		serveIssuer(address)
		return
	}
	os.Exit(m.Run())
}

// An issuer publishes keys at /jwks and signs tokens with the last of them.
type issuer struct {
	mu       sync.Mutex
	keys     []signer
	requests int              // of the keys
	respond  http.HandlerFunc // in place of the keys, if set
	fetched  chan struct{}    // gets one element per answer, if there is room
}

type signer struct {
	id      string
	method  jwt.SigningMethod
	private crypto.Signer
}

// Making RSA keys is slow: all tests share a few.
var rsaKeys = [2]func() *rsa.PrivateKey{sync.OnceValue(newRSA), sync.OnceValue(newRSA)}

func newRSA() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func rsaSigner(id string, i int) signer { return signer{id, jwt.SigningMethodRS256, rsaKeys[i]()} }

func ecSigner(id string) signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return signer{id, jwt.SigningMethodES256, key}
}

func newIssuer(keys ...signer) *issuer {
	return &issuer{keys: keys, fetched: make(chan struct{}, 100)}
}

// jwk returns the public key as a JWK with further members.
func (s signer) jwk(members map[string]any) map[string]any {
	key, err := jwkset.NewJWKFromKey(s.private.Public(), jwkset.JWKOptions{})
	if err != nil {
		panic(err)
	}
	text, _ := json.Marshal(key.Marshal())
	all := map[string]any{}
	_ = json.Unmarshal(text, &all)
	if s.id != "" {
		all["kid"] = s.id
	}
	maps.Copy(all, members)
	return all
}

// sign returns a token with claims, and header members beside alg, kid and typ. A nil one takes the usual one away.
func (s signer) sign(claims, header map[string]any) string {
	token := jwt.NewWithClaims(s.method, jwt.MapClaims(claims))
	if s.id != "" {
		token.Header["kid"] = s.id
	}
	for name, value := range header {
		if token.Header[name] = value; value == nil {
			delete(token.Header, name)
		}
	}
	text, err := token.SignedString(s.private)
	if err != nil {
		panic(err)
	}
	return text
}

func (i *issuer) signer() signer {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[len(i.keys)-1]
}

func (i *issuer) use(keys ...signer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

func (i *issuer) answerWith(h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.respond = h
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.requests++
	respond, keys := i.respond, []any{}
	for _, k := range i.keys {
		keys = append(keys, k.jwk(nil))
	}
	i.mu.Unlock()
	defer func() {
		select {
		case i.fetched <- struct{}{}:
		default:
		}
	}()
	if respond != nil {
		respond(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
}

// RoundTrip lets a client inside a synctest bubble, where sockets cannot be waited for, talk to the issuer.
func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r)
	response := w.Result()
	response.Request = r
	return response, nil
}

const gateway = "https://gateway.example.com/mcp"

// claimsFor returns what a good token says, with changes; nil takes a claim away.
func claimsFor(changes map[string]any) map[string]any {
	all := map[string]any{
		"iss": "https://issuer.example.com", "sub": "alice", "aud": gateway, "scope": "mcp:use",
		"exp": time.Now().Add(time.Hour).Unix(), "nbf": time.Now().Unix(), "iat": time.Now().Unix(),
	}
	for name, value := range changes {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return all
}

func oauthConfig(uri string) Config {
	return Config{Enabled: true, Type: OAuth2, OAuth: OAuth{
		Resource: gateway, JWKSURI: uri, Issuer: "https://issuer.example.com", RequiredScopes: []string{"mcp:use"},
	}}
}

// open returns an Authenticator whose issuer has been asked once.
func open(t testing.TB, cfg Config, client *http.Client) *Authenticator {
	t.Helper()
	a, err := New(context.Background(), cfg, Options{Log: zerolog.Nop(), Client: client})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	<-a.Settled()
	return a
}

// opened returns an Authenticator of an issuer on a socket.
func opened(t testing.TB, i *issuer, change func(*Config)) *Authenticator {
	t.Helper()
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	cfg := oauthConfig(server.URL)
	if change != nil {
		change(&cfg)
	}
	return open(t, cfg, nil)
}

func bearer(token string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/mcp/files", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// A process is an issuer that can be killed.
type process struct {
	command *exec.Cmd
	url     string
}

func startIssuer(t *testing.T, address string) *process {
	t.Helper()
	p := &process{command: exec.Command(os.Args[0]), url: "http://" + address}
	p.command.Env = append(os.Environ(), "MCPX_TEST_ISSUER="+address)
	p.command.Stderr = os.Stderr
	out, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("issuer says %q, %v", line, err)
	}
	return p
}

func (p *process) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// ask posts to the issuer's control paths.
func (p *process) ask(t *testing.T, path string) string {
	t.Helper()
	response, err := http.Post(p.url+path, "text/plain", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %q %v", path, response.StatusCode, text, err)
	}
	return string(text)
}

func serveIssuer(address string) {
	i := newIssuer(ecSigner("1"))
	mux := http.NewServeMux()
	mux.Handle("GET /jwks", i)
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, i.signer().sign(claimsFor(nil), nil))
	})
	mux.HandleFunc("POST /rotate", func(http.ResponseWriter, *http.Request) {
		i.use(ecSigner(fmt.Sprint(time.Now().UnixNano())))
	})
	mux.HandleFunc("POST /count", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, i.count()) })
	listener, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_ = http.Serve(listener, mux)
}

// freeAddress returns an address where nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// with returns a transport's client.
func with(i *issuer) *http.Client { return &http.Client{Transport: i} }

func swap(token string, part int, by string) string {
	parts := strings.Split(token, ".")
	parts[part] = by
	return strings.Join(parts, ".")
}
