package auth0grpctest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// A service that has a private key in place of a secret, and one that has another
// key. Auth0 takes RSA keys; this tenant takes curves as well, which are made
// sooner.
func ExampleTenant_AddKeyClient() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	tenant.AddKeyClient("billing", key.Public(), map[string][]string{auth0grpctest.Audience: {"read:msg"}})

	for _, private := range []*ecdsa.PrivateKey{key, other} {
		creds, err := auth0grpcclient.New(auth0grpcclient.Config{
			Issuer:     tenant.Issuer(),
			ClientID:   "billing",
			PrivateKey: private,
			Audience:   auth0grpctest.Audience,
			HTTPClient: tenant.HTTPClient(),
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(creds.Ready(context.Background()))
	}
	// Output:
	// <nil>
	// auth0grpcclient: the token endpoint refused (HTTP status 401, invalid_client): The client assertion cannot be verified.
}

// boundTo returns the thumbprint of the certificate that a token is bound to, "" if
// it is bound to none.
func boundTo(token *oauth2.Token) string {
	parsed, err := jwt.ParseSigned(token.AccessToken, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		log.Fatal(err)
	}
	var claims struct {
		Confirmation map[string]string `json:"cnf"`
	}
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		log.Fatal(err)
	}
	return claims.Confirmation["x5t#S256"]
}

// A service that shows a certificate to the token endpoint, and gets tokens that
// are bound to it. Another certificate gets nothing.
func ExampleTenant_AddCertificateClient() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	authority := auth0grpctest.NewCertificateAuthority()
	certificate, other := authority.Client("billing"), authority.Client("billing")
	tenant.AddCertificateClient("billing", certificate.Leaf, map[string][]string{auth0grpctest.Audience: {"read:msg"}})

	fetch := func(certificate tls.Certificate) (*oauth2.Token, error) {
		client := tenant.HTTPClientWithCertificate(certificate)
		defer client.CloseIdleConnections()
		config := clientcredentials.Config{
			ClientID: "billing", TokenURL: tenant.TokenURL(), AuthStyle: oauth2.AuthStyleInParams,
			EndpointParams: url.Values{"audience": {auth0grpctest.Audience}},
		}
		return config.Token(context.WithValue(context.Background(), oauth2.HTTPClient, client))
	}
	token, err := fetch(certificate)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(boundTo(token) == auth0grpctest.CertificateThumbprint(certificate.Leaf))
	_, err = fetch(other)
	if refusal := new(oauth2.RetrieveError); errors.As(err, &refusal) {
		fmt.Println(refusal.ErrorCode, "-", refusal.ErrorDescription)
	}
	// Output:
	// true
	// invalid_client - The client certificate is missing or another one.
}

// Auth0 limits the rate of its token endpoint. A client has to wait for as long as
// the answer says, and calls until then must not add to its requests.
func ExampleTenant_Intercept() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	var requests atomic.Int64
	tenant.Intercept(func(http.Handler) http.Handler { // in place of all that the tenant serves
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
			io.WriteString(w, `{"error":"too_many_requests"}`)
		})
	})

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
	fmt.Println(creds.Ready(context.Background()))
	fmt.Println(creds.Ready(context.Background()))
	fmt.Println(requests.Load(), "request")
	// Output:
	// auth0grpcclient: the token endpoint limits the rate (HTTP status 429, too_many_requests)
	// auth0grpcclient: the token endpoint limits the rate (HTTP status 429, too_many_requests)
	// 1 request
}
