package auth0grpc

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"google.golang.org/grpc"

	"github.com/auth0grpc/auth0grpc/internal/configerror"
)

// An Interceptor decides on every call of a gRPC server. One Interceptor serves unary
// and streaming methods, and may serve several servers; it is safe for concurrent use.
// [New] makes one; the zero Interceptor refuses every call.
type Interceptor struct {
	table          atomic.Pointer[table]
	candidate      atomic.Pointer[table] // nil: none
	verifier       *verifier             // nil: the zero Interceptor
	binder         *bindingChecker       // nil: bound tokens are refused
	clock          clock
	observer       observer
	streams        openStreams
	resource       *ResourceMetadata                             // nil: none
	metadataURL    string                                        // of resource
	revocationFeed RevocationFeed                                // nil: revocations stay here
	obtained       struct{ unary, stream, authFunc atomic.Bool } // the interceptors that a program asked for
}

var errZeroInterceptor = errors.New("auth0grpc: the Interceptor was not created by New")

// New validates config and returns an [Interceptor], or all faults in config together
// (see [ConfigError]). It does no I/O and starts no goroutine: keys are fetched on
// first use, or by [Interceptor.Ready].
func New(config Config) (*Interceptor, error) {
	isWall := config.Now == nil
	config = config.withDefaults()
	methods, faults := newTable(config.Methods)
	faults = slices.Concat(faults, config.faults(), methods.bindingFaults(config.DPoP.Mode, config.MTLS.Mode), methods.relationFaults(config.RelationChecker != nil))
	if len(faults) > 0 {
		return nil, configerror.Join(faults)
	}
	i := &Interceptor{clock: clock{config.Now, isWall}, revocationFeed: config.RevocationFeed}
	i.resource, i.metadataURL = newResourceMetadata(&config), ResourceMetadataURL(config.Resource)
	i.table.Store(methods)
	i.observer.init(i.clock, config.Logger, config.ReportOnly, func() []string { return i.table.Load().reportOnlyRows() })
	i.observer.onDecision, i.observer.onKeyRefresh = config.OnDecision, config.OnKeyRefresh
	i.observer.describes = config.DescribeRefused
	i.observer.wantsFacts = config.RecordFacts && config.OnDecision != nil
	i.binder = newBindingChecker(&config)
	i.verifier = newVerifier(&config, i.binder.refuseConfirmation, i.observer.notifyKeyRefresh)
	i.verifier.ask = newRelations(config.RelationChecker, config.Relations, config.Now, i.observer.logCheckerPanic)
	i.streams.init(config.StreamPolicy, config.Now, i.endStream)
	if config.ReportOnly != ReportOnlyOff || len(methods.reportOnlyRows()) > 0 {
		i.observer.warnReportOnly(context.Background())
	}
	return i, nil
}

// UnaryServerInterceptor returns the interceptor for unary methods. Put it in front of
// all interceptors that should run only for authorized calls.
// [Interceptor.ServerOptions] installs it together with the stream interceptor.
func (i *Interceptor) UnaryServerInterceptor() grpc.UnaryServerInterceptor {
	i.obtained.unary.Store(true)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		request := gRPCRequest(info.FullMethod, req)
		ctx, v := i.authorize(ctx, &request)
		if err := v.err(); err != nil {
			return nil, err
		}
		response, err := handler(ctx, req)
		return response, fromHandler(err)
	}
}

// StreamServerInterceptor returns the interceptor for all kinds of streaming methods.
// It decides when the stream opens, before any message is read.
//
// If the interceptor ends a stream, the context of its handler ends. A handler should
// then return context.Cause(ctx): its status is Unauthenticated, with the [Reason].
// ctx.Err() is only "context canceled", so a logger that is chained behind this
// interceptor writes each expired token as an error. The client gets the same status
// either way.
func (i *Interceptor) StreamServerInterceptor() grpc.StreamServerInterceptor {
	i.obtained.stream.Store(true)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		request := gRPCRequest(info.FullMethod, messagesFollow)
		ctx, v := i.authorize(stream.Context(), &request)
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
			openedAt := time.Now()
			defer func() { // also after a panic
				i.observer.notifyStreamEnd(ctx, info.FullMethod, &v.caller, reason, time.Since(openedAt))
			}()
		}
		reason, err := i.serveStream(ctx, &v, info.FullMethod, srv, stream, handler)
		return err
	}
}

// A contextStream is a stream with another context.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s contextStream) Context() context.Context { return s.ctx }

// ServerOptions returns both interceptors as options for grpc.NewServer, so that none
// is forgotten. They chain, in the order of the options, with other interceptors given
// by grpc.ChainUnaryInterceptor and grpc.ChainStreamInterceptor.
func (i *Interceptor) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(i.UnaryServerInterceptor()),
		grpc.ChainStreamInterceptor(i.StreamServerInterceptor()),
	}
}

// AuthFunc returns the same decision for servers that are built around
// go-grpc-middleware's auth interceptors. It takes the method from the context of the
// call and refuses a context that belongs to no call.
//
// AuthFunc is not called for a service that implements that package's
// ServiceAuthFuncOverride: the service's method decides alone. Prefer
// [Interceptor.ServerOptions], which no service can bypass.
//
// AuthFunc sees only the opening of a stream, so it cannot end one. A stream that was
// opened through it continues after its token has expired and after
// [Interceptor.Revoke], until its handler returns. [Interceptor.ServerOptions] ends
// such streams.
//
// Its errors state that no handler ran (see [BeforeHandlerKey]), so call it before the
// handler. It does not see the errors of handlers: a handler that returns the status of
// another server unchanged relays that server's statement, and the client may repeat
// the call.
//
// AuthFunc sees no messages. It refuses every call of a row with [Rule.Same] or
// [Rule.Relation], with [ReasonRuleMisconfigured], and [Interceptor.CheckServices]
// reports such rows.
func (i *Interceptor) AuthFunc() auth.AuthFunc {
	i.obtained.authFunc.Store(true)
	return func(ctx context.Context) (context.Context, error) {
		fullMethod, _ := grpc.Method(ctx)
		request := gRPCRequest(fullMethod, nil)
		ctx, v := i.authorize(ctx, &request)
		return ctx, v.err()
	}
}

// SetMethods replaces the table of a running server. It validates the new table as
// [New] does; if there are faults, it returns all of them and the old table stays. A
// unary call in progress keeps the table that it began with. An open stream whose token
// the new table would refuse ends with the reason before SetMethods returns. The others
// continue, with the [StreamPolicy] that they began with.
func (i *Interceptor) SetMethods(methods map[string]Rule) error {
	if i.verifier == nil {
		return errZeroInterceptor
	}
	newTable, faults := newTable(methods)
	faults = append(faults, newTable.bindingFaults(i.binder.modes())...)
	faults = append(faults, newTable.relationFaults(i.verifier.ask != nil)...)
	if len(faults) > 0 {
		return configerror.Join(faults)
	}
	i.table.Store(newTable)
	i.observer.warnNewTable(newTable.reportOnlyRows())
	i.streams.endRefused(i.table.Load)
	return nil
}

// Methods returns a copy of the table, as given to [New] or [Interceptor.SetMethods].
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

// String returns the whole table, one row per line, sorted, followed by all its scopes.
// It marks rules that are not enforced.
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
