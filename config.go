package auth0grpc

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Config sets the accepted tokens and the rule of each method. Issuers, Audiences and
// Methods are required; no default disables a check. [New] copies the Config, so it can
// be changed and used again afterwards.
type Config struct {
	// Issuers are the accepted iss values, compared byte for byte. An issuer of Auth0
	// ends in a slash: "https://TENANT.eu.auth0.com/". A tenant with a custom domain
	// issues tokens for both hosts; name both, or only the one that your clients use.
	// Each issuer has its own keys. Required.
	Issuers []string

	// Audiences are the identifiers of this API, as entered in the Auth0 dashboard. The
	// aud of a token must contain one of them. Required; no setting accepts any
	// audience.
	Audiences []string

	// Methods is the table: the [Rule] of each method. A key is a full method,
	// "/orders.v1.Orders/Get", or a whole service, "/orders.v1.Orders/*"; a row for the
	// method overrides the row for its service. A method without a row is refused, also
	// with a good token. Required.
	Methods map[string]Rule

	// Algorithms are the accepted JWS algorithms: RS256, RS384, RS512, PS256, PS384,
	// PS512, ES256, ES384, ES512, EdDSA and Ed25519, which is the name in RFC 9864 for
	// EdDSA with an Ed25519 key. Default: RS256, as in Auth0. Symmetric algorithms and
	// "none" are refused: any party that can verify with a shared secret can also sign
	// with it.
	Algorithms []string

	// ClockSkew is how far the clocks of issuer and server may differ. It is the
	// tolerance for exp, nbf and iat. Default 0, at most 5 minutes.
	ClockSkew time.Duration

	// CacheSize is the number of verified tokens whose claims are cached, so that a
	// token costs a public-key operation once and a hash after that. Memory is bounded
	// by 2 KiB for each: a token with more claims counts as several. Default 10,000,
	// which is 20 MB at most; [NoCache] disables the cache.
	CacheSize int

	// StreamPolicy sets what happens to an open stream when its token expires. A row
	// overrides it by [Rule.Streams]. Default [EndAtExpiry].
	StreamPolicy StreamPolicy

	// MaxTokenLifetime is the longest lifetime of a token of this API, as set in Auth0
	// ("Token Expiration"): a revocation is remembered for this time. After that, a
	// revoked token with a longer lifetime is accepted again. Default 24 hours, as in
	// Auth0.
	MaxTokenLifetime time.Duration

	// RevocationFeed carries revocations to and from other replicas:
	// [Interceptor.Revoke] publishes to it, [Interceptor.FollowRevocations] follows it.
	// Default: revocations stay in this [Interceptor].
	RevocationFeed RevocationFeed

	// RelationChecker answers the [Rule.Relation] of rows, and [Allowed]. Default nil:
	// [New] refuses such rows.
	RelationChecker RelationChecker

	// Relations bounds the use of RelationChecker.
	Relations RelationConfig

	// DPoP and MTLS configure tokens that are bound to their sender. Default: both
	// disabled, and such tokens are refused.
	DPoP DPoPConfig
	MTLS MTLSConfig

	// Resource is the identifier of this API as a protected resource (RFC 9728, section
	// 1.2): an https URL, "https://api.example.com". With it, every challenge names the
	// address of the metadata, [ResourceMetadataURL], and [NewResourceMetadata] makes
	// the document. It need not be one of Audiences. Default: no metadata.
	Resource string

	// ReportOnly lets calls pass that would have been refused, and reports them to
	// OnDecision and Logger. Use it for a roll-out; [Rule.ReportOnly] does the same for
	// one row. It never fabricates an identity: a handler sees a [*Token] only if the
	// token was verified. Default [ReportOnlyOff].
	ReportOnly ReportOnlyMode

	// OnDecision is called for every decision, on the goroutine of the call and before
	// the handler runs. It should return quickly. The library recovers its panics.
	// Default nil, at no cost.
	OnDecision func(context.Context, Decision)

	// DescribeRefused adds to the [Decision] of a refused call the address of its peer,
	// and the client and the audience that its token names, unverified. Use it to find
	// the caller of refused calls. Such a token is read twice. Default false.
	DescribeRefused bool

	// RecordFacts adds to each [Decision] its [Facts], for a log that the command
	// "auth0grpc replay" evaluates under another table. The token of a call on a [Public]
	// method is then verified too, for the record alone. It costs about a microsecond and
	// two allocations a call. Default false, at no cost.
	RecordFacts bool

	// OnKeyRefresh is called after every attempt to fetch an issuer's keys. The library
	// recovers its panics. Default: Logger gets one warning when attempts begin to fail
	// and one when they succeed again.
	OnKeyRefresh func(KeyRefresh)

	// Logger receives warnings that belong to no single call: that report-only mode is
	// on, panics of hooks, and outages of keys if OnKeyRefresh is nil. Default:
	// slog.Default().
	Logger *slog.Logger

	// HTTPClient fetches discovery documents and keys. [New] copies it and replaces its
	// redirect policy: redirects to another host are never followed. Default: a new
	// client with time limits.
	HTTPClient *http.Client

	// InsecureLoopbackHTTP accepts issuers over plain http on a loopback address,
	// for development. Default: https only.
	InsecureLoopbackHTTP bool

	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// NoCache as [Config.CacheSize] disables the cache of verified tokens: each call then
// costs a public-key operation.
const NoCache = -1

// defaultCacheSize is the default number of cached tokens: about 20 MB when full.
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
	c.Relations = c.Relations.withDefaults()
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
