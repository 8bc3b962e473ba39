package keyset

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"math"
	"slices"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // exact-case names, no duplicates (hashicorp/cap#191)
)

const (
	// maxKeys is how many entries of a JWK Set are looked at. Auth0 publishes
	// two or three, and up to ten more that a customer brings.
	maxKeys = 64
	// maxSameID is how many keys of one id are kept. RFC 7517 section 4.5
	// wants ids to be distinct; each duplicate costs another signature check.
	maxSameID = 3

	minRSABits = 2048 // RFC 7518 sections 3.3 and 3.5
	// maxRSABits bounds what one signature check can cost. go-jose draws its
	// own line before it, at 4096 bits unless the program moves it.
	maxRSABits = 8192
)

var (
	errNotASet  = errors.New("keyset: jwks is not a JSON Web Key Set")
	errNoKeys   = errors.New("keyset: jwks has no usable key")
	errBadKey   = errors.New("keyset: not a sound public signature key")
	errNoKeyID  = errors.New("keyset: key without an id")
	errSecret   = errors.New("keyset: key with private or symmetric material")
	errKeyUsage = errors.New("keyset: key is not for verifying signatures")
)

// Key is one public key of an issuer. It is immutable.
type Key struct {
	ID     string           // kid, never empty
	Public crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey

	alg string // the JWK's alg, or ""
}

// Fits reports whether a signature of the JWS algorithm alg can be one of this
// key: whether the key's type is that of the algorithm (RFC 7518 section 3.1,
// RFC 8037 section 3.1), and the JWK's own alg, if it has one, allows it. It
// says nothing about which algorithms are acceptable at all.
func (k *Key) Fits(alg string) bool {
	if !slices.Contains(algorithms(k.Public), alg) {
		return false
	}
	if k.alg == "" || k.alg == alg {
		return true
	}
	// Auth0 labels its RSA keys RS256 for the whole tenant, also where an API
	// signs with PS256 by the same key, so RS256 does not exclude PS256, nor
	// its siblings theirs. This is no algorithm confusion (RFC 8725 section
	// 3.1): the algorithm has to be on the verifier's list before a key is
	// asked for, the key is of the right type, the hash is the same, and PSS
	// is the stronger padding. The other way round it would be a downgrade.
	return k.alg[:2] == "RS" && alg == "PS"+k.alg[2:]
}

// same reports whether k and other are the same key, label included.
func (k *Key) same(other *Key) bool {
	pub, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.ID == other.ID && k.alg == other.alg && pub.Equal(other.Public)
}

// algorithms returns the JWS algorithms that a key of this type can serve.
func algorithms(pub crypto.PublicKey) []string {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256():
			return []string{"ES256"}
		case elliptic.P384():
			return []string{"ES384"}
		case elliptic.P521():
			return []string{"ES512"}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	}
	return nil
}

// parseSet returns the usable keys of a JWK Set, in its order. Keys that are
// not usable are left out one by one, as RFC 7517 section 5 advises, so that
// one bad key spoils only itself; a set without any usable key is an error.
func parseSet(body []byte) ([]*Key, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, errNotASet
	}
	var keys []*Key
	for _, raw := range doc.Keys[:min(len(doc.Keys), maxKeys)] {
		k, err := parseKey(raw)
		if err != nil || surplus(keys, k) {
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	return keys, nil
}

// surplus reports whether keys has k already, or enough keys of its id.
func surplus(keys []*Key, k *Key) bool {
	n := 0
	for _, other := range keys {
		if other.same(k) {
			return true
		}
		if other.ID == k.ID {
			n++
		}
	}
	return n >= maxSameID
}

// parseKey returns the key that a JWK describes, if it is usable here.
func parseKey(raw []byte) (*Key, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, errBadKey
	}
	// Before go-jose sees the key: parsing private material is costly, and an
	// issuer that publishes it has lost the key.
	for _, secret := range []string{"k", "d", "p", "q", "dp", "dq", "qi", "oth", "priv"} {
		if _, ok := members[secret]; ok {
			return nil, errSecret
		}
	}
	if ops, ok := members["key_ops"]; ok && !canVerify(ops) {
		return nil, errKeyUsage
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(raw); err != nil {
		return nil, errBadKey // including an x5c that is another key's
	}
	// use is optional (RFC 7517 section 4.2).
	if jwk.Use != "" && jwk.Use != "sig" {
		return nil, errKeyUsage
	}
	if jwk.KeyID == "" {
		return nil, errNoKeyID // nothing could ever select it
	}
	if pub, ok := jwk.Key.(*rsa.PublicKey); ok && !soundRSA(pub) {
		return nil, errBadKey
	}
	algs := algorithms(jwk.Key)
	if len(algs) == 0 || jwk.Algorithm != "" && !slices.Contains(algs, jwk.Algorithm) {
		return nil, errKeyUsage // a key for encryption, or for an unknown algorithm
	}
	return &Key{ID: jwk.KeyID, Public: jwk.Key, alg: jwk.Algorithm}, nil
}

// canVerify reports whether a key_ops member (RFC 7517 section 4.3) names
// verification.
func canVerify(raw []byte) bool {
	var ops []string
	return json.Unmarshal(raw, &ops) == nil && slices.Contains(ops, "verify")
}

// soundRSA reports whether signatures of pub can be trusted and checked at a
// bounded cost. It does not, and cannot, tell how the modulus was made.
func soundRSA(pub *rsa.PublicKey) bool {
	bits := pub.N.BitLen()
	return bits >= minRSABits && bits <= maxRSABits && pub.N.Bit(0) == 1 &&
		// crypto/rsa refuses an exponent past 31 bits too; with 1 or an even
		// one RSA is not a signature.
		pub.E >= 3 && pub.E <= math.MaxInt32 && pub.E%2 == 1
}
