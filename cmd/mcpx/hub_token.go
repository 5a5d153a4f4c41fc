package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/rohitgs28/mcpx/hub/store"
	"github.com/rohitgs28/mcpx/hub/uplink"
)

// tokenFlags are what `mcpx hub token create` takes.
type tokenFlags struct {
	name    string
	servers []string
	expires string
	admin   bool
	url     string
}

func (a *app) hubTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Let other machines and people use this hub: create, list and revoke tokens",
		Long: `A hub token names a person or a machine. With it, wrappers send their events to this hub and get rules and pins from
it; it opens nothing else, and no server of the gateway. The commands work on the hub's own store, on its machine,
whether the hub runs or not; a token counts, or no longer does, at once.`,
	}
	cmd.AddCommand(a.tokenCreateCommand(), a.tokenListCommand(), a.tokenRevokeCommand())
	return cmd
}

func (a *app) tokenCreateCommand() *cobra.Command {
	var f tokenFlags
	cmd := &cobra.Command{
		Use:   "create --name NAME [flags]",
		Short: "Make a token and print it, this once",
		Long: `create makes a token and prints it to stdout; the hub keeps only a hash of it. What to run on the other machine goes to
stderr, with the hub's key: by it the machine makes sure that it speaks to this hub and to no other.`,
		Example: `  mcpx hub token create --name alice --expires 90d
  mcpx hub token create --name ci --server 'github*' --url https://hub.example.com > token
  mcpx hub token create --name boss --admin`,
		Args: operands(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.tokenCreate(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "`NAME` of the person or machine: letters, digits and ._@-")
	flags.StringArrayVar(&f.servers, "server", nil, "only for servers that are named so; a `GLOB` such as git* (repeatable; default: all)")
	flags.StringVar(&f.expires, "expires", "", "how long it counts, such as 90d (default: until it is revoked)")
	flags.BoolVar(&f.admin, "admin", false, "may also see all wrappers, approve pins and revoke tools, for everybody")
	flags.StringVar(&f.url, "url", "", "`URL` of this hub for the others, for the line to run there")
	_ = cmd.MarkFlagRequired("name")
	for _, name := range []string{"name", "server", "expires", "url"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	_ = cmd.RegisterFlagCompletionFunc("server", a.completeServers)
	return cmd
}

func (a *app) tokenListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the tokens of this hub, without their secrets",
		Args:  operands(0, 0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.tokenList(cmd.Context()) },
	}
}

func (a *app) tokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "revoke NAME",
		Short:             "Make a token useless, at once",
		Args:              operands(1, 1),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.tokenRevoke(cmd.Context(), args[0]) },
		ValidArgsFunction: a.completeTokens,
	}
}

// A tokenReport is one token as --json prints it.
type tokenReport struct {
	Name    string     `json:"name"`
	Token   string     `json:"token,omitempty"` // create only
	URL     string     `json:"url,omitempty"`   // create only, where it is known
	Key     string     `json:"key,omitempty"`   // create only
	Servers []string   `json:"servers,omitempty"`
	Admin   bool       `json:"admin"`
	Created *time.Time `json:"created,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	Expired bool       `json:"expired,omitempty"`
	Used    *time.Time `json:"used,omitempty"`
}

func reportToken(t store.Token) tokenReport {
	moment := func(at time.Time) *time.Time {
		if at.IsZero() {
			return nil
		}
		return &at
	}
	return tokenReport{Name: t.Name, Servers: t.Servers, Admin: t.Admin, Created: moment(t.Created),
		Expires: moment(t.Expires), Expired: expired(t), Used: moment(t.Used)}
}

func expired(t store.Token) bool { return !t.Expires.IsZero() && !time.Now().Before(t.Expires) }

func (a *app) tokenCreate(ctx context.Context, f tokenFlags) error {
	token := store.Token{Name: f.name, Servers: f.servers, Admin: f.admin}
	if f.expires != "" {
		life, err := parseDuration(f.expires)
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("--expires: %w", err)}
		}
		token.Expires = time.Now().Add(life)
	}
	for _, scope := range f.servers {
		if err := uplink.ValidScope(scope); err != nil {
			return &exitError{exitUsage, fmt.Errorf("--server: %w", err)}
		}
	}
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	if f.url == "" {
		f.url = c.publicURL()
	} else if err := secureURL("url", f.url); err != nil {
		return &exitError{exitUsage, fmt.Errorf("--%w", err)}
	}
	home, err := c.hubPlaces()
	if err != nil {
		return err
	}
	st, private, err := home.open(ctx, keepAll, nil)
	if err != nil {
		return err
	}
	defer st.Close()
	secret, err := st.CreateToken(ctx, token)
	if err != nil {
		return fmt.Errorf("create the token %q: %w", f.name, err)
	}
	key := uplink.PublicKey(private).String()
	if a.json {
		report := reportToken(token)
		report.Token, report.URL, report.Key = secret, f.url, key
		return a.printJSON(report)
	}
	fmt.Fprintln(a.out, secret)
	fmt.Fprintf(a.err, "\nThis is the token of %s; it is shown this once. On the other machine run\n  mcpx login %s --key %s\nand give it there.\n",
		f.name, cmp.Or(f.url, "HUB_URL"), key)
	if strings.HasPrefix(f.url, "http:") {
		fmt.Fprintln(a.err, "This URL is for users of this machine: for others the hub needs listen and tls, and this command its -c FILE or a --url.")
	}
	return nil
}

func (a *app) tokenList(ctx context.Context) error {
	tokens, err := a.tokens(ctx)
	if err != nil {
		return err
	}
	if a.json {
		list := make([]tokenReport, len(tokens))
		for i, t := range tokens {
			list[i] = reportToken(t)
		}
		return a.printJSON(list)
	}
	if len(tokens) == 0 {
		fmt.Fprintln(a.out, "this hub has no tokens: only this user of this machine can use it")
		return nil
	}
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tSERVERS\tADMIN\tCREATED\tEXPIRES\tUSED")
	for _, t := range tokens {
		admin, expires := "-", "never"
		if t.Admin {
			admin = "yes"
		}
		if !t.Expires.IsZero() {
			expires = day(t.Expires)
		}
		if expired(t) {
			expires = "has expired"
		}
		used := "never"
		if !t.Used.IsZero() {
			used = t.Used.Local().Format("2006-01-02 15:04")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", oneLine(t.Name), oneLine(cmp.Or(strings.Join(t.Servers, " "), "all")), admin, day(t.Created), expires, used)
	}
	return table.Flush()
}

func day(t time.Time) string { return t.Local().Format(time.DateOnly) }

// tokens lists the tokens of the hub's store, and does not make one to look into it.
func (a *app) tokens(ctx context.Context) ([]store.Token, error) {
	st, err := a.openTokens(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer st.Close()
	return st.Tokens(ctx)
}

// openTokens opens the store of a hub that has run here; fs.ErrNotExist if none has.
func (a *app) openTokens(ctx context.Context) (*store.Store, error) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	home, err := c.hubPlaces()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(home.store); err != nil {
		return nil, fmt.Errorf("open the hub's store: %w", err)
	}
	st, err := store.Open(ctx, store.Options{Path: home.store, Retain: keepAll})
	if err != nil {
		return nil, fmt.Errorf("open the hub's store: %w", err)
	}
	return st, nil
}

func (a *app) tokenRevoke(ctx context.Context, name string) error {
	st, err := a.openTokens(ctx)
	if err == nil {
		err = errors.Join(st.RevokeToken(ctx, name), st.Close())
	}
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no token %q: `mcpx hub token list` lists them", name)
	case err != nil:
		return fmt.Errorf("revoke the token %q: %w", name, err)
	case a.json:
		return a.printJSON(struct {
			Revoked string `json:"revoked"`
		}{name})
	}
	fmt.Fprintf(a.out, "revoked the token of %s: the hub refuses it from now on\n", oneLine(name))
	return nil
}

func (a *app) completeTokens(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	tokens, err := a.tokens(context.WithoutCancel(cmd.Context()))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, t := range tokens {
		names = append(names, t.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// publicURL guesses how others reach the hub: by the name of its certificate, "" where that says nothing.
func (c *config) publicURL() string {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || port == "0" {
		return ""
	}
	if c.TLS.CertFile == "" {
		if uplink.LoopbackHost(host) {
			return "http://" + c.Listen
		}
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil {
		text, err := os.ReadFile(c.TLS.CertFile)
		if err != nil {
			return ""
		}
		block, _ := pem.Decode(text)
		if block == nil {
			return ""
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil || len(certificate.DNSNames) == 0 || strings.HasPrefix(certificate.DNSNames[0], "*") {
			return ""
		}
		host = certificate.DNSNames[0]
	}
	return sameHub("https://" + net.JoinHostPort(host, port))
}
