package auth0grpc

import (
	"context"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// checkSignature verifies the signature and hands the token to go-oidc, which
// checks algorithm, issuer and audience once more. It comes in this order, and
// not all of it from within go-oidc, because a wrong signature is to cost a
// public-key operation and not the parsing around it as well.
func (v *verifier) checkSignature(ctx context.Context, a *attempt, keys []*keyset.Key) (refused *refusal) {
	defer contain(&refused) // it may run on a goroutine of its own
	if a.by, refused = v.signer(ctx, a.parsed, keys); refused != nil {
		return refused
	}
	if _, err := a.through.Verify(context.WithValue(ctx, attemptKey{}, a), a.raw); err != nil {
		return refusedClaims // go-oidc's text quotes claims, so it stays here
	}
	a.claims.key = a.by
	a.claims.splitScope()
	return nil
}

// signer returns the key that signed the token. It waits for its turn at the
// signature gate.
func (v *verifier) signer(ctx context.Context, parsed *jws.Token, keys []*keyset.Key) (signer *keyset.Key, refused *refusal) {
	if refused := v.signatures.enter(ctx); refused != nil {
		return nil, refused
	}
	defer func() { v.signatures.leave(signer != nil) }()
	for _, key := range keys {
		if parsed.Verify(key.Public) == nil {
			return key, nil
		}
	}
	return nil, refusedSignature
}

// An attempt is a token that is taken apart and not verified yet. It travels in a
// context through go-oidc to vouchedFor.
type attempt struct {
	raw     string
	parsed  *jws.Token
	claims  *claims
	through *oidc.IDTokenVerifier // for its issuer and audience
	by      *keyset.Key           // whose signature it is; nil: it is not known to be anybody's
}

type attemptKey struct{}

// vouchedFor is the oidc.KeySet of every verifier: it vouches for the attempt in
// the context, whose signature was verified, and for no other token.
type vouchedFor struct{}

func (vouchedFor) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok || a.by == nil || a.raw != raw {
		return nil, jws.ErrSignature
	}
	return []byte(a.parsed.Payload), nil
}
