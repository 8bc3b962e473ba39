// Package dpop checks DPoP proofs (RFC 9449) as a resource server must, and
// keeps what that needs: the keys' thumbprints (RFC 7638), the memory of proofs
// already used, and nonces. It knows nothing of gRPC, except that every gRPC
// call is an HTTP POST.
package dpop

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/strictjson"
)

const (
	// maxProof bounds a proof before anything is decoded. A proof with an RSA
	// key of 8192 bits, the longest key accepted, has about 4 KiB.
	maxProof = 8 << 10
	// maxText bounds jti and nonce, which callers store and compare. RFC 9449,
	// section 11.1, tells servers to refuse a jti of unreasonable length.
	maxText = 256
)

// ErrProof is what errors.Is finds in every error of Verify. The text of those
// errors says which check failed and holds no part of the proof, so that it may
// be sent to the client.
var ErrProof = errors.New("dpop: invalid proof")

// proofError is one way to fail; its text is fixed.
type proofError string

func (e proofError) Error() string        { return ErrProof.Error() + ": " + string(e) }
func (e proofError) Is(target error) bool { return target == ErrProof }

const (
	errSize       proofError = "longer than 8 KiB"
	errForm       proofError = "not a compact JWS"
	errExtension  proofError = "crit and b64 are not supported"
	errType       proofError = "typ is not dpop+jwt"
	errAlgorithm  proofError = "alg is not accepted"
	errKey        proofError = "jwk is not a public key for alg"
	errPrivateKey proofError = "jwk holds private members"
	errClaims     proofError = "claims are not a JSON object of the right types"
	errID         proofError = "jti is missing or longer than 256 bytes"
	errMethod     proofError = "htm is not the request's method"
	errURI        proofError = "htu is not the request's URI"
	errTooOld     proofError = "iat is missing or too old"
	errTooNew     proofError = "iat is in the future"
	errTokenHash  proofError = "ath is not the hash of the access token"
	errNonce      proofError = "nonce is longer than 256 bytes"
	errSignature  proofError = "signature does not verify"
)

// Config says which proofs a Verifier accepts.
type Config struct {
	// Algorithms are the JWS algorithms accepted; default ES256 alone. A name
	// that is not an asymmetric algorithm of internal/jws verifies nothing.
	Algorithms []string
	// MaxAge is how long ago a proof may have been made, default 300 s.
	MaxAge time.Duration
	// MaxAhead is how far in the future a client's clock may have made it,
	// default 30 s.
	MaxAhead time.Duration
}

// A Verifier checks proofs. It is immutable and safe for concurrent use.
type Verifier struct{ config Config }

// NewVerifier returns a Verifier; it does not judge config.
func NewVerifier(config Config) *Verifier {
	config.Algorithms = slices.Clone(config.Algorithms)
	if len(config.Algorithms) == 0 {
		config.Algorithms = []string{"ES256"}
	}
	config.MaxAge = cmp.Or(config.MaxAge, 300*time.Second)
	config.MaxAhead = cmp.Or(config.MaxAhead, 30*time.Second)
	return &Verifier{config}
}

// A Proof is what a verified proof leaves for its caller to decide on.
type Proof struct {
	Thumbprint string    // of the proof's key, to compare with the token's cnf.jkt
	ID         string    // jti, unique for the key until Expiry
	IssuedAt   time.Time // iat
	Expiry     time.Time // the last instant at which Verify accepts the proof
	Nonce      string    // nonce, or empty
}

// Verify checks at now one proof, presented with accessToken in a POST request
// whose URI, as the server knows it, is one of uris: each a result of
// NormalizeURI on what was configured, never on what the client sent (in Auth0's
// node SDK before v1.9.1 a Host header decided, and proofs moved between
// endpoints).
//
// It makes the checks of RFC 9449, section 4.3, except three: that there is one
// proof (1), that its nonce is one of the server's (10), and that its key is
// the token's (12b). These, and that ID was not used before (section 11.1), are
// the caller's, from the Proof returned.
//
// Every error is an ErrProof.
func (v *Verifier) Verify(now time.Time, proof string, uris []string, accessToken string) (*Proof, error) {
	return v.verify(now, proof, http.MethodPost, uris, accessToken)
}

// verify makes all free checks before it touches the key, and the signature
// last: a proof made for something else costs no elliptic curve.
func (v *Verifier) verify(now time.Time, proof, method string, uris []string, accessToken string) (*Proof, error) {
	token, err := v.parse(proof)
	if err != nil {
		return nil, err
	}
	c, err := parseClaims(token.Payload)
	if err != nil {
		return nil, err
	}
	if err := v.check(c, now, method, uris, accessToken); err != nil {
		return nil, err
	}
	thumbprint, err := signer(token)
	if err != nil {
		return nil, err
	}
	return &Proof{thumbprint, c.jti, c.iat, c.iat.Add(v.config.MaxAge), c.nonce}, nil
}

// signer verifies the signature with the key that the proof brings along, and
// returns that key's thumbprint: RFC 9449, section 4.3, items 6 and 7.
func signer(token *jws.Token) (thumbprint string, err error) {
	key, err := parseJWK(token.Header.JWK, token.Header.Algorithm)
	if err != nil {
		return "", err
	}
	if token.Verify(key) != nil {
		return "", errSignature
	}
	if thumbprint, err = Thumbprint(key); err != nil {
		return "", errKey
	}
	return thumbprint, nil
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
		return nil, errForm
	// Exactly so, though media types fold case (RFC 7515, section 4.1.9): RFC
	// 9449, section 4.2, prints one value, Auth0's SDKs compare it byte for byte,
	// and a token type has no use for a second spelling.
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
	case c.jti == "" || len(c.jti) > maxText:
		return errID
	case len(c.nonce) > maxText:
		return errNonce
	// Methods are case-sensitive (RFC 9110, section 9.1).
	case c.htm != method:
		return errMethod
	case !matchURI(c.htu, uris):
		return errURI
	case c.iat.IsZero() || c.iat.Before(now.Add(-v.config.MaxAge)):
		return errTooOld
	case c.iat.After(now.Add(v.config.MaxAhead)):
		return errTooNew
	case !matchHash(c.ath, accessToken):
		return errTokenHash
	}
	return nil
}

// claims are the members of RFC 9449, section 4.2; one that is absent is zero.
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

// matchHash reports whether ath is the base64url SHA-256 of accessToken. It
// need not take constant time: who sees ath differ has the token to hash.
func matchHash(ath, accessToken string) bool {
	sum := sha256.Sum256([]byte(accessToken))
	var text [43]byte
	base64.RawURLEncoding.Encode(text[:], sum[:])
	return ath == string(text[:])
}
