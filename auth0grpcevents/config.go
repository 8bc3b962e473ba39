package auth0grpcevents

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/configerror"
	"github.com/auth0grpc/auth0grpc/internal/units"
)

const (
	defaultTokenLifetime    = 24 * time.Hour // as in auth0grpc.Config.MaxTokenLifetime
	defaultHeartbeatTimeout = time.Minute
	defaultLeaseDuration    = 5 * time.Second

	minSecret = 16 // characters of a secret of the webhook
)

// Config configures [Follow] and [Webhook]. Follow requires TokenSource, and Webhook
// requires Secrets. A Config prints without its secrets.
type Config struct {
	// Issuer is the iss of the tokens that an event revokes: one of
	// auth0grpc.Config.Issuers, or [auth0grpc.AnyIssuer] if all of them are domains of
	// this tenant. Default: the only issuer of the Interceptor; required if it has
	// several.
	Issuer string

	// Tenant is the name of the tenant, as events carry it in a0tenant. Events of
	// another tenant are refused. Default: the first label of an Issuer under
	// auth0.com, such as "example" of "https://example.eu.auth0.com/". Required for a
	// custom domain and for AnyIssuer.
	Tenant string

	// TokenSource returns tokens for the Events API, with the scope read:events.
	// [*auth0grpcclient.Credentials] is one, with the Audience
	// "https://TENANT.REGION.auth0.com/api/v2/". Required by Follow.
	//
	// [*auth0grpcclient.Credentials]: https://pkg.go.dev/github.com/auth0grpc/auth0grpc/auth0grpcclient#Credentials
	TokenSource TokenSource

	// EventsURL is the address of the Events API. It has the host that the TokenSource
	// gets its tokens from: tokens of the canonical domain are not accepted at a custom
	// domain. Default: "api/v2/events" under Issuer. Required for AnyIssuer.
	EventsURL string

	// HTTPClient connects to the Events API. Follow copies it, and the copy follows no
	// redirect and has no time limit for a whole response. Default: a new client.
	HTTPClient *http.Client

	// Store keeps the offset of the last event, and names the leader of a fleet: the
	// one process that follows the tenant. Default: [NewMemoryStore], in which this
	// process leads. Give all replicas the store of their feed
	// (auth0grpcredis.RevocationFeed.EventStore).
	Store Store

	// LeaseDuration is how long a leader that has crashed holds up the others. The
	// leader renews its lease at a third of it. Use the same value in all replicas.
	// Default 5 seconds.
	LeaseDuration time.Duration

	// HeartbeatTimeout is how long the Events API may send nothing, not even a
	// heartbeat, before Follow connects again. Default 1 minute.
	HeartbeatTimeout time.Duration

	// MaxTokenLifetime is how far Follow goes back if there is no offset or Auth0 does
	// not accept it any more. Use the value of auth0grpc.Config.MaxTokenLifetime.
	// Default 24 hours.
	MaxTokenLifetime time.Duration

	// Secrets are the secrets that Webhook accepts, of at least 16 characters: the
	// token of the method "bearer", "user:password" of the method "basic", or the value
	// of SecretHeader. Two of them make it possible to change the secret without losing
	// an event. Required by Webhook.
	Secrets []string

	// SecretHeader is the header_key of the method "custom_header". Default: the secret
	// is in Authorization.
	SecretHeader string

	// Monitor collects the numbers of [Monitor.Stats]. Default: none.
	Monitor *Monitor

	// Logger receives one line for the begin and one for the end of each outage, one
	// for each change of leadership, and at most one in a minute for each kind of event
	// that cannot be used. Default: slog.Default().
	Logger *slog.Logger

	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// A TokenSource returns access tokens for the Events API. It is safe for concurrent use.
type TokenSource interface {
	// AccessToken returns a token. refused is the token that the API answered with
	// 401, or empty; the result is then another one if there is one.
	AccessToken(ctx context.Context, refused string) (string, error)
}

// A ConfigError is one fault in a [Config]. [Config.Check], [Follow] and [Webhook]
// report all of them together, joined by errors.Join and sorted by field.
type ConfigError struct {
	Field  string // the field, with the index if it is a list: Secrets[1]
	Value  string // the faulty value; empty if it is missing or secret
	Reason string // the fault and the remedy
}

// Error names the field, the value, the fault and the remedy.
func (e *ConfigError) Error() string {
	return configerror.Text("auth0grpcevents", e.Field, e.Value, e.Reason)
}

// Format prints the tenant for every verb, so a [Config] in a log shows no secret.
func (c Config) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "Config(tenant %q, issuer %q)", c.Tenant, c.Issuer)
}

// LogValue is Format for log/slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// MarshalText is Format for encoders of JSON, YAML and others. Its result cannot be
// decoded into a [Config].
func (c Config) MarshalText() ([]byte, error) { return []byte(fmt.Sprint(c)), nil }

// Check returns all faults of a Config for an Interceptor, or nil: as *[ConfigError],
// joined by errors.Join. It does no I/O. A Config is checked for [Follow] if it has a
// TokenSource, and for [Webhook] if it has Secrets; one of them is required.
func (c Config) Check(guard *auth0grpc.Interceptor) error {
	follow, webhook := c.TokenSource != nil, len(c.Secrets) > 0
	if !follow && !webhook {
		return configerror.Join(append(c.faults(guard), &ConfigError{
			Field: "TokenSource", Reason: "is required by Follow; Webhook requires Secrets",
		}))
	}
	_, err := c.complete(guard, follow, webhook)
	return err
}

// complete returns the Config with its defaults, or all of its faults.
func (c Config) complete(guard *auth0grpc.Interceptor, follow, webhook bool) (*Config, error) {
	faults := c.faults(guard)
	if follow {
		faults = append(faults, c.followFaults()...)
	}
	if webhook {
		faults = append(faults, c.webhookFaults()...)
	}
	if len(faults) > 0 {
		return nil, configerror.Join(faults)
	}
	c.Issuer = c.issuer(guard)
	c.Tenant = c.tenant(guard)
	if c.EventsURL == "" {
		c.EventsURL = strings.TrimSuffix(c.Issuer, "/") + eventsPath
	}
	if c.Store == nil {
		c.Store = NewMemoryStore()
	}
	setDefault(&c.LeaseDuration, defaultLeaseDuration)
	setDefault(&c.HeartbeatTimeout, defaultHeartbeatTimeout)
	setDefault(&c.MaxTokenLifetime, defaultTokenLifetime)
	if c.Monitor == nil {
		c.Monitor = new(Monitor)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &c, nil
}

const eventsPath = "/api/v2/events"

func setDefault(field *time.Duration, value time.Duration) {
	if *field == 0 {
		*field = value
	}
}

// issuer returns Issuer or its default, "" if there is none.
func (c *Config) issuer(guard *auth0grpc.Interceptor) string {
	if issuers := guard.Issuers(); c.Issuer == "" && len(issuers) == 1 {
		return issuers[0]
	}
	return c.Issuer
}

// tenant returns Tenant or its default, "" if there is none.
func (c *Config) tenant(guard *auth0grpc.Interceptor) string {
	if c.Tenant != "" {
		return c.Tenant
	}
	u, err := url.Parse(c.issuer(guard))
	if err != nil || !strings.HasSuffix(u.Hostname(), ".auth0.com") {
		return ""
	}
	name, _, _ := strings.Cut(u.Hostname(), ".")
	return name
}

// faults returns the faults in the fields that Follow and Webhook share.
func (c *Config) faults(guard *auth0grpc.Interceptor) []*ConfigError {
	var faults []*ConfigError
	add := func(field, value, reason string) {
		if reason != "" {
			faults = append(faults, &ConfigError{field, value, reason})
		}
	}
	if guard == nil || len(guard.Issuers()) == 0 {
		add("Issuer", "", "has no meaning without an Interceptor of auth0grpc.New")
		return faults
	}
	switch issuer := c.issuer(guard); {
	case issuer == "":
		add("Issuer", "", "is required, because the Interceptor has several issuers: one of them, or auth0grpc.AnyIssuer if all are domains of this tenant")
	case issuer != auth0grpc.AnyIssuer && !slices.Contains(guard.Issuers(), issuer):
		add("Issuer", issuer, "want one of the issuers of the Interceptor, to the byte, or auth0grpc.AnyIssuer")
	case c.tenant(guard) == "":
		add("Tenant", "", "is required, because the Issuer is not a domain under auth0.com: the name of the tenant in Auth0's dashboard")
	}
	if strings.TrimSpace(c.Tenant) != c.Tenant || len(c.Tenant) > maxName {
		add("Tenant", "", "is too long, or has spaces or line breaks around it")
	}
	for field, value := range map[string]time.Duration{
		"LeaseDuration": c.LeaseDuration, "HeartbeatTimeout": c.HeartbeatTimeout, "MaxTokenLifetime": c.MaxTokenLifetime,
	} {
		add(field, value.String(), explainDuration(value))
	}
	return faults
}

// maxDuration is beyond every use of a duration here, and no sum with it overflows.
const maxDuration = 10 * 365 * 24 * time.Hour

func explainDuration(value time.Duration) string {
	if value < 0 || value > maxDuration {
		return "want more than 0, and less than 10 years"
	}
	return units.TooShort(value, 100*time.Millisecond)
}

func (c *Config) followFaults() []*ConfigError {
	var faults []*ConfigError
	if c.TokenSource == nil {
		faults = append(faults, &ConfigError{Field: "TokenSource", Reason: "is required: credentials of auth0grpcclient with the scope read:events"})
	}
	if c.EventsURL == "" {
		if c.Issuer == auth0grpc.AnyIssuer {
			faults = append(faults, &ConfigError{Field: "EventsURL", Reason: `is required with AnyIssuer: "https://TENANT.REGION.auth0.com` + eventsPath + `"`})
		}
		return faults
	}
	u, err := url.Parse(c.EventsURL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(c.EventsURL, "#") {
		// Not quoted: it may contain a password.
		faults = append(faults, &ConfigError{Field: "EventsURL", Reason: "want https, a host and a path alone"})
	}
	return faults
}

func (c *Config) webhookFaults() []*ConfigError {
	var faults []*ConfigError
	if len(c.Secrets) == 0 {
		faults = append(faults, &ConfigError{Field: "Secrets", Reason: "is required: the secret of the event stream"})
	}
	for i, secret := range c.Secrets {
		if len(secret) < minSecret || strings.TrimSpace(secret) != secret {
			faults = append(faults, &ConfigError{
				Field: fmt.Sprintf("Secrets[%d]", i), Reason: fmt.Sprintf("want at least %d characters, without spaces or line breaks around them", minSecret),
			})
		}
	}
	if strings.ContainsAny(c.SecretHeader, " \t\r\n:") || len(c.SecretHeader) > maxName {
		faults = append(faults, &ConfigError{"SecretHeader", c.SecretHeader, "want the name of one header"})
	}
	return faults
}
