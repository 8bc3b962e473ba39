package auth0grpctest_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"testing"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// TestTenantCertificate checks that the tenants of one process share a certificate,
// so that the HTTPClient of one reaches them all, and that it is not httptest's,
// whose key is public.
func TestTenantCertificate(t *testing.T) {
	certificates := make([]*x509.Certificate, 2)
	for i := range certificates {
		tenant := auth0grpctest.NewTenant(t)
		block, _ := pem.Decode(tenant.CertificatePEM())
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if certificate.IsCA || certificate.KeyUsage&x509.KeyUsageCertSign != 0 {
			t.Error("the certificate can sign others")
		}
		for _, host := range []string{"127.0.0.1", "::1", "localhost"} {
			if err := certificate.VerifyHostname(host); err != nil {
				t.Error(err)
			}
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(tenant.CertificatePEM())
		conn, err := tls.Dial("tcp", tenant.Issuer()[len("https://"):len(tenant.Issuer())-1], &tls.Config{RootCAs: roots})
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		certificates[i] = certificate
	}
	if !certificates[0].Equal(certificates[1]) {
		t.Error("two tenants of one process have different certificates")
	}
	public := httptest.NewUnstartedServer(nil)
	public.StartTLS()
	defer public.Close()
	if certificates[0].Equal(public.Certificate()) {
		t.Error("the tenants use the certificate of httptest")
	}
}
