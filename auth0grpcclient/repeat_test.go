package auth0grpcclient_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// An effect is a service whose handlers have an effect and then fail.
type effect struct {
	testgrpc.UnimplementedTestServiceServer
	runs atomic.Int64
	fail func(context.Context) error
}

func (e *effect) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	e.runs.Add(1)
	return nil, e.fail(ctx)
}

func (e *effect) StreamingOutputCall(_ *testgrpc.StreamingOutputCallRequest, s testgrpc.TestService_StreamingOutputCallServer) error {
	e.runs.Add(1)
	return e.fail(s.Context())
}

func (e *effect) StreamingInputCall(s testgrpc.TestService_StreamingInputCallServer) error {
	e.runs.Add(1)
	return e.fail(s.Context())
}

func (e *effect) FullDuplexCall(s testgrpc.TestService_FullDuplexCallServer) error {
	e.runs.Add(1)
	return e.fail(s.Context())
}

// serveGuarded serves e behind guard and returns a client with credentials.
func serveGuarded(t *testing.T, tenant *auth0grpctest.Tenant, guard *auth0grpc.Interceptor, e *effect) testgrpc.TestServiceClient {
	t.Helper()
	certificate := auth0grpctest.NewCertificateAuthority()
	server := grpc.NewServer(append(guard.ServerOptions(), grpc.Creds(serverCreds(certificate)))...)
	testgrpc.RegisterTestServiceServer(server, e)
	target := listen(t, server)
	creds := newCredentials(t, configFor(tenant))
	return dial(t, target, append(creds.DialOptions(), grpc.WithTransportCredentials(credentials.NewTLS(clientTLS(certificate))))...)
}

func newGuard(t *testing.T, tenant *auth0grpctest.Tenant) *auth0grpc.Interceptor {
	t.Helper()
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience},
		Methods:    map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Authenticated()},
		HTTPClient: tenant.HTTPClient(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

// A gateway relays the status of the server behind it.
func TestHandedOnRefusalIsNotRepeated(t *testing.T) {
	t.Parallel()
	for shape, call := range shapes {
		for _, reason := range []string{"TOKEN_EXPIRED", "TOKEN_REVOKED", "USE_DPOP_NONCE"} {
			t.Run(shape+"/"+reason, func(t *testing.T) {
				t.Parallel()
				tenant, requests := newTenant(t)
				distinctTokens(tenant.SetNow)
				e := &effect{fail: func(context.Context) error { return refuse(reason) }}
				client := serveGuarded(t, tenant, newGuard(t, tenant), e)
				_, err := call(t.Context(), client)
				if got, _ := auth0grpc.ReasonFromError(err); string(got) != reason {
					t.Errorf("%v, want the reason that the handler returned", err)
				}
				if e.runs.Load() != 1 || requests.Load() != 1 {
					t.Errorf("the handler ran %d times with %d tokens, want once with one", e.runs.Load(), requests.Load())
				}
			})
		}
	}
}

// A stream whose handler has had its effect ends with its token, before anything
// was sent.
func TestEndedStreamIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"TOKEN_EXPIRED", "TOKEN_REVOKED"} {
		for shape, call := range shapes {
			if shape == "unary" {
				continue
			}
			t.Run(end+"/"+shape, func(t *testing.T) {
				t.Parallel()
				tenant, _ := newTenant(t)
				guard := newGuard(t, tenant)
				age := 2 * time.Second
				if end == "TOKEN_EXPIRED" { // the token has a second and a half left
					age = 24*time.Hour - 1500*time.Millisecond
				}
				start := time.Now()
				tenant.SetNow(func() time.Time { return start.Add(-age) })
				e := &effect{}
				e.fail = func(ctx context.Context) error {
					if e.runs.Load() > 1 {
						return nil // a repetition, with a token that is good
					}
					tenant.SetNow(time.Now) // the next token is another one, and good
					if end == "TOKEN_REVOKED" {
						revocation := auth0grpc.Revocation{ClientID: "service", IssuedBefore: start.Add(-time.Second)}
						if err := guard.Revoke(context.WithoutCancel(ctx), revocation); err != nil {
							t.Error(err)
						}
					}
					<-ctx.Done()
					return ctx.Err()
				}
				_, err := call(t.Context(), serveGuarded(t, tenant, guard, e))
				if got, _ := auth0grpc.ReasonFromError(err); string(got) != end {
					t.Errorf("%v, want %s", err, end)
				}
				if e.runs.Load() != 1 {
					t.Errorf("the handler ran %d times, want once", e.runs.Load())
				}
			})
		}
	}
}
