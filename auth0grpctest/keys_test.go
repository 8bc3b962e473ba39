package auth0grpctest_test

import (
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"testing"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
)

// publishedKeys returns the members of the key set.
func publishedKeys(tb testing.TB, tenant *auth0grpctest.Tenant) []map[string]any {
	tb.Helper()
	_, header, body := get(tb, tenant, ".well-known/jwks.json")
	if got := header.Get("Cache-Control"); got != "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400" {
		tb.Errorf("Cache-Control %q is not Auth0's", got)
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		tb.Fatalf("key set: %v", err)
	}
	return set.Keys
}

func keyIDs(tb testing.TB, tenant *auth0grpctest.Tenant) []string {
	tb.Helper()
	var ids []string
	for _, key := range publishedKeys(tb, tenant) {
		ids = append(ids, key["kid"].(string))
	}
	return ids
}

func TestKeySetHasAuth0Members(t *testing.T) {
	t.Parallel()
	keys := publishedKeys(t, auth0grpctest.NewTenant(t))
	if len(keys) != 2 {
		t.Fatalf("%d keys, want the current and the next", len(keys))
	}
	for _, key := range keys {
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{21}$`).MatchString(key["kid"].(string)) {
			t.Errorf("kid %q, want 21 characters", key["kid"])
		}
		if n := key["n"].(string); len(n) != 342 { // 2048 bits in base64url
			t.Errorf("n has %d characters, want 342", len(n))
		}
		checkCertificate(t, key)
		delete(key, "x5c")
		delete(key, "x5t")
		delete(key, "kid")
		delete(key, "n")
		want := map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "e": "AQAB"}
		if diff := cmp.Diff(want, key); diff != "" {
			t.Errorf("members (-want +got):\n%s", diff)
		}
	}
}

// checkCertificate compares x5c and x5t with the key, as strict readers do.
func checkCertificate(t *testing.T, key map[string]any) {
	t.Helper()
	chain := key["x5c"].([]any)
	if len(chain) != 1 {
		t.Fatalf("x5c has %d certificates, want 1", len(chain))
	}
	der, err := base64.StdEncoding.DecodeString(chain[0].(string))
	if err != nil {
		t.Fatalf("x5c is not base64: %v", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if got := base64.RawURLEncoding.EncodeToString(certificate.PublicKey.(*rsa.PublicKey).N.Bytes()); got != key["n"] {
		t.Error("the certificate is of another key")
	}
	if err := certificate.CheckSignatureFrom(certificate); err != nil {
		t.Errorf("not self-signed: %v", err)
	}
	if hash := sha1.Sum(der); base64.RawURLEncoding.EncodeToString(hash[:]) != key["x5t"] {
		t.Errorf("x5t %v is not of the certificate", key["x5t"])
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	first := keyIDs(t, tenant) // current, next
	old := tenant.Token(nil)

	tenant.RotateKeys()
	second := keyIDs(t, tenant)
	if len(second) != 3 {
		t.Fatalf("%d keys after a rotation, want 3", len(second))
	}
	if want := []string{first[1], second[1], first[0]}; !cmp.Equal(want, second) {
		t.Errorf("keys after a rotation (-want +got):\n%s", cmp.Diff(want, second))
	}
	if header, _ := decode(t, tenant.Token(nil)); header["kid"] != first[1] {
		t.Errorf("kid %v signs, want %v, which was next", header["kid"], first[1])
	}
	for name, token := range map[string]string{"previous": old, "current": tenant.Token(nil)} {
		if err := verify(t, tenant, token, oidc.Config{}); err != nil {
			t.Errorf("token of the %s key: %v", name, err)
		}
	}

	tenant.RevokePreviousKey()
	if diff := cmp.Diff(second[:2], keyIDs(t, tenant)); diff != "" {
		t.Errorf("keys after the revocation (-want +got):\n%s", diff)
	}
	if err := verify(t, tenant, old, oidc.Config{}); err == nil {
		t.Error("a token of the revoked key verifies")
	}
	if err := verify(t, tenant, tenant.Token(nil), oidc.Config{}); err != nil {
		t.Errorf("token of the current key after the revocation: %v", err)
	}
}

func TestSecondRotationWithdrawsTheFirstKey(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	old := tenant.Token(nil)
	tenant.RotateKeys()
	tenant.RotateKeys()
	if ids := keyIDs(t, tenant); len(ids) != 3 {
		t.Errorf("%d keys after two rotations, want 3", len(ids))
	}
	if err := verify(t, tenant, old, oidc.Config{}); err == nil {
		t.Error("the key of two rotations ago still verifies")
	}
}

func TestRevokeWithoutPreviousKeyChangesNothing(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	before := keyIDs(t, tenant)
	tenant.RevokePreviousKey()
	if diff := cmp.Diff(before, keyIDs(t, tenant)); diff != "" {
		t.Errorf("keys (-before +after):\n%s", diff)
	}
}

func TestTenantsShareNoKey(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 3 {
		tenant := auth0grpctest.NewTenant(t)
		tenant.RotateKeys()
		for _, key := range publishedKeys(t, tenant) {
			if seen[key["n"].(string)] {
				t.Error("two open tenants have a key in common")
			}
			seen[key["n"].(string)] = true
		}
	}
}

func TestLaterTenantNamesKeysAnew(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for range 3 { // later rounds are likely to get keys of earlier ones
		tenant, err := auth0grpctest.StartTenant()
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range keyIDs(t, tenant) {
			if ids[id] {
				t.Errorf("kid %s was used before", id)
			}
			ids[id] = true
		}
		tenant.Close()
	}
}
