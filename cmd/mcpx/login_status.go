package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// A loginReport is what `mcpx login --status --json` prints.
type loginReport struct {
	Enrolled  bool       `json:"enrolled"`
	URL       string     `json:"url,omitempty"`
	Key       string     `json:"key,omitempty"`
	Principal string     `json:"principal,omitempty"`
	Token     string     `json:"token,omitempty"` // where it is: keyring or file
	Admin     bool       `json:"admin,omitempty"`
	Servers   []string   `json:"servers,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`
	Error     string     `json:"error,omitempty"` // of the hub, or on the way there
}

func reportLogin(l *login, identity *uplink.Identity, err error) loginReport {
	report := loginReport{Enrolled: true, URL: l.URL, Key: l.Key.String(), Principal: l.Principal, Token: "file"}
	if l.Account != "" {
		report.Token = "keyring"
	}
	if err != nil {
		report.Error = err.Error()
		return report
	}
	report.Admin, report.Servers = identity.Admin, identity.Servers
	if !identity.Expires.IsZero() {
		report.Expires = &identity.Expires
	}
	return report
}

func (a *app) loginStatus(ctx context.Context) error {
	l, err := readLogin()
	if err != nil {
		return err
	}
	if l == nil {
		if a.json {
			if err := a.printJSON(loginReport{}); err != nil {
				return err
			}
			return &exitError{code: exitFailure}
		}
		return errors.New("this machine is not enrolled at a hub: `mcpx login URL` does it")
	}
	identity, err := l.check(ctx)
	if a.json {
		if printErr := a.printJSON(reportLogin(l, &identity, err)); printErr != nil {
			return printErr
		}
		if err != nil {
			return &exitError{code: exitFailure}
		}
		return nil
	}
	fmt.Fprintf(a.out, "enrolled at %s as %s\n  key %s\n", oneLine(l.URL), oneLine(l.Principal), l.Key)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "  the hub says: %s\n", oneLine(describeIdentity(&identity)))
	return nil
}

// check asks the hub of the login whether everything is as it was.
func (l *login) check(ctx context.Context) (uplink.Identity, error) {
	t := &hubTarget{URL: l.URL, Key: l.Key}
	c, err := l.credential()
	if err != nil {
		return uplink.Identity{}, err
	}
	identity, err := askIdentity(ctx, l.URL, c.Token)
	switch {
	case err != nil:
		return identity, t.explain(err)
	case identity.Key != l.Key:
		return identity, t.otherKey(identity.Key)
	case identity.Principal != l.Principal:
		return identity, fmt.Errorf("the hub %s says that we are %q, at the login it was %q: log in again", l.URL, identity.Principal, l.Principal)
	default:
		return identity, nil
	}
}

func (a *app) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "Forget the hub of `mcpx login`, and its token",
		Args:  operands(0, 0),
		RunE:  func(*cobra.Command, []string) error { return a.logout() },
	}
}

func (a *app) logout() error {
	l, err := readLogin()
	if err != nil {
		fmt.Fprintf(a.err, "mcpx: %s\n", printable(err.Error()))
	}
	folder, err := stateDir()
	if err != nil {
		return err
	}
	err = removeState(filepath.Join(folder, tokenName))
	if l != nil && l.Account != "" {
		err = errors.Join(err, keyringDelete(l.Account))
	}
	if err != nil {
		return fmt.Errorf("forget the token: %w", err)
	}
	if err := removeState(filepath.Join(folder, loginName)); err != nil {
		return fmt.Errorf("forget the login: %w", err)
	}
	if a.json {
		return a.printJSON(loginReport{})
	}
	if l == nil {
		fmt.Fprintln(a.out, "this machine was not enrolled at a hub")
		return nil
	}
	fmt.Fprintf(a.out, "no longer enrolled at %s\n  the token still counts there until it is revoked: mcpx hub token revoke %s\n", oneLine(l.URL), oneLine(l.Principal))
	return nil
}
