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
// what it refuses. grpc.InTapHandle is experimental in grpc-go, and is not run
// for servers behind ServeHTTP, where the interceptor decides as always.
func (i *Interceptor) TapHandle() tap.ServerInHandle {
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		start := i.start()
		v := i.glance(info)
		if v.refused == nil || i.reports(&v) {
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
		refused = i.verifier.binding.demands(v.row, by.scheme)
	}
	switch {
	case refused == refusedMissing && v.row != nil && v.row.rule.kind == kindOptional:
	case refused != nil:
		v.refused = refused
	default:
		v.refused = i.verifier.glance(by.token, v.row != nil)
	}
	return v
}

// glance judges a token by what it says of itself, unless it is known already.
func (v *verifier) glance(raw string, listed bool) *refusal {
	now := v.now()
	if v.cache != nil {
		if known, ok := v.cache.probe(raw); ok {
			if refused := known.checkTimes(now); refused != nil || listed {
				return refused
			}
			return refusedUnlisted
		}
	}
	_, _, _, refused := v.read(raw, now)
	return refused
}
