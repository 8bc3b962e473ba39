package auth0grpctest_test

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
)

// publishedKeys returns the members of the key set.
func publishedKeys(tb testing.TB, tenant *auth0grpctest.Tenant) []map[string]string {
	tb.Helper()
	_, header, body := get(tb, tenant, ".well-known/jwks.json")
	if got := header.Get("Cache-Control"); got != "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400" {
		tb.Errorf("Cache-Control %q is not Auth0's", got)
	}
	var set struct {
		Keys []map[string]string `json:"keys"`
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
		ids = append(ids, key["kid"])
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
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{21}$`).MatchString(key["kid"]) {
			t.Errorf("kid %q, want 21 characters", key["kid"])
		}
		if len(key["n"]) != 342 { // 2048 bits in base64url
			t.Errorf("n has %d characters, want 342", len(key["n"]))
		}
		delete(key, "kid")
		delete(key, "n")
		want := map[string]string{"kty": "RSA", "use": "sig", "alg": "RS256", "e": "AQAB"}
		if diff := cmp.Diff(want, key); diff != "" {
			t.Errorf("members (-want +got):\n%s", diff)
		}
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
			if seen[key["n"]] {
				t.Error("two open tenants have a key in common")
			}
			seen[key["n"]] = true
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
