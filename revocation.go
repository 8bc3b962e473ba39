package auth0grpc

import (
	"context"
	"errors"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/revocation"
)

// A Revocation selects the tokens to revoke: the tokens that agree in every field that
// is not empty. Auth0 cannot revoke an access token that it has issued.
// [Interceptor.Revoke] refuses such a token at the servers that know of the Revocation.
type Revocation struct {
	// Issuer is the iss of the tokens, one of Config.Issuers, or [AnyIssuer]. The
	// other fields have no meaning outside their issuer: two tenants can use one
	// sub for two users. Empty means the only issuer of a Config that has one; with
	// several issuers an empty Issuer is an error.
	Issuer string

	Subject        string // sub
	ClientID       string // azp or client_id
	OrganizationID string // org_id
	TokenID        string // jti, which Auth0's RFC 9068 profile has

	// IssuedBefore spares the tokens with this iat or a later one. A fraction of a
	// second is rounded up, because iat has whole seconds. Zero means the end of
	// the second in which Revoke is called, plus Config.ClockSkew. It is required
	// if Subject, ClientID, OrganizationID and TokenID are all empty; the Revocation
	// then covers every token of the Issuer that was issued earlier.
	IssuedBefore time.Time
}

// AnyIssuer as Revocation.Issuer covers the tokens of every issuer that agree in
// the other fields. Use it if all issuers of a Config share their users, such as
// the canonical domain and the custom domains of one Auth0 tenant.
const AnyIssuer = "*"

// A RevocationFeed carries revocations between the replicas of a service. Its
// methods are safe for concurrent use. [NewRevocationFeed] returns one for a single
// process; module auth0grpcredis has one on Redis Streams.
//
// A feed hands on every field. [Interceptor.Revoke] publishes an explicit Issuer,
// which may be [AnyIssuer], and an IssuedBefore in whole seconds. An empty Issuer
// from a feed means AnyIssuer, as in versions that published none.
type RevocationFeed interface {
	// Publish passes r to every follower, current and future.
	Publish(ctx context.Context, r Revocation) error
	// Follow calls apply for each revocation that can still match a token, and then for
	// each new one, until ctx ends. It returns the error of ctx. Calls of apply do not
	// overlap. While the feed is unavailable, Follow retries and calls onGap with the
	// reason; it then catches up on every revocation that it missed.
	Follow(ctx context.Context, apply func(Revocation), onGap func(error)) error
}

// defaultMaxTokenLifetime is Auth0's default for an API's access tokens.
const defaultMaxTokenLifetime = 24 * time.Hour

var errEmptyRevocation = errors.New("auth0grpc: a Revocation without Subject, ClientID, OrganizationID and TokenID covers every token; set IssuedBefore if that is intended")

// coversEverything reports whether r covers every token of its issuer up to a
// time.
func (r *Revocation) coversEverything() bool {
	return r.Subject == "" && r.ClientID == "" && r.OrganizationID == "" && r.TokenID == ""
}

func (r *Revocation) criteria() revocation.Criteria {
	c := revocation.Criteria{
		Issuer: r.Issuer, Subject: r.Subject, ClientID: r.ClientID, OrganizationID: r.OrganizationID, TokenID: r.TokenID,
	}
	if c.Issuer == AnyIssuer {
		c.Issuer = ""
	}
	return c
}
