package auth0grpcclient

import (
	"crypto"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/configerror"
	"github.com/auth0grpc/auth0grpc/internal/loopback"
)

// Config configures Credentials: the application, its tenant and the API to call.
// Issuer, ClientID, Audience and exactly one of ClientSecret, PrivateKey and
// MutualTLS are required. A Config prints without its secrets.
type Config struct {
	// Issuer is the tenant, such as "https://example.eu.auth0.com/", or its custom
	// domain. It ends in a slash. Required.
	Issuer string

	// TokenURL is the address of the token endpoint. Default: "oauth/token" under
	// Issuer. For client certificates Auth0 has an alias on another host
	// (mtls_endpoint_aliases in the discovery document).
	TokenURL string

	// ClientID identifies the application. Required.
	ClientID string

	// ClientSecret authenticates the application by a shared secret.
	ClientSecret string

	// PrivateKey authenticates the application by signed assertions
	// (private_key_jwt, RFC 7523), with the algorithm of the key: RS256 for RSA of
	// at least 2048 bits, ES256 and ES384 for P-256 and P-384, EdDSA for Ed25519.
	// Auth0 takes RSA. The key may live elsewhere: only Public and Sign are used.
	PrivateKey crypto.Signer

	// KeyID is the kid in the header of assertions; without one Auth0 tries all
	// keys of the application. Only with PrivateKey.
	KeyID string

	// MutualTLS authenticates the application by the certificate that HTTPClient
	// presents (tls_client_auth, self_signed_tls_client_auth), and nothing else.
	MutualTLS bool

	// Audience is the identifier of the API to call, as entered in Auth0. Required.
	Audience string

	// Organization is the id, "org_…", of the organization that the token is for.
	// Default: none.
	Organization string

	// Scopes are the requested scopes. Default: all that the application was granted.
	Scopes []string

	// DPoP asks for a token that is bound to a key, and sends a proof with every
	// call. Default off: Bearer tokens.
	DPoP bool

	// DPoPKey signs the proofs. It takes the same kinds of key as PrivateKey, and the
	// server's auth0grpc.DPoPConfig.Algorithms must have the algorithm. Default: an
	// ES256 key that New generates and never stores. Only with DPoP.
	DPoPKey crypto.Signer

	// Authority is the server's address in proofs, such as "https://api.example.com".
	// Set it if calls are addressed to another name: it must be one of the server's
	// auth0grpc.DPoPConfig.Authorities. Default: https and each call's own authority,
	// also over plaintext, as in gRPC's own URIs. Only with DPoP.
	Authority string

	// HTTPClient sends token requests. New copies it, and the copy follows no
	// redirects, because token requests contain secrets. Default: a new client. Each
	// request has a time limit of 10 seconds in any case.
	HTTPClient *http.Client

	// Now is the clock. Default time.Now.
	Now func() time.Time

	// InsecureAllowPlaintext sends tokens over connections without TLS, and lets
	// the token endpoint be http on a loopback address. Anyone on the network can
	// read the token then. For development.
	InsecureAllowPlaintext bool

	// InsecureForwardAuthorization lets a call pass unchanged if its outgoing
	// metadata already has an authorization value. Default: such a call is refused.
	// That value is mostly a caller's token, on its way to a server that it was not
	// issued for.
	InsecureForwardAuthorization bool
}

// A ConfigError is one fault in a [Config]. [New] returns all faults together, joined
// by errors.Join and sorted by field.
type ConfigError struct {
	Field  string // the field, with the index if it is a list: Scopes[1]
	Value  string // the value at fault; empty if it is missing or secret
	Reason string // the fault and the remedy
}

// Error names the field, the value, the fault and the remedy.
func (e *ConfigError) Error() string {
	return configerror.Text("auth0grpcclient", e.Field, e.Value, e.Reason)
}

// Format prints the application and the API for every verb, so a [Config] in a log
// shows no secret.
func (c Config) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "Config(client %q, audience %q)", c.ClientID, c.Audience)
}

// LogValue is Format for log/slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// MarshalText is Format for encoders of JSON, YAML and others, so that a [Config]
// inside another value shows no secret in a log either. Its result cannot be decoded
// into a Config.
func (c Config) MarshalText() ([]byte, error) { return []byte(fmt.Sprint(c)), nil }

// withDefaults returns a copy that shares no slice with the original.
func (c Config) withDefaults() Config {
	c.Scopes = slices.Clone(c.Scopes)
	if c.TokenURL == "" {
		c.TokenURL = strings.TrimSuffix(c.Issuer, "/") + "/oauth/token"
	}
	now := c.Now
	if now == nil {
		now = time.Now
	}
	// The monotonic clock may stand still while the machine sleeps; tokens age.
	c.Now = func() time.Time { return now().Round(0) }
	return c
}

// faults returns all that is wrong with a Config as it was given.
func (c *Config) faults() []*ConfigError {
	var faults []*ConfigError
	add := func(field, value, reason string) {
		if reason != "" {
			faults = append(faults, &ConfigError{field, value, reason})
		}
	}
	add("Issuer", c.Issuer, c.explainIssuer())
	if c.TokenURL != "" {
		add("TokenURL", c.TokenURL, c.explainURL(c.TokenURL))
	}
	if c.ClientID == "" {
		add("ClientID", "", "is required: the application's Client ID")
	}
	if strings.TrimSpace(c.Audience) == "" {
		add("Audience", c.Audience, "is required: the API's identifier in Auth0")
	}
	// Auth0 compares all of these to the byte, and a file ends in a line break.
	add("ClientID", c.ClientID, explainSpace(c.ClientID))
	add("ClientSecret", "", explainSpace(c.ClientSecret))
	add("KeyID", c.KeyID, explainSpace(c.KeyID))
	if strings.TrimSpace(c.Audience) != "" {
		add("Audience", c.Audience, explainSpace(c.Audience))
	}
	add("Organization", c.Organization, explainSpace(c.Organization))
	for i, scope := range c.Scopes {
		if scope == "" || strings.ContainsAny(scope, " \t\r\n") {
			add(fmt.Sprintf("Scopes[%d]", i), scope, "want one scope, without spaces")
		}
	}
	return slices.Concat(faults, c.authenticationFaults(), c.dpopFaults())
}

func (c *Config) authenticationFaults() []*ConfigError {
	var faults []*ConfigError
	ways := 0
	for _, set := range []bool{c.ClientSecret != "", c.PrivateKey != nil, c.MutualTLS} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		faults = append(faults, &ConfigError{Field: "ClientSecret", Reason: "want exactly one of ClientSecret, PrivateKey and MutualTLS"})
	}
	if c.PrivateKey != nil {
		if _, reason := newSigner(c.PrivateKey); reason != "" {
			faults = append(faults, &ConfigError{Field: "PrivateKey", Reason: reason})
		}
	}
	if c.KeyID != "" && c.PrivateKey == nil {
		faults = append(faults, &ConfigError{"KeyID", c.KeyID, "is for a PrivateKey"})
	}
	if c.MutualTLS && c.HTTPClient == nil {
		faults = append(faults, &ConfigError{Field: "HTTPClient", Reason: "is required with MutualTLS: it presents the certificate"})
	}
	return faults
}

func (c *Config) dpopFaults() []*ConfigError {
	var faults []*ConfigError
	if c.DPoPKey != nil {
		if _, reason := newSigner(c.DPoPKey); reason != "" {
			faults = append(faults, &ConfigError{Field: "DPoPKey", Reason: reason})
		}
	}
	if !c.DPoP && c.DPoPKey != nil {
		faults = append(faults, &ConfigError{Field: "DPoPKey", Reason: "is set while DPoP is off"})
	}
	if c.Authority == "" {
		return faults
	}
	u, err := url.Parse(c.Authority)
	switch {
	case !c.DPoP:
		faults = append(faults, &ConfigError{"Authority", c.Authority, "is set while DPoP is off"})
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || c.Authority != u.Scheme+"://"+u.Host:
		faults = append(faults, &ConfigError{"Authority", c.Authority, `want scheme and authority alone, "https://api.example.com"`})
	}
	return faults
}

func (c *Config) explainIssuer() string {
	if c.Issuer == "" {
		return `is required: the tenant, "https://TENANT.REGION.auth0.com/"`
	}
	if reason := explainSpace(c.Issuer); reason != "" {
		return reason
	}
	if !strings.Contains(c.Issuer, "://") {
		return fmt.Sprintf("is not a URL; did you mean %q?", "https://"+strings.TrimSuffix(c.Issuer, "/")+"/")
	}
	if reason := c.explainURL(c.Issuer); reason != "" {
		return reason
	}
	if strings.Contains(c.Issuer, "://TENANT.") {
		return "has the placeholder TENANT: put your tenant's name there"
	}
	for _, path := range []string{".well-known/openid-configuration", "oauth/token"} {
		if issuer, found := strings.CutSuffix(strings.TrimSuffix(c.Issuer, "/"), path); found {
			return fmt.Sprintf("is the address of one of the issuer's endpoints; did you mean %q?", issuer)
		}
	}
	// Assertions name it as their audience, to the byte.
	if !strings.HasSuffix(c.Issuer, "/") {
		return fmt.Sprintf("want the slash at the end; did you mean %q?", c.Issuer+"/")
	}
	return ""
}

func explainSpace(text string) string {
	if strings.TrimSpace(text) != text {
		return "has spaces or line breaks around it"
	}
	return ""
}

// explainURL explains the fault of the address of a token endpoint, or "".
func (c *Config) explainURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "is not a URL"
	case u.Scheme == "http" && c.InsecureAllowPlaintext && loopback.IsHost(u.Hostname()):
	case u.Scheme != "https":
		return "want https; http is for loopback addresses alone, with InsecureAllowPlaintext"
	}
	if u.Host == "" || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#") {
		return "want scheme, host and path alone"
	}
	return ""
}

// httpClient returns the client of token requests: no redirects, and a proof on
// each request if there is a prover.
func (c *Config) httpClient(p *prover) *http.Client {
	client := &http.Client{}
	if c.HTTPClient != nil {
		*client = *c.HTTPClient
	} else {
		client.Transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout: 5 * time.Second,
			ForceAttemptHTTP2:   true,
			// Token requests are minutes or hours apart.
			IdleConnTimeout: 30 * time.Second,
		}
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if p != nil {
		client.Transport = &proofTransport{base: client.Transport, prover: p}
	}
	return client
}
