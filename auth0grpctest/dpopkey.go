package auth0grpctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/auth0grpc/auth0grpc/internal/jws"
)

// A DPoPKey is a client's key for proofs of possession (RFC 9449). It signs
// any proof that a test asks for, sound or not. It may be used concurrently.
type DPoPKey struct {
	private    crypto.Signer
	alg        string
	public     json.RawMessage // the public JWK
	thumbprint string
}

// NewDPoPKey returns a new key on P-256, whose proofs are signed with ES256.
func NewDPoPKey() *DPoPKey {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(fmt.Errorf("auth0grpctest: generate key: %w", err))
	}
	return NewDPoPKeyFrom(private)
}

// NewDPoPKeyFrom returns a key for another algorithm: P-256, P-384 and P-521 sign
// with ES256, ES384 and ES512, RSA with RS256, Ed25519 with EdDSA. It panics on
// any other key.
func NewDPoPKeyFrom(private crypto.Signer) *DPoPKey {
	jwk := jose.JSONWebKey{Key: private.Public()}
	public, err := jwk.MarshalJSON()
	if err != nil {
		panic(fmt.Errorf("auth0grpctest: DPoP key: %w", err))
	}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		panic(fmt.Errorf("auth0grpctest: DPoP key: %w", err))
	}
	return &DPoPKey{private: private, alg: algOf(private.Public()), public: public, thumbprint: encode(sum)}
}

func algOf(public crypto.PublicKey) string {
	alg, _, _ := jws.ForKey(public)
	if alg == "" {
		panic(fmt.Sprintf("auth0grpctest: DPoP key: no algorithm for %T", public))
	}
	return alg
}

// Thumbprint returns the key's RFC 7638 thumbprint, which is the member jkt of
// a bound token's cnf claim.
func (k *DPoPKey) Thumbprint() string { return k.thumbprint }

// JWK returns the public key as the JSON object that proofs carry.
func (k *DPoPKey) JWK() json.RawMessage { return k.public }

// Proof returns a proof for one call. By default it is one that a server
// accepts: "htm" POST, "htu" as given, "iat" now, a random "jti", and the "ath"
// of token unless that is "". The address is "https://AUTHORITY/package.Service/Method"
// for a call and [Tenant.TokenURL] for a token request. Members of claims
// replace or add to these by the rules of [Tenant.Token]; a server's nonce is
// the claim "nonce".
func (k *DPoPKey) Proof(htu, token string, claims map[string]any) string {
	defaults := map[string]any{
		"htm": "POST",
		"htu": htu,
		"iat": time.Now(),
		"jti": rand.Text(),
	}
	if token != "" {
		hash := sha256.Sum256([]byte(token))
		defaults["ath"] = encode(hash[:])
	}
	return k.Sign(nil, merge(defaults, claims))
}

// Sign returns a proof with a header and claims of the test's choice, to show
// that bad proofs are refused. The claims are used exactly as given. The header
// is laid over {"typ": "dpop+jwt", "alg": the key's, "jwk": [DPoPKey.JWK]}; a nil
// value removes a member. The key signs under any header.
func (k *DPoPKey) Sign(header, claims map[string]any) string {
	members := merge(map[string]any{"typ": "dpop+jwt", "alg": k.alg, "jwk": k.public}, header)
	if claims == nil {
		claims = map[string]any{}
	}
	input := encode(mustJSON(members)) + "." + encode(mustJSON(claims))
	signature, err := k.signature([]byte(input))
	if err != nil {
		panic(fmt.Errorf("auth0grpctest: sign: %w", err))
	}
	return input + "." + encode(signature)
}

func (k *DPoPKey) signature(input []byte) ([]byte, error) {
	switch private := k.private.(type) {
	case *ecdsa.PrivateKey:
		return signECDSA(private, digest(k.alg, input))
	case *rsa.PrivateKey:
		return rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest(k.alg, input))
	}
	return k.private.Sign(rand.Reader, input, crypto.Hash(0)) // Ed25519
}

// BoundToken is [Tenant.Token] for a token that is bound to a key: its claim
// "cnf" has the thumbprint. Present it as "authorization: DPoP TOKEN" with a
// [DPoPKey.Proof] under "dpop".
func (t *Tenant) BoundToken(claims map[string]any, key *DPoPKey) string {
	return t.Token(withDefault(claims, "cnf", map[string]any{"jkt": key.thumbprint}))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
