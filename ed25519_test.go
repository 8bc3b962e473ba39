package auth0grpc_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
)

// Ed25519 is the name that RFC 9864, section 2.2, gives to EdDSA with such a key. A key
// serves both names, regardless of its alg; the configuration lists each name that
// tokens may use.
func TestEd25519(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	for _, keyAlg := range []string{"", "EdDSA", "Ed25519"} {
		for _, tokenAlg := range []string{"EdDSA", "Ed25519"} {
			for _, listed := range []string{"EdDSA", "Ed25519"} {
				t.Run(fmt.Sprintf("key %s, token %s, listed %s", keyAlg, tokenAlg, listed), func(t *testing.T) {
					f := newFixture(t, failingProvider)
					key := map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encode(public), "alg": keyAlg}
					if keyAlg == "" {
						delete(key, "alg")
					}
					f.provider.set(f.addKey(func() any { return key }))
					config := configFor(f.tenant, f.clock)
					config.HTTPClient = &http.Client{Transport: f.provider}
					config.Algorithms = []string{"RS256", listed}
					f.guard = mustNew(t, config)
					payload, err := json.Marshal(f.claimsOf("ed"))
					if err != nil {
						t.Fatal(err)
					}
					input := encode([]byte(`{"typ":"at+jwt","kid":"ed","alg":"`+tokenAlg+`"}`)) + "." + encode(payload)
					signature := ed25519.Sign(private, []byte(input))
					want := "OK"
					if tokenAlg != listed {
						want = "UNSUPPORTED_ALGORITHM"
					}
					if got := f.verdict(t, input+"."+encode(signature)); got != want {
						t.Errorf("call: %s, want %s", got, want)
					}
					signature[0] ^= 1
					if want == "OK" {
						want = "BAD_SIGNATURE"
					}
					if got := f.verdict(t, input+"."+encode(signature)); got != want {
						t.Errorf("call with a wrong signature: %s, want %s", got, want)
					}
				})
			}
		}
	}
}
