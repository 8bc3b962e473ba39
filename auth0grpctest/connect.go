package auth0grpctest

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// pipeBuffer is the size of each direction of a connection, in bytes.
const pipeBuffer = 1 << 20

// Connect serves srv on an in-memory listener and returns a client of it that
// sends "authorization: Bearer TOKEN" on every RPC, or no such metadata for "".
// Register the services first. Connect may be called several times for one srv,
// with a token each; one connection cannot change its token.
//
// The connection and the listener close when the test ends. srv itself is not
// stopped. There is no TLS, and the token is sent nonetheless: the bytes never
// leave the process. Do not take this for a model of a production client.
func Connect(tb testing.TB, srv *grpc.Server, token string) *grpc.ClientConn {
	tb.Helper()
	listener := bufconn.Listen(pipeBuffer)
	served := make(chan struct{})
	go func() {
		defer close(served)
		// Ends with an error when the listener closes, which is no news, or
		// when srv was stopped, which the client sees as Unavailable.
		_ = srv.Serve(listener)
	}()
	tb.Cleanup(func() {
		_ = listener.Close()
		<-served
	})

	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return listener.DialContext(ctx)
		}),
	}
	if token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(token)))
	}
	conn, err := grpc.NewClient("passthrough:///bufconn", options...)
	if err != nil {
		tb.Fatalf("auth0grpctest: connect: %v", err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// bearer is a token as per-RPC credentials.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity is false because bufconn is memory of this process.
func (bearer) RequireTransportSecurity() bool { return false }
