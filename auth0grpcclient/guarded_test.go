package auth0grpcclient_test

import (
	"crypto/rand"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// TestBoundCallsReachAGuardedServer is both sides of this module against each
// other: proofs with the server's nonces, and certificates.
func TestBoundCallsReachAGuardedServer(t *testing.T) {
	t.Parallel()
	tenant, requests := newTenant(t)
	authority := auth0grpctest.NewCertificateAuthority()
	certificate := authority.Client("certified")
	tenant.AddCertificateClient("certified", certificate.Leaf, map[string][]string{auth0grpctest.Audience: {"read:msg"}})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nonceKey := make([]byte, 32)
	rand.Read(nonceKey)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		HTTPClient: tenant.HTTPClient(),
		Methods:    map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Scopes("read:msg")},
		DPoP: auth0grpc.DPoPConfig{
			Mode:        auth0grpc.BindingAllowed,
			Authorities: []string{"https://" + listener.Addr().String()},
			NonceKeys:   [][]byte{nonceKey},
		},
		MTLS: auth0grpc.MTLSConfig{Mode: auth0grpc.BindingAllowed},
	})
	if err != nil {
		t.Fatal(err)
	}
	trust := serveOn(t, listener, guard.ServerOptions()...)

	dpop := configFor(tenant)
	dpop.DPoP = true
	mtls := configFor(tenant)
	mtls.ClientID, mtls.ClientSecret, mtls.MutualTLS = "certified", "", true
	mtls.HTTPClient = tenant.HTTPClientWithCertificate(certificate)
	t.Cleanup(mtls.HTTPClient.CloseIdleConnections)
	certified := trust.Clone()
	certified.Certificates = append(certified.Certificates, certificate)

	clients := map[string]testgrpc.TestServiceClient{
		"DPoP": dial(t, listener.Addr().String(), append(newCredentials(t, dpop).DialOptions(), grpc.WithTransportCredentials(credentials.NewTLS(trust)))...),
		"mTLS": dial(t, listener.Addr().String(), append(newCredentials(t, mtls).DialOptions(), grpc.WithTransportCredentials(credentials.NewTLS(certified)))...),
	}
	for binding, client := range clients {
		for range 2 {
			for shape, call := range shapes {
				if got, err := call(t.Context(), client); got != "a" || err != nil {
					t.Errorf("%s, %s: %q, %v", binding, shape, got, err)
				}
			}
		}
	}
	if requests.Load() != 2 {
		t.Errorf("%d token requests, want 2", requests.Load())
	}

	// The same token over a connection without the certificate is worth nothing.
	thief := dial(t, listener.Addr().String(), append(newCredentials(t, mtls).DialOptions(), grpc.WithTransportCredentials(credentials.NewTLS(trust)))...)
	_, err = shapes["unary"](t.Context(), thief)
	if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonWrongCertificate {
		t.Errorf("without the certificate: %v", err)
	}
}
