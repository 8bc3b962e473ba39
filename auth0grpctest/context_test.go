package auth0grpctest_test

import (
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/google/go-cmp/cmp"
)

func TestContextWithToken(t *testing.T) {
	t.Parallel()
	before := time.Now()
	token, ok := auth0grpc.TokenFromContext(auth0grpctest.ContextWithToken(t.Context(), nil))
	if !ok {
		t.Fatal("no token in the context")
	}
	want := []string{"https://tenant.example/", auth0grpctest.Subject, auth0grpctest.ClientID, auth0grpctest.Audience}
	got := append([]string{token.Issuer(), token.Subject(), token.ClientID()}, token.Audience()...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("issuer, subject, client, audience (-want +got):\n%s", diff)
	}
	if len(token.Scopes()) != 0 {
		t.Errorf("scopes %q, want none", token.Scopes())
	}
	if life := token.Expiry().Sub(before).Round(time.Minute); life != 24*time.Hour {
		t.Errorf("life %v, want a day", life)
	}
}

func TestContextWithTokenOverrides(t *testing.T) {
	t.Parallel()
	token, ok := auth0grpc.TokenFromContext(auth0grpctest.ContextWithToken(t.Context(), map[string]any{
		"sub": "auth0|7", "scope": "read:msg write:msg", "org_id": "org_1", "exp": time.Unix(4_000_000_000, 0),
		"https://example.com/tier": "gold",
	}))
	if !ok {
		t.Fatal("no token in the context")
	}
	if !token.HasScope("write:msg") || token.HasScope("admin") {
		t.Errorf("scopes %q, want read:msg and write:msg", token.Scopes())
	}
	if token.Subject() != "auth0|7" || token.OrganizationID() != "org_1" || !token.Expiry().Equal(time.Unix(4_000_000_000, 0)) {
		t.Errorf("subject %q, organization %q, expiry %v", token.Subject(), token.OrganizationID(), token.Expiry())
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil || claims["https://example.com/tier"] != "gold" {
		t.Errorf("claims %v (%v), want the tier", claims, err)
	}
}

func TestContextWithTokenPanics(t *testing.T) {
	t.Parallel()
	for name, claims := range map[string]map[string]any{
		"no JSON form": {"c": make(chan int)},
		"not a token":  {"exp": "tomorrow"},
	} {
		t.Run(name, func(t *testing.T) {
			wantPanic(t, "auth0grpctest: ", func() { auth0grpctest.ContextWithToken(t.Context(), claims) })
		})
	}
}
