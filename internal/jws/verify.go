package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"math/big"
	"slices"
	"unsafe"
)

// ErrSignature reports a signature that the key did not make.
var ErrSignature = errors.New("jws: signature does not verify")

// family is the kind of key and padding that an algorithm uses.
type family int

const (
	rsaPKCS1 family = iota + 1
	rsaPSS
	ec
	ed
)

type algorithm struct {
	family    family
	hash      crypto.Hash
	fieldSize int // of an elliptic curve, in bits
}

// algorithms are the asymmetric ones of RFC 7518, section 3.1, and RFC 8037.
// There is no HS256 here and no none, so no configuration can let them in.
var algorithms = map[string]algorithm{
	"RS256": {family: rsaPKCS1, hash: crypto.SHA256},
	"RS384": {family: rsaPKCS1, hash: crypto.SHA384},
	"RS512": {family: rsaPKCS1, hash: crypto.SHA512},
	"PS256": {family: rsaPSS, hash: crypto.SHA256},
	"PS384": {family: rsaPSS, hash: crypto.SHA384},
	"PS512": {family: rsaPSS, hash: crypto.SHA512},
	"ES256": {family: ec, hash: crypto.SHA256, fieldSize: 256},
	"ES384": {family: ec, hash: crypto.SHA384, fieldSize: 384},
	"ES512": {family: ec, hash: crypto.SHA512, fieldSize: 521},
	"EdDSA": {family: ed},
	// RFC 9864, section 2.2: EdDSA with an Ed25519 key, under its own name.
	"Ed25519": {family: ed},
}

// Algorithms returns the names that Verify knows, sorted.
func Algorithms() []string {
	names := make([]string, 0, len(algorithms))
	for name := range algorithms {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// KeyFits reports whether public is the kind of key that alg verifies with: an
// RSA key for RS and PS, a key on the algorithm's own curve for ES (RFC 7518,
// section 3.4), an Ed25519 key for EdDSA and Ed25519.
func KeyFits(alg string, public crypto.PublicKey) bool {
	a := algorithms[alg]
	switch key := public.(type) {
	case *rsa.PublicKey:
		return a.family == rsaPKCS1 || a.family == rsaPSS
	case *ecdsa.PublicKey:
		return a.family == ec && key.Curve.Params().BitSize == a.fieldSize
	case ed25519.PublicKey:
		return a.family == ed
	}
	return false
}

// ForKey returns the algorithm that signs with a key by default, or "": RS256, the ES of
// the curve, or EdDSA, which more parties know than its name Ed25519 in RFC 9864. hash is
// 0 for EdDSA, which does its own; size is the length of r and of s in bytes, for ES.
func ForKey(public crypto.PublicKey) (alg string, hash crypto.Hash, size int) {
	for _, alg := range []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"} {
		if KeyFits(alg, public) {
			a := algorithms[alg]
			return alg, a.hash, (a.fieldSize + 7) / 8
		}
	}
	return "", 0, 0
}

// Verify returns nil when public made the token's signature under the algorithm
// that its header names, and ErrSignature otherwise; a key of another kind than
// the algorithm's is an ErrSignature too (no algorithm confusion).
func (t *Token) Verify(public crypto.PublicKey) error {
	alg := t.Header.Algorithm
	if !KeyFits(alg, public) || !algorithms[alg].verify(public, t.signingInput, t.Signature) {
		return ErrSignature
	}
	return nil
}

// verify takes a key that KeyFits.
func (a algorithm) verify(public crypto.PublicKey, signingInput string, signature []byte) bool {
	// The signed text where it lies: hashes only read it, and a copy of a long token
	// would cost more than its hash.
	signed := unsafe.Slice(unsafe.StringData(signingInput), len(signingInput))
	if a.family == ed {
		return ed25519.Verify(public.(ed25519.PublicKey), signed, signature)
	}
	digest := sum(a.hash, signed)
	switch a.family {
	case rsaPKCS1:
		return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), a.hash, digest, signature) == nil
	case rsaPSS:
		// RFC 7518, section 3.5: the salt is as long as the hash.
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return rsa.VerifyPSS(public.(*rsa.PublicKey), a.hash, digest, signature, options) == nil
	case ec:
		// RFC 7518, section 3.4: R and S side by side, each as wide as the field.
		width := (a.fieldSize + 7) / 8
		if len(signature) != 2*width {
			return false
		}
		r := new(big.Int).SetBytes(signature[:width])
		s := new(big.Int).SetBytes(signature[width:])
		return ecdsa.Verify(public.(*ecdsa.PublicKey), digest, r, s)
	}
	return false
}

// sum returns the hash of data. It allocates less than the interface of [crypto.Hash].
func sum(hash crypto.Hash, data []byte) []byte {
	switch hash {
	case crypto.SHA256:
		digest := sha256.Sum256(data)
		return digest[:]
	case crypto.SHA384:
		digest := sha512.Sum384(data)
		return digest[:]
	default:
		digest := sha512.Sum512(data)
		return digest[:]
	}
}
