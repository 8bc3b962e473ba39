package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

// clients holds the connections of the calls. The first three have credentials of their
// own. Calls over the others get theirs by hand, as a thief would add them.
type clients struct {
	bearer, dpop, mtls *grpc.ClientConn
	anonymous, other   *grpc.ClientConn // without a certificate, and with another client's
	proxy              *grpc.ClientConn

	address     string
	key         *auth0grpctest.DPoPKey // the DPoP client's, for proofs with faults
	certificate *x509.Certificate      // of the mTLS client
	conns       []*grpc.ClientConn
}

func connect(tenant *auth0grpctest.Tenant, authority *auth0grpctest.CertificateAuthority, address string) (*clients, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate := authority.Client("mtls")
	grants := map[string][]string{auth0grpctest.Audience: {"read:orders", "write:orders", "admin"}}
	tenant.AddClient("bearer", "secret", grants)
	tenant.AddClient("dpop", "secret", grants)
	tenant.AddCertificateClient("mtls", certificate.Leaf, grants)

	config := auth0grpcclient.Config{Issuer: tenant.Issuer(), Audience: auth0grpctest.Audience}
	bearer, dpop, mtls := config, config, config
	bearer.ClientID, bearer.ClientSecret, bearer.HTTPClient = "bearer", "secret", tenant.HTTPClient()
	dpop.ClientID, dpop.ClientSecret, dpop.HTTPClient = "dpop", "secret", tenant.HTTPClient()
	dpop.DPoP, dpop.DPoPKey = true, private // without a key it makes one for itself
	mtls.ClientID, mtls.MutualTLS, mtls.HTTPClient = "mtls", true, tenant.HTTPClientWithCertificate(certificate)

	c := &clients{address: address, key: auth0grpctest.NewDPoPKeyFrom(private), certificate: certificate.Leaf}
	for _, client := range []struct {
		conn        **grpc.ClientConn
		config      *auth0grpcclient.Config
		certificate *tls.Certificate
	}{
		{&c.bearer, &bearer, nil},
		{&c.dpop, &dpop, nil},
		{&c.mtls, &mtls, &certificate},
		{&c.anonymous, nil, nil},
		{&c.other, nil, new(authority.Client("other"))},
		{&c.proxy, nil, new(authority.Client("envoy"))},
	} {
		if *client.conn, err = c.dial(authority, client.config, client.certificate); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *clients) dial(authority *auth0grpctest.CertificateAuthority, config *auth0grpcclient.Config, certificate *tls.Certificate) (*grpc.ClientConn, error) {
	transport := &tls.Config{RootCAs: authority.Pool()}
	if certificate != nil {
		transport.Certificates = []tls.Certificate{*certificate}
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(transport))}
	if config != nil {
		creds, err := auth0grpcclient.New(*config)
		if err != nil {
			return nil, err
		}
		options = append(options, creds.DialOptions()...)
	}
	conn, err := grpc.NewClient(c.address, options...)
	if err == nil {
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

func (c *clients) close() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

// proof is one by the key for GetOrder with a token.
func (c *clients) proof(key *auth0grpctest.DPoPKey, token string) string {
	return key.Proof("https://"+c.address+ordersv1.Orders_GetOrder_FullMethodName, token, nil)
}

// forwarded returns the header that Envoy writes for a client with the certificate.
func forwarded(certificate *x509.Certificate) string {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
	return `Hash=not-looked-at;Cert="` + url.PathEscape(string(text)) + `"`
}

// A wiretap keeps the credentials of the last unary call: a thief may find them in a
// log, or in a proxy.
type wiretap struct {
	mu   sync.Mutex
	last metadata.MD
}

func (w *wiretap) listen(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	w.mu.Lock()
	w.last = md
	w.mu.Unlock()
	return handler(ctx, request)
}

func (w *wiretap) heard(key string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if values := w.last.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}
