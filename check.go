package auth0grpc

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/auth0grpc/auth0grpc/internal/dpop"
)

// authorize decides whether a call of fullMethod may proceed. It returns the
// handler's context, or a verdict with a refusal whose challenge it has sent.
//
// fullMethod comes from gRPC, never from the client's metadata.
func (i *Interceptor) authorize(ctx context.Context, fullMethod string) (context.Context, verdict) {
	start := i.observer.startTime()
	v := i.observer.judge(i.decide(ctx, fullMethod, start))
	switch {
	case v.refused == nil:
		if nonceMetadata := i.binder.nonceMetadata(v.scheme, i.clock.now); nonceMetadata != nil {
			_ = grpc.SetTrailer(ctx, nonceMetadata)
		}
	case v.reported:
		i.observer.warnReportOnly(ctx)
	default:
		v.refused.sendChallenge(ctx, i.binder.challengeMetadata(&v.caller, v.refused, i.clock.now))
	}
	i.observer.notifyDecision(ctx, fullMethod, &v, start)
	if v.claims == nil {
		return withoutToken(ctx), v
	}
	return contextWithToken(ctx, &v.claims.Token), v
}

// decide evaluates the call against the current table. A panic becomes a refusal:
// certificate function and replay store are the user's code. start is the result of
// [observer.startTime].
func (i *Interceptor) decide(ctx context.Context, fullMethod string, start time.Time) (c caller, refused *refusal) {
	defer func() {
		if recover() != nil {
			c.claims, refused = nil, refusedVerificationFailed
		}
	}()
	methods := i.table.Load()
	if methods == nil { // the zero Interceptor
		return c, refusedUnlisted
	}
	c.row = methods.lookup(fullMethod)
	if c.row != nil && c.row.rule.kind == kindPublic {
		return c, nil
	}
	cred, refused := credentialFromContext(ctx, i.binder.acceptsDPoP())
	if refused == refusedMissingToken && c.row != nil && c.row.rule.kind == kindOptional {
		return c, nil
	}
	c.scheme = cred.scheme
	if refused == nil {
		refused = i.binder.refuseScheme(cred.scheme)
	}
	if refused == nil {
		c.claims, c.cacheHit, refused = i.verifier.verify(ctx, i.clock.decisionTime(start), cred.token)
	}
	if refused != nil {
		return c, refused
	}
	var proof *dpop.Proof
	if i.binder != nil {
		if proof, refused = i.binder.verifyBinding(ctx, i.clock.now(), fullMethod, cred, &c); refused != nil {
			c.claims = nil // the presenter did not prove possession
			return c, refused
		}
	}
	// Reveal which methods are listed only to callers with a valid token.
	if c.row == nil {
		refused = refusedUnlisted
	} else {
		refused = c.row.check(&c.claims.Token)
	}
	// A refused call takes no place in the replay store.
	if proof != nil && (refused == nil || i.observer.allowsReportOnly(&c, refused)) {
		if reused := i.binder.useProof(ctx, proof); reused != nil {
			c.claims = nil
			return c, reused
		}
	}
	return c, refused
}
