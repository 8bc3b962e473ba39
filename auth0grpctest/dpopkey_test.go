package auth0grpctest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

func TestDPoPKeyAlgorithms(t *testing.T) {
	t.Parallel()
	private := func(key crypto.Signer, err error) crypto.Signer {
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	ec := func(curve elliptic.Curve) crypto.Signer { return private(ecdsa.GenerateKey(curve, rand.Reader)) }
	_, edwards, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for alg, key := range map[jose.SignatureAlgorithm]crypto.Signer{
		jose.ES256: ec(elliptic.P256()),
		jose.ES384: ec(elliptic.P384()),
		jose.ES512: ec(elliptic.P521()),
		jose.RS256: private(rsa.GenerateKey(rand.Reader, 2048)),
		jose.EdDSA: edwards,
	} {
		t.Run(string(alg), func(t *testing.T) {
			proof := auth0grpctest.NewDPoPKeyFrom(key).Proof("https://api.example.com/a.B/C", "", nil)
			signed, err := jose.ParseSignedCompact(proof, []jose.SignatureAlgorithm{alg})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := signed.Verify(signed.Signatures[0].Protected.JSONWebKey); err != nil {
				t.Errorf("go-jose: %v", err)
			}
		})
	}
	wantPanic(t, "auth0grpctest: ", func() { auth0grpctest.NewDPoPKeyFrom(oddSigner{}) })
}

// oddSigner has a key that no algorithm takes.
type oddSigner struct{ crypto.Signer }

func (oddSigner) Public() crypto.PublicKey { return "no key" }

func TestProof(t *testing.T) {
	t.Parallel()
	key := auth0grpctest.NewDPoPKey()
	before := time.Now().Unix()
	header, claims := decode(t, key.Proof("https://api.example.com/a.B/C", "token", map[string]any{"nonce": "n", "htm": nil}))

	var jwk map[string]any
	if err := json.Unmarshal(key.JWK(), &jwk); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if jwk["d"] != nil {
		t.Error("the header has the private key")
	}
	if iat := int64(claims["iat"].(float64)); iat < before || iat > time.Now().Unix() {
		t.Errorf("iat %d, want now", iat)
	}
	if jti, _ := claims["jti"].(string); len(jti) < 16 {
		t.Errorf("jti %q, want something random", jti)
	}
	delete(claims, "iat")
	delete(claims, "jti")
	hash := sha256.Sum256([]byte("token"))
	want := map[string]any{
		"htu": "https://api.example.com/a.B/C", "nonce": "n",
		"ath": base64.RawURLEncoding.EncodeToString(hash[:]),
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestProofSign(t *testing.T) {
	t.Parallel()
	header, claims := decode(t, auth0grpctest.NewDPoPKey().Sign(map[string]any{"typ": nil, "alg": "none", "jwk": "x"}, nil))
	if diff := cmp.Diff(map[string]any{"alg": "none", "jwk": "x"}, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if len(claims) != 0 {
		t.Errorf("claims %v, want none", claims)
	}
}

func TestBoundTokens(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	key := auth0grpctest.NewDPoPKey()
	certificate := auth0grpctest.NewCertificateAuthority().Client("service").Leaf

	_, claims := decode(t, tenant.BoundToken(map[string]any{"scope": "a"}, key))
	if diff := cmp.Diff(map[string]any{"jkt": key.Thumbprint()}, claims["cnf"]); diff != "" || claims["scope"] != "a" {
		t.Errorf("scope %v, cnf (-want +got):\n%s", claims["scope"], diff)
	}
	_, claims = decode(t, tenant.CertificateBoundToken(nil, certificate))
	want := map[string]any{"x5t#S256": auth0grpctest.CertificateThumbprint(certificate)}
	if diff := cmp.Diff(want, claims["cnf"]); diff != "" {
		t.Errorf("cnf (-want +got):\n%s", diff)
	}
	if _, claims = decode(t, tenant.BoundToken(map[string]any{"cnf": nil}, key)); claims["cnf"] != nil {
		t.Errorf("cnf %v, want none", claims["cnf"])
	}
}
