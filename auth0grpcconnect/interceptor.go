// Package auth0grpcconnect puts the decision of an [auth0grpc.Interceptor] in front of
// servers of connectrpc.com/connect/v2.
//
//	server := connect.NewServer(auth0grpcconnect.Interceptor(guard))
//	connecthttp.Mount(mux, server)
//	handler := auth0grpcconnect.Handler(guard, mux)
//
// The decision comes before any message is read, for all kinds of methods and for all
// protocols of Connect: Connect, gRPC and gRPC-Web. Servers of Connect v1 use package
// auth0grpchttp.
package auth0grpcconnect

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/auth0grpc/auth0grpc"
)

// Interceptor returns the interceptor of guard. Put it in front of all interceptors that
// should run only for admitted calls. The context of the handler carries the
// [*auth0grpc.Token].
//
// A refused call ends with a [*connect.Error] that has the code, the text and the details
// of the refusal, and the [*auth0grpc.Refusal] as its cause. Challenges, DPoP-Nonce and
// Retry-After are response headers.
//
// A stream that was opened with a token ends when the token expires or is revoked. The
// client then gets the reason, the context of the handler ends, and the handler's next
// Receive or Send fails. Its handler runs on its own goroutine. Connect cannot interrupt
// a Send: while the client reads nothing, the stream ends after that Send. A unary call
// ends only its context.
//
// Rules about the message are evaluated on each decoded message. Client certificates and
// the URL of a DPoP proof come from connecthttp; other transports have no certificate.
// Behind [net/http.StripPrefix] connecthttp does not know the URL of the client, so
// proofs are refused there.
//
// Connect answers some requests itself, before any interceptor: a wrong HTTP method,
// content type or compression, and by default procedures that are not registered. See
// [Handler], and [HideUnknown] for the latter alone.
func Interceptor(guard *auth0grpc.Interceptor) connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			return serve(guard, ctx, spec, stream, next)
		}
	}
}

// HideUnknown makes server decide on procedures that are not registered, in services that
// are. Without it, a stranger learns by the code unimplemented which methods exist. Call
// it before [connecthttp.Mount]. It does not see requests that are not calls: connecthttp
// answers GET of an unknown procedure with 404, and a wrong HTTP method of a known one
// with 405.
func HideUnknown(server *connect.Server) {
	server.SetUnknownHandler(func(context.Context, connect.Spec, connect.ServerStream) error {
		return connect.NewError(connect.CodeUnimplemented, "the procedure is not implemented")
	})
}

func serve(guard *auth0grpc.Interceptor, ctx context.Context, spec connect.Spec, stream connect.ServerStream, next connect.ServerFunc) error {
	info, ok := connect.CallInfoForServerContext(ctx)
	if !ok {
		info = new(connect.CallInfo)
	}
	open, err := guard.CheckStream(ctx, requestOf(ctx, spec, info))
	record(ctx, err)
	if err != nil {
		return refusalError(info, err)
	}
	if nonce, ok := auth0grpc.DPoPNonceFromContext(open.Context()); ok {
		info.ResponseHeader().Set("DPoP-Nonce", nonce)
	}
	g := &guardedStream{stream: stream, open: open}
	if spec.StreamType == connect.StreamTypeUnary {
		defer open.Close()
		err := next(open.Context(), spec, g)
		if g.refused != nil {
			return refusalError(info, g.refused)
		}
		return fromHandler(err)
	}
	if ttl, ok := open.TTL(); ok {
		info.ResponseHeader().Set(auth0grpc.StreamTTLHeader, strconv.FormatInt(int64(ttl/time.Second), 10))
	}
	return serveStream(info, spec, g, next)
}

// requestOf returns the call as the decision needs it.
func requestOf(ctx context.Context, spec connect.Spec, info *connect.CallInfo) auth0grpc.Request {
	header := info.RequestHeader()
	request := auth0grpc.Request{
		FullMethod: spec.Procedure, MessagesFollow: true,
		Authorization: header.Values("Authorization"), DPoP: header.Values("DPoP"),
	}
	if transport, ok := connecthttp.ServerInfoForContext(ctx); ok {
		address := transport.RequestURL()
		request.HTTPMethod, request.HTTPPath = transport.HTTPMethod(), address.EscapedPath()
		if state := transport.TLS(); state != nil && len(state.PeerCertificates) > 0 {
			request.Certificate = state.PeerCertificates[0]
		}
	}
	return request
}

// serveStream runs the handler on another goroutine, because only the return of this
// one ends the stream.
func serveStream(info *connect.CallInfo, spec connect.Spec, g *guardedStream, next connect.ServerFunc) error {
	type result struct {
		err      error
		panicked any
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("auth0grpcconnect: the handler left its goroutine")}
		defer func() {
			if p := recover(); p != nil {
				r.panicked = fmt.Sprintf("%v\n\n%s", p, debug.Stack())
			}
			g.open.Close()
			done <- r
		}()
		r.err = next(g.open.Context(), spec, g)
	}()
	select {
	case r := <-done:
		return g.result(info, r.err, r.panicked)
	case <-g.open.Context().Done():
	}
	var reason *auth0grpc.Refusal
	if !errors.As(context.Cause(g.open.Context()), &reason) { // the client left
		r := <-done
		return g.result(info, r.err, r.panicked)
	}
	g.mu.Lock() // waits for a Send in progress; later ones find the reason
	defer g.mu.Unlock()
	return refusalError(info, reason)
}

// result returns the error of a call whose handler has returned.
func (g *guardedStream) result(info *connect.CallInfo, err error, panicked any) error {
	if panicked != nil {
		panic(panicked)
	}
	if reason := g.open.Close(); reason != nil {
		return refusalError(info, reason)
	}
	return fromHandler(err)
}
