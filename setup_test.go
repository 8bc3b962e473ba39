package auth0grpc_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

const (
	allMethods = "/grpc.testing.TestService/*"
	unaryCall  = testgrpc.TestService_UnaryCall_FullMethodName
)

// today is the time of tenant and server until a test sets their clocks.
var today = time.Date(2031, time.March, 14, 15, 9, 26, 0, time.UTC)

// A clock stands still until a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// claims are the members of a token's payload that a test cares about.
type claims = map[string]any

// with returns a copy of base with the members of more laid over it.
func with(base, more claims) claims {
	all := maps.Clone(base)
	maps.Copy(all, more)
	return all
}

// A fixture is a tenant and a server that it protects, reached by three
// transports, with an interceptor on each side of ours.
type fixture struct {
	tenant *auth0grpctest.Tenant
	clock  *clock
	guard  *auth0grpc.Interceptor
	server *grpc.Server
	conns  map[string]*grpc.ClientConn // by transport

	mu    sync.Mutex
	outer error // of the last call, as the interceptor outside ours saw it
}

// newTenant returns a tenant and the clock by which it lives.
func newTenant(tb testing.TB) (*auth0grpctest.Tenant, *clock) {
	tb.Helper()
	tenant, now := auth0grpctest.NewTenant(tb), &clock{now: today}
	tenant.SetNow(now.Now)
	return tenant, now
}

// configFor returns a sound configuration whose every method wants read:orders.
func configFor(tenant *auth0grpctest.Tenant, now *clock) auth0grpc.Config {
	return auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		Methods:    map[string]auth0grpc.Rule{allMethods: auth0grpc.Scopes("read:orders")},
		HTTPClient: tenant.HTTPClient(),
		Now:        now.Now,
	}
}

// mustNew returns the interceptor for a configuration that must be sound.
func mustNew(tb testing.TB, config auth0grpc.Config) *auth0grpc.Interceptor {
	tb.Helper()
	guard, err := auth0grpc.New(config)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	return guard
}

// newFixture serves over every transport. change may be nil.
func newFixture(tb testing.TB, change func(*fixture, *auth0grpc.Config)) *fixture {
	tb.Helper()
	f := &fixture{conns: map[string]*grpc.ClientConn{}}
	f.tenant, f.clock = newTenant(tb)
	config := configFor(f.tenant, f.clock)
	if change != nil {
		change(f, &config)
	}
	f.guard = mustNew(tb, config)
	options := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(f.observeUnary),
		grpc.ChainStreamInterceptor(f.observeStream),
	}
	f.server = grpc.NewServer(append(options, f.guard.ServerOptions()...)...)
	testgrpc.RegisterTestServiceServer(f.server, service{})
	f.conns["bufconn"] = auth0grpctest.Connect(tb, f.server, "")
	f.conns["tcp"] = f.dialTCP(tb)
	f.conns["ServeHTTP"] = f.dialHTTP(tb)
	return f
}

func (f *fixture) dialTCP(tb testing.TB) *grpc.ClientConn {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	go f.server.Serve(listener)
	tb.Cleanup(f.server.Stop)
	return dial(tb, listener.Addr().String(), insecure.NewCredentials())
}

// complaints fails the test if net/http logs a text that a caller could cause again and
// again.
type complaints struct{ testing.TB }

func (c complaints) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "trailer") {
		c.Errorf("net/http: %s", line)
	}
	return len(line), nil
}

// dialHTTP serves gRPC from net/http's HTTP/2 server, another transport with
// code of its own (CVE-2026-33190, CVE-2026-35579).
func (f *fixture) dialHTTP(tb testing.TB) *grpc.ClientConn {
	tb.Helper()
	server := httptest.NewUnstartedServer(f.server)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(complaints{tb}, "", 0)
	server.StartTLS()
	tb.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return dial(tb, server.Listener.Addr().String(), credentials.NewClientTLSFromCert(roots, ""))
}

func dial(tb testing.TB, address string, transport credentials.TransportCredentials) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn
}

func (f *fixture) observeUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	response, err := handler(ctx, req)
	f.sawError(err)
	return response, err
}

func (f *fixture) observeStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	err := handler(srv, stream)
	f.sawError(err)
	return err
}

func (f *fixture) sawError(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outer = err
}

// token is a token of the fixture's tenant with the scope read:orders.
func (f *fixture) token(more claims) string {
	return f.tenant.Token(with(claims{"scope": "read:orders"}, more))
}

// claims are the claims of a good token, for tenant.Sign and SignRaw.
func (f *fixture) claims(more claims) claims {
	now := f.clock.Now().Unix()
	all := with(claims{
		"iss": f.tenant.Issuer(), "sub": auth0grpctest.Subject, "aud": auth0grpctest.Audience,
		"azp": auth0grpctest.ClientID, "iat": now, "exp": now + 3600, "scope": "read:orders",
	}, more)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

// bearer is the authorization value for a token.
func bearer(token string) []string { return []string{"Bearer " + token} }

// service answers every method. The trailer shows that it ran, and the subject.
type service struct {
	testgrpc.UnimplementedTestServiceServer
}

func mark(ctx context.Context) error {
	subject := "nobody"
	if token, ok := auth0grpc.TokenFromContext(ctx); ok {
		subject = token.Subject()
	}
	return grpc.SetTrailer(ctx, metadata.Pairs("handled-for", subject))
}

func (service) EmptyCall(ctx context.Context, _ *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, mark(ctx)
}

func (service) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{}, mark(ctx)
}

func (service) CacheableUnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{}, mark(ctx)
}

func (service) UnimplementedCall(ctx context.Context, _ *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, mark(ctx)
}

func (service) StreamingOutputCall(_ *testgrpc.StreamingOutputCallRequest, stream testgrpc.TestService_StreamingOutputCallServer) error {
	return errors.Join(mark(stream.Context()), stream.Send(&testgrpc.StreamingOutputCallResponse{}))
}

func (service) StreamingInputCall(stream testgrpc.TestService_StreamingInputCallServer) error {
	return errors.Join(mark(stream.Context()), drain(stream), stream.SendAndClose(&testgrpc.StreamingInputCallResponse{}))
}

func (service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	return errors.Join(mark(stream.Context()), drain(stream), stream.Send(&testgrpc.StreamingOutputCallResponse{}))
}

func (service) HalfDuplexCall(stream testgrpc.TestService_HalfDuplexCallServer) error {
	return errors.Join(mark(stream.Context()), drain(stream), stream.Send(&testgrpc.StreamingOutputCallResponse{}))
}

func drain(stream grpc.ServerStream) error {
	for {
		if err := stream.RecvMsg(&testgrpc.Empty{}); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// A method is one of the test service, with its shape.
type method struct {
	name string // the full method
	desc grpc.StreamDesc
}

// shapes has one method for each way to call.
var shapes = []method{
	{unaryCall, grpc.StreamDesc{}},
	{testgrpc.TestService_StreamingOutputCall_FullMethodName, grpc.StreamDesc{ServerStreams: true}},
	{testgrpc.TestService_StreamingInputCall_FullMethodName, grpc.StreamDesc{ClientStreams: true}},
	{testgrpc.TestService_FullDuplexCall_FullMethodName, grpc.StreamDesc{ClientStreams: true, ServerStreams: true}},
}

// A result is the client's view of a call, and outer the view of the interceptor
// outside ours.
type result struct {
	header, trailer metadata.MD
	err             error
	outer           error
	overHTTP        bool
}

// call calls a method of any shape with the authorization values.
func (f *fixture) call(ctx context.Context, transport string, m method, authorization ...string) result {
	f.sawError(nil)
	for _, value := range authorization {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", value)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r := exchange(ctx, f.conns[transport], m)
	r.overHTTP = transport == "ServeHTTP"
	f.mu.Lock()
	defer f.mu.Unlock()
	r.outer = f.outer
	return r
}

// exchange sends one message and receives all.
func exchange(ctx context.Context, conn *grpc.ClientConn, m method) (r result) {
	stream, err := conn.NewStream(ctx, &m.desc, m.name)
	if err != nil {
		return result{err: err}
	}
	// The error of SendMsg is io.EOF where the call has ended already; RecvMsg
	// then has the status.
	_ = stream.SendMsg(&testgrpc.Empty{})
	_ = stream.CloseSend()
	for {
		if r.err = stream.RecvMsg(&testgrpc.Empty{}); r.err != nil || !m.desc.ServerStreams {
			break
		}
	}
	if r.err == io.EOF {
		r.err = nil
	}
	r.header, _ = stream.Header()
	r.trailer = stream.Trailer()
	return r
}

// An outcome is the expected end of a call.
type outcome struct {
	code      codes.Code
	reason    auth0grpc.Reason
	message   string
	challenge string // "" for none
	scope     string // in the ErrorInfo
	retry     bool   // RetryInfo is there
	kind      error  // the sentinel; nil for a call that passes
	subject   string // of a call that passes; "" for the default
	late      bool   // the call ends under its handler
}

var sentinels = []error{
	auth0grpc.ErrMissingToken, auth0grpc.ErrInvalidToken, auth0grpc.ErrInsufficientScope,
	auth0grpc.ErrUnlistedMethod, auth0grpc.ErrKeysUnavailable, auth0grpc.ErrOverloaded,
}

// check asserts that the call ended with the outcome, for the client and for an outer
// interceptor, and that the response repeats nothing of the request.
func (want outcome) check(t *testing.T, got result, sent ...string) {
	t.Helper()
	if want.kind == nil {
		want.checkPassed(t, got)
		return
	}
	if handled := got.trailer.Get("handled-for"); handled != nil {
		t.Fatalf("the handler ran, for %q", handled)
	}
	s := status.Convert(got.err)
	want = want.withCause(s)
	if s.Code() != want.code || s.Message() != "auth0grpc: "+want.message {
		t.Errorf("status = %v %q, want %v %q", s.Code(), s.Message(), want.code, "auth0grpc: "+want.message)
	}
	want.checkDetails(t, s)
	want.checkPushback(t, got)
	var challenge []string
	if want.challenge != "" {
		challenge = []string{want.challenge}
	}
	if diff := cmp.Diff(challenge, got.header.Get("www-authenticate")); diff != "" {
		t.Errorf("www-authenticate in the header (-want +got):\n%s", diff)
	}
	if got.overHTTP {
		// net/http does not send credentials and challenges as trailers (RFC 9110,
		// section 6.5.1), so clients of this transport have the header alone.
		challenge = nil
	}
	if diff := cmp.Diff(challenge, got.trailer.Get("www-authenticate")); diff != "" {
		t.Errorf("www-authenticate in the trailer (-want +got):\n%s", diff)
	}
	for _, err := range []error{got.err, got.outer} {
		if reason, _ := auth0grpc.ReasonFromError(err); reason != want.reason {
			t.Errorf("ReasonFromError(%v) = %q, want %q", err, reason, want.reason)
		}
		if early := auth0grpc.RefusedBeforeHandler(err); early == want.late {
			t.Errorf("RefusedBeforeHandler(%v) = %t, want %t", err, early, !want.late)
		}
	}
	for _, sentinel := range sentinels {
		if is := errors.Is(got.outer, sentinel); is != (sentinel == want.kind) {
			t.Errorf("errors.Is(%v, %v) = %t outside of us", got.outer, sentinel, is)
		}
	}
	checkSilence(t, got, sent)
}

// withCause returns want with the cause that got states, if it is a cause of the
// reason. The tables name the reason; TestCauses has the cause of each.
func (want outcome) withCause(got *status.Status) outcome {
	_, cause, _ := strings.Cut(got.Message(), want.message+": ")
	if slices.Contains(causes[want.message], cause) {
		return want.because(cause)
	}
	return want
}

// because returns want with a cause in its text.
func (want outcome) because(cause string) outcome {
	text := want.message + ": " + cause
	want.challenge = strings.Replace(want.challenge, want.message, text, 1)
	want.message = text
	return want
}

func (want outcome) checkPassed(t *testing.T, got result) {
	t.Helper()
	if got.err != nil || got.outer != nil {
		reason, _ := auth0grpc.ReasonFromError(got.err)
		t.Fatalf("refused with %s: %v (%v), want a call that passes", reason, got.err, got.outer)
	}
	subject := []string{auth0grpctest.Subject}
	if want.subject != "" {
		subject[0] = want.subject
	}
	if diff := cmp.Diff(subject, got.trailer.Get("handled-for")); diff != "" {
		t.Errorf("subject in the handler (-want +got):\n%s", diff)
	}
	if challenge := got.header.Get("www-authenticate"); challenge != nil {
		t.Errorf("www-authenticate = %q on a call that passed", challenge)
	}
}

// checkPushback asserts that a refusal to be retried has one pushback of gRFC A6, as a
// trailer, and no others have one.
func (want outcome) checkPushback(t *testing.T, got result) {
	t.Helper()
	const key = "grpc-retry-pushback-ms"
	values := got.trailer.Get(key)
	if want.retry {
		if ms, err := strconv.Atoi(strings.Join(values, ",")); err != nil || ms < 1000 || ms > 300_000 {
			t.Errorf("%s = %q, want one of 1000 to 300000", key, values)
		}
	} else if values != nil {
		t.Errorf("%s = %q, want none", key, values)
	}
	if header := got.header.Get(key); header != nil {
		t.Errorf("%s in the header, which switches retries off: %q", key, header)
	}
}

func (want outcome) checkDetails(t *testing.T, s *status.Status) {
	t.Helper()
	var infos, retries int
	for _, detail := range s.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			infos++
			if detail.Domain != "auth0grpc" || detail.Reason != string(want.reason) || detail.Metadata["scope"] != want.scope {
				t.Errorf("ErrorInfo = %v, want reason %s, domain auth0grpc, scope %q", detail, want.reason, want.scope)
			}
		case *errdetails.RetryInfo:
			retries++
			if delay := detail.RetryDelay.AsDuration(); delay < time.Second || delay > 5*time.Minute {
				t.Errorf("RetryInfo = %v, want 1 s to 5 min", delay)
			}
		default:
			t.Errorf("detail %T", detail)
		}
	}
	if infos != 1 || (retries == 1) != want.retry {
		t.Errorf("%d ErrorInfo and %d RetryInfo, want 1 and %t", infos, retries, want.retry)
	}
}

// checkSilence asserts that no text that leaves us holds a token or a claim
// (GO-2024-2978). Claims that a row makes up have "leak" in them.
func checkSilence(t *testing.T, got result, sent []string) {
	t.Helper()
	secrets := []string{"leak", auth0grpctest.Subject, auth0grpctest.ClientID, auth0grpctest.Audience, "https://"}
	for _, value := range sent {
		for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == '.' || r == ' ' }) {
			if len(part) > 8 {
				secrets = append(secrets, part)
			}
		}
	}
	texts := map[string]string{
		"status":  status.Convert(got.err).Proto().String(),
		"error":   got.outer.Error(),
		"header":  strings.Join(got.header.Get("www-authenticate"), "\n"),
		"trailer": strings.Join(got.trailer.Get("www-authenticate"), "\n"),
	}
	for where, text := range texts {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s %q holds %q", where, text, secret)
			}
		}
	}
}

// everywhere asserts the outcome over every transport and in every shape.
func (f *fixture) everywhere(t *testing.T, want outcome, authorization ...string) {
	t.Helper()
	for transport := range f.conns {
		for _, m := range shapes {
			t.Run(transport+m.name, func(t *testing.T) {
				want.check(t, f.call(t.Context(), transport, m, authorization...), authorization...)
			})
		}
	}
}

// The outcomes of the table in doc.go. Texts are fixed: clients may show them,
// and nothing of the call may get into them.
var (
	passes = outcome{}

	missing = outcome{
		code: codes.Unauthenticated, reason: "MISSING_TOKEN", kind: auth0grpc.ErrMissingToken,
		message: "no access token was sent", challenge: "Bearer",
	}
	badAuthorization = outcome{
		code: codes.Unauthenticated, reason: "MALFORMED_AUTHORIZATION", kind: auth0grpc.ErrInvalidToken,
		message:   "the authorization value is malformed",
		challenge: `Bearer error="invalid_request", error_description="the authorization value is malformed"`,
	}
	tokenTooLong    = badRequest("TOKEN_TOO_LONG", "the access token is longer than 16 KiB")
	dpopNotAccepted = badRequest("DPOP_NOT_ACCEPTED", "the scheme DPoP is not accepted here")

	unlisted = outcome{
		code: codes.PermissionDenied, reason: "METHOD_NOT_LISTED", kind: auth0grpc.ErrUnlistedMethod,
		message: "the method is not listed",
	}
	unavailable = outcome{
		code: codes.Unavailable, reason: "KEYS_UNAVAILABLE", kind: auth0grpc.ErrKeysUnavailable,
		message: "the signing keys of the issuer are unavailable", retry: true,
	}
	overloaded = outcome{
		code: codes.Unavailable, reason: "OVERLOADED", kind: auth0grpc.ErrOverloaded,
		message: "too many signature checks at once", retry: true,
	}

	malformed         = invalid("MALFORMED_TOKEN", "the access token is malformed")
	wrongAlgorithm    = invalid("UNSUPPORTED_ALGORITHM", "the access token is signed with an algorithm that is not accepted")
	wrongType         = invalid("WRONG_TOKEN_TYPE", "the token is not an access token")
	badClaims         = invalid("INVALID_CLAIMS", "the access token lacks a required claim or has an invalid one")
	wrongIssuer       = invalid("WRONG_ISSUER", "the access token is from an issuer that is not accepted")
	wrongAudience     = invalid("WRONG_AUDIENCE", "the access token is meant for another audience")
	expired           = invalid("TOKEN_EXPIRED", "the access token has expired")
	notYet            = invalid("TOKEN_NOT_YET_VALID", "the access token is not valid yet")
	boundOtherwise    = invalid("BOUND_TOKEN", "the access token is bound to its sender in a way that is not supported")
	bound             = invalid("BOUND_TOKEN", "the access token is sender-constrained, which is not accepted here")
	unknownKey        = invalid("UNKNOWN_KEY", "the access token is signed with an unknown key")
	noKeyID           = invalid("UNKNOWN_KEY", "the access token does not name its key: its header has no kid")
	badSignature      = invalid("BAD_SIGNATURE", "the signature of the access token is wrong")
	brokenOff         = invalid("VERIFICATION_FAILED", "the access token could not be verified")
	scopeText         = "the access token lacks a scope that the method needs"
	permissionText    = "the access token lacks a permission that the method needs"
	organizationText  = "the access token is of an organization that the method is not open to"
	clientText        = "the access token is of a client that the method is not open to"
	lacksReadOrders   = falls("INSUFFICIENT_SCOPE", scopeText, "read:orders")
	lacksNoNamedScope = falls("INSUFFICIENT_PERMISSIONS", permissionText, "")
)

// invalid is the outcome of a token at fault.
func invalid(reason auth0grpc.Reason, text string) outcome {
	return outcome{
		code: codes.Unauthenticated, reason: reason, kind: auth0grpc.ErrInvalidToken, message: text,
		challenge: `Bearer error="invalid_token", error_description="` + text + `"`,
	}
}

// badRequest is the outcome of an authorization value at fault.
func badRequest(reason auth0grpc.Reason, text string) outcome {
	want := invalid(reason, text)
	want.challenge = `Bearer error="invalid_request", error_description="` + text + `"`
	return want
}

// falls is the outcome of a token that falls short of a rule naming scope.
func falls(reason auth0grpc.Reason, text, scope string) outcome {
	want := outcome{
		code: codes.PermissionDenied, reason: reason, kind: auth0grpc.ErrInsufficientScope, message: text,
		challenge: `Bearer error="insufficient_scope"`, scope: scope,
	}
	if scope != "" {
		want.challenge += `, scope="` + scope + `"`
	}
	return want
}
