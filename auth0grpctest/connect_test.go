package auth0grpctest_test

import (
	"context"
	"testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// recorder answers with the authorization metadata that it was sent.
type recorder struct {
	testgrpc.UnimplementedTestServiceServer
	authorization chan []string
}

func (r recorder) EmptyCall(ctx context.Context, _ *testgrpc.Empty) (*testgrpc.Empty, error) {
	r.authorization <- metadata.ValueFromIncomingContext(ctx, "authorization")
	return &testgrpc.Empty{}, nil
}

func (r recorder) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	r.authorization <- metadata.ValueFromIncomingContext(stream.Context(), "authorization")
	return nil
}

func newRecorder() (*grpc.Server, recorder) {
	r := recorder{authorization: make(chan []string, 1)}
	srv := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(srv, r)
	return srv, r
}

func TestConnectSendsToken(t *testing.T) {
	t.Parallel()
	srv, recorder := newRecorder()
	tests := []struct {
		name, token string
		want        []string
	}{
		{"with a token", "a.b.c", []string{"Bearer a.b.c"}},
		{"with another for the same server", "d.e.f", []string{"Bearer d.e.f"}},
		{"without", "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client := testgrpc.NewTestServiceClient(auth0grpctest.Connect(t, srv, test.token))
			for range 2 {
				if _, err := client.EmptyCall(t.Context(), &testgrpc.Empty{}); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, <-recorder.authorization); diff != "" {
					t.Errorf("authorization of a unary call (-want +got):\n%s", diff)
				}
			}
			stream, err := client.FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, <-recorder.authorization); diff != "" {
				t.Errorf("authorization of a stream (-want +got):\n%s", diff)
			}
			_, _ = stream.Recv()
		})
	}
}

func TestConnectClosesWithItsTest(t *testing.T) {
	t.Parallel()
	srv, _ := newRecorder()
	var conn *grpc.ClientConn
	t.Run("inner", func(t *testing.T) { conn = auth0grpctest.Connect(t, srv, "") })
	_, err := testgrpc.NewTestServiceClient(conn).EmptyCall(t.Context(), &testgrpc.Empty{})
	if got := status.Code(err); got != codes.Canceled {
		t.Errorf("code %v (%v), want Canceled, as on a closed connection", got, err)
	}
}

func TestConnectToStoppedServer(t *testing.T) {
	t.Parallel()
	srv, _ := newRecorder()
	srv.Stop()
	client := testgrpc.NewTestServiceClient(auth0grpctest.Connect(t, srv, ""))
	if _, err := client.EmptyCall(t.Context(), &testgrpc.Empty{}); status.Code(err) != codes.Unavailable {
		t.Errorf("error %v, want Unavailable", err)
	}
}

func TestConnectThroughInterceptor(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	interceptor, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		HTTPClient: tenant.HTTPClient(),
		Methods:    map[string]auth0grpc.Rule{testgrpc.TestService_UnaryCall_FullMethodName: auth0grpc.Scopes("read:msg")},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(interceptor.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(srv, greeter{})

	scope := map[string]any{"scope": "read:msg"}
	tests := []struct {
		name, token string
		want        codes.Code
	}{
		{"access token", tenant.Token(scope), codes.OK},
		{"access token of RFC 9068", tenant.RFC9068Token(scope), codes.OK},
		{"access token without scope", tenant.Token(nil), codes.PermissionDenied},
		{"ID token", tenant.IDToken(map[string]any{"aud": auth0grpctest.Audience, "scope": "read:msg"}), codes.Unauthenticated},
		{"logout token", tenant.LogoutToken(map[string]any{"aud": auth0grpctest.Audience, "scope": "read:msg"}), codes.Unauthenticated},
		{"no token", "", codes.Unauthenticated},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client := testgrpc.NewTestServiceClient(auth0grpctest.Connect(t, srv, test.token))
			_, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
			if got := status.Code(err); got != test.want {
				t.Errorf("code %v (%v), want %v", got, err, test.want)
			}
		})
	}
}
