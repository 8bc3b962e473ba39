package auth0grpc

import (
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/auth0grpc/auth0grpc/internal/jws"
)

// precheck parses a token and makes every check that needs neither a key nor I/O.
// It verifies nothing.
func (v *verifier) precheck(a *unverifiedToken, now time.Time) *refusal {
	if err := a.parsed.Parse(a.raw, a.knownHeader); err != nil {
		return malformedRefusal(a.raw, err)
	}
	if refused := v.checkHeader(&a.parsed.Header); refused != nil {
		return refused
	}
	if refused := a.read(a.parsed.Payload); refused != nil {
		return refused
	}
	idVerifier, refused := v.checkClaims(&a.parsedClaims, now)
	if refused != nil {
		return refused
	}
	if a.parsed.Header.KeyID == "" { // optional in RFC 7515, section 4.1.4; required here
		return refusedNoKeyID
	}
	a.idVerifier = idVerifier
	return nil
}

func malformedRefusal(raw string, err error) *refusal {
	if !isToken68(raw) {
		return refusedAuthorization.withCause(err)
	}
	if strings.Count(raw, ".") != 2 { // opaque, or encrypted: a JWE has five parts
		return refusedNotSigned.withCause(err)
	}
	return refusedMalformed.withCause(err)
}

// checkHeader checks the algorithm and the type. The list of algorithms comes from the
// [Config], never from the token or the discovery document (RFC 8725, section 3.1). The
// type is JWT in Auth0's own profile and at+jwt in the RFC 9068 profile (RFC 8725,
// section 3.11).
func (v *verifier) checkHeader(h *jws.Header) *refusal {
	if !slices.Contains(v.algorithms, h.Algorithm) {
		return refusedAlgorithm
	}
	if h.Type == "" || isMediaType(h.Type, "jwt") || isMediaType(h.Type, "at+jwt") {
		return nil
	}
	return refusedTypeHeader
}

// isMediaType reports whether typ is the media type application/name. Media types are
// compared without case, and "application/" may be left out (RFC 7515, section 4.1.9).
func isMediaType(typ, name string) bool {
	const prefix = "application/"
	if len(typ) == len(prefix)+len(name) && strings.EqualFold(typ[:len(prefix)], prefix) {
		typ = typ[len(prefix):]
	}
	return strings.EqualFold(typ, name)
}

// checkClaims makes the access-token checks that go-oidc does not make, and repeats its
// others to give the reason. The issuer comes first: an iss that is not on the list
// causes no network access.
//
// It returns go-oidc's verifier for the issuer and the matching audience.
func (v *verifier) checkClaims(c *parsedClaims, now time.Time) (*oidc.IDTokenVerifier, *refusal) {
	issuer := v.issuers[c.issuer]
	if issuer == nil {
		return nil, refusedIssuer
	}
	c.issuerKeys, c.ask = issuer.keys, v.ask
	// Auth0 signs ID, logout and access tokens with one key and one typ.
	if c.foreignClaim != "" {
		return nil, refusedForeignClaim[c.foreignClaim]
	}
	if c.audienceIsClient() {
		return nil, refusedOwnAudience
	}
	var idVerifier *oidc.IDTokenVerifier
	for _, audience := range c.audience {
		if idVerifier = issuer.idVerifiers[audience]; idVerifier != nil {
			break
		}
	}
	if idVerifier == nil {
		return nil, refusedAudience
	}
	c.setValidity(v.skew)
	if refused := c.checkTimes(now); refused != nil {
		return nil, refused
	}
	// A bound token without its proof may be a stolen one (RFC 9449, section 7.2).
	if refused := v.refuseBound(c.cnf); refused != nil {
		return nil, refused
	}
	return idVerifier, nil
}
