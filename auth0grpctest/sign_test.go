package auth0grpctest_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// claimsFor returns claims that go-oidc accepts.
func claimsFor(tenant *auth0grpctest.Tenant) map[string]any {
	return map[string]any{
		"iss": tenant.Issuer(), "sub": "auth0|1", "aud": auth0grpctest.Audience, "exp": int64(4_000_000_000),
	}
}

func TestSignAlgorithms(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	_, _, body := get(t, tenant, ".well-known/jwks.json")
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		t.Run(alg, func(t *testing.T) {
			token := tenant.Sign(map[string]any{"alg": alg}, claimsFor(tenant))
			signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := signed.Verify(set.Keys[0].Key); err != nil {
				t.Errorf("go-jose: %v", err)
			}
		})
	}
}

func TestES256IsKnownOncePublished(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	token := tenant.Sign(map[string]any{"alg": "ES256"}, claimsFor(tenant))
	config := oidc.Config{SupportedSigningAlgs: []string{"ES256"}}
	if err := verify(t, tenant, token, config); err == nil {
		t.Error("an ES256 token verifies before its key is published")
	}
	tenant.PublishES256()
	tenant.PublishES256()
	if err := verify(t, tenant, token, config); err != nil {
		t.Errorf("after the key is published: %v", err)
	}
	if err := verify(t, tenant, token, oidc.Config{}); err != nil {
		t.Errorf("the discovery document does not offer ES256: %v", err)
	}
	keys := publishedKeys(t, tenant)
	last := keys[len(keys)-1]
	if len(keys) != 3 || last["kty"] != "EC" || last["crv"] != "P-256" || last["alg"] != "ES256" || last["use"] != "sig" {
		t.Errorf("%d keys, the last %v, want 3 and a P-256 key for ES256", len(keys), last)
	}
}

func TestSignUsesHeaderAndClaimsAsGiven(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	kid := keyIDs(t, tenant)[0]
	tests := []struct {
		name                   string
		header, claims         map[string]any
		wantHeader, wantClaims map[string]any
	}{
		{
			name:       "nothing given",
			wantHeader: map[string]any{"alg": "RS256", "typ": "JWT", "kid": kid},
			wantClaims: map[string]any{},
		},
		{
			name:       "null is kept among claims",
			claims:     map[string]any{"sub": nil},
			wantHeader: map[string]any{"alg": "RS256", "typ": "JWT", "kid": kid},
			wantClaims: map[string]any{"sub": nil},
		},
		{
			name:       "header members removed, replaced, added",
			header:     map[string]any{"typ": nil, "kid": "unknown", "crit": []string{"b64"}, "alg": "EdDSA"},
			wantHeader: map[string]any{"kid": "unknown", "crit": []any{"b64"}, "alg": "EdDSA"},
			wantClaims: map[string]any{},
		},
		{
			name:       "empty header",
			header:     map[string]any{"typ": nil, "kid": nil, "alg": nil},
			wantHeader: map[string]any{},
			wantClaims: map[string]any{},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header, claims := decode(t, tenant.Sign(test.header, test.claims))
			if diff := cmp.Diff(test.wantHeader, header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.wantClaims, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSignUsesCurrentKeyWhateverKidSays(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	next := keyIDs(t, tenant)[1]
	token := tenant.Sign(map[string]any{"kid": next}, claimsFor(tenant))
	if err := verify(t, tenant, token, oidc.Config{}); err == nil {
		t.Error("verifies under the key that kid names, want a signature of the current key")
	}
	if err := verify(t, tenant, tenant.Sign(map[string]any{"kid": nil}, claimsFor(tenant)), oidc.Config{}); err != nil {
		t.Errorf("without kid: %v", err)
	}
}

// TestForgeries: CVE-2026-33322 and its kind.
func TestForgeries(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	signature := func(token string) string { return token[strings.LastIndexByte(token, '.')+1:] }

	for _, alg := range []string{"none", "None", "NONE"} {
		if got := signature(tenant.Sign(map[string]any{"alg": alg}, claimsFor(tenant))); got != "" {
			t.Errorf("%s: signature %q, want none", alg, got)
		}
	}
	var set jose.JSONWebKeySet
	_, _, body := get(t, tenant, ".well-known/jwks.json")
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(set.Keys[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for alg, hash := range map[string]crypto.Hash{"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512} {
		token := tenant.Sign(map[string]any{"alg": alg}, claimsFor(tenant))
		mac := hmac.New(hash.New, secret)
		mac.Write([]byte(token[:strings.LastIndexByte(token, '.')]))
		if want := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)); signature(token) != want {
			t.Errorf("%s: not an HMAC keyed with the public key's PEM", alg)
		}
	}
}

func TestSignRawKeepsEveryByte(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	const payload = `{"sub":"a", "sub":"b"}`
	for _, header := range []string{`{"alg":"RS256","alg":"RS256"}`, `not JSON`, ``} {
		parts := strings.Split(tenant.SignRaw(header, payload), ".")
		for i, want := range []string{header, payload} {
			if got, err := base64.RawURLEncoding.DecodeString(parts[i]); err != nil || string(got) != want {
				t.Errorf("part %d is %q (%v), want %q", i, got, err, want)
			}
		}
		if len(parts[2]) != 342 {
			t.Errorf("header %q: signature of %d characters, want that of RS256", header, len(parts[2]))
		}
	}
	text, err := json.Marshal(claimsFor(tenant))
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(t, tenant, tenant.SignRaw(`{"alg":"PS256"}`, string(text)), oidc.Config{}); err != nil {
		t.Errorf("go-oidc: %v", err)
	}
}

func TestValuesWithoutJSONPanic(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	wantPanic(t, "auth0grpctest: ", func() { tenant.Token(map[string]any{"c": make(chan int)}) })
	wantPanic(t, "auth0grpctest: ", func() { tenant.Sign(map[string]any{"c": func() {}}, nil) })
}

// wantPanic checks that f panics with a text that starts with prefix.
func wantPanic(tb testing.TB, prefix string, f func()) {
	tb.Helper()
	defer func() {
		tb.Helper()
		if got := fmt.Sprint(recover()); !strings.HasPrefix(got, prefix) {
			tb.Errorf("panic %q, want a text that starts with %q", got, prefix)
		}
	}()
	f()
}
