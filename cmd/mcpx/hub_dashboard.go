package main

import (
	"fmt"
	"net"

	"github.com/rohitgs28/mcpx/hub"
)

// listenAdmin is net.Listen for the dashboard. An address that somebody has named is had, or there is no hub; in place of the usual
// one any free port will do, as `mcpx dashboard` knows which.
func (s *hubSettings) listenAdmin(network, address string) (net.Listener, error) {
	listener, err := net.Listen(network, address)
	if err == nil || s.admin != "" || s.current.Load().Admin.Listen != "" {
		return listener, err
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return nil, err
	}
	s.log.Info().Err(err).Msg("the usual address of the dashboard cannot be used: taking a free port (admin.listen or --admin names another)")
	if listener, err = net.Listen(network, net.JoinHostPort(host, "0")); err != nil {
		s.log.Warn().Err(err).Msg("there is no dashboard: no port can be listened on")
		return nil, nil
	}
	return listener, nil
}

// plainAdminWarning is for whoever has others log in to the dashboard at an address that does not hide how.
const plainAdminWarning = `
************************************************************************
*  WARNING: THE DASHBOARD IS SERVED IN THE CLEAR                       *
************************************************************************
The dashboard listens on %s, beyond this machine, without TLS. Whoever
can read the network sees what it shows, and can take over a session.

Do one of these:
  - give the hub a certificate:   tls: { cert_file: …, key_file: … }
  - put a proxy with TLS before it, on this machine
  - listen on this machine only:  admin: { listen: 127.0.0.1:8081 }

`

// dashboard says where the dashboard is. The warning is no line of the log: no level hides it.
func (s *hubSettings) dashboard(url string, cfg hub.Config, v *hubService) {
	how := "mcpx dashboard" + v.asks + " opens the dashboard"
	if v.at == "" { // nobody has found this hub without a token
		how = "mcpx dashboard --hub URL opens the dashboard, for who has logged in with an administrator's hub token"
	}
	s.log.Info().Str("dashboard", url).Msg(how)
	if beyondLoopback(cfg.Admin.Listen) && cfg.TLS.CertFile == "" {
		fmt.Fprintf(s.stderr, plainAdminWarning, printable(cfg.Admin.Listen))
	}
}
