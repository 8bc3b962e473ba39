package auth0grpc_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// greeter is a service whose handler identifies the caller.
type greeter struct {
	testgrpc.UnimplementedTestServiceServer
}

func (greeter) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	token, ok := auth0grpc.TokenFromContext(ctx)
	if !ok {
		return nil, status.Error(codes.Internal, "the method's rule lets nobody in without a token")
	}
	return &testgrpc.SimpleResponse{Username: token.Subject()}, nil
}

// serve serves on a loopback port until stop is called.
func serve(server *grpc.Server) (conn *grpc.ClientConn, stop func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	return conn, func() { conn.Close(); server.Stop() }
}

// A whole program: a tenant in the process, a server with its table, and calls
// with and without a token.
func Example() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()

	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()}, // yours: "https://TENANT.REGION.auth0.com/"
		Audiences:  []string{"https://api.example.com"},
		HTTPClient: tenant.HTTPClient(), // for this tenant's certificate; leave it out for a real one
		Methods: map[string]auth0grpc.Rule{
			"/grpc.testing.TestService/UnaryCall": auth0grpc.Scopes("read:greeting"),
			"/grpc.testing.TestService/*":         auth0grpc.Scopes("admin"),
			auth0grpc.HealthService:               auth0grpc.Public(),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, greeter{})
	healthgrpc.RegisterHealthServer(server, health.NewServer())
	if err := guard.CheckServices(server.GetServiceInfo()); err != nil {
		log.Fatal(err)
	}
	conn, stop := serve(server)
	defer stop()

	client := testgrpc.NewTestServiceClient(conn)
	ctx := metadata.AppendToOutgoingContext(context.Background(),
		"authorization", "Bearer "+tenant.Token(map[string]any{"sub": "auth0|alice", "scope": "read:greeting"}))
	response, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{})
	fmt.Println(response.GetUsername(), err)
	_, err = client.EmptyCall(ctx, &testgrpc.Empty{})
	fmt.Println(err)
	_, err = client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(err)
	healthy, err := healthgrpc.NewHealthClient(conn).Check(context.Background(), &healthgrpc.HealthCheckRequest{})
	fmt.Println(healthy.GetStatus(), err)
	// Output:
	// auth0|alice <nil>
	// rpc error: code = PermissionDenied desc = auth0grpc: the access token lacks a scope that the method needs
	// rpc error: code = Unauthenticated desc = auth0grpc: no access token was sent
	// SERVING <nil>
}

// Everything that is wrong with a configuration is reported at once, and nothing
// that is left out switches a check off.
func ExampleNew_wrong() {
	_, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{"https://example.eu.auth0.com"},
		Algorithms: []string{"HS256"},
		Methods: map[string]auth0grpc.Rule{
			"orders.v1.Orders/Get":     auth0grpc.Scopes("read:orders"),
			"/orders.v1.Orders/Create": auth0grpc.Scopes("read:orders write:orders"),
			"/orders.v1.Orders/Delete": {},
		},
	})
	fmt.Println(err)
	// Output:
	// auth0grpc: Config.Algorithms[0]: "HS256": is symmetric: any verifier could sign; let the API sign with RS256
	// auth0grpc: Config.Audiences is required: the API's identifier in Auth0; there is no opt-out
	// auth0grpc: Config.Issuers[0]: "https://example.eu.auth0.com": Auth0's issuers end in one slash; did you mean "https://example.eu.auth0.com/"?
	// auth0grpc: Config.Methods["/orders.v1.Orders/Create"]: "read:orders write:orders": "read:orders write:orders" has characters that no scope can have; give each name as an argument of its own
	// auth0grpc: Config.Methods["/orders.v1.Orders/Delete"]: "(no rule)": no rule is stated; use Scopes, Authenticated or, to let everyone in, Public
	// auth0grpc: Config.Methods["orders.v1.Orders/Get"]: "orders.v1.Orders/Get": is not a full method; want "/pkg.Service/Method" or "/pkg.Service/*"; did you mean "/orders.v1.Orders/Get"?
}

func ExampleRule() {
	fmt.Println(auth0grpc.Scopes("read:orders", "write:orders"))
	fmt.Println(auth0grpc.AllOf(auth0grpc.Scopes("read:orders"), auth0grpc.AnyScope("write:orders", "admin")))
	fmt.Println(auth0grpc.AllOf(auth0grpc.Scopes("read:orders"), auth0grpc.Permissions("approve:orders")))
	fmt.Println(auth0grpc.AnyOf(auth0grpc.Clients("kV3batchjob"), auth0grpc.Organizations("org_acme")))
	fmt.Println(auth0grpc.Authenticated())
	fmt.Println(auth0grpc.Public())
	// Output:
	// read:orders AND write:orders
	// read:orders AND (write:orders OR admin)
	// read:orders AND permission(approve:orders)
	// client(kV3batchjob) OR organization(org_acme)
	// authenticated
	// public
}

// orders is the Interceptor of the examples below.
func orders() *auth0grpc.Interceptor {
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:   []string{"https://example.eu.auth0.com/"},
		Audiences: []string{"https://api.example.com"},
		Methods: map[string]auth0grpc.Rule{
			"/orders.v1.Orders/Get":    auth0grpc.Scopes("read:orders"),
			"/orders.v1.Orders/Create": auth0grpc.AllOf(auth0grpc.Scopes("read:orders"), auth0grpc.AnyScope("write:orders", "admin")),
			"/orders.v1.Status/*":      auth0grpc.Authenticated(),
			auth0grpc.HealthService:    auth0grpc.Public(),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	return guard
}

// The table prints for review, with the scopes that the API must define in Auth0.
func ExampleInterceptor_String() {
	fmt.Print(orders())
	// Output:
	// /grpc.health.v1.Health/*  public
	// /orders.v1.Orders/Create  read:orders AND (write:orders OR admin)
	// /orders.v1.Orders/Get     read:orders
	// /orders.v1.Status/*       authenticated
	//
	// scopes: admin read:orders write:orders
	//
	// policy: 151f6a5de599b96d
}

func ExampleInterceptor_CheckServices() {
	services := map[string]grpc.ServiceInfo{ // as from grpc.Server.GetServiceInfo
		"orders.v1.Orders":      {Methods: []grpc.MethodInfo{{Name: "Get"}, {Name: "Creates"}, {Name: "Watch", IsServerStream: true}}},
		"grpc.health.v1.Health": {Methods: []grpc.MethodInfo{{Name: "Check"}}},
	}
	fmt.Println(orders().CheckServices(services))
	// Output:
	// auth0grpc: /orders.v1.Orders/Creates is registered but has no row, so every call is refused; did you mean /orders.v1.Orders/Create?
	// auth0grpc: /orders.v1.Orders/Watch is registered but has no row, so every call is refused
	// auth0grpc: row /orders.v1.Orders/Create matches no registered method; did you mean /orders.v1.Orders/Creates?
	// auth0grpc: row /orders.v1.Status/* matches no registered method
}

// A new table is compared with the server before it is live.
func ExampleCheckMethods() {
	services := map[string]grpc.ServiceInfo{ // as from grpc.Server.GetServiceInfo
		"orders.v1.Orders": {Methods: []grpc.MethodInfo{{Name: "Get"}}},
		"framework.Admin":  {Methods: []grpc.MethodInfo{{Name: "Show"}}},
	}
	next := map[string]auth0grpc.Rule{
		"/orders.v1.Orders/get": auth0grpc.Scopes("read:orders"),
		auth0grpc.HealthService: auth0grpc.Public(), // registered later
	}
	fmt.Println(auth0grpc.CheckMethods(next, services,
		auth0grpc.IgnoreServices("framework.Admin", "grpc.health.v1.Health"), auth0grpc.AllowIdleRows()))
	// Output:
	// auth0grpc: /orders.v1.Orders/Get is registered but has no row, so every call is refused; did you mean /orders.v1.Orders/get?
}

// Scopes limit the client's requests; they do not say whose records these are. The
// handler must check that, and a missing check has been a vulnerability
// (CVE-2024-27916).
func ExampleTokenFromContext() {
	deleteOrder := func(ctx context.Context, owner string) error {
		token, ok := auth0grpc.TokenFromContext(ctx)
		if !ok || token.Subject() != owner && !token.HasScope("admin") {
			return status.Error(codes.PermissionDenied, "not your order")
		}
		return nil
	}
	ctx := auth0grpctest.ContextWithToken(context.Background(), map[string]any{
		"sub": "auth0|alice", "scope": "write:orders", "https://example.com/tier": "gold",
	})
	fmt.Println(deleteOrder(ctx, "auth0|alice"))
	fmt.Println(deleteOrder(ctx, "auth0|bob"))

	var custom struct {
		Tier string `json:"https://example.com/tier"`
	}
	token, _ := auth0grpc.TokenFromContext(ctx)
	fmt.Println(token, token.Claims(&custom), custom.Tier)
	// Output:
	// <nil>
	// rpc error: code = PermissionDenied desc = not your order
	// Token("auth0|alice") <nil> gold
}

// A client reacts to a refusal by its reason, which is the same for every language.
func ExampleReasonFromError() {
	server := grpc.NewServer(orders().ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, greeter{})
	conn, stop := serve(server)
	defer stop()

	_, err := testgrpc.NewTestServiceClient(conn).UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	switch reason, _ := auth0grpc.ReasonFromError(err); reason {
	case auth0grpc.ReasonMissingToken, auth0grpc.ReasonTokenExpired, auth0grpc.ReasonUnknownKey:
		fmt.Println(reason, "- get a new token and try again")
	case auth0grpc.ReasonKeysUnavailable:
		fmt.Println(reason, "- try again later")
	default:
		fmt.Println(reason, "- a new token would not help")
	}
	// Output: MISSING_TOKEN - get a new token and try again
}

// A client learns which scopes to request.
func ExampleScopesFromError() {
	err := status.Error(codes.PermissionDenied, "of a server without this package")
	fmt.Println(auth0grpc.ScopesFromError(err))
	// Output: []
}

// A client may repeat a call if the answer proves that no handler ran.
func ExampleRefusedBeforeHandler() {
	server := grpc.NewServer(orders().ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, greeter{})
	conn, stop := serve(server)
	defer stop()

	_, err := testgrpc.NewTestServiceClient(conn).UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(status.Code(err), auth0grpc.RefusedBeforeHandler(err))

	fromHandler := status.Error(codes.Unauthenticated, "the service behind this one refused")
	fmt.Println(status.Code(fromHandler), auth0grpc.RefusedBeforeHandler(fromHandler))
	// Output:
	// Unauthenticated true
	// Unauthenticated false
}

// For a server that is built around go-grpc-middleware's auth interceptors.
func ExampleInterceptor_AuthFunc() {
	authFunc := orders().AuthFunc()
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(auth.UnaryServerInterceptor(authFunc)),
		grpc.ChainStreamInterceptor(auth.StreamServerInterceptor(authFunc)),
	)
	healthgrpc.RegisterHealthServer(server, health.NewServer())
	testgrpc.RegisterTestServiceServer(server, greeter{})
	conn, stop := serve(server)
	defer stop()

	healthy, err := healthgrpc.NewHealthClient(conn).Check(context.Background(), &healthgrpc.HealthCheckRequest{})
	fmt.Println(healthy.GetStatus(), err)
	_, err = testgrpc.NewTestServiceClient(conn).UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(status.Code(err))
	// Output:
	// SERVING <nil>
	// Unauthenticated
}

// A logging interceptor behind ours identifies the caller.
func ExampleLogFields() {
	logger := logging.LoggerFunc(func(_ context.Context, _ logging.Level, msg string, fields ...any) {
		for i := logging.Fields(fields).Iterator(); i.Next(); {
			if key, value := i.At(); key == "auth.subject" || key == "auth.issuer" {
				fmt.Printf("%s: %s=%s\n", msg, key, value)
			}
		}
	})
	unary := logging.UnaryServerInterceptor(logger,
		logging.WithFieldsFromContext(auth0grpc.LogFields), logging.WithLogOnEvents(logging.FinishCall))

	// On a server: grpc.NewServer(append(guard.ServerOptions(), grpc.ChainUnaryInterceptor(unary))...)
	ctx := auth0grpctest.ContextWithToken(context.Background(), map[string]any{"sub": "auth0|alice"})
	info := &grpc.UnaryServerInfo{FullMethod: "/grpc.testing.TestService/UnaryCall"}
	handler := func(ctx context.Context, _ any) (any, error) { return greeter{}.UnaryCall(ctx, nil) }
	if _, err := unary(ctx, nil, info, handler); err != nil {
		log.Fatal(err)
	}
	// Output:
	// finished call: auth.subject=auth0|alice
	// finished call: auth.issuer=https://tenant.example/
}
