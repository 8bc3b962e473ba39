package auth0grpcclient

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/auth0grpc/auth0grpc/internal/jwk"
	"github.com/auth0grpc/auth0grpc/internal/jws"
)

// A signer makes compact JWS with one key. It does not need to see the private
// half: a crypto.Signer in an HSM or a key service will do.
type signer struct {
	key  crypto.Signer
	alg  string
	hash crypto.Hash // 0 for Ed25519, which does its own
	size int         // of r and s, for ECDSA
}

// newSigner returns a signer, or the reason for which the key cannot sign.
func newSigner(key crypto.Signer) (s *signer, reason string) {
	if public, ok := key.Public().(*rsa.PublicKey); ok && public.N.BitLen() < jwk.MinRSABits {
		return nil, "is an RSA key of fewer than 2048 bits"
	}
	alg, hash, size := jws.ForKey(key.Public())
	if alg == "" || alg == "ES512" {
		return nil, "want an RSA, P-256, P-384 or Ed25519 key"
	}
	return &signer{key, alg, hash, size}, ""
}

// sign returns the compact form of a header, encoded already, and of claims.
func (s *signer) sign(header string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("auth0grpcclient: encoding claims: %w", err)
	}
	input := header + "." + encode(payload)
	digest := []byte(input)
	if s.hash != 0 {
		h := s.hash.New()
		h.Write(digest)
		digest = h.Sum(nil)
	}
	signature, err := s.key.Sign(rand.Reader, digest, s.hash)
	if err == nil && s.size > 0 {
		signature, err = s.fixedSize(signature)
	}
	if err != nil {
		return "", fmt.Errorf("auth0grpcclient: signing: %w", err)
	}
	return input + "." + encode(signature), nil
}

// fixedSize turns the ASN.1 of crypto.Signer into r and s side by side (RFC
// 7518, section 3.4).
func (s *signer) fixedSize(der []byte) ([]byte, error) {
	var point struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &point); err != nil || len(rest) > 0 {
		return nil, errBadSignature
	}
	if point.R.Sign() <= 0 || point.S.Sign() <= 0 || point.R.BitLen() > 8*s.size || point.S.BitLen() > 8*s.size {
		return nil, errBadSignature
	}
	out := make([]byte, 2*s.size)
	point.R.FillBytes(out[:s.size])
	point.S.FillBytes(out[s.size:])
	return out, nil
}

var errBadSignature = errors.New("the key's signature is malformed")

// jwsHeader is the protected header of assertions and proofs.
type jwsHeader struct {
	Type      string          `json:"typ"`
	Algorithm string          `json:"alg"`
	KeyID     string          `json:"kid,omitempty"`
	JWK       json.RawMessage `json:"jwk,omitempty"`
}

func (h jwsHeader) encode() string {
	text, err := json.Marshal(h)
	if err != nil { // a JWK that is not JSON, from go-jose
		panic("auth0grpcclient: " + err.Error())
	}
	return encode(text)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
