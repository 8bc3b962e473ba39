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

	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// Memory goes from token to token, but no byte of a token does.
func TestResetKeepsNoByte(t *testing.T) {
	v := newTestVerifier(&Config{Algorithms: []string{"ES256"}, Issuers: []string{"https://a.example.com/"}, Audiences: []string{"api"}, CacheSize: NoCache})
	raw, key := signES256(t, `{"alg":"ES256","kid":"k"}`, `{`+required+`}`)
	a := newUnverifiedToken(raw, nil)
	if refused := v.precheck(a, time.Unix(1500, 0)); refused != nil {
		t.Fatal(refused)
	}
	if refused := v.checkSignature(t.Context(), a, []*keyset.Key{{ID: "k", Public: key}}); refused != nil {
		t.Fatal(refused)
	}
	claims, signature := a.forOIDC[:cap(a.forOIDC)], a.parsed.Signature[:cap(a.parsed.Signature)]
	if !bytes.HasPrefix(claims, []byte(`{"iss"`)) || len(bytes.Trim(signature, "\x00")) == 0 {
		t.Fatalf("claims %q, signature %q before the reset", claims, signature)
	}
	a.reset()
	for name, memory := range map[string][]byte{"claims": claims, "signature": signature} {
		if len(bytes.Trim(memory, "\x00")) > 0 {
			t.Errorf("reset keeps %s %q", name, memory)
		}
	}
	if len(a.forOIDC) > 0 || len(a.parsed.Signature) > 0 {
		t.Errorf("%d bytes of claims and %d of the signature", len(a.forOIDC), len(a.parsed.Signature))
	}
	a.forOIDC, a.parsed.Signature = nil, nil
	if diff := cmp.Diff(unverifiedToken{}, *a, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
		t.Errorf("reset keeps (-want +got):\n%s", diff)
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
