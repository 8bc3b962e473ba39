package keyset

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/auth0grpc/auth0grpc/internal/jwk"
)

// FuzzJWKS checks invariants for any document: no panic, only valid public keys, in the
// order of the document, within the bounds.
func FuzzJWKS(f *testing.F) {
	rs, ec := toJWK(f, "r", "RS256", rsaKey().Public()), ecJWK(f, "e")
	for _, seed := range []string{
		``, `{}`, `[]`, `{"keys":null}`, `{"keys":[1,{}]}`,
		`{"keys":[` + rs + `,` + ec + `]}`,
		`{"keys":[` + ec + `,{"kty":"oct","k":"AAAA"},` + ec + `]} x`,
		`{"keys":[` + edit(f, rs, map[string]any{"n": modulus(1024), "key_ops": []string{"sign"}}) + `]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"o","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		`{"keys":[` + edit(f, rs, map[string]any{"x5c": []string{certificate(f, rsaKey(), 1)}}) + `]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := parseSet(body)
		keys := list.keys
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys and error %v", len(keys), err)
		}
		if len(list.unused) > maxUnused || list.omitted > 0 && len(list.unused) < maxUnused {
			t.Errorf("%d unused keys are listed and %d are not", len(list.unused), list.omitted)
		}
		for _, unused := range list.unused {
			if len(unused.KeyID) > maxShownID+3 || strings.ContainsFunc(unused.KeyID, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("kid %q of an unused key", unused.KeyID)
			}
		}
		sameID := map[string]int{}
		for _, k := range keys {
			wantSound(t, k)
			if sameID[k.ID]++; sameID[k.ID] > maxSameID {
				t.Errorf("more than %d keys have the id %q", maxSameID, k.ID)
			}
		}
		wantInOrder(t, body, keys)
	})
}

func wantSound(t *testing.T, k *Key) {
	t.Helper()
	if k.ID == "" || k.alg != "" && !k.Fits(k.alg) {
		t.Errorf("key %q with alg %q", k.ID, k.alg)
	}
	switch pub := k.Public.(type) {
	case *rsa.PublicKey:
		if bits := pub.N.BitLen(); bits < jwk.MinRSABits || bits > jwk.MaxRSABits || pub.E < 3 || pub.E%2 == 0 {
			t.Errorf("RSA key of %d bits, exponent %d", bits, pub.E)
		}
	case *ecdsa.PublicKey:
		if _, err := pub.ECDH(); err != nil {
			t.Errorf("EC key: %v", err)
		}
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			t.Errorf("Ed25519 key of %d bytes", len(pub))
		}
	default:
		t.Errorf("key of type %T", pub)
	}
}

// wantInOrder asserts that keys is a subsequence of the document's good keys.
func wantInOrder(t *testing.T, body []byte, keys []*Key) {
	t.Helper()
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	_ = json.Unmarshal(body, &doc)
	for _, raw := range doc.Keys {
		if k, err := parseKey(raw); err == nil && len(keys) > 0 && k.same(keys[0]) {
			keys = slices.Delete(keys, 0, 1)
		}
	}
	if len(keys) > 0 {
		t.Errorf("%d keys are out of order or not in the document", len(keys))
	}
}
