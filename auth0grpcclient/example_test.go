package auth0grpcclient_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// whoami answers with the identity of the caller and of the user it acts for.
type whoami struct {
	testgrpc.UnimplementedTestServiceServer
}

func (whoami) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	token, _ := auth0grpc.TokenFromContext(ctx)
	return &testgrpc.SimpleResponse{Username: token.Subject() + " by way of " + token.ClientID()}, nil
}

func (whoami) StreamingOutputCall(_ *testgrpc.StreamingOutputCallRequest, stream grpc.ServerStreamingServer[testgrpc.StreamingOutputCallResponse]) error {
	return stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: []byte("hello")}})
}

// exampleServer starts a tenant and a server that it protects, and returns the values
// that a client needs: the tenant, the address and the trusted certificates.
func exampleServer() (tenant *auth0grpctest.Tenant, target string, trust *tls.Config, stop func()) {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	tenant.AddClient("billing", "secret", map[string][]string{auth0grpctest.Audience: {"read:msg"}})
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		HTTPClient: tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{
			"/grpc.testing.TestService/*": auth0grpc.Scopes("read:msg"),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	authority := auth0grpctest.NewCertificateAuthority()
	certificate := authority.Server("127.0.0.1")
	server := grpc.NewServer(append(guard.ServerOptions(), grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))...)
	testgrpc.RegisterTestServiceServer(server, whoami{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	return tenant, listener.Addr().String(), &tls.Config{RootCAs: authority.Pool()}, func() {
		server.Stop()
		tenant.Close()
	}
}

// A service that calls with its own token. HTTPClient and the TLS configuration are for
// the example's tenant and server; a program that uses Auth0 and a server with a public
// certificate does not need them.
func Example() {
	tenant, target, trust, stop := exampleServer()
	defer stop()

	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
		Issuer:       tenant.Issuer(),
		ClientID:     "billing",
		ClientSecret: "secret",
		Audience:     auth0grpctest.Audience,
		HTTPClient:   tenant.HTTPClient(),
	})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := grpc.NewClient(target, append(creds.DialOptions(),
		grpc.WithTransportCredentials(credentials.NewTLS(trust)))...)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	response, err := testgrpc.NewTestServiceClient(conn).UnaryCall(context.Background(), &testgrpc.SimpleRequest{})
	fmt.Println(response.GetUsername(), err)
	// Output: billing@clients by way of billing <nil>
}

// New returns all faults in a Config together.
func ExampleNew() {
	_, err := auth0grpcclient.New(auth0grpcclient.Config{
		Issuer:   "tenant.eu.auth0.com",
		ClientID: "billing",
		Scopes:   []string{"read:msg write:msg"},
	})
	fmt.Println(err)
	// Output:
	// auth0grpcclient: Config.Audience is required: the API's identifier in Auth0
	// auth0grpcclient: Config.ClientSecret want exactly one of ClientSecret, PrivateKey and MutualTLS
	// auth0grpcclient: Config.Issuer: "tenant.eu.auth0.com": is not a URL; did you mean "https://tenant.eu.auth0.com/"?
	// auth0grpcclient: Config.Scopes[0]: "read:msg write:msg": want one scope, without spaces
}

// A handler that calls the next service on behalf of its own caller. The handler does
// not forward the token that it received.
func ExampleNewOnBehalfOf() {
	tenant, target, trust, stop := exampleServer()
	defer stop()

	creds, err := auth0grpcclient.NewOnBehalfOf(auth0grpcclient.Config{
		Issuer:       tenant.Issuer(),
		ClientID:     "billing",
		ClientSecret: "secret",
		Audience:     auth0grpctest.Audience, // of the next service
		HTTPClient:   tenant.HTTPClient(),
	}, auth0grpcclient.IncomingToken)
	if err != nil {
		log.Fatal(err)
	}
	conn, err := grpc.NewClient(target, append(creds.DialOptions(),
		grpc.WithTransportCredentials(credentials.NewTLS(trust)))...)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	handler := func(ctx context.Context) (*testgrpc.SimpleResponse, error) {
		return testgrpc.NewTestServiceClient(conn).UnaryCall(ctx, &testgrpc.SimpleRequest{})
	}

	// gRPC makes this context for a call by alice, with a token for this service.
	alice := tenant.Token(map[string]any{"sub": "auth0|alice", "aud": "https://billing.example.com"})
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "Bearer "+alice))
	response, err := handler(ctx)
	fmt.Println(response.GetUsername(), err)
	// Output: auth0|alice by way of billing <nil>
}

// Ready shows at the start of a program that it will get no token, and the reason.
func ExampleCredentials_Ready() {
	tenant, _, _, stop := exampleServer()
	defer stop()

	for _, secret := range []string{"secret", "last year's secret"} {
		creds, err := auth0grpcclient.New(auth0grpcclient.Config{
			Issuer:       tenant.Issuer(),
			ClientID:     "billing",
			ClientSecret: secret,
			Audience:     auth0grpctest.Audience,
			HTTPClient:   tenant.HTTPClient(),
		})
		if err != nil {
			log.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		fmt.Println(creds.Ready(ctx))
	}
	// Output:
	// <nil>
	// auth0grpcclient: the token endpoint refused (HTTP status 401, access_denied): Unauthorized
}

// expiredCredentials hold a token that has expired for the server. The tenant's clock was
// two days slow when it issued the token.
func expiredCredentials(tenant *auth0grpctest.Tenant) *auth0grpcclient.Credentials {
	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
		Issuer:       tenant.Issuer(),
		ClientID:     "billing",
		ClientSecret: "secret",
		Audience:     auth0grpctest.Audience,
		HTTPClient:   tenant.HTTPClient(),
	})
	if err != nil {
		log.Fatal(err)
	}
	tenant.SetNow(func() time.Time { return time.Now().Add(-48 * time.Hour) })
	if err := creds.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	tenant.SetNow(nil)
	return creds
}

// If the order of interceptors matters, install them one by one: interceptors in front
// of ours see a call once, and interceptors behind it see each attempt. The first
// attempt is refused here, because the token has expired.
func ExampleCredentials_UnaryClientInterceptor() {
	tenant, target, trust, stop := exampleServer()
	defer stop()
	creds := expiredCredentials(tenant)

	report := func(what string) grpc.UnaryClientInterceptor {
		return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			err := invoke(ctx, method, req, reply, cc, opts...)
			fmt.Println(what, status.Code(err))
			return err
		}
	}
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(credentials.NewTLS(trust)),
		grpc.WithPerRPCCredentials(creds),
		grpc.WithChainUnaryInterceptor(report("call"), creds.UnaryClientInterceptor(), report("attempt")),
		grpc.WithChainStreamInterceptor(creds.StreamClientInterceptor()),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if _, err := testgrpc.NewTestServiceClient(conn).UnaryCall(context.Background(), &testgrpc.SimpleRequest{}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// attempt Unauthenticated
	// attempt OK
	// call OK
}

// A stream that is refused at its opening is opened again, here behind an
// interceptor that sees each attempt. The caller does not notice.
func ExampleCredentials_StreamClientInterceptor() {
	tenant, target, trust, stop := exampleServer()
	defer stop()
	creds := expiredCredentials(tenant)

	report := func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		fmt.Println("open", method)
		return open(ctx, desc, cc, method, opts...)
	}
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(credentials.NewTLS(trust)),
		grpc.WithPerRPCCredentials(creds),
		grpc.WithChainUnaryInterceptor(creds.UnaryClientInterceptor()),
		grpc.WithChainStreamInterceptor(creds.StreamClientInterceptor(), report),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	stream, err := testgrpc.NewTestServiceClient(conn).StreamingOutputCall(context.Background(), &testgrpc.StreamingOutputCallRequest{})
	if err != nil {
		log.Fatal(err)
	}
	response, err := stream.Recv()
	fmt.Println(string(response.GetPayload().GetBody()), err)
	// Output:
	// open /grpc.testing.TestService/StreamingOutputCall
	// open /grpc.testing.TestService/StreamingOutputCall
	// hello <nil>
}

// A token for an API that is not called by gRPC, such as Auth0's Management API.
func ExampleCredentials_AccessToken() {
	tenant, _, _, stop := exampleServer()
	defer stop()
	tenant.AddClient("events", "secret", map[string][]string{tenant.EventsAudience(): {"read:events"}})
	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
		Issuer:       tenant.Issuer(),
		ClientID:     "events",
		ClientSecret: "secret",
		Audience:     tenant.EventsAudience(),
		HTTPClient:   tenant.HTTPClient(),
	})
	if err != nil {
		log.Fatal(err)
	}
	first, err := creds.AccessToken(context.Background(), "")
	if err != nil {
		log.Fatal(err)
	}
	again, _ := creds.AccessToken(context.Background(), "")
	tenant.SetNow(func() time.Time { return time.Now().Add(time.Second) })
	other, _ := creds.AccessToken(context.Background(), first) // the API answered 401
	fmt.Println(again == first, other == first)
	// Output:
	// true false
}
