package auth0grpctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
)

// Sign returns a token with a header and claims of the test's choice, to show
// that bad tokens are refused. The claims are used exactly as given: there are
// no defaults. The header is laid over {"alg": "RS256", "typ": "JWT", "kid": the
// current key}; a nil value removes a member.
//
// The header's "alg" chooses the signature, and nothing else does: the key is
// the tenant's current one, also under another "kid".
//
//   - RS256, RS384, RS512, PS256, PS384, PS512: the RSA key.
//   - ES256: the elliptic-curve key, which is also the default "kid" then; see
//     [Tenant.PublishES256].
//   - HS256, HS384, HS512: an HMAC keyed with the RSA public key in PEM, the
//     forgery that a verifier falls for if the token may choose its algorithm.
//   - none, in any case: an empty signature.
//   - anything else, or no "alg": RS256, under a header that says otherwise.
//
// Sign panics if a value has no JSON form.
func (t *Tenant) Sign(header, claims map[string]any) string {
	key := t.keys.signer()
	members := map[string]any{"alg": "RS256", "typ": "JWT", "kid": key.id}
	if header["alg"] == "ES256" {
		members["kid"] = t.keys.es256.id
	}
	if claims == nil {
		claims = map[string]any{}
	}
	return t.signCompact(key, mustJSON(merge(members, header)), mustJSON(claims))
}

// SignRaw is [Tenant.Sign] for contents that a Go map cannot hold, such as a name that
// occurs twice or text that is not JSON. Both texts are used byte for byte, and
// the header's "alg" chooses the signature by the same list.
func (t *Tenant) SignRaw(header, payload string) string {
	return t.signCompact(t.keys.signer(), []byte(header), []byte(payload))
}

// signCompact returns the compact form, signed as the header's alg says.
func (t *Tenant) signCompact(key *rsaKey, header, payload []byte) string {
	var members map[string]any
	_ = json.Unmarshal(header, &members) // no JSON, no alg: RS256
	alg, _ := members["alg"].(string)

	input := encode(header) + "." + encode(payload)
	signature, err := t.signature(key, alg, []byte(input))
	if err != nil {
		panic(fmt.Errorf("auth0grpctest: sign: %w", err))
	}
	return input + "." + encode(signature)
}

func (t *Tenant) signature(key *rsaKey, alg string, input []byte) ([]byte, error) {
	switch alg {
	case "RS256", "RS384", "RS512":
		return rsa.SignPKCS1v15(rand.Reader, key.private, hashOf(alg), digest(alg, input))
	case "PS256", "PS384", "PS512":
		// RFC 7518, section 3.5: the salt is as long as the hash.
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return rsa.SignPSS(rand.Reader, key.private, hashOf(alg), digest(alg, input), options)
	case "ES256":
		return signECDSA(t.keys.es256.private, digest(alg, input))
	case "HS256", "HS384", "HS512":
		return signWithPublicKey(&key.private.PublicKey, alg, input)
	}
	if strings.EqualFold(alg, "none") {
		return nil, nil
	}
	return t.signature(key, "RS256", input)
}

// signECDSA returns r and s side by side, each as long as the curve's order (RFC
// 7518, section 3.4).
func signECDSA(key *ecdsa.PrivateKey, digest []byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		return nil, err
	}
	size := (key.Params().N.BitLen() + 7) / 8
	out := make([]byte, 2*size)
	r.FillBytes(out[:size])
	s.FillBytes(out[size:])
	return out, nil
}

func signWithPublicKey(key *rsa.PublicKey, alg string, input []byte) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	mac := hmac.New(hashOf(alg).New, secret)
	mac.Write(input)
	return mac.Sum(nil), nil
}

// hashOf returns the hash that the last three characters of an alg name.
func hashOf(alg string) crypto.Hash {
	switch {
	case strings.HasSuffix(alg, "384"):
		return crypto.SHA384
	case strings.HasSuffix(alg, "512"):
		return crypto.SHA512
	default:
		return crypto.SHA256
	}
}

func digest(alg string, input []byte) []byte {
	h := hashOf(alg).New()
	h.Write(input)
	return h.Sum(nil)
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("auth0grpctest: claims: %w", err))
	}
	return b
}
