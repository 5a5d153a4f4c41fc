package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/rohitgs28/mcpx/hub/uplink"
)

// loginFlags are what `mcpx login` takes.
type loginFlags struct {
	key       string
	tokenFile string
	status    bool
}

func (a *app) loginCommand() *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use:   "login {URL | --status}",
		Short: "Enrol this machine at a team's hub",
		Long: `login makes the hub at URL the one of this user on this machine: wrappers send their events there, and take rules and
approved pins from there, unless their configuration or --hub names another. The token is what
` + "`mcpx hub token create`" + ` printed on the hub's machine. It is asked for without showing it, or read from --token-file.

The hub signs what it says. Compare its key with the one that was printed beside the token, or give that with --key; from
then on no other key is accepted. The token is kept in the keyring of the system if there is one, else in a file that only
you can read. http is for a hub on this machine; else it must be https.`,
		Example: `  mcpx login https://hub.example.com --key ed25519:…
  mcpx login https://hub.example.com --key ed25519:… --token-file - < token
  mcpx login --status`,
		Args: func(_ *cobra.Command, args []string) error { return f.check(args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.status {
				return a.loginStatus(cmd.Context())
			}
			return a.login(cmd.Context(), sameHub(args[0]), f)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.key, "key", "", "`KEY` that the hub must sign with, as it was printed beside the token")
	flags.StringVar(&f.tokenFile, "token-file", "", "`FILE` that holds the token; - is stdin")
	flags.BoolVar(&f.status, "status", false, "say where this machine is enrolled, and whether the hub still knows it")
	_ = cmd.RegisterFlagCompletionFunc("key", cobra.NoFileCompletions)
	return cmd
}

func (f loginFlags) check(args []string) error {
	switch {
	case f.status && (len(args) > 0 || f.key != "" || f.tokenFile != ""):
		return errors.New("login: --status stands alone")
	case f.status:
		return nil
	case len(args) != 1:
		return errors.New("login: give the URL of one hub")
	}
	if err := secureURL("login", args[0]); err != nil {
		return err
	}
	if f.key == "" {
		return nil
	}
	if _, err := uplink.ParseKey(f.key); err != nil {
		return fmt.Errorf("login: --key: %w", err)
	}
	return nil
}

// login asks the hub who we are, makes sure that it is the right one, and only then remembers anything.
func (a *app) login(ctx context.Context, address string, f loginFlags) error {
	before, err := readLogin()
	if err != nil {
		fmt.Fprintf(a.err, "mcpx: the login before cannot be read, and is replaced: %s\n", printable(err.Error()))
	}
	token, err := a.readToken(f.tokenFile)
	if err != nil {
		return err
	}
	identity, err := askIdentity(ctx, address, token)
	if err != nil {
		return (&hubTarget{URL: address}).explain(err)
	}
	if err := a.trustKey(address, identity, f.key, before); err != nil {
		return err
	}
	l := &login{URL: address, Key: identity.Key, Principal: identity.Principal}
	where, err := l.keep(credential{Token: token, URL: l.URL, Key: l.Key}, before)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(reportLogin(l, &identity, nil))
	}
	fmt.Fprintf(a.out, "enrolled at %s as %s\n", address, oneLine(describeIdentity(&identity)))
	fmt.Fprintf(a.out, "  the token is in %s\n", where)
	fmt.Fprintln(a.out, "  wrappers that start from now on belong to this hub")
	return nil
}

func askIdentity(ctx context.Context, address, token string) (uplink.Identity, error) {
	client, err := uplink.NewClient(uplink.Options{
		URL: address, Token: func() (string, error) { return token, nil }, Version: buildVersion().Version,
	})
	if err != nil {
		return uplink.Identity{}, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	return client.Identity(ctx)
}

func describeIdentity(i *uplink.Identity) string {
	text := i.Principal
	if i.Admin {
		text += ", an administrator"
	}
	if len(i.Servers) > 0 {
		text += ", for the servers " + strings.Join(i.Servers, " ")
	}
	if !i.Expires.IsZero() {
		text += ", until " + day(i.Expires)
	}
	return text
}

// readToken reads the token from a file, from stdin, or from the terminal without an echo.
func (a *app) readToken(file string) (string, error) {
	if file != "" && file != "-" {
		here, err := os.Getwd()
		if err != nil {
			return "", err
		}
		token, err := readSecret(here, file)
		return strings.TrimSpace(string(token)), err
	}
	if terminal := a.terminal(); terminal != nil && file == "" {
		fmt.Fprint(a.err, "Token: ")
		text, err := term.ReadPassword(int(terminal.Fd()))
		fmt.Fprintln(a.err)
		if err != nil {
			return "", fmt.Errorf("read the token: %w", err)
		}
		return checkToken(string(text))
	}
	line, err := bufio.NewReader(io.LimitReader(a.in, maxSecretFile)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the token: %w", err)
	}
	return checkToken(line)
}

func checkToken(text string) (string, error) {
	token := strings.TrimSpace(text)
	if token == "" {
		return "", errors.New("there is no token on stdin: `mcpx hub token create` prints one, on the hub's machine")
	}
	return token, nil
}

// terminal gives our stdin where a person is at its other end, else nil.
func (a *app) terminal() *os.File {
	if file, ok := a.in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return file
	}
	return nil
}

// trustKey decides whether the hub is the right one: by --key, by the login before, or by whoever is at the terminal.
func (a *app) trustKey(address string, identity uplink.Identity, wanted string, before *login) error {
	if wanted != "" {
		if key, err := uplink.ParseKey(wanted); err != nil || key != identity.Key {
			return fmt.Errorf("%s signs with %s, not with the key that --key gives: this is not the hub that made the token, or it was set up anew; nothing was changed", address, identity.Key)
		}
		return nil
	}
	if before != nil && before.URL == address {
		if before.Key == identity.Key {
			return nil
		}
		return fmt.Errorf("%s signs with another key than at the login before (%s, not %s): find out why, then give the right one with --key; nothing was changed", address, identity.Key, before.Key)
	}
	terminal := a.terminal()
	if terminal == nil {
		return fmt.Errorf("nobody is here to confirm the hub's key %s: compare it with the one printed beside the token, and give it with --key", identity.Key)
	}
	fmt.Fprintf(a.err, "The hub signs with\n  %s\nIs that the key that was printed beside the token? [y/N] ", identity.Key)
	answer, _ := bufio.NewReader(io.LimitReader(terminal, 256)).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("the key was not confirmed: nothing was changed")
	}
	return nil
}

// keep remembers the login and its token, says where the token is, and forgets that of the login before.
func (l *login) keep(c credential, before *login) (where string, err error) {
	text, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	l.Account = l.URL + "#" + rand.Text()[:8] // another state folder may be enrolled there as well
	tokenFile, err := statePath(tokenName)
	if err != nil {
		return "", err
	}
	where = "the keyring"
	if keyringErr := keyringSet(l.Account, string(text)); keyringErr != nil {
		where = fmt.Sprintf("%s, readable for you alone: there is no keyring that takes it (%s)", tokenFile, oneLine(keyringErr.Error()))
		l.Account = ""
		if err := writeState(tokenFile, c); err != nil {
			return "", fmt.Errorf("keep the token: %w", err)
		}
	}
	loginFile, err := statePath(loginName)
	if err == nil {
		err = writeState(loginFile, l)
	}
	if err != nil {
		return "", fmt.Errorf("keep the login: %w", err)
	}
	if l.Account != "" {
		err = removeState(tokenFile)
	}
	if before != nil && before.Account != "" {
		err = errors.Join(err, keyringDelete(before.Account))
	}
	if err != nil {
		return "", fmt.Errorf("forget the token of the login before: %w", err)
	}
	return where, nil
}

func removeState(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
