package auth0grpc

import (
	"context"
	"time"

	"google.golang.org/grpc/tap"
)

// TapHandle returns a handle for grpc.InTapHandle that refuses calls by their
// headers alone, before the request is read: gRPC runs unary interceptors only
// after the whole message was received and decoded, up to 4 MB from anybody.
//
//	grpc.NewServer(append(guard.ServerOptions(), grpc.InTapHandle(guard.TapHandle()))...)
//
// It refuses what needs no key: no token, a malformed one, a wrong algorithm,
// type, issuer or audience, an expired one, and an unlisted method where the
// token is known. Status and reason are those that the interceptor would give;
// there is no www-authenticate, for which gRPC has no place here. What it lets
// through is decided again by the interceptor, so it is a saving and not a
// protection: without ServerOptions nothing is protected.
//
// It does no public-key operation and no I/O, and waits for no lock: it runs on
// the goroutine that reads the connection. Config.OnDecision is called there for
// what it refuses, with a context that does not know the method yet, and holds
// that connection up. A call whose deadline is more than a minute away is left to
// the interceptor: for one that a tap refuses, grpc-go keeps a timer until then.
//
// What a client may send before it hears of a refusal is the window of a stream:
// 64 KiB at first, which grpc-go widens for clients that send much, unless
// grpc.StaticStreamWindowSize(64<<10) keeps it there.
//
// grpc.InTapHandle is experimental in grpc-go, and is not run for servers behind
// ServeHTTP, where the interceptor decides as always.
func (i *Interceptor) TapHandle() tap.ServerInHandle {
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		start := i.start()
		v := i.glance(info)
		if v.refused == nil || i.reports(&v) || lingers(ctx) {
			return ctx, nil
		}
		if i.onDecision != nil {
			i.tell(ctx, v.decision(info.FullMethodName, time.Since(start)))
		}
		return ctx, v.refused
	}
}

// glance refuses what can be refused by the headers. A verdict without a refusal
// means that the interceptor has to decide.
func (i *Interceptor) glance(info *tap.Info) (v verdict) {
	defer func() {
		if recover() != nil { // the interceptor will meet the same and refuse
			v = verdict{}
		}
	}()
	methods := i.table.Load()
	if methods == nil {
		return verdict{refused: refusedUnlisted}
	}
	v.row = methods.lookup(info.FullMethodName)
	if v.row != nil && v.row.rule.kind == kindPublic {
		return v
	}
	by, refused := parseCredential(info.Header.Get("authorization"), i.verifier.binding.takesDPoP())
	if refused == nil {
		refused = i.verifier.binding.refuseScheme(by.scheme)
	}
	switch {
	case refused == refusedMissing && v.row != nil && v.row.rule.kind == kindOptional:
	case refused != nil:
		v.refused = refused
	default:
		v.claims, v.refused = i.verifier.glance(by.token, v.row != nil)
		v.hit = v.claims != nil
	}
	return v
}

// glance judges a token by what it says of itself, unless it is known already;
// claims are returned with a refusal that they bear out.
func (v *verifier) glance(raw string, listed bool) (*claims, *refusal) {
	now := v.now()
	if v.cache != nil {
		if known, ok := v.cache.Probe(raw); ok {
			if refused := known.checkTimes(now); refused != nil || listed {
				return nil, refused
			}
			if v.stillGood(known) {
				return known, refusedUnlisted
			}
			return nil, nil
		}
	}
	_, refused := v.read(raw, now)
	return nil, refused
}

// stillGood reports whether a token from the cache is known not to be revoked,
// nor its key to be withdrawn, nor in need of a proof. Only who has such a token
// learns which methods are listed. It takes no lock: where there is news, the
// interceptor will look.
func (v *verifier) stillGood(known *claims) bool {
	published, _ := known.from.keys.Probe(known.key.ID)
	return published && v.binding == nil && known.revocationGeneration.Load() == v.revocations.Generation()
}

// farDeadline is how long grpc-go may keep the timer of a call that was refused
// here. It forgets to stop it (as of 1.85), and the client says how long it runs:
// a stranger could fill the memory with timers that last for years.
const farDeadline = time.Minute

// lingers reports whether refusing the call here would leave such a timer.
func lingers(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) > farDeadline
}
