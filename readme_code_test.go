package auth0grpc_test

import (
	"crypto/tls"
	"crypto/x509"
	"log"
	"net/http"
	"os"
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
func dialOrders(target, id, secret string, transport credentials.TransportCredentials) (*grpc.ClientConn, error) {
	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
		Issuer:       "https://TENANT.eu.auth0.com/",
		ClientID:     id,
		ClientSecret: secret,
		Audience:     "https://api.example.com",
	})
	if err != nil {
		return nil, err
	}
	options := append(creds.DialOptions(), grpc.WithTransportCredentials(transport))
	return grpc.NewClient(target, options...)
}

// trustDeskTenant is the code of docs/desk-tenant.md for a server in development.
func trustDeskTenant(config *auth0grpc.Config) {
	pem, err := os.ReadFile("tenant.pem")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config.Issuers = []string{"https://127.0.0.1:8443/"}
	config.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
}

// The desk tenant's certificate file is all that a configuration needs.
func TestDeskTenantConfig(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("tenant.pem", tenant.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	config := auth0grpc.Config{Audiences: []string{auth0grpctest.Audience}, Methods: map[string]auth0grpc.Rule{allMethods: auth0grpc.Authenticated()}}
	trustDeskTenant(&config)
	config.Issuers = []string{tenant.Issuer()} // this test's port is another one
	if err := mustNew(t, config).Ready(t.Context()); err != nil {
		t.Error(err)
	}
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
