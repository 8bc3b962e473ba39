package auth0grpctest_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"log"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// The address of the example's method, as proofs name it.
const exampleURL = "https://api.example.com/grpc.testing.TestService/UnaryCall"

// exampleBound starts a server that wants tokens bound by DPoP, with proofs of an
// algorithm.
func exampleBound(tenant *auth0grpctest.Tenant, algorithm string) (call func(authorization, proof string) string, stop func()) {
	address, stop := exampleServer(exampleGuard(tenant, func(config *auth0grpc.Config) {
		config.DPoP = auth0grpc.DPoPConfig{
			Mode:        auth0grpc.BindingRequired,
			Authorities: []string{"https://api.example.com"},
			Algorithms:  []string{algorithm},
		}
	}))
	return func(authorization, proof string) string {
		return exampleCall(address, insecure.NewCredentials(), "authorization", authorization, "dpop", proof)
	}, stop
}

// A token that is bound to a key is worth nothing to a thief, who has the token
// and maybe a proof, but not the key.
func ExampleDPoPKey() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	call, stop := exampleBound(tenant, "ES256")
	defer stop()

	key, thief := auth0grpctest.NewDPoPKey(), auth0grpctest.NewDPoPKey()
	token := tenant.BoundToken(map[string]any{"scope": "read:msg"}, key)
	proof := key.Proof(exampleURL, token, nil)
	old := key.Proof(exampleURL, token, map[string]any{"iat": time.Now().Add(-time.Hour)})
	elsewhere := key.Proof("https://other.example.com/grpc.testing.TestService/UnaryCall", token, nil)

	fmt.Println("as it should be:", call("DPoP "+token, proof))
	fmt.Println("the same again:", call("DPoP "+token, proof))
	fmt.Println("an old proof:", call("DPoP "+token, old))
	fmt.Println("for another server:", call("DPoP "+token, elsewhere))
	fmt.Println("by another key:", call("DPoP "+token, thief.Proof(exampleURL, token, nil)))
	fmt.Println("as a bearer token:", call("Bearer "+token, key.Proof(exampleURL, token, nil)))
	// Output:
	// as it should be: OK
	// the same again: DPOP_PROOF_REPLAYED
	// an old proof: INVALID_DPOP_PROOF
	// for another server: INVALID_DPOP_PROOF
	// by another key: INVALID_DPOP_PROOF
	// as a bearer token: DPOP_REQUIRED
}

// A proof that names the victim's key and is signed by another one.
func ExampleDPoPKey_JWK() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	call, stop := exampleBound(tenant, "ES256")
	defer stop()

	victim, thief := auth0grpctest.NewDPoPKey(), auth0grpctest.NewDPoPKey()
	token := tenant.BoundToken(map[string]any{"scope": "read:msg"}, victim)
	hash := sha256.Sum256([]byte(token))
	claims := map[string]any{ // Sign has no defaults for claims
		"htm": "POST", "htu": exampleURL, "iat": time.Now().Unix(), "jti": rand.Text(),
		"ath": base64.RawURLEncoding.EncodeToString(hash[:]),
	}
	fmt.Println(call("DPoP "+token, thief.Sign(map[string]any{"jwk": victim.JWK()}, claims)))
	fmt.Println(call("DPoP "+token, victim.Sign(nil, claims)))
	// Output:
	// INVALID_DPOP_PROOF
	// OK
}

// A token in the profile of RFC 9068 is bound by hand: by the thumbprint of the
// key in its claim "cnf".
func ExampleDPoPKey_Thumbprint() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	call, stop := exampleBound(tenant, "ES256")
	defer stop()

	key := auth0grpctest.NewDPoPKey()
	token := tenant.RFC9068Token(map[string]any{
		"scope": "read:msg",
		"cnf":   map[string]any{"jkt": key.Thumbprint()},
	})
	fmt.Println(call("DPoP "+token, key.Proof(exampleURL, token, nil)))
	// Output: OK
}

// A server that takes proofs of another algorithm than ES256, and no others.
func ExampleNewDPoPKeyFrom() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	call, stop := exampleBound(tenant, "EdDSA")
	defer stop()

	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []*auth0grpctest.DPoPKey{auth0grpctest.NewDPoPKeyFrom(private), auth0grpctest.NewDPoPKey()} {
		token := tenant.BoundToken(map[string]any{"scope": "read:msg"}, key)
		fmt.Println(call("DPoP "+token, key.Proof(exampleURL, token, nil)))
	}
	// Output:
	// OK
	// INVALID_DPOP_PROOF
}

// Auth0 may ask for a nonce in proofs at its token endpoint. A client that cannot
// know it has to ask twice the first time, which is shown here of the one in
// package auth0grpcclient.
func ExampleTenant_RequireDPoPNonce() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	tenant.AddClient("billing", "secret", map[string][]string{auth0grpctest.Audience: {"read:msg"}})
	tenant.RequireDPoPNonce("a nonce")
	var requests atomic.Int64
	tenant.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			next.ServeHTTP(w, r)
		})
	})

	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
		Issuer:       tenant.Issuer(),
		ClientID:     "billing",
		ClientSecret: "secret",
		Audience:     auth0grpctest.Audience,
		DPoP:         true,
		HTTPClient:   tenant.HTTPClient(),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(creds.Ready(context.Background()), "after", requests.Load(), "requests")
	// Output: <nil> after 2 requests
}

// A token that is bound to a client certificate is good over connections of that
// certificate alone.
func ExampleCertificateAuthority() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	authority := auth0grpctest.NewCertificateAuthority() // of the server and of its clients
	guard := exampleGuard(tenant, func(config *auth0grpc.Config) { config.MTLS.Mode = auth0grpc.BindingRequired })
	address, stop := exampleServer(guard, grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{authority.Server("127.0.0.1")},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    authority.Pool(),
	})))
	defer stop()

	certificate, other := authority.Client("billing"), authority.Client("reports")
	token := tenant.CertificateBoundToken(map[string]any{"scope": "read:msg"}, certificate.Leaf)
	unbound := tenant.Token(map[string]any{"scope": "read:msg"})
	call := func(certificate tls.Certificate, token string) string {
		transport := &tls.Config{RootCAs: authority.Pool(), Certificates: []tls.Certificate{certificate}}
		return exampleCall(address, credentials.NewTLS(transport), "authorization", "Bearer "+token)
	}
	fmt.Println(call(certificate, token))
	fmt.Println(call(other, token))
	fmt.Println(call(certificate, unbound))
	// Output:
	// OK
	// WRONG_CERTIFICATE
	// TOKEN_NOT_BOUND
}
