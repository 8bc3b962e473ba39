// Package dpop checks DPoP proofs (RFC 9449) as a resource server must, and provides
// the parts for it: key thumbprints (RFC 7638), the memory of used proofs, and nonces.
// It does not depend on gRPC.
package dpop

import (
	"cmp"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/strictjson"
)

const (
	// maxProof bounds a proof before anything is decoded. A proof with an RSA
	// key of 4096 bits, the longest key accepted, has about 2 KiB.
	maxProof = 8 << 10
	// maxClaimLen bounds jti and nonce, which callers store and compare. RFC 9449,
	// section 11.1, tells servers to refuse a jti of unreasonable length.
	maxClaimLen = 256
)

// ErrProof is in every error of [Verifier.Precheck] and [Candidate.Verify], for
// errors.Is. The text of those errors says which check failed and contains no part of
// the proof, so that it can be sent to the client.
var ErrProof = errors.New("dpop: invalid proof")

// proofError is one kind of failure; its text is fixed.
type proofError string

func (e proofError) Error() string        { return ErrProof.Error() + ": " + string(e) }
func (e proofError) Is(target error) bool { return target == ErrProof }

const (
	errSize       proofError = "longer than 8 KiB"
	errNotJWS     proofError = "not a compact JWS"
	errExtension  proofError = "crit and b64 are not supported"
	errType       proofError = "typ is not dpop+jwt"
	errAlgorithm  proofError = "alg is not accepted"
	errKey        proofError = "jwk is not a public key for alg"
	errPrivateKey proofError = "jwk holds private members"
	errClaims     proofError = "claims are not a JSON object of the right types"
	errJTI        proofError = "jti is missing or longer than 256 bytes"
	errMethod     proofError = "htm is not the request's method"
	errURI        proofError = "htu is not the request's URI"
	errTooOld     proofError = "iat is missing or too old"
	errTooNew     proofError = "iat is in the future"
	errTokenHash  proofError = "ath is not the hash of the access token"
	errNonce      proofError = "nonce is longer than 256 bytes"
	errSignature  proofError = "signature does not verify"

	// ErrOtherKey reports a proof by another key than the token is bound to: RFC
	// 9449, section 4.3, item 12b.
	ErrOtherKey proofError = "jwk is not the key of the access token"
)

// Config sets which proofs a [Verifier] accepts.
type Config struct {
	// Algorithms are the JWS algorithms accepted; default ES256 alone. A name
	// that is not an asymmetric algorithm of internal/jws verifies nothing.
	Algorithms []string
	// MaxAge is the maximum age of a proof, default 300 s.
	MaxAge time.Duration
	// MaxAhead bounds the time by which iat may be in the future, default 30 s.
	MaxAhead time.Duration
}

// A Verifier checks proofs. It is immutable and safe for concurrent use.
type Verifier struct{ config Config }

// NewVerifier returns a [Verifier]. It does not validate config.
func NewVerifier(config Config) *Verifier {
	config.Algorithms = slices.Clone(config.Algorithms)
	if len(config.Algorithms) == 0 {
		config.Algorithms = []string{"ES256"}
	}
	config.MaxAge = cmp.Or(config.MaxAge, 300*time.Second)
	config.MaxAhead = cmp.Or(config.MaxAhead, 30*time.Second)
	return &Verifier{config}
}

// A Proof is a proof whose signature was verified.
type Proof struct {
	Thumbprint string    // of the proof's key: the token's cnf.jkt
	ID         string    // jti, unique for the key until Expiry
	IssuedAt   time.Time // iat
	Expiry     time.Time // the last instant at which Precheck accepts the proof
	Nonce      string    // nonce, or empty
}

// A Request is the request that the proof must be made for: Method on one of URIs with
// AccessToken, which is bound to the key with Thumbprint (cnf.jkt).
//
// Each of URIs is a result of [NormalizeURI] on a configured value, never on a value of
// the client. (In Auth0's node SDK before v1.9.1 a Host header decided, and proofs
// moved between endpoints.)
type Request struct {
	Method      string
	URIs        []string
	AccessToken string
	Thumbprint  string
}

// A Candidate is a proof that fits its request and whose signature is not yet
// verified. Nothing in it can be trusted; Nonce is there for a cheap refusal.
type Candidate struct {
	Nonce string

	token *jws.Token
	key   crypto.PublicKey
	proof Proof
}

// Precheck makes the checks of a proof that cost no public-key operation. The proof
// must contain the key of the request, so a proof of another key costs no signature
// check, regardless of the length of that key.
//
// Precheck and [Candidate.Verify] make the checks of RFC 9449, section 4.3, except two:
// that there is one proof (1) and that its nonce is one of the server's (10). The
// caller makes these two, and checks that ID was not used before (section 11.1).
//
// Every error is an [ErrProof].
func (v *Verifier) Precheck(now time.Time, proof string, request Request) (*Candidate, error) {
	token, err := v.parse(proof)
	if err != nil {
		return nil, err
	}
	c, err := parseClaims(token.Payload)
	if err != nil {
		return nil, err
	}
	if err := v.check(c, now, request.Method, request.URIs, request.AccessToken); err != nil {
		return nil, err
	}
	key, thumbprint, err := keyOf(token)
	if err != nil {
		return nil, err
	}
	// Neither value is a secret, so the comparison need not take constant time.
	if thumbprint != request.Thumbprint {
		return nil, ErrOtherKey
	}
	return &Candidate{c.nonce, token, key, Proof{thumbprint, c.jti, c.iat, c.iat.Add(v.config.MaxAge), c.nonce}}, nil
}

// Verify verifies the signature with the key that the proof contains. It is the
// one public-key operation of a proof. The error is an [ErrProof].
func (c *Candidate) Verify() (*Proof, error) {
	if c.token.Verify(c.key) != nil {
		return nil, errSignature
	}
	return &c.proof, nil
}

// keyOf returns the key that the proof contains, and its thumbprint: RFC 9449,
// section 4.3, item 7.
func keyOf(token *jws.Token) (key crypto.PublicKey, thumbprint string, err error) {
	if key, err = parseJWK(token.Header.JWK, token.Header.Algorithm); err != nil {
		return nil, "", err
	}
	if thumbprint, err = Thumbprint(key); err != nil {
		return nil, "", errKey
	}
	return key, thumbprint, nil
}

// parse checks the form and the header: RFC 9449, section 4.3, items 2, 4, 5.
func (v *Verifier) parse(proof string) (*jws.Token, error) {
	if len(proof) > maxProof {
		return nil, errSize
	}
	token, err := jws.Parse(proof)
	switch {
	case errors.Is(err, jws.ErrExtension):
		return nil, errExtension
	case err != nil:
		return nil, errNotJWS
	// The comparison is exact, although media types ignore case (RFC 7515, section
	// 4.1.9). RFC 9449, section 4.2, defines one value, and Auth0's SDKs compare it
	// byte for byte.
	case token.Header.Type != "dpop+jwt":
		return nil, errType
	case !slices.Contains(v.config.Algorithms, token.Header.Algorithm):
		return nil, errAlgorithm
	}
	return token, nil
}

// check compares the claims with the request: RFC 9449, section 4.3, items 3,
// 8, 9, 11 and 12a.
func (v *Verifier) check(c claims, now time.Time, method string, uris []string, accessToken string) error {
	switch {
	case c.jti == "" || len(c.jti) > maxClaimLen:
		return errJTI
	case len(c.nonce) > maxClaimLen:
		return errNonce
	// Methods are case-sensitive (RFC 9110, section 9.1).
	case c.htm != method:
		return errMethod
	case !matchURI(c.htu, uris):
		return errURI
	case c.iat.Before(now.Add(-v.config.MaxAge)):
		return errTooOld
	case c.iat.After(now.Add(v.config.MaxAhead)):
		return errTooNew
	case !matchHash(c.ath, accessToken):
		return errTokenHash
	}
	return nil
}

// claims are the members of RFC 9449, section 4.2; an absent one is zero.
type claims struct {
	jti, htm, htu, ath, nonce string
	iat                       time.Time
}

func parseClaims(payload string) (claims, error) {
	var c claims
	err := strictjson.Object(payload, func(name, value string) error {
		ok := true
		switch name {
		case "jti":
			c.jti, ok = strictjson.String(value)
		case "htm":
			c.htm, ok = strictjson.String(value)
		case "htu":
			c.htu, ok = strictjson.String(value)
		case "ath":
			c.ath, ok = strictjson.String(value)
		case "nonce":
			c.nonce, ok = strictjson.String(value)
		case "iat":
			c.iat, ok = strictjson.Time(value)
		}
		if !ok {
			return errClaims
		}
		return nil
	})
	if err != nil {
		return claims{}, errClaims
	}
	return c, nil
}

// matchHash reports whether ath is the base64url SHA-256 of accessToken. It need not
// take constant time: a caller with a wrong ath has the token, and can hash it.
func matchHash(ath, accessToken string) bool {
	sum := sha256.Sum256([]byte(accessToken))
	var text [43]byte
	base64.RawURLEncoding.Encode(text[:], sum[:])
	return ath == string(text[:])
}
