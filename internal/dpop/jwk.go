package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math/big"
	"slices"

	"github.com/auth0grpc/auth0grpc/internal/base64url"
	"github.com/auth0grpc/auth0grpc/internal/jwk"
	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/strictjson"
)

// maxRSABits is below [jwk.MaxRSABits]: the client chooses its key, and the cost of a
// verification grows with the square of the length.
const maxRSABits = 4096

// A proofKey holds the members of a JSON Web Key (RFC 7517) as it was sent. An absent
// member is empty.
type proofKey struct {
	key        jwk.Key
	use, alg   string
	operations []string
}

// parseJWK reads the public key that a proof contains, and refuses every key but a
// well-formed public one for alg: RFC 9449, section 4.3, item 7, and section 4.2 ("MUST
// NOT contain a private key"). A client that sends its private key has no secret left
// to prove possession of.
//
// It accepts only one encoding of each key, so that a key has one thumbprint.
func parseJWK(doc, alg string) (crypto.PublicKey, error) {
	var k proofKey
	err := strictjson.Object(doc, k.setMember)
	if err == errPrivateKey {
		return nil, errPrivateKey
	}
	if err != nil || !k.permits(alg) {
		return nil, errKey
	}
	public, err := k.key.Public()
	if err != nil || !jws.KeyFits(alg, public) {
		return nil, errKey
	}
	if public, ok := public.(*rsa.PublicKey); ok && !k.isCanonicalRSA(public) {
		return nil, errKey
	}
	return public, nil
}

func (k *proofKey) setMember(name, value string) error {
	if slices.Contains(jwk.SecretMembers, name) {
		return errPrivateKey
	}
	ok := true
	switch name {
	case "kty":
		k.key.Type, ok = strictjson.String(value)
	case "crv":
		k.key.Curve, ok = strictjson.String(value)
	case "x":
		k.key.X, ok = strictjson.String(value)
	case "y":
		k.key.Y, ok = strictjson.String(value)
	case "n":
		k.key.N, ok = strictjson.String(value)
	case "e":
		k.key.E, ok = strictjson.String(value)
	case "use":
		k.use, ok = strictjson.String(value)
	case "alg":
		k.alg, ok = strictjson.String(value)
	case "key_ops":
		k.operations, ok = strictjson.Strings(value)
		ok = ok && slices.Contains(k.operations, "verify")
	}
	if !ok {
		return errKey
	}
	return nil
}

// permits reports whether the key's own restrictions (RFC 7517, sections 4.2 and 4.4)
// let it verify a signature of alg. Absent ones restrict nothing.
func (k *proofKey) permits(alg string) bool {
	return (k.use == "" || k.use == "sig") && (k.alg == "" || k.alg == alg)
}

// isCanonicalRSA reports whether the numbers have the fewest octets (RFC 7518, section
// 6.3.1), and the modulus at most maxRSABits. Issuers may send leading zeros, clients
// may not.
func (k *proofKey) isCanonicalRSA(public *rsa.PublicKey) bool {
	return public.N.BitLen() <= maxRSABits && k.key.N == base64url.Encode(public.N.Bytes()) &&
		k.key.E == base64url.Encode(big.NewInt(int64(public.E)).Bytes())
}

// Thumbprint returns the RFC 7638 SHA-256 thumbprint of public in base64url, as
// it stands in a token's cnf.jkt (RFC 9449, section 6.1). It knows *rsa.PublicKey,
// ed25519.PublicKey and *ecdsa.PublicKey on P-256, P-384 and P-521.
func Thumbprint(public crypto.PublicKey) (string, error) {
	// The members that RFC 7638, section 3.2, and RFC 8037, section 2, require,
	// in lexicographic order, without white space. Enough for a curve's point.
	doc := make([]byte, 0, 256)
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil || !jwk.IsSupported(key.Curve) {
			return "", errors.New("dpop: thumbprint of a key that is not on a known curve")
		}
		split := 1 + len(point)/2 // after the 4 of an uncompressed point
		doc = append(doc, `{"crv":"`+key.Params().Name+`","kty":"EC","x":"`...)
		doc = base64url.AppendEncode(doc, point[1:split])
		doc = append(doc, `","y":"`...)
		doc = base64url.AppendEncode(doc, point[split:])
	case *rsa.PublicKey:
		doc = append(doc, `{"e":"`...)
		doc = base64url.AppendEncode(doc, big.NewInt(int64(key.E)).Bytes())
		doc = append(doc, `","kty":"RSA","n":"`...)
		doc = base64url.AppendEncode(doc, key.N.Bytes())
	case ed25519.PublicKey:
		doc = append(doc, `{"crv":"Ed25519","kty":"OKP","x":"`...)
		doc = base64url.AppendEncode(doc, key)
	default:
		return "", errors.New("dpop: thumbprint of an unknown kind of key")
	}
	sum := sha256.Sum256(append(doc, `"}`...))
	return base64url.Encode(sum[:]), nil
}
