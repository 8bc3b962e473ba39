package auth0grpc

import (
	"context"

	middleware "github.com/grpc-ecosystem/go-grpc-middleware/v2"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"google.golang.org/grpc"
)

// An Interceptor decides on every call of a gRPC server. One Interceptor serves
// unary and streaming methods, and may serve several servers; it is safe for
// concurrent use. It is made by New; the zero Interceptor refuses every call.
type Interceptor struct {
	table    *table
	verifier *verifier
}

// authorize is the one decision: may this call of fullMethod go on, and as whom.
// It returns the context for the handler, or a *refusal whose challenge is on
// its way to the client.
//
// fullMethod comes from gRPC and never from what the client says in metadata.
func (i *Interceptor) authorize(ctx context.Context, fullMethod string) (context.Context, error) {
	token, refused := i.decide(ctx, fullMethod)
	switch {
	case refused != nil:
		refused.send(ctx)
		return nil, refused
	case token == nil:
		return ctx, nil
	}
	return contextWithToken(ctx, token), nil
}

// decide returns the verified token, nil for a call that passes without one, or
// a refusal.
func (i *Interceptor) decide(ctx context.Context, fullMethod string) (*Token, *refusal) {
	if i.table == nil { // the zero Interceptor
		return nil, refusedUnlisted
	}
	r := i.table.lookup(fullMethod)
	if r != nil && r.rule.kind == kindPublic {
		return nil, nil
	}
	raw, refused := bearerToken(ctx)
	if refused == refusedMissing && r != nil && r.rule.kind == kindOptional {
		return nil, nil
	}
	if refused != nil {
		return nil, refused
	}
	token, refused := i.verifier.verify(ctx, raw)
	if refused != nil {
		return nil, refused
	}
	// Only who has a genuine token learns which methods are listed.
	if r == nil {
		return nil, refusedUnlisted
	}
	if ok, short := r.rule.met(token); !ok {
		return nil, r.short[short]
	}
	return token, nil
}

// UnaryServerInterceptor returns the interceptor for unary methods. Put it in
// front of everything that should run for authorized calls alone. ServerOptions
// installs it together with its streaming twin.
func (i *Interceptor) UnaryServerInterceptor() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		ctx, err := i.authorize(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		return handler(ctx, req)
	}
}

// StreamServerInterceptor returns the interceptor for streaming methods of every
// shape. The decision is made when the stream opens, before any message is read.
func (i *Interceptor) StreamServerInterceptor() grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx, err := i.authorize(stream.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		return handler(srv, &middleware.WrappedServerStream{ServerStream: stream, WrappedContext: ctx})
	}
}

// ServerOptions returns both interceptors as options for grpc.NewServer, so that
// neither is forgotten. They chain, in the order of the options, with other
// interceptors given by grpc.ChainUnaryInterceptor and
// grpc.ChainStreamInterceptor.
func (i *Interceptor) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(i.UnaryServerInterceptor()),
		grpc.ChainStreamInterceptor(i.StreamServerInterceptor()),
	}
}

// AuthFunc returns the same decision for servers that are built around
// go-grpc-middleware's auth interceptors. It takes the method from the call that
// the context belongs to and refuses a context of no call.
//
// A service that implements that package's ServiceAuthFuncOverride is never
// brought before this function: its method decides alone. Prefer ServerOptions,
// which no service can bypass.
func (i *Interceptor) AuthFunc() auth.AuthFunc {
	return func(ctx context.Context) (context.Context, error) {
		fullMethod, _ := grpc.Method(ctx)
		return i.authorize(ctx, fullMethod)
	}
}

// Ready reports whether the keys of every issuer are loaded, and loads those
// that are not; the error names each issuer that failed and wraps
// ErrKeysUnavailable. Call it before serving, and from a readiness probe: keys
// that are loaded are not fetched again. A server need not wait for it: keys are
// also fetched when the first token arrives.
func (i *Interceptor) Ready(ctx context.Context) error {
	if i.verifier == nil {
		return ErrKeysUnavailable
	}
	return i.verifier.ready(ctx)
}

// Scopes returns every scope that the table names, sorted: what has to be
// defined as a permission of the API in Auth0.
func (i *Interceptor) Scopes() []string {
	if i.table == nil {
		return nil
	}
	return i.table.scopes()
}

// String returns the whole table, a row a line, sorted, and after it the scopes
// that it names.
func (i *Interceptor) String() string {
	if i.table == nil {
		return ""
	}
	return i.table.String()
}
