package hub

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// doorServer serves one word behind a door, on a loopback port.
func doorServer(t *testing.T, d *door) (address string) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.admit(w, r) {
			_, _ = w.Write([]byte("in"))
		}
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// exchange sends a request as it is written and reads the response's head.
func exchange(t *testing.T, address, request string) (status int, header http.Header) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header
}

func TestHostAndOriginOnLoopback(t *testing.T) {
	d := newDoor(CORS{AllowedOrigins: []string{"https://App.example.com:443/", "http://dev.example:5173", "vscode-webview://abc"}},
		"https://gateway.example.com/mcp")
	address := doorServer(t, d)
	_, port, _ := net.SplitHostPort(address)
	for _, tt := range []struct {
		name, host, origin string
		want               int
	}{
		{"a program", "127.0.0.1:PORT", "", 200},
		{"by name", "localhost:PORT", "", 200},
		{"by name in capitals", "LocalHost:PORT", "", 200},
		{"no port", "localhost", "", 200},
		{"another loopback address", "127.8.9.1:PORT", "", 200},
		{"IPv6", "[::1]:PORT", "", 200},
		{"the public name", "gateway.example.com", "", 200},
		{"the name of an allowed page", "app.example.com:1234", "", 200},

		{"rebound name", "evil.example:PORT", "", 403},
		{"rebound name with its own page", "evil.example:PORT", "http://evil.example:PORT", 403},
		{"name that begins like one of ours", "localhost.evil.example:PORT", "", 403},
		{"name that ends like one of ours", "evil-localhost:PORT", "", 403},
		{"an address of the network", "192.168.1.5:PORT", "", 403},
		{"unspecified address", "0.0.0.0:PORT", "", 403},
		{"shortened address", "127.1:PORT", "", 403},
		{"IPv4 in hexadecimal", "0x7f000001:PORT", "", 403},
		{"IPv6 with a zone", "[::1%25lo]:PORT", "", 403},
		{"user before the host", "localhost@evil.example", "", 403},
		{"trailing dot", "localhost.:PORT", "", 403},

		{"own page", "127.0.0.1:PORT", "http://127.0.0.1:PORT", 200},
		{"own page by name", "localhost:PORT", "http://localhost:PORT", 200},
		{"own page, IPv6", "[::1]:PORT", "http://[::1]:PORT", 200},
		{"allowed page", "127.0.0.1:PORT", "https://app.example.com", 200},
		{"allowed page with a port", "127.0.0.1:PORT", "http://dev.example:5173", 200},
		{"allowed page of an editor", "127.0.0.1:PORT", "vscode-webview://abc", 200},

		{"foreign page", "127.0.0.1:PORT", "https://evil.example", 403},
		{"another page of this machine", "127.0.0.1:PORT", "http://127.0.0.1:1", 403},
		{"another name of this machine", "127.0.0.1:PORT", "http://localhost:PORT", 403},
		{"allowed page, other scheme", "127.0.0.1:PORT", "http://app.example.com", 403},
		{"allowed page, other port", "127.0.0.1:PORT", "https://app.example.com:8443", 403},
		{"name below an allowed one", "127.0.0.1:PORT", "https://x.app.example.com", 403},
		{"name that begins like an allowed one", "127.0.0.1:PORT", "https://app.example.com.evil.example", 403},
		{"page without an origin", "127.0.0.1:PORT", "null", 403},
		{"path behind the origin", "127.0.0.1:PORT", "http://127.0.0.1:PORT/x", 403},
		{"user in the origin", "127.0.0.1:PORT", "http://x@127.0.0.1:PORT", 403},
		{"no scheme", "127.0.0.1:PORT", "127.0.0.1:PORT", 403},
		{"empty origin", "127.0.0.1:PORT", " ", 403},
		{"page of the public name", "gateway.example.com", "https://gateway.example.com", 403},
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS"} {
			t.Run(tt.name+"/"+method, func(t *testing.T) {
				head := fmt.Sprintf("%s /mcp/x HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n", method, tt.host)
				if tt.origin != "" {
					head += "Origin: " + tt.origin + "\r\n"
				}
				got, _ := exchange(t, address, strings.ReplaceAll(head, "PORT", port)+"\r\n")
				// net/http itself refuses a Host that cannot be one.
				if got != tt.want && (tt.want != 403 || got != 400) {
					t.Errorf("status %d, want %d", got, tt.want)
				}
			})
		}
	}
	t.Run("two origins", func(t *testing.T) {
		status, _ := exchange(t, address, "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example.com\r\nOrigin: https://evil.example\r\n\r\n")
		if status != 403 {
			t.Errorf("status %d, want 403", status)
		}
	})
	t.Run("no host", func(t *testing.T) {
		if status, _ := exchange(t, address, "GET / HTTP/1.0\r\n\r\n"); status != 403 {
			t.Errorf("status %d, want 403", status)
		}
	})
}

func TestBeyondLoopbackOnlyTheOriginCounts(t *testing.T) {
	d := newDoor(CORS{}, "")
	for _, tt := range []struct {
		name, host, origin string
		want               bool
	}{
		{"any name", "gateway.example.com", "", true},
		{"own page of a name that anybody may own", "gateway.example.com", "http://gateway.example.com", false},
		{"page of a loopback host", "localhost:8080", "http://localhost:8080", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", nil)
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 8080}))
			r.Host = tt.host
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			if got := d.admit(httptest.NewRecorder(), r); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestPreflight(t *testing.T) {
	const ask = "OPTIONS /mcp/x HTTP/1.1\r\nHost: localhost\r\nOrigin: %s\r\nAccess-Control-Request-Method: POST\r\n" +
		"Access-Control-Request-Headers: %s\r\n\r\n"
	protocol := "authorization,content-type,last-event-id,mcp-method,mcp-name,mcp-protocol-version,mcp-session-id,x-api-key"
	listed := CORS{AllowedOrigins: []string{"https://app.example.com"}, AllowedHeaders: []string{"Mcp-Param-Region"}, MaxAge: 10 * time.Minute}
	for _, tt := range []struct {
		name            string
		cfg             CORS
		origin, headers string
		status          int
		allowed         string // Access-Control-Allow-Origin
	}{
		{"headers of the protocol", listed, "https://app.example.com", protocol, 204, "https://app.example.com"},
		{"configured header", listed, "https://app.example.com", "mcp-param-region", 204, "https://app.example.com"},
		{"other header", listed, "https://app.example.com", "x-other", 204, ""},
		{"foreign page", listed, "https://evil.example", "authorization", 403, ""},
		{"every page", CORS{AllowedOrigins: []string{"*"}}, "https://evil.example", "authorization", 204, "*"},
		{"a star is no pattern", CORS{AllowedOrigins: []string{"https://*.example.com"}}, "https://app.example.com", "authorization", 403, ""},
		{"no page", CORS{}, "https://app.example.com", "authorization", 403, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, header := exchange(t, doorServer(t, newDoor(tt.cfg, "")), fmt.Sprintf(ask, tt.origin, tt.headers))
			if status != tt.status || header.Get("Access-Control-Allow-Origin") != tt.allowed {
				t.Errorf("got %d %v, want %d, %q", status, header, tt.status, tt.allowed)
			}
			if tt.allowed != "" && tt.cfg.MaxAge > 0 && header.Get("Access-Control-Max-Age") != "600" {
				t.Errorf("max age: %v", header)
			}
			if header.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("a browser may send its own credentials")
			}
		})
	}
}

func TestAnAllowedPageMayReadTheAnswersHeaders(t *testing.T) {
	address := doorServer(t, newDoor(CORS{AllowedOrigins: []string{"https://app.example.com"}}, ""))
	_, h := exchange(t, address, "POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example.com\r\nContent-Length: 0\r\n\r\n")
	exposed := strings.ToLower(h.Get("Access-Control-Expose-Headers"))
	for _, name := range []string{"mcp-session-id", "x-request-id", "www-authenticate", "retry-after"} {
		if !strings.Contains(exposed, name) {
			t.Errorf("%s is not exposed: %q", name, exposed)
		}
	}
	if h.Get("Access-Control-Allow-Origin") != "https://app.example.com" || !strings.Contains(h.Get("Vary"), "Origin") {
		t.Errorf("headers: %v", h)
	}
}

// What passes without being listed must be a page of loopback, by the reading of a parser that is not ours.
func FuzzHostAndOrigin(f *testing.F) {
	for _, seed := range [][2]string{
		{"127.0.0.1:8080", "http://127.0.0.1:8080"}, {"localhost", "http://localhost:80"}, {"[::1]:1", "https://[::1]:1"},
		{"evil", "http://evil"}, {"127.0.0.1@evil", "http://127.0.0.1@evil"}, {"localhost:1:2", "http://localhost:1:2"},
		{"localhost\x00", "null"}, {"127.0.0.1", "HTTP://127.0.0.1"}, {"localhost#", "http://localhost#"}, {"[::1]x:1", "http://[::1]x:1"},
	} {
		f.Add(seed[0], seed[1])
	}
	d := newDoor(CORS{}, "")
	loopback := func(name string) bool {
		ip := net.ParseIP(name)
		return name == "localhost" || ip != nil && ip.IsLoopback()
	}
	f.Fuzz(func(t *testing.T, host, origin string) {
		if ownOrigin(origin, host) {
			u, err := url.Parse(origin)
			if err != nil || !loopback(strings.ToLower(u.Hostname())) || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
				t.Errorf("origin %q passed: %+v, %v", origin, u, err)
			}
			if !d.ownHost(host) {
				t.Errorf("origin %q passed for host %q", origin, host)
			}
		}
		if d.ownHost(host) {
			u, err := url.Parse("http://" + host)
			if err != nil || !loopback(strings.ToLower(u.Hostname())) || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
				t.Errorf("host %q passed: %+v, %v", host, u, err)
			}
		}
	})
}
