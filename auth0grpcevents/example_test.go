package auth0grpcevents_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// watcher keeps a stream open until its token ends.
type watcher struct {
	testgrpc.UnimplementedTestServiceServer
}

func (watcher) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	if err := stream.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
		return err
	}
	_, err := stream.Recv()
	return err
}

// watch opens a stream with a token and returns a function that waits for its end.
func watch(guard *auth0grpc.Interceptor, token string) (end func() error, stop func()) {
	server := grpc.NewServer(guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, watcher{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+token)
	stream, err := testgrpc.NewTestServiceClient(conn).FullDuplexCall(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		log.Fatal(err)
	}
	return func() error { _, err := stream.Recv(); return err }, func() { conn.Close(); server.Stop() }
}

// A server that follows a tenant. An administrator blocks a user, and the user's stream
// ends. HTTPClient and Tenant are for the example's tenant, which is not under auth0.com.
func Example() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	tenant.AddClient("events", "client-secret", map[string][]string{tenant.EventsAudience(): {auth0grpctest.EventsScope}})
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		Methods:    map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Authenticated()},
		HTTPClient: tenant.HTTPClient(),
	})
	if err != nil {
		log.Fatal(err)
	}
	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
		Issuer:       tenant.Issuer(),
		ClientID:     "events",
		ClientSecret: "client-secret",
		Audience:     tenant.EventsAudience(), // "https://TENANT.eu.auth0.com/api/v2/"
		HTTPClient:   tenant.HTTPClient(),
	})
	if err != nil {
		log.Fatal(err)
	}
	monitor := new(auth0grpcevents.Monitor)
	config := auth0grpcevents.Config{
		TokenSource: creds,
		Tenant:      auth0grpctest.EventsTenant,
		Store:       auth0grpcevents.NewMemoryStore(),
		Monitor:     monitor,
		HTTPClient:  tenant.HTTPClient(),
		Logger:      slog.New(slog.DiscardHandler),
	}
	if err := config.Check(guard); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	followed := make(chan error, 1)
	go func() { followed <- auth0grpcevents.Follow(ctx, guard, config) }()

	end, stop := watch(guard, tenant.Token(map[string]any{"sub": "auth0|alice"}))
	defer stop()
	tenant.Events().BlockUser("auth0|alice")
	reason, _ := auth0grpc.ReasonFromError(end())
	fmt.Println(reason)

	cancel()
	fmt.Println(<-followed, monitor.Stats().Leader)
	// Output:
	// TOKEN_REVOKED
	// context canceled false
}

// The handler for an Auth0 event stream. A server limits the time for headers.
func ExampleWebhook() {
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:   []string{"https://example.eu.auth0.com/"},
		Audiences: []string{"https://api.example.com"},
		Methods:   map[string]auth0grpc.Rule{"/orders.v1.Orders/*": auth0grpc.Scopes("read:orders")},
	})
	if err != nil {
		log.Fatal(err)
	}
	config := auth0grpcevents.Config{Secrets: []string{"the token of the event stream"}} // from a secret store
	if err := config.Check(guard); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/auth0/events", auth0grpcevents.Webhook(guard, config))
	server := &http.Server{Addr: ":8443", Handler: mux, ReadHeaderTimeout: 5 * time.Second}

	request := httptest.NewRequest(http.MethodPost, "/auth0/events", nil) // a stranger
	response := httptest.NewRecorder()
	server.Handler.ServeHTTP(response, request)
	fmt.Println(response.Code)
	// Output:
	// 401
}
