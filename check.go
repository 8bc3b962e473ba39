package auth0grpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc/internal/dpop"
)

// authorize is the one decision: may this call of fullMethod go on, and as whom.
// It returns the context for the handler, or a verdict with a refusal whose
// challenge is on its way to the client.
//
// fullMethod comes from gRPC and never from what the client says in metadata.
func (i *Interceptor) authorize(ctx context.Context, fullMethod string) (context.Context, verdict) {
	start := i.start()
	v := i.decide(ctx, fullMethod, start)
	if v.refused != nil {
		if v.reported = i.reports(&v); v.reported {
			i.remind(ctx, i.verifier.now())
		} else {
			v.refused.send(ctx, i.challenge(&v))
		}
	} else if nonce := i.nonce(&v); nonce != nil {
		_ = grpc.SetTrailer(ctx, nonce)
	}
	if i.onDecision != nil {
		i.tell(ctx, v.decision(fullMethod, time.Since(start)))
	}
	if v.claims == nil {
		return withoutToken(ctx), v
	}
	return contextWithToken(ctx, &v.claims.Token), v
}

// decide makes the verdict by the table of this moment. start is what Interceptor.start
// returned.
func (i *Interceptor) decide(ctx context.Context, fullMethod string, start time.Time) verdict {
	methods := i.table.Load()
	if methods == nil { // the zero Interceptor
		return verdict{refused: refusedUnlisted}
	}
	v := verdict{row: methods.lookup(fullMethod)}
	if v.row != nil && v.row.rule.kind == kindPublic {
		return v
	}
	by, refused := callCredential(ctx, i.verifier.binding.takesDPoP())
	if refused == refusedMissing && v.row != nil && v.row.rule.kind == kindOptional {
		return v
	}
	v.scheme = by.scheme
	if refused == nil {
		refused = i.verifier.binding.refuseScheme(by.scheme)
	}
	if refused == nil {
		v.claims, v.hit, refused = i.verifier.verify(ctx, start, by.token)
	}
	var proof *dpop.Proof
	if refused == nil && i.verifier.binding != nil {
		if proof, refused = i.checkBinding(ctx, fullMethod, &v, by); refused != nil {
			v.claims = nil // the presenter did not prove possession
		}
	}
	if refused != nil {
		v.refused = refused
		return v
	}
	// Reveal which methods are listed only to callers with a valid token.
	if v.row == nil {
		v.refused = refusedUnlisted
	} else if ok, short := v.row.rule.met(&v.claims.Token); !ok {
		v.refused = v.row.short[short]
	}
	// A refused call takes no place in the memory of used proofs.
	if proof != nil && (v.refused == nil || i.reports(&v)) {
		if refused := i.useProof(ctx, proof); refused != nil {
			v.claims, v.refused = nil, refused
		}
	}
	return v
}

// checkBinding is [binder.check] with panics turned into refusals, as in
// verification: a certificate function is the user's code.
func (i *Interceptor) checkBinding(ctx context.Context, fullMethod string, v *verdict, cred credential) (proof *dpop.Proof, refused *refusal) {
	defer contain(&refused)
	return i.verifier.binding.check(ctx, i.verifier.now(), fullMethod, v.row, cred, v.claims)
}

// useProof is [binder.useProof] with panics turned into refusals: a replay store is
// the user's code.
func (i *Interceptor) useProof(ctx context.Context, proof *dpop.Proof) (refused *refusal) {
	defer contain(&refused)
	return i.verifier.binding.useProof(ctx, proof)
}

func (i *Interceptor) challenge(v *verdict) metadata.MD {
	if i.verifier == nil {
		return v.refused.challenge
	}
	r := v.row
	if v.claims == nil && v.refused != refusedWithoutDPoP {
		r = nil // as for a method that is not listed
	}
	return i.verifier.binding.challenge(v.refused, v.scheme, r, i.verifier.now)
}

func (i *Interceptor) nonce(v *verdict) metadata.MD {
	if i.verifier.binding == nil {
		return nil
	}
	return i.verifier.binding.nonce(v.scheme, i.verifier.now)
}
