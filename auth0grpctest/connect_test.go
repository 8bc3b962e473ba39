package auth0grpctest_test

import (
	"context"
	"testing"

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
