package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// deskMark starts each line of the tenant and token subcommands.
const deskMark = "development only: "

// The addresses for the token and block subcommands. Auth0 has no such endpoints.
const (
	deskTokenPath = "/development/token"
	deskBlockPath = "/development/block"
)

// markWriter returns a function that prints one marked line.
func markWriter(w io.Writer) func(format string, args ...any) {
	return func(format string, args ...any) {
		for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
			fmt.Fprintln(w, deskMark+line)
		}
	}
}

// A desk is a development tenant and its configuration.
type desk struct {
	config *deskConfig
	tenant *auth0grpctest.Tenant
}

// runTenant runs the development tenant until ctx ends.
func runTenant(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fail := markWriter(stderr)
	flags := newDeskFlags("tenant", stderr)
	configFile := flags.String("config", "", "JSON `file` with port, clients and users; see docs/desk-tenant.md (default: built in)")
	if status, done := parseDeskFlags(flags, args, fail); done {
		return status
	}
	config, err := readDeskConfig(*configFile)
	if err != nil {
		fail("%v", err)
		return exitUsage
	}
	d, err := startDesk(config)
	if err != nil {
		fail("%v", err)
		return exitUsage
	}
	defer d.tenant.Close()
	say := markWriter(stdout)
	say("issuer       %s", d.tenant.Issuer())
	say("certificate  %s", config.certificate)
	say("lifetime     %s", config.lifetime)
	for _, audience := range slices.Sorted(maps.Keys(config.apis)) {
		say("lifetime     %s for %s", config.apis[audience], audience)
	}
	say("clients      %s", strings.Join(slices.Sorted(maps.Keys(config.clients)), " "))
	say("users        %s", strings.Join(slices.Sorted(maps.Keys(config.users)), " "))
	say("The tenant gives tokens to each process of this machine. Stop it with Ctrl-C.")
	<-ctx.Done()
	return exitOK
}

// startDesk starts the tenant and writes its certificate.
func startDesk(config *deskConfig) (*desk, error) {
	tenant, err := auth0grpctest.StartTenantOnPort(config.port)
	if err != nil {
		return nil, err
	}
	d := &desk{config, tenant}
	tenant.SetTokenLifetime(config.lifetime)
	for audience, lifetime := range config.apis {
		tenant.SetAPITokenLifetime(audience, lifetime)
	}
	tenant.AutoApproveDevices(2)
	for id, client := range config.clients {
		tenant.AddClient(id, client.secret, client.scopes)
	}
	tenant.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case deskTokenPath:
				serveForm(w, r, d.token)
			case deskBlockPath:
				serveForm(w, r, d.block)
			default:
				next.ServeHTTP(w, r)
			}
		})
	})
	if err := writeCertificate(config.certificate, tenant.CertificatePEM()); err != nil {
		tenant.Close()
		return nil, err
	}
	return d, nil
}

// writeCertificate writes a PEM file in one step. It replaces nothing but a certificate:
// a wrong name in the configuration must not cost a file.
func writeCertificate(name string, pem []byte) error {
	old, err := os.ReadFile(name)
	if err == nil && !strings.HasPrefix(string(old), "-----BEGIN CERTIFICATE-----") {
		return fmt.Errorf("%s exists and is no certificate; it stays as it is", name)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(name), ".tenant-*.pem")
	if err != nil {
		return err
	}
	_, err = temporary.Write(pem)
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), name)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
	}
	return err
}

// serveForm answers a subcommand with the text that answer makes of its form, or with
// the error.
func serveForm(w http.ResponseWriter, r *http.Request, answer func(form func(string) string) (string, error)) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	var text string
	err := errors.New("want POST")
	if r.Method == http.MethodPost {
		text, err = answer(r.PostFormValue)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, err)
		return
	}
	fmt.Fprint(w, text)
}

// block publishes the event that Auth0 publishes when an administrator blocks a user. It
// returns the subject.
func (d *desk) block(form func(string) string) (string, error) {
	user := form("user")
	u, ok := d.config.users[user]
	if !ok {
		return "", fmt.Errorf("no user %q; there are: %s", user, strings.Join(slices.Sorted(maps.Keys(d.config.users)), " "))
	}
	d.tenant.Events().BlockUser(u.subject)
	return u.subject, nil
}

// token returns the token that a form asks for.
func (d *desk) token(form func(string) string) (string, error) {
	claims := map[string]any{"development_only": true}
	user, clientID := form("user"), form("client")
	client, knownClient := d.config.clients[clientID]
	if clientID != "" {
		if !knownClient {
			return "", fmt.Errorf("no client %q; there are: %s", clientID, strings.Join(slices.Sorted(maps.Keys(d.config.clients)), " "))
		}
		claims["azp"] = clientID
	}
	granted := client.scopes
	u, knownUser := d.config.users[user]
	switch {
	case user == "" && clientID == "":
		return "", errors.New("want -user or -client")
	case user == "" && client.secret == "":
		return "", fmt.Errorf("client %q has no secret, so its tokens are for a user: want -user", clientID)
	case user == "":
		claims["sub"], claims["gty"] = clientID+"@clients", "client-credentials"
	case !knownUser:
		return "", fmt.Errorf("no user %q; there are: %s", user, strings.Join(slices.Sorted(maps.Keys(d.config.users)), " "))
	default:
		claims["sub"] = u.subject
		granted = u.scopes
		if u.organization != "" {
			claims["org_id"] = u.organization
		}
	}
	audience, err := chooseAudience(form("audience"), granted)
	if err != nil {
		return "", err
	}
	scopes, err := chooseScopes(strings.Fields(form("scope")), granted[audience])
	if err != nil {
		return "", err
	}
	claims["aud"] = audience
	if len(scopes) > 0 {
		claims["scope"] = strings.Join(scopes, " ")
	}
	if permissions, ok := u.permissions[audience]; ok && user != "" {
		claims["permissions"] = permissions
	}
	return d.sign(claims, form("lifetime"))
}

// sign returns a token with the lifetime, or the configured one if that is empty.
func (d *desk) sign(claims map[string]any, lifetime string) (string, error) {
	if lifetime != "" {
		l, err := time.ParseDuration(lifetime)
		if err != nil || l < -maxDeskLifetime || l > maxDeskLifetime {
			return "", fmt.Errorf("-lifetime %s: want a duration of at most %s", lifetime, maxDeskLifetime)
		}
		now := time.Now()
		claims["iat"], claims["exp"] = now, now.Add(l)
		if l < 0 {
			claims["iat"] = now.Add(2 * l) // an expired token, and not one from the future
		}
	}
	return d.tenant.Token(claims), nil
}

// chooseAudience returns the audience that is asked for, or the only one.
func chooseAudience(requested string, granted map[string][]string) (string, error) {
	audiences := slices.Sorted(maps.Keys(granted))
	switch {
	case requested == "" && len(audiences) == 1:
		return audiences[0], nil
	case slices.Contains(audiences, requested):
		return requested, nil
	}
	return "", fmt.Errorf("audience %q is not granted; want -audience with one of: %s", requested, strings.Join(audiences, " "))
}

// chooseScopes returns the requested scopes, or all that are granted.
func chooseScopes(requested, granted []string) ([]string, error) {
	if len(requested) == 0 {
		return granted, nil
	}
	for _, scope := range requested {
		if !slices.Contains(granted, scope) {
			return nil, fmt.Errorf("scope %q is not granted; granted are: %s", scope, strings.Join(granted, " "))
		}
	}
	return requested, nil
}

// runToken prints a token of the running tenant. The token is alone on stdout, so that
// a shell can insert it; all other lines go to stderr.
func runToken(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	say := markWriter(stderr)
	flags := newDeskFlags("token", stderr)
	configFile := flags.String("config", "", "JSON `file` that the tenant was started with (default: built in)")
	form := url.Values{}
	for _, f := range [][2]string{
		{"user", "`name` of the user that the token speaks for"},
		{"client", "`id` of the client that gets the token; without -user the token is its own"},
		{"audience", "`identifier` of the API (default: the only one)"},
		{"scope", "`scopes` separated by spaces (default: all granted ones)"},
		{"lifetime", "`duration` such as 30s; negative for an expired token (default: as configured)"},
	} {
		flags.Func(f[0], f[1], func(value string) error { form.Set(f[0], value); return nil })
	}
	if status, done := parseDeskFlags(flags, args, say); done {
		return status
	}
	config, err := readDeskConfig(*configFile)
	if err == nil {
		var token string
		if token, err = requestDesk(ctx, config, deskTokenPath, form); err == nil {
			say("a token of the tenant on port %d; real Auth0 tenants refuse it, and so does each server of one", config.port)
			fmt.Fprintln(stdout, token)
			return exitOK
		}
	}
	say("%v", err)
	return exitUsage
}

// runBlock blocks a user of the running tenant, as the event of an administrator's block
// in Auth0 does.
func runBlock(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fail := markWriter(stderr)
	flags := newDeskFlags("block", stderr)
	configFile := flags.String("config", "", "JSON `file` that the tenant was started with (default: built in)")
	user := flags.String("user", "", "`name` of the user")
	if status, done := parseDeskFlags(flags, args, fail); done {
		return status
	}
	config, err := readDeskConfig(*configFile)
	if err == nil {
		var subject string
		if subject, err = requestDesk(ctx, config, deskBlockPath, url.Values{"user": {*user}}); err == nil {
			markWriter(stdout)("published the event that %s is blocked", subject)
			return exitOK
		}
	}
	fail("%v", err)
	return exitUsage
}

// requestDesk posts a form to the tenant, and trusts its certificate alone.
func requestDesk(ctx context.Context, config *deskConfig, path string, form url.Values) (string, error) {
	pem, err := os.ReadFile(config.certificate)
	if err != nil {
		return "", fmt.Errorf("%w; is the tenant running, and in this folder?", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return "", fmt.Errorf("%s has no certificate", config.certificate)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	address := "https://127.0.0.1:" + strconv.Itoa(config.port) + path
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return "", fmt.Errorf("%w; is the tenant running?", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", errors.New(string(body))
	}
	return string(body), nil
}

func newDeskFlags(name string, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("auth0grpc "+name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {
		var text strings.Builder
		flags.SetOutput(&text)
		flags.PrintDefaults()
		flags.SetOutput(io.Discard)
		markWriter(stderr)("auth0grpc %s\n%s", name, strings.TrimRight(text.String(), "\n"))
	}
	return flags
}

// parseDeskFlags parses the arguments, and reports whether the command ends with status.
func parseDeskFlags(flags *flag.FlagSet, args []string, fail func(string, ...any)) (status int, done bool) {
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK, true
	case err != nil:
		fail("%v", err)
		return exitUsage, true
	case flags.NArg() > 0:
		fail("unexpected argument %q", flags.Arg(0))
		return exitUsage, true
	}
	return exitOK, false
}
