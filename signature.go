package auth0grpc

import (
	"context"
	"slices"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// checkSignature verifies the signature. go-oidc then checks algorithm, issuer and
// audience once more, on the claims that it reads and no others (see [oidcClaims]
// and [compactForm]). The signature comes first, and not from within
// go-oidc, so that a wrong one costs a public-key operation and no more parsing.
func (v *verifier) checkSignature(ctx context.Context, a *unverifiedToken, keys []*keyset.Key) (refused *refusal) {
	defer recoverAsRefusal(&refused) // other callers may wait for the result
	if a.signingKey, refused = v.findSigningKey(ctx, &a.parsed, keys); refused != nil {
		return refused
	}
	a.presented, a.payload = compactForm(a.raw, &a.parsed.Header), a.forOIDC.payload()
	a.Context = ctx
	token, err := a.idVerifier.Verify(a, a.presented)
	if err != nil || !a.claims.agree(token) {
		return refusedClaims // go-oidc's text quotes claims, so it stays here
	}
	if a.knownHeader == nil {
		v.headers.Add(&a.parsed)
	}
	a.claims.signingKey = a.signingKey
	a.splitScope()
	return nil
}

// agree reports whether go-oidc read the claims as this package did. FuzzCompactForm
// has found no token for which it does not.
func (c *claims) agree(token *oidc.IDToken) bool {
	return token.Issuer == c.issuer && token.Subject == c.subject && slices.Equal(token.Audience, c.audience) &&
		token.Expiry.Unix() == c.expiry.Unix() && token.IssuedAt.Unix() == c.issuedAt.Unix()
}

// findSigningKey returns the key that signed the token. It waits for a turn at the
// signature gate.
func (v *verifier) findSigningKey(ctx context.Context, parsed *jws.Token, keys []*keyset.Key) (signingKey *keyset.Key, refused *refusal) {
	if refused := v.signatures.enter(ctx); refused != nil {
		return nil, refused
	}
	defer func() { v.signatures.leave(signingKey != nil) }()
	for _, key := range keys {
		if parsed.Verify(key.Public) == nil {
			return key, nil
		}
	}
	return nil, refusedSignature
}

// preverifiedKeySet is the oidc.KeySet of every verifier: it accepts the
// unverifiedToken in the context, whose signature was verified, and no other token.
type preverifiedKeySet struct{}

func (preverifiedKeySet) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	a, ok := ctx.Value(unverifiedTokenKey{}).(*unverifiedToken)
	if !ok || a.signingKey == nil || a.presented != raw {
		return nil, jws.ErrSignature
	}
	return a.payload, nil
}
