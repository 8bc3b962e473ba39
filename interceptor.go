package auth0grpc

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"google.golang.org/grpc"
)

// An Interceptor decides on every call of a gRPC server. One Interceptor serves
// unary and streaming methods, and may serve several servers; it is safe for
// concurrent use. It is made by New; the zero Interceptor refuses every call.
type Interceptor struct {
	table    atomic.Pointer[table]
	verifier *verifier // nil: the zero Interceptor
	binder   *binder   // nil: bound tokens are refused
	clock    clock
	observer observer
	streams  openStreams
	feed     RevocationFeed                                // nil: revocations stay here
	obtained struct{ unary, stream, authFunc atomic.Bool } // the interceptors that a program asked for
}

var errZeroInterceptor = errors.New("auth0grpc: the Interceptor was not created by New")

// New checks config and returns an Interceptor, or every fault in config at once
// (see ConfigError). It does no I/O and starts no goroutine: keys are fetched on
// first use, or by Ready.
func New(config Config) (*Interceptor, error) {
	isWall := config.Now == nil
	config = config.withDefaults()
	methods, faults := newTable(config.Methods)
	faults = slices.Concat(faults, config.faults(), methods.bindingFaults(config.DPoP.Mode, config.MTLS.Mode))
	if len(faults) > 0 {
		return nil, joinFaults(faults)
	}
	i := &Interceptor{clock: clock{config.Now, isWall}, feed: config.RevocationFeed}
	i.table.Store(methods)
	i.observer.init(i.clock, config.Logger, config.ReportOnly, func() []string { return i.table.Load().reportOnlyRows() })
	i.observer.onDecision, i.observer.onKeyRefresh = config.OnDecision, config.OnKeyRefresh
	i.binder = newBinder(&config)
	i.verifier = newVerifier(&config, i.binder.refuseConfirmation, i.observer.notifyKeyRefresh)
	i.streams.init(config.StreamPolicy, config.Now, i.endStream)
	if config.ReportOnly != ReportOnlyOff || len(methods.reportOnlyRows()) > 0 {
		i.observer.warnReportOnly(context.Background())
	}
	return i, nil
}

// UnaryServerInterceptor returns the interceptor for unary methods. Put it in
// front of everything that should run for authorized calls alone. ServerOptions
// installs it together with its streaming twin.
func (i *Interceptor) UnaryServerInterceptor() grpc.UnaryServerInterceptor {
	i.obtained.unary.Store(true)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		ctx, v := i.authorize(ctx, info.FullMethod)
		if err := v.err(); err != nil {
			return nil, err
		}
		response, err := handler(ctx, req)
		return response, fromHandler(err)
	}
}

// StreamServerInterceptor returns the interceptor for streaming methods of every
// shape. The decision is made when the stream opens, before any message is read.
func (i *Interceptor) StreamServerInterceptor() grpc.StreamServerInterceptor {
	i.obtained.stream.Store(true)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx, v := i.authorize(stream.Context(), info.FullMethod)
		if err := v.err(); err != nil {
			return err
		}
		if v.claims == nil { // no token, so nothing can expire
			if _, ok := TokenFromContext(stream.Context()); ok { // of another Interceptor
				stream = contextStream{stream, ctx}
			}
			return fromHandler(handler(srv, stream))
		}
		var reason *refusal
		if i.observer.onDecision != nil {
			opened := time.Now()
			defer func() { // also after a panic
				i.observer.notifyStreamEnd(ctx, info.FullMethod, &v.caller, reason, time.Since(opened))
			}()
		}
		reason, err := i.serveStream(ctx, &v.caller, srv, stream, handler)
		return err
	}
}

// A contextStream is a stream with another context.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s contextStream) Context() context.Context { return s.ctx }

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
//
// AuthFunc sees the opening of a stream only, so it cannot end one. A stream that
// was opened through it continues after its token has expired and after
// [Interceptor.Revoke], until its handler returns. [Interceptor.ServerOptions]
// ends such streams.
//
// What it returns is marked as made before any handler ran (see
// [BeforeHandlerKey]), so call it before the handler. It does not see the errors
// of handlers: a handler that returns the status of another server unchanged hands
// on that server's mark, and the client may repeat the call.
func (i *Interceptor) AuthFunc() auth.AuthFunc {
	i.obtained.authFunc.Store(true)
	return func(ctx context.Context) (context.Context, error) {
		fullMethod, _ := grpc.Method(ctx)
		ctx, v := i.authorize(ctx, fullMethod)
		return ctx, v.err()
	}
}

// SetMethods replaces the table while serving. The new one is checked as New
// does, and if it has faults they are all returned and the old table stays. A
// call that is being decided keeps the table that it began with; open streams go
// on.
func (i *Interceptor) SetMethods(methods map[string]Rule) error {
	if i.verifier == nil {
		return errZeroInterceptor
	}
	next, faults := newTable(methods)
	faults = append(faults, next.bindingFaults(i.binder.modes())...)
	if len(faults) > 0 {
		return joinFaults(faults)
	}
	i.table.Store(next)
	i.observer.warnNewTable(next.reportOnlyRows())
	return nil
}

// Methods returns a copy of the table, as given to New or SetMethods.
func (i *Interceptor) Methods() map[string]Rule {
	methods := map[string]Rule{}
	if t := i.table.Load(); t != nil {
		for i := range t.rows {
			methods[t.rows[i].pattern] = t.rows[i].rule
		}
	}
	return methods
}

// RequiredScopes returns every scope and every permission that the table names,
// sorted. Each must be defined as a permission of the API in Auth0.
func (i *Interceptor) RequiredScopes() []string {
	if t := i.table.Load(); t != nil {
		return t.scopes()
	}
	return nil
}

// String returns the whole table, a row a line, sorted, and after it the scopes
// that it names. Rules that are not enforced say so.
func (i *Interceptor) String() string {
	t := i.table.Load()
	if t == nil {
		return ""
	}
	if i.observer.mode != ReportOnlyOff {
		return "REPORT ONLY: what these rows refuse is let through\n\n" + t.String()
	}
	return t.String()
}
