package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
)

const (
	healthTimeout = 5 * time.Second
	maxHealthBody = 64 << 10 // bytes that are read of an answer, so that its connection ends in order
)

func (a *app) healthCommand() *cobra.Command {
	var address string
	timeout := healthTimeout
	cmd := &cobra.Command{
		Use:   "health [flags]",
		Short: "Ask a hub on this machine whether it is up",
		Long: `health asks the hub of the configuration in use, at its own address, whether the process serves: what a container or
a service manager does from time to time. Over TLS it wants exactly the certificate that the configuration names,
whatever name that is for. With --url it asks for any address instead, such as http://127.0.0.1:8080/health, which
also probes every server.

Exit codes: 0 the answer is a success, 1 it is not or there is none.`,
		Example: "  mcpx health -c mcpx.yaml\n  mcpx health --url http://127.0.0.1:8080/readyz",
		Args:    operands(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return a.health(ctx, address)
		},
	}
	cmd.Flags().StringVar(&address, "url", "", "`URL` to ask for, in place of the configuration's")
	cmd.Flags().DurationVar(&timeout, "timeout", healthTimeout, "how long the answer may take")
	_ = cmd.RegisterFlagCompletionFunc("url", cobra.NoFileCompletions)
	return cmd
}

func (a *app) health(ctx context.Context, address string) error {
	probe := healthProbe{url: address}
	if address == "" {
		c, err := a.loadConfig()
		if err != nil {
			return err
		}
		if probe, err = newHealthProbe(c); err != nil {
			return err
		}
	}
	err := probe.run(ctx)
	if err != nil && a.json {
		if err := a.printJSON(healthReport{URL: probe.url, Error: err.Error()}); err != nil {
			return err
		}
		return &exitError{code: exitFailure}
	}
	if err != nil {
		return fmt.Errorf("%s is not healthy: %w", printable(probe.url), err)
	}
	if a.json {
		return a.printJSON(healthReport{OK: true, URL: probe.url})
	}
	fmt.Fprintln(a.out, "ok")
	return nil
}

// A healthReport is what `mcpx health --json` prints.
type healthReport struct {
	OK    bool   `json:"ok"`
	URL   string `json:"url"`
	Error string `json:"error,omitempty"`
}

// A healthProbe is one question to a hub.
type healthProbe struct {
	url  string
	leaf []byte // DER: the certificate that the hub must have; nil: one that this system trusts
	mtls bool   // the hub asks for a certificate that we do not have: to be recognized is enough
}

func newHealthProbe(c *config) (healthProbe, error) {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return healthProbe{}, err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	p := healthProbe{mtls: c.TLS.ClientCAFile != ""}
	u := url.URL{Scheme: "http", Host: net.JoinHostPort(host, port), Path: "/healthz"}
	if c.TLS.CertFile != "" {
		u.Scheme = "https"
		text, err := os.ReadFile(c.TLS.CertFile)
		if err != nil {
			return healthProbe{}, fmt.Errorf("read the certificate: %w", err)
		}
		block, _ := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE" {
			return healthProbe{}, fmt.Errorf("read the certificate: %q does not begin with one", c.TLS.CertFile)
		}
		p.leaf = block.Bytes
	}
	p.url = u.String()
	return p, nil
}

func (p healthProbe) run(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return err
	}
	recognized := false
	transport := &http.Transport{DisableKeepAlives: true} // and no proxy: this is about the address itself
	if p.leaf != nil {
		transport.TLSClientConfig = &tls.Config{
			InsecureSkipVerify: true, //nolint:gosec // stricter than a chain: the very certificate of the configuration
			VerifyConnection: func(state tls.ConnectionState) error {
				recognized = bytes.Equal(state.PeerCertificates[0].Raw, p.leaf)
				if !recognized {
					return errors.New("its certificate is not the one of the configuration")
				}
				return nil
			},
		}
	}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil && p.mtls && recognized && ctx.Err() == nil {
		return nil
	}
	if err != nil {
		failed, _ := errors.AsType[*url.Error](err)
		return cmp.Or(failed, &url.Error{Err: err}).Err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxHealthBody))
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("it answers %s", response.Status)
	}
	return nil
}
