package auth0grpc_test

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// dialOrders is the README's code for a client.
func dialOrders(target, id, secret string, tls credentials.TransportCredentials) (*grpc.ClientConn, error) {
	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
		Issuer: "https://TENANT.eu.auth0.com/", ClientID: id, ClientSecret: secret, Audience: "https://api.example.com",
	})
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(target, append(creds.DialOptions(), grpc.WithTransportCredentials(tls))...)
}

// A reader who leaves the placeholder in gets an error before any call.
func TestReadmeClient(t *testing.T) {
	_, err := dialOrders("dns:///orders.example.com:443", "client", "secret", credentials.NewTLS(nil))
	if err == nil || !strings.Contains(err.Error(), "TENANT") {
		t.Errorf("dialOrders = %v, want an error about the placeholder TENANT", err)
	}
}

// The README's code for a test is one.
func TestReadmeSweep(t *testing.T) {
	newGuard := func(t *testing.T, issuer string, client *http.Client) *auth0grpc.Interceptor {
		return mustNew(t, auth0grpc.Config{
			Issuers:    []string{issuer},
			Audiences:  []string{auth0grpctest.Audience},
			HTTPClient: client,
			Methods:    map[string]auth0grpc.Rule{allMethods: auth0grpc.Scopes("read:msg")},
		})
	}

	tenant := auth0grpctest.NewTenant(t)
	guard := newGuard(t, tenant.Issuer(), tenant.HTTPClient())
	server := grpc.NewServer(guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, greeter{})
	auth0grpctest.Sweep(t, server, guard, tenant, nil)
}
