package auth0grpcclient_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A stream that outlives its token: Follow opens it anew in time, and the request says
// where to resume.
func ExampleFollow() {
	tenant, target, trust, stop := exampleServer()
	defer stop()
	creds, conn := followClient(tenant, target, trust)
	defer conn.Close()
	client := testgrpc.NewTestServiceClient(conn)

	open := func(ctx context.Context, last *testgrpc.StreamingOutputCallResponse) (grpc.ServerStreamingClient[testgrpc.StreamingOutputCallResponse], error) {
		// last is nil at first. Later its number or time goes into the request.
		return client.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{Payload: last.GetPayload()})
	}
	handle := func(message *testgrpc.StreamingOutputCallResponse) error {
		fmt.Println(string(message.GetPayload().GetBody()))
		return nil
	}
	fmt.Println(auth0grpcclient.Follow(context.Background(), creds, open, handle))
	// Output:
	// hello
	// <nil>
}

func ExampleStreamTTL() {
	// A stream's Header returns it once the first message is there.
	header := metadata.Pairs("auth0grpc-stream-ttl", "300")
	fmt.Println(auth0grpcclient.StreamTTL(header))
	// Output: 5m0s true
}

func followClient(tenant *auth0grpctest.Tenant, target string, trust *tls.Config) (*auth0grpcclient.Credentials, *grpc.ClientConn) {
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
	conn, err := grpc.NewClient(target, append(creds.DialOptions(), grpc.WithTransportCredentials(credentials.NewTLS(trust)))...)
	if err != nil {
		log.Fatal(err)
	}
	return creds, conn
}
