package auth0grpc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// errorInfo is an ErrorInfo of our domain, marked or not.
func errorInfo(reason auth0grpc.Reason, marked bool) *errdetails.ErrorInfo {
	info := &errdetails.ErrorInfo{Domain: "auth0grpc", Reason: string(reason), Metadata: map[string]string{"scope": "a b"}}
	if marked {
		info.Metadata["beforeHandler"] = "true"
	}
	return info
}

// statusWith is a status with details.
func statusWith(tb testing.TB, code codes.Code, details ...protoadapt.MessageV1) *status.Status {
	tb.Helper()
	s, err := status.New(code, "from behind").WithDetails(details...)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

var errCause = errors.New("the cause")

// relays are the errors of handlers that hand on a marked status.
func relays(tb testing.TB) map[string]struct{ err, want error } {
	retry := &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)}
	foreign := &errdetails.ErrorInfo{Domain: "other", Reason: "TOKEN_REVOKED", Metadata: map[string]string{"beforeHandler": "true"}}
	marked := statusWith(tb, codes.Unauthenticated, errorInfo("TOKEN_REVOKED", true)).Err()
	unmarked := statusWith(tb, codes.Unauthenticated, errorInfo("TOKEN_REVOKED", false)).Err()
	// Clients find an ErrorInfo by the last part of the type URL, after any prefix.
	otherURL := statusWith(tb, codes.Unauthenticated, errorInfo("TOKEN_REVOKED", true)).Proto()
	otherURL.Details[0].TypeUrl = "types.example.com/google.rpc.ErrorInfo"
	// One that Go cannot decode may be read by another client.
	broken := statusWith(tb, codes.Unauthenticated, retry, errorInfo("TOKEN_REVOKED", true)).Proto()
	broken.Details[1].Value = append(broken.Details[1].Value, 0x0a, 0x01, 0xff)
	unknown := statusWith(tb, codes.Unauthenticated, errorInfo("TOKEN_REVOKED", true)).Proto()
	unknown.Details = append(unknown.Details, &anypb.Any{TypeUrl: "type.googleapis.com/no.such.Message", Value: []byte{1, 2, 3}})
	wantUnknown := status.Convert(unmarked).Proto()
	wantUnknown.Details = append(wantUnknown.Details, unknown.Details[1])
	// gRPC sends the text of an error that wraps a status.
	wrapped := func(text string) error {
		p := status.Convert(unmarked).Proto()
		p.Message = text
		return status.ErrorProto(p)
	}
	return map[string]struct{ err, want error }{
		"as it is":     {marked, unmarked},
		"wrapped":      {fmt.Errorf("behind: %w", marked), wrapped("behind: " + marked.Error())},
		"joined":       {errors.Join(errCause, marked), wrapped(errCause.Error() + "\n" + marked.Error())},
		"wrapped join": {fmt.Errorf("%w: %w", errCause, marked), wrapped(errCause.Error() + ": " + marked.Error())},
		"with others": {
			statusWith(tb, codes.Unavailable, retry, errorInfo("KEYS_UNAVAILABLE", true), foreign).Err(),
			statusWith(tb, codes.Unavailable, retry, errorInfo("KEYS_UNAVAILABLE", false), foreign).Err(),
		},
		"two": {
			statusWith(tb, codes.Unauthenticated, errorInfo("A", false), errorInfo("TOKEN_REVOKED", true), errorInfo("USE_DPOP_NONCE", true)).Err(),
			statusWith(tb, codes.Unauthenticated, errorInfo("A", false), errorInfo("TOKEN_REVOKED", false), errorInfo("USE_DPOP_NONCE", false)).Err(),
		},
		"another type URL":  {status.ErrorProto(otherURL), unmarked},
		"broken":            {status.ErrorProto(broken), statusWith(tb, codes.Unauthenticated, retry).Err()},
		"beside an unknown": {status.ErrorProto(unknown), status.ErrorProto(wantUnknown)},

		"unmarked":      {unmarked, unmarked},
		"no details":    {status.Error(codes.NotFound, "no"), status.Error(codes.NotFound, "no")},
		"no status":     {errCause, status.Error(codes.Unknown, errCause.Error())},
		"a context":     {context.Canceled, status.Error(codes.Canceled, context.Canceled.Error())},
		"foreign alone": {statusWith(tb, codes.Unauthenticated, foreign).Err(), statusWith(tb, codes.Unauthenticated, foreign).Err()},
	}
}

// relaying serves handlers that end with err, on rows of each kind.
type relaying struct {
	testgrpc.UnimplementedTestServiceServer
	err *error
}

func (r relaying) EmptyCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, *r.err
}

func (r relaying) UnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{}, *r.err
}

func (r relaying) CacheableUnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{}, *r.err
}

func (r relaying) StreamingOutputCall(*testgrpc.StreamingOutputCallRequest, testgrpc.TestService_StreamingOutputCallServer) error {
	return *r.err
}

func (r relaying) StreamingInputCall(testgrpc.TestService_StreamingInputCallServer) error {
	return *r.err
}

func (r relaying) FullDuplexCall(testgrpc.TestService_FullDuplexCallServer) error { return *r.err }
func (r relaying) HalfDuplexCall(testgrpc.TestService_HalfDuplexCallServer) error { return *r.err }

// A gateway that returns the status of a server behind it, `return nil, err`, must
// not tell its own client that no handler ran.
func TestHandlersCannotMark(t *testing.T) {
	t.Parallel()
	var returned error
	f := newFixture(t, transports("bufconn", "ServeHTTP"), withService(relaying{err: &returned}), func(_ *fixture, config *auth0grpc.Config) {
		config.Methods = map[string]auth0grpc.Rule{
			"/grpc.testing.TestService/*":                           auth0grpc.Authenticated(),
			testgrpc.TestService_EmptyCall_FullMethodName:           auth0grpc.Public(),
			testgrpc.TestService_CacheableUnaryCall_FullMethodName:  auth0grpc.Optional(),
			testgrpc.TestService_StreamingInputCall_FullMethodName:  auth0grpc.Optional(),
			testgrpc.TestService_HalfDuplexCall_FullMethodName:      auth0grpc.Public(),
			testgrpc.TestService_StreamingOutputCall_FullMethodName: auth0grpc.Authenticated().Streams(auth0grpc.IgnoreExpiry()),
		}
	})

	bidi := grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	methods := append([]method{
		{testgrpc.TestService_EmptyCall_FullMethodName, grpc.StreamDesc{}},
		{testgrpc.TestService_CacheableUnaryCall_FullMethodName, grpc.StreamDesc{}},
		{testgrpc.TestService_HalfDuplexCall_FullMethodName, bidi},
	}, shapes...)
	for name, test := range relays(t) {
		returned = test.err
		for transport := range f.conns {
			for _, m := range methods {
				for _, value := range [][]string{bearer(f.token(nil)), nil} {
					t.Run(fmt.Sprint(name, "/", transport, m.name, len(value)), func(t *testing.T) {
						got := f.call(t.Context(), transport, m, value...)
						if reason, _ := auth0grpc.ReasonFromError(got.err); reason == auth0grpc.ReasonMissingToken {
							return // a row that wants a token
						}
						if diff := cmp.Diff(status.Convert(test.want).Proto(), status.Convert(got.err).Proto(), protocmp.Transform()); diff != "" {
							t.Errorf("status (-want +got):\n%s", diff)
						}
						if auth0grpc.RefusedBeforeHandler(got.err) || auth0grpc.RefusedBeforeHandler(got.outer) {
							t.Error("the handler's error is marked")
						}
						if !errors.Is(got.outer, test.err) || got.outer.Error() != test.err.Error() {
							t.Errorf("outside: %v, want the handler's %v in it", got.outer, test.err)
						}
						if errors.Is(test.err, errCause) && !errors.Is(got.outer, errCause) {
							t.Error("the cause is lost")
						}
					})
				}
			}
		}
	}
}

// TestHandlersErrorIsReturned shows that an error without a mark is the handler's
// own, and that no error costs nothing.
func TestHandlersErrorIsReturned(t *testing.T) {
	f := newFixture(t)
	ctx := auth0grpctest.ContextWithToken(t.Context(), nil)
	info := &grpc.UnaryServerInfo{FullMethod: "/a.B/Public"}
	if err := f.guard.SetMethods(map[string]auth0grpc.Rule{"/a.B/Public": auth0grpc.Public()}); err != nil {
		t.Fatal(err)
	}
	intercept := f.guard.UnaryServerInterceptor()
	retry := statusWith(t, codes.Unavailable, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)}).Err()
	unmarked := statusWith(t, codes.Unauthenticated, errorInfo("TOKEN_REVOKED", false)).Err()
	for _, want := range []error{nil, errCause, status.Error(codes.NotFound, "no"), retry, unmarked} {
		_, err := intercept(ctx, nil, info, func(context.Context, any) (any, error) { return nil, want })
		if err != want {
			t.Errorf("%v, want %v itself", err, want)
		}
	}
	handler := func(context.Context, any) (any, error) { return nil, nil }
	if n := testing.AllocsPerRun(100, func() { _, _ = intercept(t.Context(), nil, info, handler) }); n != 0 {
		t.Errorf("%v allocations for a public call, want none", n)
	}
}

// TestRevokedStreamsAreNotMarked is the other end under a handler: a stream that
// is revoked, before its handler has sent anything.
func TestRevokedStreamsAreNotMarked(t *testing.T) {
	for _, transport := range []string{"bufconn", "tcp", "ServeHTTP"} {
		for _, m := range streamShapes {
			t.Run(transport+m.name, func(t *testing.T) {
				t.Parallel()
				started := make(chan struct{}, 1)
				s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
					started <- struct{}{}
					<-stream.Context().Done()
					return stream.Context().Err()
				}))
				stream := s.open(t, transport, m, bearer(s.token(nil))...)
				<-started
				s.clock.Advance(2 * time.Second) // a token of this very second is not meant
				if err := s.guard.Revoke(t.Context(), auth0grpc.Revocation{Subject: auth0grpctest.Subject}); err != nil {
					t.Fatal(err)
				}
				got := finish(stream, transport)
				if reason, _ := auth0grpc.ReasonFromError(got.err); reason != auth0grpc.ReasonTokenRevoked {
					t.Fatalf("ended with %v", got.err)
				}
				if auth0grpc.RefusedBeforeHandler(got.err) {
					t.Error("the end of a running handler is marked")
				}
			})
		}
	}
}

// TestAuthFuncAndTapMark shows the mark of the two ways without our interceptors.
func TestAuthFuncAndTapMark(t *testing.T) {
	t.Parallel()
	guard := newFixture(t).guard
	if _, err := guard.AuthFunc()(t.Context()); !auth0grpc.RefusedBeforeHandler(err) {
		t.Errorf("AuthFunc: %v is not marked", err)
	}
	p := newTappedPair(t)
	for _, m := range shapes {
		if s := p.alike(t, true, m); !auth0grpc.RefusedBeforeHandler(s.Err()) {
			t.Errorf("the tap on %s: %v is not marked", m.name, s.Proto())
		}
	}
}

func TestRefusedBeforeHandler(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"marked":         {statusWith(t, codes.Unauthenticated, errorInfo("X", true)).Err(), true},
		"wrapped":        {fmt.Errorf("x: %w", statusWith(t, codes.Unauthenticated, errorInfo("X", true)).Err()), true},
		"unmarked":       {statusWith(t, codes.Unauthenticated, errorInfo("X", false)).Err(), false},
		"another domain": {statusWith(t, codes.Unauthenticated, &errdetails.ErrorInfo{Domain: "x", Metadata: map[string]string{"beforeHandler": "true"}}).Err(), false},
		"no details":     {status.Error(codes.Unauthenticated, "x"), false},
		"no status":      {errCause, false},
		"nil":            {nil, false},
	} {
		if got := auth0grpc.RefusedBeforeHandler(test.err); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}
