package auth0grpc

import (
	"context"
	"sync"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// An unverifiedToken is a token that is not verified yet, with its parts. It is also the
// context that carries it through go-oidc to preverifiedKeySet.
type unverifiedToken struct {
	context.Context // of the call; nil until the signature is verified
	parsedClaims

	raw         string
	knownHeader *jws.Header // nil: no token with its header was verified
	parsed      jws.Token
	idVerifier  *oidc.IDTokenVerifier // for its issuer and audience
	signingKey  *keyset.Key           // the key that signed it; nil until it is verified
	presented   string                // the form of the token that go-oidc gets
	payload     []byte                // the claims that go-oidc gets
}

type unverifiedTokenKey struct{}

// Value implements [context.Context].
func (a *unverifiedToken) Value(key any) any {
	if key == (unverifiedTokenKey{}) {
		return a
	}
	return a.Context.Value(key)
}

// unverifiedTokens has memory for the next tokens. New memory for each token costs 3 % of
// its verification, most of it in the garbage collector.
var unverifiedTokens = sync.Pool{New: func() any {
	const ordinaryClaims, ordinarySignature = 320, 256 // the signature of RSA with 2048 bits
	a := new(unverifiedToken)
	a.forOIDC, a.parsed.Signature = make([]byte, 0, ordinaryClaims), make([]byte, 0, ordinarySignature)
	return a
}}

// newUnverifiedToken returns a token that is not parsed yet. known is its header if other
// tokens with it were verified, or nil. The caller must call release when nothing uses the
// token any longer.
func newUnverifiedToken(raw string, known *jws.Header) *unverifiedToken {
	a := unverifiedTokens.Get().(*unverifiedToken)
	a.raw, a.knownHeader = raw, known
	return a
}

// release gives the memory of a token to the next one. No token needs much, because their
// length is bounded.
func (a *unverifiedToken) release() {
	a.reset()
	unverifiedTokens.Put(a)
}

// reset clears the token and keeps its memory.
func (a *unverifiedToken) reset() {
	claims, signature := a.forOIDC, a.parsed.Signature
	clear(claims)
	clear(a.payload) // in the same memory, and one byte longer
	clear(signature)
	*a = unverifiedToken{}
	a.forOIDC, a.parsed.Signature = claims[:0], signature[:0]
}
