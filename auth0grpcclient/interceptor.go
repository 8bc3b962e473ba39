package auth0grpcclient

import (
	"context"
	"slices"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The constants of package auth0grpc that this package reads. It does not import that
// package, which has all the dependencies of a server.
const (
	errorDomain        = "auth0grpc"
	beforeHandlerKey   = "beforeHandler"
	reasonTokenExpired = "TOKEN_EXPIRED"
	reasonTokenRevoked = "TOKEN_REVOKED"
	reasonUseDPoPNonce = "USE_DPOP_NONCE"
)

// UnaryClientInterceptor returns the interceptor that repeats refused unary
// calls; see the package documentation. DialOptions installs it.
func (c *Credentials) UnaryClientInterceptor() grpc.UnaryClientInterceptor {
	return c.unaryInterceptor(false)
}

// unaryInterceptor takes whether c is known to be installed on the connection.
func (c *Credentials) unaryInterceptor(installed bool) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		call, err := c.newCall(ctx, cc, installed, opts)
		if err != nil {
			return err
		}
		if c.prover != nil {
			opts = append(slices.Clip(opts), grpc.Header(&call.header), grpc.Trailer(&call.trailer))
		}
		for {
			err := invoke(call.ctx, method, req, reply, cc, opts...)
			call.rememberNonce(call.header, call.trailer)
			if err == nil || !call.shouldRetry(err) {
				return err
			}
		}
	}
}

// A call is one RPC with its repetitions.
type call struct {
	credentials  *Credentials
	conn         *grpc.ClientConn
	ctx          context.Context // with the attempt in it
	attempt      attempt
	header       metadata.MD // of the last answer to a unary call with DPoP
	trailer      metadata.MD
	tokenRetried bool // it was repeated with a new token
	nonceRetried bool // it was repeated with a new nonce
}

// callKey is the key of the *call that a context belongs to.
type callKey struct{}

// newCall returns a call on conn, or an error if it would carry other credentials
// besides c. If an interceptor makes a call on another connection with the context of
// this one, that is a separate call.
func (c *Credentials) newCall(ctx context.Context, conn *grpc.ClientConn, installed bool, opts []grpc.CallOption) (*call, error) {
	outer, ok := ctx.Value(callKey{}).(*call)
	if ok && conn != nil && outer.conn == conn && outer.credentials != c {
		return nil, status.Error(c.misuse, secondText)
	}
	for _, opt := range opts {
		if extra, ok := opt.(grpc.PerRPCCredsCallOption); ok && extra.Creds != nil && (installed || extra.Creds != credentials.PerRPCCredentials(c)) {
			return nil, status.Error(c.misuse, secondText)
		}
	}
	call := &call{credentials: c, conn: conn}
	call.ctx = context.WithValue(ctx, callKey{}, call)
	return call, nil
}

// rememberNonce takes the nonce for the next proof from the metadata of a response of
// any kind (RFC 9449, section 8.2). A nonce in the trailer is newer.
func (c *call) rememberNonce(header, trailer metadata.MD) {
	if c.credentials.prover == nil {
		return
	}
	last := c.attempt.load()
	if last.source == nil {
		return
	}
	c.credentials.prover.rememberNonce(last.server, header.Get("dpop-nonce"))
	c.credentials.prover.rememberNonce(last.server, trailer.Get("dpop-nonce"))
}

// shouldRetry reports whether a call that ended with err is worth another attempt: its
// token or its nonce was refused, and there is another one now. Each may happen
// once.
func (c *call) shouldRetry(err error) bool {
	last := c.attempt.load()
	if last.source == nil { // these credentials had no part in it
		return false
	}
	switch reason(err) {
	case reasonTokenExpired, reasonTokenRevoked:
		if c.tokenRetried {
			return false
		}
		c.tokenRetried = true
		return last.source.renew(c.ctx, last.token, last.subject)
	case reasonUseDPoPNonce:
		if c.nonceRetried || c.credentials.prover == nil {
			return false
		}
		c.nonceRetried = true
		return c.credentials.prover.nonce(last.server) != last.nonce
	}
	return false
}

// reason returns why package auth0grpc refused a call as unauthenticated, or "".
// It is "" unless the answer proves that no handler ran: the end of a running
// stream, or the status of a server behind the one that was called, has the same
// reasons, and repeating such a call would run its handler twice.
func reason(err error) string {
	if info := unauthenticatedInfo(err); info.GetMetadata()[beforeHandlerKey] == "true" {
		return info.GetReason()
	}
	return ""
}

// unauthenticatedInfo returns the first ErrorInfo of package auth0grpc in a status with
// the code Unauthenticated, and prefers one that proves that no handler ran. Without one it
// returns nil.
func unauthenticatedInfo(err error) (found *errdetails.ErrorInfo) {
	s, ok := status.FromError(err)
	if !ok || s.Code() != codes.Unauthenticated {
		return nil
	}
	for _, detail := range s.Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != errorDomain {
			continue
		}
		if info.GetMetadata()[beforeHandlerKey] == "true" {
			return info
		}
		if found == nil {
			found = info
		}
	}
	return found
}
