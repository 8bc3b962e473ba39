package auth0grpc

import (
	"context"
	"time"

	"google.golang.org/grpc/tap"
)

// TapHandle returns a handle for grpc.InTapHandle that refuses calls by their headers
// alone, before the request is read: gRPC runs unary interceptors only after it has
// received and decoded the whole message, up to 4 MB from any stranger.
//
//	grpc.NewServer(append(guard.ServerOptions(), grpc.InTapHandle(guard.TapHandle()))...)
//
// It makes the checks that need no key. It refuses a missing or malformed token, a
// wrong algorithm, type, issuer or audience, and an expired token. It refuses an
// unlisted method if the token is in the cache. Status and reason are the same as from
// the interceptor; there is no www-authenticate, because gRPC offers no place for it
// here. The interceptor decides again on every call that passes, so the tap saves work
// and protects nothing: without [Interceptor.ServerOptions] the server is unprotected.
//
// It does no public-key operation and no I/O, and waits for no lock: it runs on the
// goroutine that reads the connection. [Config.OnDecision] is called there for each
// refusal, with a context that does not know the method yet; meanwhile that connection
// waits. A call whose deadline is more than a minute away is left to the interceptor:
// for a call that a tap refuses, grpc-go keeps a timer until then.
//
// Before a client receives a refusal it may send the window of a stream: 64 KiB at
// first, which grpc-go widens for clients that send much, unless
// grpc.StaticStreamWindowSize(64<<10) keeps it there.
//
// grpc.InTapHandle is experimental in grpc-go. Servers behind ServeHTTP do not run it;
// there the interceptor decides as always.
func (i *Interceptor) TapHandle() tap.ServerInHandle {
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		start := i.observer.startTime()
		request := &Request{FullMethod: info.FullMethodName, Authorization: info.Header.Get("authorization")}
		v := i.observer.judge(i.precheck(ctx, request))
		if v.err() == nil || hasFarDeadline(ctx) {
			return ctx, nil
		}
		if candidate := i.candidate.Load(); candidate != nil {
			v.candidate = evaluateCandidate(ctx, i, candidate, request, &v, start)
		}
		if i.observer.wantsFacts {
			v.facts = newFacts(ctx, i, request, &v, start)
		}
		i.observer.notifyDecision(ctx, info.FullMethodName, &v, start)
		return ctx, v.refused
	}
}

// precheck refuses calls by their headers. Without a refusal the interceptor must
// decide.
func (i *Interceptor) precheck(ctx context.Context, request *Request) (c caller, refused *refusal) {
	defer func() {
		if recover() != nil { // the interceptor will panic too and refuse
			c, refused = caller{}, nil
		}
	}()
	c, cred, decided, refused := i.binder.readCredential(ctx, i.table.Load(), request)
	if decided {
		return c, refused
	}
	known, refused := i.verifier.precheckCached(i.clock.now(), cred.token)
	// Only the caller of a token that needs no proof learns here which methods are
	// listed.
	if known != nil && c.row == nil && i.binder == nil {
		c.claims, c.cacheHit = known, true
		return c, refusedUnlisted
	}
	return c, refused
}

// precheckCached makes the checks that need no key. It returns the claims of a token that
// is known to be valid: its cache has them, the issuer publishes its key, and it is
// not revoked. It takes no lock: if the keys or the revocations have changed, the
// interceptor looks.
func (v *verifier) precheckCached(now time.Time, raw string) (known *claims, refused *refusal) {
	var cached *claims
	header := v.headers.Find(raw)
	if v.mayBeCached(header) {
		cached, _ = v.cache.Peek(raw)
	}
	if cached == nil {
		a := newUnverifiedToken(raw, header)
		refused = v.precheck(a, now)
		a.release()
		return nil, refused
	}
	if refused := cached.checkTimes(now); refused != nil {
		return nil, refused
	}
	published, _ := cached.issuerKeys.Probe(cached.signingKey.ID)
	if !published || cached.revocationGeneration.Load() != v.revocations.Generation() {
		return nil, nil
	}
	return cached, nil
}

// maxTapDeadline is how long grpc-go may keep the timer of a call that was refused
// here. It forgets to stop it (as of 1.85), and the client says how long it runs:
// a stranger could fill the memory with timers that last for years.
const maxTapDeadline = time.Minute

// hasFarDeadline reports whether refusing the call here would leave such a timer.
func hasFarDeadline(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) > maxTapDeadline
}
