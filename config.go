package auth0grpc

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Config says whose tokens are accepted, for what, and what each method asks
// for. Issuers, Audiences and Methods are required and have no default that
// would switch a check off. New copies what it needs: a Config can be changed
// and used again afterwards.
type Config struct {
	// Issuers are the accepted iss values, compared byte for byte. Auth0's end in
	// a slash: "https://TENANT.eu.auth0.com/". A tenant with a custom domain issues
	// for both hosts; name both, or the one that your clients use. Each has its own
	// keys. Required.
	Issuers []string

	// Audiences are the identifiers of this API, as entered in the Auth0 dashboard.
	// A token must name one of them in aud. Required; there is no way to accept any
	// audience.
	Audiences []string

	// Methods is the table: which rule each method asks for. A key is a full method,
	// "/orders.v1.Orders/Get", or a whole service, "/orders.v1.Orders/*"; a row for
	// the method beats one for its service. A method in no row is refused, also with
	// a good token. Required.
	Methods map[string]Rule

	// Algorithms are the JWS algorithms that tokens may be signed with: RS256,
	// RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA and Ed25519,
	// the name that RFC 9864 gives to EdDSA with an Ed25519 key. Default: RS256,
	// which is Auth0's. Symmetric algorithms and "none" are refused: whoever can
	// verify with a shared secret can sign with it.
	Algorithms []string

	// ClockSkew is how far the clocks of issuer and server may differ; exp, nbf and
	// iat are judged with that tolerance. Default 0, at most 5 minutes.
	ClockSkew time.Duration

	// CacheSize is the number of verified tokens whose claims are remembered, so
	// that a token costs a public-key operation once and a hash from then on. Memory
	// is bounded by 2 KiB for each: a token with more claims counts as several.
	// Default 10,000, which is 20 MB at most; NoCache turns it off.
	CacheSize int

	// StreamPolicy sets what happens to an open stream when its token expires. A row
	// overrides it by [Rule.Streams]. Default [EndAtExpiry].
	StreamPolicy StreamPolicy

	// MaxTokenLifetime is the longest life of a token of this API, as set in Auth0 ("Token
	// Expiration"): how long a revocation is remembered. A token that lives longer
	// is accepted again after it. Default 24 hours, which is Auth0's.
	MaxTokenLifetime time.Duration

	// RevocationFeed carries revocations to and from other replicas: Revoke publishes
	// to it, FollowRevocations follows it. Default: revocations stay in this
	// Interceptor.
	RevocationFeed RevocationFeed

	// DPoP and MTLS say how tokens bound to their sender are handled. Default: both
	// disabled, and such tokens are refused.
	DPoP DPoPConfig
	MTLS MTLSConfig

	// ReportOnly lets calls pass that would have been refused, and reports them to
	// OnDecision and Logger. It serves a roll-out; [Rule.ReportOnly] does the same for
	// one row. A handler sees a [*Token] only if the token was verified. Default
	// [ReportOnlyOff].
	ReportOnly ReportOnlyMode

	// OnDecision is told of every decision, on the goroutine of the call and
	// before the handler runs; it should be quick. Panics in it are contained.
	// Default: nobody is told, at no cost.
	OnDecision func(context.Context, Decision)

	// OnKeyRefresh is told of every attempt to fetch an issuer's keys. Panics in it
	// are contained.
	OnKeyRefresh func(KeyRefresh)

	// Logger hears of what an operator should know and no call can tell: that
	// report-only is on, and panics of hooks. Default: slog.Default().
	Logger *slog.Logger

	// HTTPClient fetches discovery documents and keys. It is copied, and its
	// redirect policy replaced: redirects to another host are never followed.
	// Default: a client of our own with bounded times.
	HTTPClient *http.Client

	// InsecureLoopbackHTTP accepts issuers over plain http on a loopback address,
	// for development. Default: https only.
	InsecureLoopbackHTTP bool

	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// NoCache as Config.CacheSize turns the verified-token cache off: each call then
// costs a public-key operation.
const NoCache = -1

// defaultCacheSize is the number of tokens kept unless Config.CacheSize says
// otherwise: about 20 MB when full.
const defaultCacheSize = 10_000

// withDefaults returns a copy that shares no slice or map with the original.
func (c Config) withDefaults() Config {
	c.Issuers = slices.Clone(c.Issuers)
	c.Audiences = slices.Clone(c.Audiences)
	c.Methods = maps.Clone(c.Methods)
	c.Algorithms = slices.Clone(c.Algorithms)
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{"RS256"}
	}
	if c.CacheSize == 0 {
		c.CacheSize = defaultCacheSize
	}
	c.DPoP.Algorithms = slices.Clone(c.DPoP.Algorithms)
	if len(c.DPoP.Algorithms) == 0 {
		c.DPoP.Algorithms = []string{"ES256"}
	}
	if c.DPoP.NonceLifetime == 0 {
		c.DPoP.NonceLifetime = defaultNonceLife
	}
	if c.MaxTokenLifetime == 0 {
		c.MaxTokenLifetime = defaultMaxTokenLifetime
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}
