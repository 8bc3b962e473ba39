package auth0grpc

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unsafe"
	"weak"

	"github.com/auth0grpc/auth0grpc/internal/keyset"
	"github.com/auth0grpc/auth0grpc/internal/revocation"
	"github.com/auth0grpc/auth0grpc/internal/strictjson"
	"github.com/auth0grpc/auth0grpc/internal/testhook"
)

// claims hold the payload of a token and, once it is verified, its issuer and key.
type claims struct {
	Token
	issuerKeys             *keyset.Set                                    // set when iss is found on the list
	signingKey             *keyset.Key                                    // set when its signature is verified
	revocationGeneration   atomic.Uint64                                  // the generation of the revocation list at which it was not revoked
	tokenID                string                                         // jti, or empty
	validFrom, usableUntil time.Time                                      // nbf or iat, and exp, with the clock skew
	cnf                    *confirmation                                  // noConfirmation if absent
	named                  atomic.Pointer[namedClaim]                     // the last result of text
	lastCertificate        atomic.Pointer[weak.Pointer[x509.Certificate]] // the last certificate that matched cnf
}

// parsedClaims are the claims of a token until it is verified, with those that only
// matter until then: a cache keeps the others.
type parsedClaims struct {
	*claims
	scope           string     // the scope claim, which splitScope splits
	authorizedParty string     // azp, of Auth0's own profile
	clientIDClaim   string     // client_id, of the RFC 9068 profile
	notBefore       time.Time  // zero: no nbf
	foreignClaim    string     // the name of a claim that an access token does not have, or empty
	forOIDC         oidcClaims // the claims for go-oidc
}

var (
	errMissingClaim   = errors.New("auth0grpc: a required claim is missing or empty")
	errClaimType      = errors.New("auth0grpc: a claim has the wrong type")
	errMiscasedClaim  = errors.New("auth0grpc: a claim differs from a registered one in case alone")
	errClientMismatch = errors.New("auth0grpc: azp and client_id differ")
	errPayloadSyntax  = errors.New("auth0grpc: the payload is not a JSON object with distinct names")
)

// checkedClaims are the claims that matter here or in go-oidc.
var checkedClaims = [...]string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "azp", "client_id", "scope", "permissions", "org_id", "act", "cnf", "jti",
	"nonce", "at_hash", "c_hash", "events", "htm", "htu", "_claim_names", "_claim_sources",
}

// parseClaims parses the payload of an access token of either Auth0 profile
// (https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles). The
// claims iss, sub, aud, exp and iat are required. It refuses claims of the wrong type,
// but does not check values.
func parseClaims(payload string) (*parsedClaims, *refusal) {
	c := new(parsedClaims)
	if refused := c.read(payload); refused != nil {
		return nil, refused
	}
	c.splitScope()
	return c, nil
}

// read is parseClaims without the list of scopes: only verified tokens need it, and it
// would cost time for an attacker's tokens.
func (c *parsedClaims) read(payload string) (refused *refusal) {
	c.claims = &claims{Token: Token{payload: payload}, cnf: noConfirmation}
	err := strictjson.Object(payload, func(name, value string) error {
		c.forOIDC.keep(name, value)
		if refused = c.setClaim(name, value); refused != nil {
			return refused
		}
		return nil
	})
	if refused != nil {
		return refused
	}
	if err != nil {
		return refusedMalformed.withCause(errPayloadSyntax)
	}
	// An empty subject must not become a privileged identity (CVE-2026-23990).
	if name := c.missingClaim(); name != "" {
		return refusedMissingClaim[name]
	}
	if c.authorizedParty != "" && c.clientIDClaim != "" && c.authorizedParty != c.clientIDClaim {
		return refusedClientMismatch
	}
	c.clientID = cmp.Or(c.authorizedParty, c.clientIDClaim)
	c.setAllowedActor()
	return nil
}

// missingClaim returns the name of the first required claim that is missing or empty,
// or "".
func (c *claims) missingClaim() string {
	for i, missing := range [len(requiredClaims)]bool{
		c.issuer == "", c.subject == "", len(c.audience) == 0, c.expiry.IsZero(), c.issuedAt.IsZero(),
	} {
		if missing {
			return requiredClaims[i]
		}
	}
	return ""
}

// setClaim stores one member of the payload, or returns the refusal of the token.
func (c *parsedClaims) setClaim(name, value string) *refusal {
	ok := true
	switch name {
	case "iss":
		c.issuer, ok = strictjson.String(value)
	case "sub":
		c.subject, ok = strictjson.String(value)
	case "aud":
		c.audience, ok = parseAudience(value)
	case "exp":
		c.expiry, ok = strictjson.Time(value)
	case "iat":
		c.issuedAt, ok = strictjson.Time(value)
	case "nbf":
		c.notBefore, ok = strictjson.Time(value)
	case "azp":
		c.authorizedParty, ok = strictjson.String(value)
	case "client_id":
		c.clientIDClaim, ok = strictjson.String(value)
	case "org_id":
		c.organizationID, ok = strictjson.String(value)
	case "act":
		if !c.setActors(value) {
			return refusedMalformedActor
		}
	case "permissions":
		c.permissions, ok = strictjson.Strings(value)
	case "scope":
		c.scope, ok = strictjson.String(value)
	case "jti":
		c.tokenID, ok = strictjson.String(value)
	case "cnf":
		c.cnf, ok = parseConfirmation(value)
	case "nonce", "at_hash", "c_hash", "events", "htm", "htu":
		c.foreignClaim = name
	default:
		return checkMiscased(name)
	}
	if !ok {
		return refusedClaimType[name]
	}
	return nil
}

// checkMiscased refuses a name like "AUD": encoding/json, and with it go-oidc, would read
// it as aud, and the two parsers would see different tokens (hashicorp/cap#191). It
// folds the name once instead of comparing it with each claim, because an attacker
// sends thousands of names.
func checkMiscased(name string) *refusal {
	var buffer [maxClaimName]byte
	folded, ok := foldASCII(buffer[:0], name)
	if !ok || string(folded) == name {
		return nil
	}
	return refusedMiscasedClaim[string(folded)]
}

// maxClaimName is the length of the longest name in checkedClaims.
const maxClaimName = len("_claim_sources")

// foldASCII appends name in lower case, by Unicode's simple folding. It reports
// whether the result is ASCII and fits into buffer. U+017F and U+212A are the two
// characters outside ASCII that fold to a letter of it.
func foldASCII(buffer []byte, name string) ([]byte, bool) {
	for _, r := range name {
		switch {
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		case r == '\u017f':
			r = 's'
		case r == '\u212a':
			r = 'k'
		}
		if r > unicode.MaxASCII || len(buffer) == cap(buffer) {
			return nil, false
		}
		buffer = append(buffer, byte(r))
	}
	return buffer, true
}

// parseAudience parses aud: a string for one audience, and an array for several (RFC
// 7519, section 4.1.3). Any other type is no audience, never "any audience"
// (CVE-2020-26160).
func parseAudience(value string) ([]string, bool) {
	if audience, ok := strictjson.String(value); ok {
		return []string{audience}, true
	}
	return strictjson.Strings(value)
}

// splitScope sets the scopes from the text of the scope claim.
func (c *parsedClaims) splitScope() { c.scopes = splitScope(c.scope) }

// splitScope splits on single spaces (RFC 6749, section 3.3). It leaves out the empty
// scopes that superfluous spaces would make; no rule can name them.
func splitScope(scope string) []string {
	if scope == "" {
		return nil
	}
	scopes := make([]string, 0, strings.Count(scope, " ")+1)
	for scope != "" {
		var s string
		if s, scope, _ = strings.Cut(scope, " "); s != "" {
			scopes = append(scopes, s)
		}
	}
	return scopes
}

// setValidity computes the validity period once. The token has expired at its exp, not
// only after it (RFC 7519, section 4.1.4). An iat or nbf in the future shows that a
// clock is wrong, so exp is meaningless too.
func (c *parsedClaims) setValidity(skew time.Duration) {
	c.usableUntil = c.expiry.Add(skew)
	c.validFrom = c.issuedAt.Add(-skew)
	if c.notBefore.After(c.issuedAt) {
		c.validFrom = c.notBefore.Add(-skew)
	}
}

func (c *claims) checkTimes(now time.Time) *refusal {
	if !now.Before(c.usableUntil) {
		return refusedExpired
	}
	if now.Before(c.validFrom) {
		return refusedNotYetValid
	}
	return nil
}

// memory returns about how many bytes of memory the claims take in the cache.
func (c *claims) memory() int {
	const fixed = 1 << 10 // the struct, its pointers' targets, and the entry of the cache
	bytes := fixed + len(c.payload)
	if strings.IndexByte(c.payload, '\\') >= 0 {
		bytes += len(c.payload) // claims that had to be unescaped are copies
	}
	for _, list := range [][]string{c.audience, c.scopes, c.permissions, c.actors} {
		bytes += cap(list) * int(unsafe.Sizeof(""))
	}
	return bytes
}

// audienceIsClient reports whether the only audience is the client itself, as in
// an ID token that lost its nonce (OpenID Connect Core 1.0, section 2).
func (c *claims) audienceIsClient() bool {
	return len(c.audience) == 1 && c.audience[0] == c.clientID
}

// revocationToken returns the claims that a Revocation can name.
func (c *claims) revocationToken() revocation.Token {
	return revocation.Token{
		Criteria: revocation.Criteria{
			Issuer: c.issuer, Subject: c.subject, ClientID: c.clientID, OrganizationID: c.organizationID, TokenID: c.tokenID,
		},
		IssuedAt: c.issuedAt,
	}
}

func init() {
	testhook.ContextWithClaims = func(ctx context.Context, payload []byte) (context.Context, error) {
		c, refused := parseClaims(string(payload))
		if refused != nil {
			return nil, refused
		}
		return contextWithToken(ctx, &c.Token), nil
	}
}
