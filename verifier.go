package auth0grpc

import (
	"context"
	"errors"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/keyset"
	"github.com/auth0grpc/auth0grpc/internal/revocation"
	"github.com/auth0grpc/auth0grpc/internal/tokencache"
)

// A verifier turns an access token into a *Token, or refuses it. It knows no
// method, no rule and no clock. Of bindings it knows one predicate.
//
// Its cache remembers the claims of tokens whose signature was verified: never a
// refusal, and never a decision, which is made anew from the claims at each call
// (CVE-2021-32701). Each verifier has its own cache: a token that one accepted is
// unknown to another (GHSA-h6c8-cww8-35hf). recheck checks exp, revocation and key at
// each hit; an expired entry is removed then, or evicted.
type verifier struct {
	issuers     map[string]*issuer // by the exact iss
	algorithms  []string
	skew        time.Duration
	headers     jws.Headers                // of access tokens that were verified
	cache       *tokencache.Cache[*claims] // nil: off
	refuseBound func(*confirmation) *refusal
	revocations *revocation.List
	ask         relationAsker  // of the tokens; nil without a RelationChecker
	signatures  *signatureGate // bounds signature checks of access and logout tokens
}

// An issuer is one accepted iss with its own keys: a kid means nothing outside
// the issuer that published it (CVE-2026-49998).
type issuer struct {
	keys        *keyset.Set
	idVerifiers map[string]*oidc.IDTokenVerifier
}

// newVerifier returns the verifier of a valid Config. refuseBound returns the refusal
// of a token whose binding is not enforced, or nil. observe is called after each
// attempt to fetch keys.
func newVerifier(config *Config, refuseBound func(*confirmation) *refusal, observe func(keyset.Refresh)) *verifier {
	v := &verifier{
		issuers:     make(map[string]*issuer, len(config.Issuers)),
		algorithms:  config.Algorithms,
		skew:        config.ClockSkew,
		refuseBound: refuseBound,
		signatures:  newSignatureGate(config.CacheSize != NoCache),
		revocations: revocation.NewList(config.MaxTokenLifetime + config.ClockSkew),
	}
	if config.CacheSize != NoCache {
		v.cache = tokencache.New(config.CacheSize, (*claims).memory)
	}
	loads := make(chan struct{}, maxLoads)
	for _, name := range config.Issuers {
		iss := &issuer{
			keys: keyset.New(keyset.Config{
				Issuer: name, Client: config.HTTPClient, Now: config.Now, Observe: observe, Loads: loads,
			}),
			idVerifiers: make(map[string]*oidc.IDTokenVerifier, len(config.Audiences)),
		}
		for _, audience := range config.Audiences {
			iss.idVerifiers[audience] = oidc.NewVerifier(name, preverifiedKeySet{}, &oidc.Config{
				ClientID:             audience,
				SupportedSigningAlgs: config.Algorithms,
				// go-oidc allows nbf five minutes and exp nothing, and neither can be
				// set. checkTimes checks both, before the signature and at each use.
				SkipExpiryCheck: true,
			})
		}
		v.issuers[name] = iss
	}
	return v
}

// verify returns the claims of a valid token: from the cache, or by verifying it.
func (v *verifier) verify(ctx context.Context, now time.Time, raw string) (c *claims, cacheHit bool, refused *refusal) {
	defer recoverAsRefusal(&refused)
	key, header := tokencache.KeyOf(raw), v.headers.Find(raw)
	if v.mayBeCached(header) {
		if cached, ok := v.cache.Get(key); ok {
			keep, refused := v.recheck(ctx, now, cached)
			if keep && refused == nil {
				return cached, true, nil
			}
			if !keep {
				v.cache.Delete(key)
			}
			if refused != nil {
				return nil, false, refused
			}
		}
	}
	c, refused = v.verifyNew(ctx, now, key, header)
	if refused == nil {
		refused = v.checkRevoked(c, now)
	}
	if refused != nil {
		return nil, false, refused
	}
	return c, false, nil
}

// mayBeCached reports whether the cache can have a token with a header from
// [jws.Headers.Find]. A token with a header that no verified token had is not hashed to
// find out. The look-up of such a token of 16 KiB costs 10 ns, its hash 11 µs
// (BenchmarkFind and BenchmarkDigest).
func (v *verifier) mayBeCached(header *jws.Header) bool {
	return v.cache != nil && (header != nil || v.headers.Incomplete())
}

// recoverAsRefusal turns a panic on hostile input into a refusal (CVE-2024-28122). It
// drops the value of the panic, which may quote the input.
func recoverAsRefusal(refused **refusal) {
	if recover() != nil {
		*refused = refusedVerificationFailed
	}
}

// recheck checks a token from the cache against everything that can have changed since
// it was verified: the time, and the issuer's keys, which it also keeps fresh. It
// reports whether to keep the entry. An entry that is neither kept nor refused has
// lost its key and must be verified like a new one.
func (v *verifier) recheck(ctx context.Context, now time.Time, cached *claims) (keep bool, refused *refusal) {
	if refused := cached.checkTimes(now); refused != nil {
		return false, refused
	}
	if refused := v.checkRevoked(cached, now); refused != nil {
		return false, refused
	}
	switch err := cached.issuerKeys.Check(ctx, now, cached.signingKey); {
	case err == nil:
		return true, nil
	case errors.Is(err, keyset.ErrUnknownKey):
		return false, nil
	default:
		return true, keyRefusal(err)
	}
}

// verifyNew verifies a token that is not in the cache.
func (v *verifier) verifyNew(ctx context.Context, now time.Time, key *tokencache.Key, header *jws.Header) (*claims, *refusal) {
	a := newUnverifiedToken(key.Token(), header)
	c, refused := v.verifyUnverified(ctx, now, a, key)
	a.release() // a panic that passes on leaves it to the garbage collector
	return c, refused
}

// verifyUnverified makes the cheap checks first, so that garbage reaches neither the
// network nor the public key, and then checks the signature. Data that is read before the
// signature check can only refuse the token.
func (v *verifier) verifyUnverified(ctx context.Context, now time.Time, a *unverifiedToken, key *tokencache.Key) (*claims, *refusal) {
	if refused := v.precheck(a, now); refused != nil {
		return nil, refused
	}
	// A made-up kid ends here: before the token is hashed, and with one fetch per
	// cool-down at most.
	keys, err := a.claims.issuerKeys.Keys(ctx, now, a.parsed.Header.KeyID, a.parsed.Header.Algorithm)
	if err != nil {
		return nil, keyRefusal(err)
	}
	if v.cache == nil {
		return a.claims, v.checkSignature(ctx, a, keys)
	}
	return v.verifyOnce(ctx, a, key, keys)
}

// verifyOnce shares one public-key operation among concurrent first uses of a token.
func (v *verifier) verifyOnce(ctx context.Context, a *unverifiedToken, key *tokencache.Key, keys []*keyset.Key) (*claims, *refusal) {
	verified, err := v.cache.Verify(ctx, key, func() (*claims, error) {
		if refused := v.checkSignature(ctx, a, keys); refused != nil {
			return nil, refused
		}
		return a.claims, nil
	})
	if err == nil {
		return verified, nil
	}
	var refused *refusal
	if !errors.As(err, &refused) {
		refused = contextRefusal(err)
	}
	return nil, refused
}

// keyRefusal maps a keyset error to a refusal.
func keyRefusal(err error) *refusal {
	if errors.Is(err, keyset.ErrUnknownKey) {
		return refusedUnknownKey
	}
	var unavailable *keyset.UnavailableError
	switch {
	case errors.As(err, &unavailable):
		return newKeysUnavailable(unavailable.RetryAfter, err)
	case errors.Is(err, context.Canceled):
		return contextRefusal(context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		return contextRefusal(context.DeadlineExceeded)
	}
	return refusedVerificationFailed.withCause(err)
}

// maxLoads bounds the fetches in progress that ready and readyAny have started.
// A server with a thousand issuers would otherwise open a thousand connections
// at once.
const maxLoads = 16
