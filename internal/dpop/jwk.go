package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/strictjson"
)

// The bounds of an RSA modulus, in bits. A shorter one can be factored (RFC 7518,
// section 3.3). A longer one makes a call cost too much: the client chooses its
// key, and the cost of a verification grows with the square of the length.
const minRSA, maxRSA = 2048, 4096

// jwk is a JSON Web Key (RFC 7517) as it was sent; an absent member is empty.
type jwk struct {
	kty, crv, x, y, n, e string
	use, alg             string
	operations           []string
}

// parseJWK reads the public key that a proof contains, and refuses every key but a
// well-formed public one for alg: RFC 9449, section 4.3, item 7, and section 4.2 ("MUST
// NOT contain a private key"). A client that sends its private key has no secret left
// to prove possession of.
//
// It accepts only one encoding of each key, so that a key has one thumbprint.
func parseJWK(doc, alg string) (crypto.PublicKey, error) {
	var k jwk
	err := strictjson.Object(doc, k.member)
	if err == errPrivateKey {
		return nil, errPrivateKey
	}
	if err != nil || !k.permits(alg) {
		return nil, errKey
	}
	var public crypto.PublicKey
	var ok bool
	switch k.kty {
	case "EC":
		public, ok = k.ec()
	case "RSA":
		public, ok = k.rsa()
	case "OKP":
		public, ok = k.okp()
	}
	if !ok || !jws.KeyFits(alg, public) {
		return nil, errKey
	}
	return public, nil
}

func (k *jwk) member(name, value string) error {
	ok := true
	switch name {
	// RFC 7518, sections 6.2.2, 6.3.2 and 6.4; RFC 8037, section 2.
	case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
		return errPrivateKey
	case "kty":
		k.kty, ok = strictjson.String(value)
	case "crv":
		k.crv, ok = strictjson.String(value)
	case "x":
		k.x, ok = strictjson.String(value)
	case "y":
		k.y, ok = strictjson.String(value)
	case "n":
		k.n, ok = strictjson.String(value)
	case "e":
		k.e, ok = strictjson.String(value)
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

// permits reports whether the key's own restrictions (RFC 7517, sections 4.2
// and 4.4) let it verify a signature of alg; absent ones restrict nothing.
func (k *jwk) permits(alg string) bool {
	return (k.use == "" || k.use == "sig") && (k.alg == "" || k.alg == alg)
}

var curves = map[string]elliptic.Curve{
	"P-256": elliptic.P256(),
	"P-384": elliptic.P384(),
	"P-521": elliptic.P521(),
}

// ec reads RFC 7518, section 6.2.1: coordinates as wide as the field, of a
// point on the curve, which ecdsa checks.
func (k *jwk) ec() (*ecdsa.PublicKey, bool) {
	curve := curves[k.crv]
	if curve == nil {
		return nil, false
	}
	size := (curve.Params().BitSize + 7) / 8
	x, okX := decode(k.x)
	y, okY := decode(k.y)
	if !okX || !okY || len(x) != size || len(y) != size {
		return nil, false
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	return public, err == nil
}

// rsa reads RFC 7518, section 6.3.1: numbers in the fewest octets. crypto/rsa refuses
// an exponent of more than 31 bits.
func (k *jwk) rsa() (*rsa.PublicKey, bool) {
	n, okN := decode(k.n)
	e, okE := decode(k.e)
	if !okN || !okE || len(n) == 0 || len(e) == 0 || len(e) > 4 || n[0] == 0 || e[0] == 0 {
		return nil, false
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	bits := public.N.BitLen()
	return public, bits >= minRSA && bits <= maxRSA && public.E >= 3 && public.E&1 == 1 && public.E <= math.MaxInt32
}

// okp reads RFC 8037, section 2, for the one curve that signs as EdDSA here.
func (k *jwk) okp() (ed25519.PublicKey, bool) {
	x, ok := decode(k.x)
	return x, ok && k.crv == "Ed25519" && len(x) == ed25519.PublicKeySize
}

// base64url is strict: see internal/jws. encoding/base64 skips CR and LF.
var base64url = base64.RawURLEncoding.Strict()

func decode(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	decoded, err := base64url.DecodeString(s)
	return decoded, err == nil
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
		curve := key.Params().Name
		point, err := key.Bytes()
		if err != nil || curves[curve] == nil {
			return "", errors.New("dpop: thumbprint of a key that is not on a known curve")
		}
		half := 1 + len(point)/2 // after the 4 of an uncompressed point
		doc = append(doc, `{"crv":"`+curve+`","kty":"EC","x":"`...)
		doc = base64url.AppendEncode(doc, point[1:half])
		doc = append(doc, `","y":"`...)
		doc = base64url.AppendEncode(doc, point[half:])
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
	return base64url.EncodeToString(sum[:]), nil
}
