package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

// A doctor holds the flags of doctor and its findings.
type doctor struct {
	issuer     string
	audience   string
	algorithms []string
	clientID   string
	secret     string // from the environment
	timeout    time.Duration
	now        func() time.Time
	client     *http.Client
	checks     []check
}

// secretEnv names the environment variable with the client secret. A flag would be
// visible to other users of the machine.
const secretEnv = "AUTH0GRPC_CLIENT_SECRET"

// runDoctor checks the issuer from outside. The exit status is 1 if a check fails.
func runDoctor(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	d := &doctor{now: time.Now, secret: getenv(secretEnv), algorithms: []string{"RS256"}}
	flags := flag.NewFlagSet("auth0grpc doctor", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, `Usage: auth0grpc doctor -issuer ISSUER [-audience IDENTIFIER] [flags]

Doctor checks everything outside the server: the discovery document, the spelling of the
issuer, the keys, the algorithms and the clock. With -client-id it requests one token by
client credentials and verifies it; the secret is read from the environment variable
`+secretEnv+`.

`)
		flags.PrintDefaults()
	}
	flags.StringVar(&d.issuer, "issuer", "", "the `issuer`, as in Config.Issuers")
	flags.StringVar(&d.audience, "audience", "", "`identifier` of the API, as in Config.Audiences")
	flags.StringVar(&d.clientID, "client-id", "", "`id` of an application with the grant client credentials")
	ca := flags.String("ca", "", "`file` with the PEM certificates to trust instead of the system's")
	flags.Func("algorithms", "`list` of the algorithms that the server accepts (default RS256)", func(value string) error {
		d.algorithms = splitList(value)
		return nil
	})
	flags.DurationVar(&d.timeout, "timeout", 30*time.Second, "`limit` for all requests")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage
	}
	err := d.validate(flags.NArg())
	var transport *http.Transport
	if err == nil {
		transport, err = newTransport(*ca)
	}
	if err != nil {
		fmt.Fprintf(stderr, "auth0grpc: doctor: %v\n", err)
		return exitUsage
	}
	defer transport.CloseIdleConnections()
	d.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	d.examine(ctx)
	printChecks(stdout, d.checks)
	if slices.ContainsFunc(d.checks, func(c check) bool { return c.state == checkFail }) {
		return exitFaults
	}
	return exitOK
}

func (d *doctor) validate(arguments int) error {
	switch {
	case arguments > 0: // it may be the secret: do not print it
		return errors.New("unexpected argument")
	case d.issuer == "":
		return errors.New("want -issuer")
	case d.clientID != "" && (d.secret == "" || d.audience == ""):
		return errors.New("-client-id needs -audience, and the secret in " + secretEnv)
	case d.clientID == "" && d.secret != "":
		return errors.New("the secret in " + secretEnv + " needs -client-id")
	}
	return nil
}

func (d *doctor) add(state checkState, name, text, remedy string) {
	d.checks = append(d.checks, check{state, name, text, remedy})
}

// examine makes all checks that are possible.
func (d *doctor) examine(ctx context.Context) {
	if !d.checkSpelling() {
		return
	}
	discovery, ok := d.checkDiscovery(ctx)
	if ok {
		d.checkAlgorithms(discovery)
		ok = d.checkKeys(ctx)
	}
	d.checkAudience()
	if d.clientID != "" && ok {
		d.checkToken(ctx)
	}
}

// checkSpelling compares the issuer with the form of Auth0's issuers.
func (d *doctor) checkSpelling() bool {
	const name = "issuer"
	u, err := url.Parse(d.issuer)
	switch {
	case err != nil || u.Host == "":
		d.add(checkFail, name, quote(d.issuer)+" is no URL", "write it as https://TENANT.REGION.auth0.com/")
		return false
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		d.add(checkFail, name, "the issuer has a user, a query or a fragment", "write it as https://TENANT.REGION.auth0.com/")
		return false
	case u.Scheme != "https":
		d.add(checkFail, name, quote(d.issuer)+" does not begin with https://", "issuers of Auth0 begin with https://")
		return false
	case !strings.HasSuffix(d.issuer, "/"):
		d.add(checkFail, name, quote(d.issuer)+" does not end in a slash", "issuers of Auth0 end in a slash, and compare byte for byte: write "+d.issuer+"/")
		d.issuer += "/" // the other checks are possible
		return true
	}
	d.add(checkOK, name, quote(d.issuer), "")
	return true
}

// A discoveryDocument holds the members of the discovery document that are checked.
type discoveryDocument struct {
	Issuer     string   `json:"issuer"`
	JWKSURI    string   `json:"jwks_uri"`
	Token      string   `json:"token_endpoint"`
	Algorithms []string `json:"id_token_signing_alg_values_supported"`
}

// checkDiscovery loads the discovery document, and compares the clocks.
func (d *doctor) checkDiscovery(ctx context.Context) (*discoveryDocument, bool) {
	const name = "discovery"
	address := d.issuer + ".well-known/openid-configuration"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		d.add(checkFail, name, err.Error(), "")
		return nil, false
	}
	before := d.now()
	response, err := d.client.Do(request)
	if err != nil {
		d.add(checkFail, name, err.Error(), "check the name of the tenant, DNS, the proxy and the firewall of this machine")
		return nil, false
	}
	defer response.Body.Close()
	d.checkClock(response.Header.Get("Date"), before, d.now())
	if response.StatusCode != http.StatusOK {
		d.add(checkFail, name, fmt.Sprintf("%s answers %s", address, response.Status), "check the name of the tenant and its region")
		return nil, false
	}
	var document discoveryDocument
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&document); err != nil {
		d.add(checkFail, name, address+" is no JSON", "the host is not an issuer, or a proxy answers for it")
		return nil, false
	}
	if document.Issuer != d.issuer {
		d.add(checkFail, name, "the document names the issuer "+quote(document.Issuer)+", not "+quote(d.issuer), issuerRemedy(document.Issuer, []string{d.issuer}))
		return nil, false
	}
	d.add(checkOK, name, "the document names this issuer", "")
	return &document, true
}

// checkClock compares the local clock with the Date header of a response, which has
// whole seconds.
func (d *doctor) checkClock(date string, before, after time.Time) {
	const name = "clock"
	theirs, err := http.ParseTime(date)
	if err != nil {
		d.add(checkOpen, name, "the issuer sends no Date header", "")
		return
	}
	// The local clock is right if theirs was made between before and after.
	difference := time.Duration(0)
	switch earliest, latest := before.Add(-time.Second), after; {
	case theirs.Before(earliest):
		difference = earliest.Sub(theirs)
	case theirs.After(latest):
		difference = -theirs.Sub(latest)
	}
	shown := difference.Abs().Truncate(time.Second)
	switch {
	case difference.Abs() < 2*time.Second:
		d.add(checkOK, name, "the local clock agrees with the issuer's", "")
	case difference > 0:
		d.add(checkFail, name, fmt.Sprintf("the local clock is %s ahead of the issuer's: tokens expire early", shown), "synchronize the clock (NTP), or set Config.ClockSkew")
	default:
		d.add(checkFail, name, fmt.Sprintf("the local clock is %s behind the issuer's: new tokens are not yet valid", shown), "synchronize the clock (NTP), or set Config.ClockSkew")
	}
}

func (d *doctor) checkAlgorithms(document *discoveryDocument) {
	const name = "algorithms"
	var common []string
	for _, algorithm := range d.algorithms {
		if slices.Contains(document.Algorithms, algorithm) {
			common = append(common, algorithm)
		}
	}
	switch {
	case len(document.Algorithms) == 0:
		d.add(checkOpen, name, "the document names none", "")
	case len(common) == 0:
		d.add(checkFail, name, "the issuer signs with "+quoteAll(document.Algorithms)+", the server accepts "+strings.Join(d.algorithms, " "),
			"set Config.Algorithms (and -algorithms here), or the signing algorithm of the API in Auth0")
	default:
		d.add(checkOK, name, strings.Join(common, " "), "")
	}
}

// checkKeys loads the keys as a server does.
func (d *doctor) checkKeys(ctx context.Context) bool {
	const name = "keys"
	refreshes := make(chan auth0grpc.KeyRefresh, 1)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{d.issuer}, Audiences: []string{"https://doctor.invalid"}, Algorithms: d.algorithms,
		Methods: map[string]auth0grpc.Rule{explainMethod: auth0grpc.Authenticated()}, HTTPClient: d.client, Now: d.now,
		OnKeyRefresh: func(r auth0grpc.KeyRefresh) { refreshes <- r }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		d.add(checkFail, "issuer", firstLine(err), "write the issuer and the algorithms as a server accepts them")
		return false
	}
	err = guard.Ready(ctx)
	var refresh auth0grpc.KeyRefresh
	select {
	case refresh = <-refreshes: // the hook is called after Ready has returned
	case <-ctx.Done():
	}
	if err != nil {
		if refresh.Err != nil {
			err = refresh.Err
		}
		d.add(checkFail, name, shorten(err.Error()), "publish a signing key that the server accepts; check the proxy and the firewall of this machine")
		return false
	}
	d.add(checkOK, name, fmt.Sprintf("%d usable", refresh.Keys), "")
	for _, unused := range refresh.Unused {
		d.add(checkNote, name, "key "+quote(unused.KeyID)+" is not used: "+unused.Reason, "tokens that it signs are refused; rotate the key if it is a signing key of the API")
	}
	if refresh.Omitted > 0 {
		d.add(checkNote, name, fmt.Sprintf("%d more keys are not used", refresh.Omitted), "")
	}
	return true
}

// checkAudience finds values that are no identifiers of APIs.
func (d *doctor) checkAudience() {
	const name = "audience"
	switch {
	case d.audience == "":
		d.add(checkOpen, name, "not checked", "name the identifier of the API by -audience")
	case strings.TrimSpace(d.audience) != d.audience:
		d.add(checkFail, name, quote(d.audience)+" has spaces around it", "write the identifier as in the Auth0 dashboard")
	case strings.HasSuffix(d.audience, "/userinfo"):
		d.add(checkFail, name, quote(d.audience)+" is Auth0's own endpoint", "write the identifier of your API")
	case d.clientID == "":
		d.add(checkOpen, name, quote(d.audience)+"; only a token shows that Auth0 knows it", "give -client-id to request one")
	}
}
