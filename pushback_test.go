package auth0grpc_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/auth0grpc/auth0grpc"
)

// gRPC's own retries obey the trailer: with a backoff of a millisecond they would make
// all their attempts at once. The next attempt is at least a second away.
func TestRetriesObeyPushback(t *testing.T) {
	tenant, now := newTenant(t)
	tenant.SetDown(true)
	guard := mustNew(t, configFor(tenant, now))
	var attempts atomic.Int32
	count := func() { attempts.Add(1) }
	server := grpc.NewServer(append([]grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			count()
			return handler(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			count()
			return handler(srv, stream)
		}),
	}, guard.ServerOptions()...)...)
	grpc_testing.RegisterTestServiceServer(server, service{})
	listener := bufconn.Listen(1 << 16)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], "retryPolicy": {
			"maxAttempts": 5, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := grpc_testing.NewTestServiceClient(conn)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+tenant.Token(nil))
	for shape, call := range map[string]func(context.Context) error{
		"unary": func(ctx context.Context) error {
			_, err := client.UnaryCall(ctx, &grpc_testing.SimpleRequest{})
			return err
		},
		"stream": func(ctx context.Context) error {
			stream, err := client.StreamingOutputCall(ctx, &grpc_testing.StreamingOutputCallRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
	} {
		t.Run(shape, func(t *testing.T) {
			attempts.Store(0)
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- call(ctx) }()
			eventually(t, "the first attempt", func() bool { return attempts.Load() > 0 })
			cancel() // while the client waits for the pushback
			if err := <-done; status.Code(err) != codes.Canceled {
				t.Errorf("the call ended with %v, want Canceled: it did not wait", err)
			}
			if n := attempts.Load(); n != 1 {
				t.Errorf("%d attempts, want 1 before the pushback is over", n)
			}
		})
	}
}

// A row of 150 scopes fits into the 8 KiB of metadata that grpcio and grpc-java accept.
func TestScopesOfARefusalAreBounded(t *testing.T) {
	var many []string
	for i := range 150 {
		many = append(many, fmt.Sprintf("read:some:resource:with:a:long:name:%03d", i))
	}
	f := newFixture(t, func(_ *fixture, config *auth0grpc.Config) {
		config.Methods[allMethods] = auth0grpc.Scopes(many...)
		delete(config.Methods, unaryCall)
	})
	for shape, r := range direct(t, t.Context(), f.guard, unaryCall, metadata.Pairs("authorization", "Bearer "+f.token(nil))) {
		t.Run(shape, func(t *testing.T) {
			for name, md := range map[string]metadata.MD{"header": r.header, "trailer": r.trailer} {
				if size := len(strings.Join(md.Get("www-authenticate"), "")); size > 2300 {
					t.Errorf("%d bytes of challenge in the %s", size, name)
				}
			}
			got := auth0grpc.ScopesFromError(r.err)
			if len(got) < 40 || len(got) > 60 {
				t.Errorf("%d scopes, want about 2 KiB of them", len(got))
			}
			if diff := cmp.Diff(many[:len(got)], got); diff != "" {
				t.Errorf("scopes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScopesFromError(t *testing.T) {
	f := newFixture(t, func(_ *fixture, config *auth0grpc.Config) {
		config.Methods[unaryCall] = auth0grpc.AllOf(auth0grpc.Scopes("a", "b"), auth0grpc.Clients("other"))
	})
	for shape, r := range direct(t, t.Context(), f.guard, unaryCall, metadata.Pairs("authorization", "Bearer "+f.token(claims{"scope": "a"}))) {
		if diff := cmp.Diff([]string{"a", "b"}, auth0grpc.ScopesFromError(fmt.Errorf("call: %w", r.err))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", shape, diff)
		}
	}
	for _, err := range []error{nil, io.EOF, status.Error(codes.PermissionDenied, "x")} {
		if got := auth0grpc.ScopesFromError(err); got != nil {
			t.Errorf("ScopesFromError(%v) = %q", err, got)
		}
	}
}
