package auth0grpctest_test

import (
	"crypto/x509"
	"testing"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

func TestCertificateAuthority(t *testing.T) {
	t.Parallel()
	authority := auth0grpctest.NewCertificateAuthority()
	client, server := authority.Client("service"), authority.Server("127.0.0.1", "localhost")
	usage := func(u x509.ExtKeyUsage) []x509.ExtKeyUsage { return []x509.ExtKeyUsage{u} }
	if _, err := client.Leaf.Verify(x509.VerifyOptions{Roots: authority.Pool(), KeyUsages: usage(x509.ExtKeyUsageClientAuth)}); err != nil {
		t.Errorf("client: %v", err)
	}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		options := x509.VerifyOptions{Roots: authority.Pool(), DNSName: host, KeyUsages: usage(x509.ExtKeyUsageServerAuth)}
		if _, err := server.Leaf.Verify(options); err != nil {
			t.Errorf("server %s: %v", host, err)
		}
	}
	other := auth0grpctest.NewCertificateAuthority().Pool()
	if _, err := client.Leaf.Verify(x509.VerifyOptions{Roots: other, KeyUsages: usage(x509.ExtKeyUsageClientAuth)}); err == nil {
		t.Error("another authority vouches for the client")
	}
}
