package auth0grpc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// Memory goes from token to token, but no byte of a token does: neither of a verified one
// nor of one that was refused before.
func TestResetKeepsNoByte(t *testing.T) {
	v := newTestVerifier(&Config{Algorithms: []string{"ES256"}, Issuers: []string{"https://a.example.com/"}, Audiences: []string{"api"}, CacheSize: NoCache})
	raw, key := signES256(t, `{"alg":"ES256","kid":"k"}`, `{`+required+`}`)
	for name, verify := range map[string]func(a *unverifiedToken) *refusal{
		"verified": func(a *unverifiedToken) *refusal {
			return v.checkSignature(t.Context(), a, []*keyset.Key{{ID: "k", Public: key}})
		},
		"not verified": func(*unverifiedToken) *refusal { return nil },
	} {
		a := prechecked(t, v, raw)
		if refused := verify(a); refused != nil {
			t.Fatal(refused)
		}
		claims, signature := a.forOIDC[:cap(a.forOIDC)], a.parsed.Signature[:cap(a.parsed.Signature)]
		if !bytes.HasPrefix(claims, []byte(`{"iss"`)) || len(bytes.Trim(signature, "\x00")) == 0 {
			t.Fatalf("%s: claims %q, signature %q before the reset", name, claims, signature)
		}
		a.reset()
		for part, memory := range map[string][]byte{"claims": claims, "signature": signature} {
			if len(bytes.Trim(memory, "\x00")) > 0 {
				t.Errorf("%s: reset keeps %s %q", name, part, memory)
			}
		}
		if len(a.forOIDC) > 0 || len(a.parsed.Signature) > 0 {
			t.Errorf("%s: %d bytes of claims and %d of the signature", name, len(a.forOIDC), len(a.parsed.Signature))
		}
		a.forOIDC, a.parsed.Signature = nil, nil
		if diff := cmp.Diff(unverifiedToken{}, *a, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
			t.Errorf("%s: reset keeps (-want +got):\n%s", name, diff)
		}
	}
}

// The payload and the claims are new for each token, because they may be kept. The rest is
// used again.
func TestTokensUseMemoryAgain(t *testing.T) {
	v := newTestVerifier(&Config{Algorithms: []string{"ES256"}, Issuers: []string{"https://a.example.com/"}, Audiences: []string{"api"}, CacheSize: NoCache})
	raw, key := signES256(t, `{"alg":"ES256","kid":"k"}`, `{`+required+`}`)
	if refused := v.checkSignature(t.Context(), prechecked(t, v, raw), []*keyset.Key{{ID: "k", Public: key}}); refused != nil {
		t.Fatal(refused) // makes the header known
	}
	// The payload, the claims and the list of audiences make three, and new memory for the
	// rest three more. The race detector lets sync.Pool forget a quarter of it.
	const most = 5
	got := testing.AllocsPerRun(1000, func() {
		a := newUnverifiedToken(raw, v.headers.Find(raw))
		if refused := v.precheck(a, time.Unix(1500, 0)); refused != nil {
			t.Fatal(refused)
		}
		a.release()
	})
	if got > most {
		t.Errorf("%v allocations for a token, want at most %d", got, most)
	}
}

// prechecked returns a token that has only its signature left to check.
func prechecked(t *testing.T, v *verifier, raw string) *unverifiedToken {
	t.Helper()
	a := newUnverifiedToken(raw, v.headers.Find(raw))
	if refused := v.precheck(a, time.Unix(1500, 0)); refused != nil {
		t.Fatal(refused)
	}
	return a
}

// go-oidc sees the context of the call behind the token.
func TestUnverifiedTokenIsAContext(t *testing.T) {
	v := newTestVerifier(&Config{Algorithms: []string{"ES256"}, Issuers: []string{"https://a.example.com/"}, Audiences: []string{"api"}, CacheSize: NoCache})
	raw, key := signES256(t, `{"alg":"ES256","kid":"k"}`, `{`+required+`}`)
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), testContextKey{}, "call"))
	a := prechecked(t, v, raw)
	if refused := v.checkSignature(ctx, a, []*keyset.Key{{ID: "k", Public: key}}); refused != nil {
		t.Fatal(refused)
	}
	cancel()
	if a.Value(testContextKey{}) != "call" || a.Value(unverifiedTokenKey{}) != a || a.Err() != context.Canceled {
		t.Errorf("values %v and %v, error %v", a.Value(testContextKey{}), a.Value(unverifiedTokenKey{}), a.Err())
	}
}

// Tokens that are verified at once, good and forged, each have the result of their own.
func TestTokensVerifiedAtOnce(t *testing.T) {
	config := &Config{Algorithms: []string{"ES256"}, Issuers: []string{"https://a.example.com/"}, Audiences: []string{"api"}, CacheSize: NoCache}
	v := newTestVerifier(config)
	type token struct {
		raw, subject string
		key          *ecdsa.PublicKey
	}
	tokens := make([]token, 16)
	for i := range tokens {
		tokens[i].subject = fmt.Sprintf("s%d", i)
		payload := strings.Replace(`{`+required+`}`, `"sub":"s"`, fmt.Sprintf(`"sub":%q,"x":%q`, tokens[i].subject, strings.Repeat("x", 50*i)), 1)
		tokens[i].raw, tokens[i].key = signES256(t, `{"alg":"ES256","kid":"k"}`, payload)
	}
	verify := func(of token, key *ecdsa.PublicKey) (subject string, refused *refusal) {
		a := newUnverifiedToken(of.raw, v.headers.Find(of.raw))
		defer a.release()
		if refused := v.precheck(a, time.Unix(1500, 0)); refused != nil {
			return "", refused
		}
		refused = v.checkSignature(context.Background(), a, []*keyset.Key{{ID: "k", Public: key}})
		return a.claims.subject, refused
	}
	var group sync.WaitGroup
	for i, one := range tokens {
		forged := tokens[(i+1)%len(tokens)].key
		group.Go(func() {
			for range 50 {
				if subject, refused := verify(one, one.key); refused != nil || subject != one.subject {
					t.Errorf("subject %s, %v, want %s", subject, refused, one.subject)
				}
				if _, refused := verify(one, forged); refused != refusedSignature {
					t.Errorf("forged: %v, want %v", refused, refusedSignature)
				}
			}
		})
	}
	group.Wait()
}

type testContextKey struct{}

// The key set of go-oidc accepts the form of the token that was verified, and nothing else.
func TestPreverifiedKeySet(t *testing.T) {
	verified := func() *unverifiedToken {
		return &unverifiedToken{Context: t.Context(), signingKey: new(keyset.Key), presented: "a.b.c", payload: []byte("{}")}
	}
	notVerified := verified()
	notVerified.signingKey = nil
	for _, test := range []struct {
		name string
		ctx  context.Context
		raw  string
		ok   bool
	}{
		{"the verified token", verified(), "a.b.c", true},
		{"inside another context", context.WithValue(verified(), testContextKey{}, 1), "a.b.c", true},
		{"another token", verified(), "a.b.d", false},
		{"not verified", notVerified, "a.b.c", false},
		{"no token", t.Context(), "a.b.c", false},
	} {
		payload, err := preverifiedKeySet{}.VerifySignature(test.ctx, test.raw)
		if test.ok && (err != nil || string(payload) != "{}") || !test.ok && (err != jws.ErrSignature || payload != nil) {
			t.Errorf("%s: %q, %v", test.name, payload, err)
		}
	}
}
