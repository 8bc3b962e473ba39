package auth0grpc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/revocation"
)

var errRevocationTime = errors.New("auth0grpc: Revocation.IssuedBefore lies before every token; leave it zero to revoke the tokens issued until now")

// Revoke refuses from now on every token that r covers, cached or new, with
// [ReasonTokenRevoked], and ends the streams that were opened with one. It then
// publishes r to [Config.RevocationFeed]. If publishing fails, Revoke returns the
// error, and the revocation holds on this server only. Calling Revoke again with the
// same r is harmless.
//
// A token that is issued in a later second passes, also for the same user. With
// [Config.ClockSkew], r also covers tokens whose iat is ahead by up to that time.
//
// Revoke returns an error if r names no known issuer, or if it would cover every token
// without an explicit time; see [Revocation]. It is safe for concurrent use. It does
// not end streams that were opened through [Interceptor.AuthFunc]. The [Interceptor]
// forgets r when [Config.MaxTokenLifetime] and the clock skew have passed. No call
// undoes r; docs/operating.md describes the procedure.
func (i *Interceptor) Revoke(ctx context.Context, r Revocation) error {
	if i.verifier == nil {
		return errZeroInterceptor
	}
	untilNow := r.IssuedBefore.IsZero()
	r, err := i.verifier.completeRevocation(r, i.clock.now())
	if err != nil {
		return err
	}
	i.applyRevocation(r)
	if i.revocationFeed == nil {
		return nil
	}
	if err := publishRevocation(ctx, i.revocationFeed, r, untilNow); err != nil {
		return fmt.Errorf("auth0grpc: revoked here, but publishing failed: %w", err)
	}
	return nil
}

// completeRevocation validates r and sets the fields that r leaves empty.
func (v *verifier) completeRevocation(r Revocation, now time.Time) (Revocation, error) {
	switch {
	case r.coversEverything() && r.IssuedBefore.IsZero():
		return r, errEmptyRevocation
	case r.IssuedBefore.IsZero():
		r.IssuedBefore = v.revokedUntil(now)
	case r.IssuedBefore.Unix() <= 0:
		return r, errRevocationTime
	}
	r.IssuedBefore = revocation.Cutoff(r.IssuedBefore)
	if r.Issuer == "" && len(v.issuers) == 1 {
		for r.Issuer = range v.issuers {
		}
	}
	if r.Issuer != AnyIssuer && v.issuers[r.Issuer] == nil {
		return r, fmt.Errorf("auth0grpc: Revocation.Issuer: %q: want AnyIssuer or one of Config.Issuers: %s", r.Issuer, v.issuerNames())
	}
	return r, nil
}

// revokedUntil returns the IssuedBefore that covers every token that exists now.
// The clock of the issuer may be ahead of ours by the clock skew, and a token of
// the current second may exist already.
func (v *verifier) revokedUntil(now time.Time) time.Time {
	return now.Add(v.skew).Truncate(time.Second).Add(time.Second).UTC()
}

// issuerNames returns the accepted issuers for an error text.
func (v *verifier) issuerNames() string {
	const maxListed = 8
	names := slices.Sorted(maps.Keys(v.issuers))
	if rest := len(names) - maxListed; rest > 0 {
		return fmt.Sprintf("%q and %d more", names[:maxListed], rest)
	}
	return fmt.Sprintf("%q", names)
}

// FollowRevocations applies the revocations of [Config.RevocationFeed] until ctx ends,
// and returns the error of ctx. Run it on its own goroutine for as long as the server
// runs. While the feed is unavailable, [Config.Logger] receives a warning, and known
// revocations stay in force.
//
// A revocation of an issuer that this [Interceptor] does not accept changes nothing. An
// IssuedBefore more than five minutes ahead of its clock covers only the tokens issued
// until now: the clock of the publisher may be wrong.
func (i *Interceptor) FollowRevocations(ctx context.Context) error {
	if i.verifier == nil {
		return errZeroInterceptor
	}
	if i.revocationFeed == nil {
		return errors.New("auth0grpc: Config.RevocationFeed is not set")
	}
	return i.revocationFeed.Follow(ctx, i.applyFollowed, func(err error) { i.observer.warnFeed(ctx, err) })
}

// applyFollowed applies a revocation from the feed. It does not trust the clock of the
// publisher: a time far ahead of ours would refuse tokens that are issued after the
// revocation, so it is limited to the tokens that exist now. A time slightly ahead
// stays, because our clock may be behind, and the limit would then spare tokens that
// the publisher revoked.
//
// Versions before [AnyIssuer] published no issuer. They meant every issuer.
func (i *Interceptor) applyFollowed(r Revocation) {
	v := i.verifier
	if r.Issuer == "" {
		r.Issuer = AnyIssuer
	}
	if r.Issuer != AnyIssuer && v.issuers[r.Issuer] == nil {
		return // a revocation of a service with other tenants
	}
	if r.coversEverything() && r.IssuedBefore.IsZero() {
		return
	}
	if expiry := v.revokedUntil(i.clock.now()); r.IssuedBefore.IsZero() || r.IssuedBefore.After(expiry.Add(maxClockSkew)) {
		r.IssuedBefore = expiry
	}
	i.applyRevocation(r)
}

// applyRevocation applies r to the tokens and streams of this server. A
// revocation that is known, or that a known one covers, changes nothing.
func (i *Interceptor) applyRevocation(r Revocation) {
	c := r.criteria()
	if i.verifier.revocations.Add(c, r.IssuedBefore, i.clock.now()) {
		i.streams.endRevoked(c, func(token *claims) bool {
			return i.verifier.checkRevoked(token, i.clock.now()) != nil
		})
	}
}

// checkRevoked looks up the token in the list of revocations once for each
// generation of the list. Most calls compare two numbers.
func (v *verifier) checkRevoked(c *claims, now time.Time) *refusal {
	generation := v.revocations.Generation()
	if c.revocationGeneration.Load() == generation {
		return nil
	}
	if v.revocations.Revoked(c.revocationToken(), now) {
		return refusedRevoked
	}
	c.revocationGeneration.Store(generation)
	return nil
}
