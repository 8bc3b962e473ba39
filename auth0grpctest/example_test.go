package auth0grpctest_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// greeter is the handler under test. It answers with the name of the caller.
type greeter struct {
	testgrpc.UnimplementedTestServiceServer
}

func (greeter) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	token, ok := auth0grpc.TokenFromContext(ctx)
	if !ok {
		return &testgrpc.SimpleResponse{Username: "nobody"}, nil
	}
	return &testgrpc.SimpleResponse{Username: token.Subject()}, nil
}

// A handler alone, without server, tenant or signature.
func ExampleContextWithToken() {
	ctx := auth0grpctest.ContextWithToken(context.Background(), map[string]any{
		"sub":   "auth0|alice",
		"scope": "read:msg",
	})
	response, err := greeter{}.UnaryCall(ctx, &testgrpc.SimpleRequest{})
	fmt.Println(response.GetUsername(), err)
	// Output: auth0|alice <nil>
}

// A server with its interceptor, and a token for each row. In a test, NewTenant
// replaces StartTenant and Close, and Connect replaces the listener, the
// connection and the metadata.
func ExampleTenant() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()

	interceptor, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		HTTPClient: tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{
			testgrpc.TestService_UnaryCall_FullMethodName: auth0grpc.Scopes("read:msg"),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer(interceptor.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(srv, greeter{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(listener)
	defer srv.Stop()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	client := testgrpc.NewTestServiceClient(conn)

	for _, row := range []struct{ name, token string }{
		{"granted", tenant.Token(map[string]any{"scope": "read:msg"})},
		{"another scope", tenant.Token(map[string]any{"scope": "write:msg"})},
		{"another API", tenant.Token(map[string]any{"aud": "https://other.example.com"})},
		{"an ID token", tenant.IDToken(nil)},
		{"not signed", tenant.Sign(map[string]any{"alg": "none"}, map[string]any{"sub": "auth0|1"})},
	} {
		ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+row.token)
		_, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{})
		fmt.Printf("%s: %v\n", row.name, status.Code(err))
	}
	// Output:
	// granted: OK
	// another scope: PermissionDenied
	// another API: Unauthenticated
	// an ID token: Unauthenticated
	// not signed: Unauthenticated
}

// A service that fetches its own token with the client credentials grant.
func ExampleTenant_AddClient() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	tenant.AddClient("billing", "secret", map[string][]string{
		auth0grpctest.Audience: {"read:msg", "write:msg"},
	})

	config := clientcredentials.Config{
		ClientID:       "billing",
		ClientSecret:   "secret",
		TokenURL:       tenant.TokenURL(),
		EndpointParams: url.Values{"audience": {auth0grpctest.Audience}},
	}
	token, err := config.Token(context.WithValue(context.Background(), oauth2.HTTPClient, tenant.HTTPClient()))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Type(), token.Extra("scope"))
	// Output: Bearer read:msg write:msg
}

// A server is tested against its table, with a token for each row. This is the
// body of a test.
func ExampleNewTenant() {
	var t *testing.T // the test's own

	tenant := auth0grpctest.NewTenant(t)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		HTTPClient: tenant.HTTPClient(),
		Methods:    map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Scopes("read:msg")},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, greeter{})

	for _, test := range []struct {
		name, token string
		want        codes.Code
	}{
		{"granted", tenant.Token(map[string]any{"scope": "read:msg"}), codes.OK},
		{"another scope", tenant.Token(map[string]any{"scope": "write:msg"}), codes.PermissionDenied},
		{"no token", "", codes.Unauthenticated},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := testgrpc.NewTestServiceClient(auth0grpctest.Connect(t, server, test.token))
			if _, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); status.Code(err) != test.want {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// Two users call one server, each over a connection of their own. This is the
// body of a test.
func ExampleConnect() {
	var t *testing.T        // the test's own
	var server *grpc.Server // the server under test, with its services registered
	tenant := auth0grpctest.NewTenant(t)

	for _, user := range []string{"auth0|alice", "auth0|bob"} {
		token := tenant.Token(map[string]any{"sub": user, "scope": "read:msg"})
		client := testgrpc.NewTestServiceClient(auth0grpctest.Connect(t, server, token))
		response, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
		if err != nil || response.GetUsername() != user {
			t.Errorf("%q, %v, want %q", response.GetUsername(), err, user)
		}
	}
}

// Every method of a server is called with tokens that its row lets in and with
// tokens that it does not. Had the server only guard.UnaryServerInterceptor, the
// test would fail with a line for each stream that is open to all callers. This is
// the body of a test.
func ExampleSweep() {
	var t *testing.T // the test's own

	tenant := auth0grpctest.NewTenant(t)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		HTTPClient: tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{
			"/grpc.testing.TestService/UnaryCall": auth0grpc.Scopes("read:msg"),
			"/grpc.testing.TestService/*":         auth0grpc.AnyScope("write:msg", "admin"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, greeter{})
	if err := guard.CheckServices(server.GetServiceInfo()); err != nil {
		t.Error(err)
	}
	auth0grpctest.Sweep(t, server, guard, tenant, nil)
}

// A tenant for other processes: its port is in their configuration, and they trust
// its certificate by a file, as SSL_CERT_FILE names it.
func ExampleStartTenantOnPort() {
	tenant, err := auth0grpctest.StartTenantOnPort(0) // 0 chooses a free port
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	tenant.SetTokenLifetime(10 * time.Minute)
	tenant.SetAPITokenLifetime("https://reports.example.com", time.Hour) // of this API alone

	directory, err := os.MkdirTemp("", "tenant")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(directory)
	file := filepath.Join(directory, "tenant.pem")
	if err := os.WriteFile(file, tenant.CertificatePEM(), 0o600); err != nil {
		log.Fatal(err)
	}
	authority := auth0grpctest.NewCertificateAuthority() // of client certificates
	if err := os.WriteFile(filepath.Join(directory, "clients.pem"), authority.PEM(), 0o600); err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.HasPrefix(string(tenant.CertificatePEM()), "-----BEGIN CERTIFICATE-----"))
	// Output: true
}
