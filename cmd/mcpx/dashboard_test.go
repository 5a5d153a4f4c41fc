package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

var loginLink = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+/dashboard/login\?code=[A-Za-z0-9_-]{43}`)

// opens reports whether a link logs somebody in.
func opens(t *testing.T, link string) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(r) // follows nothing
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode == http.StatusSeeOther && len(response.Cookies()) == 1
}

// with gives the machine other variables of the environment.
func (m *machine) with(variables ...string) *machine {
	other := *m
	other.env = append(append([]string{}, m.env...), variables...)
	return &other
}

func TestDashboardIsOpenedOrPrinted(t *testing.T) {
	m := newMachine(t)
	m.env = append(m.env, "DISPLAY=", "WAYLAND_DISPLAY=", "SSH_CONNECTION=", "SSH_TTY=")
	if _, all := m.run(t, exitFailure, "", "dashboard"); !strings.Contains(all, "mcpx hub") {
		t.Errorf("without a hub: %s", all)
	}
	m.startHub(t)
	out, _ := m.run(t, 0, "", "dashboard", "--print")
	link := strings.TrimSpace(out)
	if loginLink.FindString(link) != link || !opens(t, link) || opens(t, link) {
		t.Errorf("--print prints %q, which does not log in, or more than once", out)
	}
	out, _ = m.run(t, 0, "", "dashboard", "--json")
	var printed uplink.DashboardLink
	if err := json.Unmarshal([]byte(out), &printed); err != nil || !opens(t, printed.URL) || !printed.Local {
		t.Errorf("--json prints %s: %v", out, err)
	}
	out, _ = m.with("SSH_CONNECTION=192.0.2.1 50000 192.0.2.2 22").run(t, 0, "", "dashboard")
	if !opens(t, loginLink.FindString(out)) || !strings.Contains(out, "ssh -N -L ") {
		t.Errorf("over SSH it says\n%s", out)
	}
	if out, _ := m.run(t, 0, "", "hub", "status"); !strings.Contains(out, "/dashboard: `mcpx dashboard` opens it") {
		t.Errorf("hub status says\n%s", out)
	}
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" { // a browser would open
		return
	}
	if out, _ := m.run(t, 0, "", "dashboard"); !opens(t, loginLink.FindString(out)) || !strings.Contains(out, "no screen") {
		t.Errorf("without a screen it says\n%s", out)
	}
	bin, given := t.TempDir(), filepath.Join(t.TempDir(), "given")
	opener := filepath.Join(bin, "xdg-open")
	script := func(text string) {
		if err := os.WriteFile(opener, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	screen := m.with("DISPLAY=:9", "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	script(`printf %s "$1" > ` + given)
	out, _ = screen.run(t, 0, "", "dashboard")
	address, err := os.ReadFile(given)
	if err != nil || !opens(t, string(address)) || !strings.Contains(out, "opens in the browser") || strings.Contains(out, "code=") {
		t.Errorf("the browser is given %q, %v; it says\n%s", address, err, out)
	}
	script("exit 3")
	if out, _ := screen.run(t, 0, "", "dashboard"); !opens(t, loginLink.FindString(out)) {
		t.Errorf("without a browser it says\n%s", out)
	}
}

func TestDashboardIsForAdministrators(t *testing.T) {
	m := newMachine(t)
	_, address := m.startHub(t)
	token := func(args ...string) string {
		out, _ := m.run(t, 0, "", append([]string{"hub", "token", "create", "--json"}, args...)...)
		var made struct{ Token string }
		if err := json.Unmarshal([]byte(out), &made); err != nil || made.Token == "" {
			t.Fatalf("%v: %s", err, out)
		}
		return made.Token
	}
	for name, row := range map[string]struct {
		args []string
		code int
		says string
	}{
		"ann":  {[]string{"--name", "ann"}, exitFailure, "administrators only"},
		"some": {[]string{"--name", "some", "--admin", "--server", "files"}, exitFailure, "limited to some"},
		"boss": {[]string{"--name", "boss", "--admin"}, 0, "/dashboard/login?code="},
	} {
		other := newMachine(t)
		file := filepath.Join(other.folder, "token")
		if err := os.WriteFile(file, []byte(token(row.args...)), 0o600); err != nil {
			t.Fatal(err)
		}
		config := "hub: { url: http://" + address + ", token_file: token }\n"
		if err := os.WriteFile(filepath.Join(other.folder, "mcpx.yaml"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, all := other.run(t, row.code, "", "-c", "mcpx.yaml", "dashboard", "--print"); !strings.Contains(all, row.says) {
			t.Errorf("%s: %s", name, all)
		}
	}
}

// The log names the command that opens this hub's dashboard, and not that of another hub.
func TestTheLogSaysHowTheDashboardIsOpened(t *testing.T) {
	tests := map[string][]string{"mcpx dashboard opens": nil, "an administrator's hub token": {"--socket", "none"}}
	if runtime.GOOS != "windows" { // which has no such sockets
		tests["mcpx dashboard --hub ./s.sock opens"] = []string{"--socket", "./s.sock"}
	}
	for says, args := range tests {
		s, _ := newMachine(t).startHub(t, args...)
		if text := s.text(); !strings.Contains(text, says) {
			t.Errorf("%q does not say %q: %s", args, says, text)
		}
	}
}

func TestWhereTheDashboardListens(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	m := newMachine(t)
	if _, all := m.run(t, exitFailure, "", "hub", "--listen", "127.0.0.1:0", "--admin", taken.Addr().String()); !strings.Contains(all, "admin.listen") {
		t.Errorf("an address that is named and taken: %s", all)
	}
	if _, all := m.run(t, exitUsage, "", "hub", "--admin", "nowhere"); !strings.Contains(all, "--admin") {
		t.Errorf("no address: %s", all)
	}
	none := newMachine(t)
	none.startHub(t, "--admin", "none")
	if _, all := none.run(t, exitFailure, "", "dashboard"); !strings.Contains(all, "--admin none") {
		t.Errorf("a hub without a dashboard: %s", all)
	}
	usual, usualErr := net.Listen("tcp", usualAdmin) // or somebody else has it
	if usualErr == nil {
		defer usual.Close()
	}
	m.startHub(t) // takes a free port
	out, _ := m.run(t, 0, "", "dashboard", "--print")
	if link := strings.TrimSpace(out); strings.Contains(link, usualAdmin) || !opens(t, link) {
		t.Errorf("where the usual address is taken: %s", out)
	}
	open := newMachine(t)
	s, _ := open.startHub(t, "--admin", ":0")
	if text := s.text(); !strings.Contains(text, "THE DASHBOARD IS SERVED IN THE CLEAR") {
		t.Errorf("beyond this machine it does not warn: %s", text)
	}
}
