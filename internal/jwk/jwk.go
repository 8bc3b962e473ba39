// Package jwk decodes the public keys of JSON Web Keys (RFC 7517). It reads
// the members that describe a key and no others, so an error in a certificate
// member (x5c, x5t, x5u) does not affect the key.
package jwk

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"math/big"
	"slices"

	"github.com/auth0grpc/auth0grpc/internal/base64url"
)

// The bounds of an RSA modulus, in bits. A shorter one can be factored
// (RFC 7518, sections 3.3 and 3.5). A longer one makes each verification
// cost more than a call should.
const (
	MinRSABits = 2048
	MaxRSABits = 8192
)

// The errors of a [Key].
var (
	ErrType    = errors.New("jwk: key type or curve is not supported")
	ErrRSASize = errors.New("jwk: RSA modulus is not of 2048 to 8192 bits")
	ErrValue   = errors.New("jwk: key has a missing or malformed value")
)

// SecretMembers are the members that hold private or symmetric key material:
// RFC 7518, sections 6.2.2, 6.3.2 and 6.4, RFC 8037, section 2, and "priv" of
// the key type AKP.
var SecretMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// Key holds the members of a JSON Web Key that describe its public key. An
// absent member is empty.
type Key struct {
	Type, Curve, X, Y, N, E string
}

// Public returns the public key: an *rsa.PublicKey of [MinRSABits] to
// [MaxRSABits], an *ecdsa.PublicKey on P-256, P-384 or P-521, or an
// ed25519.PublicKey. The error is [ErrType], [ErrRSASize] or [ErrValue].
func (k *Key) Public() (crypto.PublicKey, error) {
	switch k.Type {
	case "EC":
		return k.ec()
	case "RSA":
		return k.rsa()
	case "OKP":
		return k.okp()
	}
	return nil, ErrType
}

var curves = map[string]elliptic.Curve{
	"P-256": elliptic.P256(),
	"P-384": elliptic.P384(),
	"P-521": elliptic.P521(),
}

// IsSupported reports whether keys on the curve are read.
func IsSupported(curve elliptic.Curve) bool { return curves[curve.Params().Name] == curve }

// ec reads RFC 7518, section 6.2.1: coordinates as wide as the field. The
// ecdsa package checks that the point is on the curve.
func (k *Key) ec() (crypto.PublicKey, error) {
	curve := curves[k.Curve]
	if curve == nil {
		return nil, ErrType
	}
	size := (curve.Params().BitSize + 7) / 8
	x, okX := base64url.Decode(k.X)
	y, okY := base64url.Decode(k.Y)
	if !okX || !okY || len(x) != size || len(y) != size {
		return nil, ErrValue
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, ErrValue
	}
	return public, nil
}

// rsa reads RFC 7518, section 6.3.1. It accepts leading zero octets, which
// some issuers send against that section.
//
// crypto/rsa refuses an exponent of more than 31 bits. With 1 or an even
// exponent RSA is not a signature. How the modulus was made cannot be checked.
func (k *Key) rsa() (crypto.PublicKey, error) {
	n, okN := base64url.Decode(k.N)
	e, okE := base64url.Decode(k.E)
	if !okN || !okE {
		return nil, ErrValue
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	if exponent.BitLen() > 31 || exponent.Int64() < 3 || exponent.Bit(0) == 0 || modulus.Sign() == 0 {
		return nil, ErrValue
	}
	if bits := modulus.BitLen(); bits < MinRSABits || bits > MaxRSABits {
		return nil, ErrRSASize
	}
	if modulus.Bit(0) == 0 {
		return nil, ErrValue
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

// okp reads RFC 8037, section 2, for Ed25519.
func (k *Key) okp() (crypto.PublicKey, error) {
	if k.Curve != "Ed25519" {
		return nil, ErrType
	}
	x, ok := base64url.Decode(k.X)
	if !ok || len(x) != ed25519.PublicKeySize {
		return nil, ErrValue
	}
	return ed25519.PublicKey(x), nil
}
