package auth0grpcclient

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestSignEd25519(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, reason := newSigner(private)
	if reason != "" || s.alg != "EdDSA" {
		t.Fatalf("%v, %q, want a signer for EdDSA", s, reason)
	}
	jws, err := s.sign("e30", map[string]any{"a": 1})
	if err != nil {
		t.Fatal(err)
	}
	end := strings.LastIndexByte(jws, '.')
	signature, err := base64.RawURLEncoding.DecodeString(jws[end+1:])
	if err != nil || !ed25519.Verify(public, []byte(jws[:end]), signature) {
		t.Errorf("%s does not verify", jws)
	}
}

// A badKey returns a configured signature.
type badKey struct {
	crypto.Signer
	signature []byte
	err       error
}

func (k badKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return k.signature, k.err }

// TestSignatureOfAnotherKind covers key services whose result is not an ECDSA signature
// for the curve. A signature that is too long must not panic.
func TestSignatureOfAnotherKind(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	type point struct{ R, S *big.Int }
	der := func(r, s *big.Int) []byte {
		text, err := asn1.Marshal(point{r, s})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	one, most := big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 256)
	below := new(big.Int).Sub(most, one)
	down := errors.New("the key service is down")
	for name, test := range map[string]struct {
		key  badKey
		want error
	}{
		"small":       {badKey{signature: der(one, one)}, nil},
		"largest":     {badKey{signature: der(below, below)}, nil},
		"r too long":  {badKey{signature: der(most, one)}, errBadSignature},
		"s too long":  {badKey{signature: der(one, most)}, errBadSignature},
		"r is zero":   {badKey{signature: der(new(big.Int), one)}, errBadSignature},
		"s is zero":   {badKey{signature: der(one, new(big.Int))}, errBadSignature},
		"negative r":  {badKey{signature: der(big.NewInt(-1), one)}, errBadSignature},
		"negative s":  {badKey{signature: der(one, big.NewInt(-1))}, errBadSignature},
		"more behind": {badKey{signature: append(der(one, one), 0)}, errBadSignature},
		"no DER":      {badKey{signature: make([]byte, 64)}, errBadSignature},
		"empty":       {badKey{}, errBadSignature},
		"an error":    {badKey{err: down}, down},
	} {
		test.key.Signer = key
		s, _ := newSigner(test.key)
		jws, err := s.sign("e30", nil)
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if signature := jws[strings.LastIndexByte(jws, '.')+1:]; err == nil && len(signature) != base64.RawURLEncoding.EncodedLen(64) {
			t.Errorf("%s: the signature has %d characters", name, len(signature))
		}
	}
}

func TestNoncesAreBounded(t *testing.T) {
	t.Parallel()
	p := &prover{nonces: map[string]string{}}
	longest := strings.Repeat("n", 1024)
	for _, values := range [][]string{{longest}, {longest + "n"}, {""}, nil} {
		p.rememberNonce("https://a", values)
		if p.nonce("https://a") != longest {
			t.Errorf("after %d values: a nonce of %d bytes is kept, want the one of 1024", len(values), len(p.nonce("https://a")))
		}
	}
}

// TestTokenThatHasJustLanded is a caller that found no good token, and waits for the
// lock while the fetch of another one lands.
func TestTokenThatHasJustLanded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := &source{now: func() time.Time { return now }, fetch: func(context.Context, string) (*token, *TokenError) {
		t.Error("a second fetch")
		return nil, &TokenError{}
	}}
	fresh := &token{authorization: "Bearer t", refresh: now.Add(time.Minute), deadline: now.Add(time.Hour)}
	s.current.Store(fresh)
	f, failure := s.ensure(now, "")
	if failure != nil {
		t.Fatal(failure)
	}
	if got, err := f.wait(t.Context()); got != fresh || err != nil {
		t.Errorf("%v, %v, want the token that has landed", got, err)
	}
	if !s.renew(t.Context(), &token{authorization: "Bearer refused"}, "") {
		t.Error("the token that has landed is not taken for a refused one")
	}
	if s.renew(t.Context(), &token{authorization: fresh.authorization}, "") {
		t.Error("the same token again is taken for another one")
	}
}
