package auth0grpc

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/auth0grpc/auth0grpc/internal/dpop"
)

// A Request describes a call to [Interceptor.Check], for any transport. Fill it from the
// transport, and from the client's headers only where a field says so.
type Request struct {
	// FullMethod is the method that will run, as a key of [Config.Methods] has it:
	// "/orders.v1.Orders/Get". It comes from the routing of the transport, never from a
	// header. Required: an empty one is a method that is not listed.
	FullMethod string

	// Authorization and DPoP are all values of the headers authorization and dpop, in
	// their order. Do not merge or pick them: two values are refused.
	Authorization, DPoP []string

	// Certificate is the leaf certificate of the connection, whose key the client
	// proved. Nil means none. [MTLSConfig.Certificate], if set, is used instead.
	Certificate *x509.Certificate

	// HTTPMethod and HTTPPath are the request that a DPoP proof must name, if it is not
	// a gRPC call: the path as sent, with its escapes and without the query. Default
	// POST and FullMethod, as in gRPC.
	HTTPMethod, HTTPPath string

	// Message is the decoded request message, for rows with [Rule.Same] and
	// [Rule.Relation]: a message of protobuf. Nil means that the transport has none, and
	// such rows refuse the call.
	Message any

	// MessagesFollow promises that the transport shows each message to the [OpenStream]:
	// see [OpenStream.Received]. Only CheckStream accepts it, in place of Message.
	MessagesFollow bool

	// inMetadata reads headers and certificate from the context of a gRPC call, and
	// only when they are needed.
	inMetadata bool
}

func (r *Request) authorization(ctx context.Context) []string {
	if r.inMetadata {
		// ValueFromIncomingContext copies one value; FromIncomingContext copies all metadata.
		return metadata.ValueFromIncomingContext(ctx, "authorization")
	}
	return r.Authorization
}

func (r *Request) proofs(ctx context.Context) []string {
	if r.inMetadata {
		return metadata.ValueFromIncomingContext(ctx, "dpop")
	}
	return r.DPoP
}

// connectionCertificate returns the leaf that the client presented in the handshake.
func (r *Request) connectionCertificate(ctx context.Context) *x509.Certificate {
	if !r.inMetadata {
		return r.Certificate
	}
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.PeerCertificates) > 0 {
			return info.State.PeerCertificates[0]
		}
	}
	return nil
}

// contextWithNonce sends the nonce of a gRPC call, or returns the context with it.
func (r *Request) contextWithNonce(ctx context.Context, nonce string) context.Context {
	switch {
	case nonce == "":
		return ctx
	case r.inMetadata:
		_ = grpc.SetTrailer(ctx, metadata.Pairs(nonceHeader, nonce))
		return ctx
	}
	return context.WithValue(ctx, nonceKey{}, nonce)
}

// Check decides whether a call may proceed. It is the decision that the interceptors
// make, for transports that are not gRPC: HTTP, a WebSocket, a queue. Packages
// auth0grpchttp and auth0grpcconnect wrap it. If the call may proceed, Check returns
// the context for its handler, which carries the [*Token], and a nil error. Otherwise
// the error is a [*Refusal], and the handler must not run.
//
// Check calls [Config.OnDecision] and applies report-only as the interceptors do. It
// sends nothing: the transport sends the refusal, and the nonce of
// [DPoPNonceFromContext]. It decides once: a connection that stays open after its token
// expires or is revoked continues, and [Interceptor.CheckStream] ends it. It is safe for
// concurrent use.
func (i *Interceptor) Check(ctx context.Context, request Request) (context.Context, error) {
	ctx, v := i.authorize(ctx, &request)
	return ctx, v.err()
}

// gRPCRequest returns the Request of a gRPC call. fullMethod comes from gRPC, never
// from the client's metadata. message is the request message of a unary call,
// messagesFollow for a stream, and nil if it is not known.
func gRPCRequest(fullMethod string, message any) Request {
	return Request{FullMethod: fullMethod, Message: message, inMetadata: true}
}

// authorize decides whether a call may proceed. It returns the handler's context, or a
// verdict with a refusal and its challenge. It sends challenge and nonce of a gRPC call.
func (i *Interceptor) authorize(ctx context.Context, request *Request) (context.Context, verdict) {
	start := i.observer.startTime()
	c, refused := i.decide(ctx, i.table.Load(), request, start, true)
	if refused == nil && c.row.messages != nil {
		refused = c.checkMessage(ctx, request)
		i.observer.warnMisconfigured(ctx, c.row, refused)
	}
	v := i.observer.judge(c, refused)
	if candidate := i.candidate.Load(); candidate != nil {
		v.candidate = evaluateCandidate(ctx, i, candidate, request, &v, start)
	}
	if i.observer.wantsFacts {
		v.facts = newFacts(ctx, i, request, &v, start)
	}
	handlerCtx := ctx
	switch {
	case v.refused == nil:
		handlerCtx = request.contextWithNonce(ctx, i.binder.nextNonce(v.scheme, i.clock.now))
	case v.reported:
		i.observer.warnReportOnly(ctx)
	default:
		v.refused = i.binder.withChallenges(&v.caller, v.refused, i.clock.now).withResourceMetadata(i.metadataURL)
		if request.inMetadata {
			v.refused.sendChallenge(ctx)
		}
	}
	i.observer.notifyDecision(i.observer.hookContext(ctx, request), request.FullMethod, &v, start)
	if v.claims == nil || v.err() != nil {
		return withoutToken(handlerCtx), v
	}
	return contextWithToken(handlerCtx, &v.claims.Token), v
}

// decide evaluates the call against a table. A panic becomes a refusal: certificate
// function and replay store are the user's code. start is the result of
// [observer.startTime]. With useProof, a DPoP proof of an accepted call is refused the
// next time.
func (i *Interceptor) decide(ctx context.Context, methods *table, request *Request, start time.Time, useProof bool) (c caller, refused *refusal) {
	defer func() {
		if recover() != nil {
			c.claims, refused = nil, refusedVerificationFailed
		}
	}()
	c, proof, decided, refused := present(ctx, i, methods, request, start)
	if refused != nil {
		c.claims = nil // the presenter did not prove possession
	}
	if decided {
		return c, refused
	}
	// Reveal which methods are listed only to callers with a valid token.
	if c.row == nil {
		refused = refusedUnlisted
	} else {
		refused = c.row.check(&c.claims.Token)
	}
	// A refused call takes no place in the replay store.
	if proof != nil && useProof && (refused == nil || i.observer.allowsReportOnly(&c, refused)) {
		if reused := i.binder.useProof(ctx, proof); reused != nil {
			c.claims = nil
			return c, reused
		}
	}
	return c, refused
}

// present makes the checks of a call that come before its rule: of the credential, the
// token and its binding. It reports whether the call is decided already. With a refusal
// the caller may have claims, of a token whose binding was checked.
func present(ctx context.Context, i *Interceptor, methods *table, request *Request, start time.Time) (c caller, proof *dpop.Proof, decided bool, refused *refusal) {
	c, cred, decided, refused := i.binder.readCredential(ctx, methods, request)
	if decided {
		return c, nil, true, refused
	}
	c.claims, c.cacheHit, refused = i.verifier.verify(ctx, i.clock.decisionTime(start), cred.token)
	if refused == nil && i.binder != nil {
		proof, refused = i.binder.verifyBinding(ctx, i.clock.now(), request, cred, &c)
	}
	return c, proof, refused != nil, refused
}

// readCredential makes the checks before a token is verified. It reports whether the
// call is decided already: refused, or allowed without a token.
func (b *bindingChecker) readCredential(ctx context.Context, methods *table, request *Request) (c caller, cred credential, decided bool, refused *refusal) {
	if methods == nil { // the zero Interceptor
		return c, cred, true, refusedUnlisted
	}
	c.table = methods
	c.row = methods.lookup(request.FullMethod)
	if c.row != nil && c.row.rule.kind == kindPublic {
		return c, cred, true, nil
	}
	cred, refused = parseCredential(request.authorization(ctx), b.acceptsDPoP())
	if refused == refusedMissingToken && c.row != nil && c.row.rule.kind == kindOptional {
		return c, cred, true, nil
	}
	c.scheme = cred.scheme
	if refused == nil {
		refused = b.refuseScheme(cred.scheme)
	}
	return c, cred, refused != nil, refused
}

// messagesFollow stands for the request message of a stream, whose messages come later.
var messagesFollow any = new(byte)

var errNoMessage = errors.New("auth0grpc: the rule needs the request message; AuthFunc sees none, and Check only Request.Message")

// checkMessage evaluates the rules about the message when a call opens.
func (c *caller) checkMessage(ctx context.Context, request *Request) *refusal {
	switch request.Message {
	case messagesFollow:
		return nil
	case nil:
		return refusedMisconfigured.withCause(errNoMessage)
	}
	return c.row.messages.check(ctx, request.FullMethod, c.claims, request.Message, nil)
}

// evaluateCandidate returns the decision of the candidate table if its outcome differs
// from the verdict, or else nil. It repeats no check of the token that the
// verdict contains already.
func evaluateCandidate(ctx context.Context, i *Interceptor, candidate *table, request *Request, v *verdict, start time.Time) *CandidateDecision {
	c := v.caller
	c.table, c.row = candidate, candidate.lookup(request.FullMethod)
	var refused *refusal
	switch {
	case c.row != nil && c.row.rule.kind == kindPublic:
	case c.claims != nil:
		refused = c.checkRow()
	case v.refused != nil && !dependsOnRow(v.refused.reason):
		refused = v.refused
	default:
		c, refused = i.decide(ctx, candidate, request, start, false)
	}
	if refused == nil && c.row.messages != nil {
		refused = c.checkMessage(ctx, request)
	}
	other := i.observer.judge(c, refused)
	if other.outcome() == v.outcome() {
		return nil
	}
	decision := other.toCandidate()
	return &decision
}

// dependsOnRow reports whether a call that was refused before its token was accepted
// could pass by another row that is not public.
func dependsOnRow(reason Reason) bool {
	switch reason {
	case ReasonMissingToken, ReasonDPoPRequired, ReasonTokenNotBound,
		ReasonMalformedAuthorization: // as of a proof beside a token that is not bound
		return true
	}
	return false
}

// noRows is a table without rows, whose decision depends on the token alone.
var noRows = &table{}

// newFacts returns the facts of a call with its verdict. It verifies the token if the
// verdict does not say whether it is valid. After a panic the facts state nothing.
func newFacts(ctx context.Context, i *Interceptor, request *Request, v *verdict, start time.Time) (f *Facts) {
	defer func() {
		if recover() != nil {
			f = new(Facts)
		}
	}()
	f = &Facts{ReportOnly: i.observer.mode}
	c, refused := v.caller, v.refused
	switch {
	case c.claims != nil:
		if request.Message != messagesFollow && v.row != nil && v.row.messages != nil {
			v.addMessageRules(f)
		}
		refused = nil // the row refused, if any
	case refused == nil && c.row.rule.kind == kindOptional:
		refused = refusedMissingToken
	case refused == nil, refused.reason != ReasonMissingToken && dependsOnRow(refused.reason):
		c, _, _, refused = present(ctx, i, noRows, request, start)
	}
	if refused != nil {
		f.Refused, f.Code = refused.reason, refused.status.Code()
	}
	// All that may follow a stray proof is the rule of the row.
	if f.Verified = c.claims != nil && (refused == nil || refused == refusedStrayProof); f.Verified {
		c.addTo(f)
	}
	return f
}
