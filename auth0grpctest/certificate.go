package auth0grpctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"
)

// A CertificateAuthority issues certificates for tests of mutual TLS. Its
// certificates live for an hour around the time of their making.
type CertificateAuthority struct {
	certificate *x509.Certificate
	private     *ecdsa.PrivateKey
}

// NewCertificateAuthority returns an authority that no client or server trusts yet: see
// [CertificateAuthority.Pool].
func NewCertificateAuthority() *CertificateAuthority {
	template := certificateTemplate("auth0grpctest authority")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign
	issued := issue(template, nil)
	return &CertificateAuthority{certificate: issued.Leaf, private: issued.PrivateKey.(*ecdsa.PrivateKey)}
}

// Pool returns a pool of the authority alone: the RootCAs of a client, or the
// ClientCAs of a server.
func (a *CertificateAuthority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// PEM returns the authority's certificate in PEM, for clients and servers in other
// processes.
func (a *CertificateAuthority) PEM() []byte { return encodeCertificate(a.certificate) }

func encodeCertificate(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

// Client returns a new client certificate with its key. Its Leaf is set.
func (a *CertificateAuthority) Client(commonName string) tls.Certificate {
	template := certificateTemplate(commonName)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return issue(template, a)
}

// Server returns a new server certificate with its key for hosts, which are
// names or IP addresses. Its Leaf is set.
func (a *CertificateAuthority) Server(hosts ...string) tls.Certificate {
	template := certificateTemplate("auth0grpctest server")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return issue(template, a)
}

func certificateTemplate(commonName string) *x509.Certificate {
	now := time.Now()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(fmt.Errorf("auth0grpctest: certificate: %w", err))
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    now.Add(-30 * time.Minute),
		NotAfter:     now.Add(30 * time.Minute),
	}
}

// tenantCertificate returns the self-signed certificate of all tenants of this
// process, so that the [Tenant.HTTPClient] of one trusts them all. Its key is new in
// each process. It names loopback addresses, can sign no other certificate, and is
// valid under the clock of each test.
var tenantCertificate = sync.OnceValue(func() tls.Certificate {
	template := certificateTemplate("auth0grpctest tenant")
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	template.DNSNames = []string{"localhost"}
	template.NotBefore = time.Date(1970, time.January, 1, 0, 0, 0, 0, time.UTC)
	template.NotAfter = time.Date(2084, time.January, 1, 0, 0, 0, 0, time.UTC)
	return issue(template, nil)
})

// issue makes a key and its certificate, signed by the authority or, for nil,
// by itself.
func issue(template *x509.Certificate, issuer *CertificateAuthority) tls.Certificate {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(fmt.Errorf("auth0grpctest: certificate: %w", err))
	}
	parent, signer := template, private
	if issuer != nil {
		parent, signer = issuer.certificate, issuer.private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), signer)
	if err != nil {
		panic(fmt.Errorf("auth0grpctest: certificate: %w", err))
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(fmt.Errorf("auth0grpctest: certificate: %w", err))
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
}

// CertificateThumbprint returns the SHA-256 thumbprint of a certificate, which
// is the member x5t#S256 of a bound token's cnf claim (RFC 8705, section 3.1).
func CertificateThumbprint(certificate *x509.Certificate) string {
	hash := sha256.Sum256(certificate.Raw)
	return encode(hash[:])
}

// CertificateBoundToken is [Tenant.Token] for a token that is bound to a client
// certificate: its claim "cnf" has the thumbprint.
func (t *Tenant) CertificateBoundToken(claims map[string]any, certificate *x509.Certificate) string {
	return t.Token(withDefault(claims, "cnf", map[string]any{"x5t#S256": CertificateThumbprint(certificate)}))
}

// HTTPClientWithCertificate is [Tenant.HTTPClient] for a client that presents a
// certificate. It is a new one on every call; close its idle connections.
func (t *Tenant) HTTPClientWithCertificate(certificate tls.Certificate) *http.Client {
	transport := t.HTTPClient().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.Certificates = []tls.Certificate{certificate}
	return &http.Client{Transport: transport}
}
