package auth0grpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// tokenOf returns the token that a handler sees.
func tokenOf(t *testing.T, more claims) *auth0grpc.Token {
	t.Helper()
	token, ok := auth0grpc.TokenFromContext(auth0grpctest.ContextWithToken(t.Context(), more))
	if !ok {
		t.Fatal("no token in the context")
	}
	return token
}

func TestToken(t *testing.T) {
	issued, expiry := time.Unix(1900000000, 0), time.Unix(1900003600, 0)
	token := tokenOf(t, claims{
		"iss": "https://a.example.com/", "aud": []string{"x", "y"}, "scope": "read:a write:a", "permissions": []string{"p", "q"},
		"org_id": "org_a", "iat": issued, "exp": expiry,
	})
	got := []any{
		token.Issuer(), token.Subject(), token.ClientID(), token.OrganizationID(), token.Audience(), token.Scopes(),
		token.Permissions(), token.IssuedAt().Equal(issued), token.Expiry().Equal(expiry),
		token.HasScope("write:a"), token.HasScope("write"), token.HasScope("p"), token.HasScope(""),
		token.HasPermission("q"), token.HasPermission("read:a"), token.HasPermission(""),
	}
	want := []any{
		"https://a.example.com/", auth0grpctest.Subject, auth0grpctest.ClientID, "org_a", []string{"x", "y"}, []string{"read:a", "write:a"},
		[]string{"p", "q"}, true, true,
		true, false, false, false,
		true, false, false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
}

// A token is shared between calls: nothing that a handler does changes it.
func TestTokenIsImmutable(t *testing.T) {
	token := tokenOf(t, claims{"scope": "read:a", "permissions": []string{"p"}})
	for _, list := range []func() []string{token.Audience, token.Scopes, token.Permissions} {
		before := slices.Clone(list())
		list()[0] = "changed"
		_ = append(list(), "more")
		if diff := cmp.Diff(before, list()); diff != "" {
			t.Errorf("changed from outside (-before +after):\n%s", diff)
		}
	}
	var first, second claims
	if err := token.Claims(&first); err != nil {
		t.Fatal(err)
	}
	first["sub"] = "changed"
	if err := token.Claims(&second); err != nil || second["sub"] != auth0grpctest.Subject {
		t.Errorf("sub = %v, %v", second["sub"], err)
	}
}

func TestTokenWithoutLists(t *testing.T) {
	token := tokenOf(t, claims{"azp": nil})
	if token.Scopes() != nil || token.Permissions() != nil || token.ClientID() != "" || token.OrganizationID() != "" {
		t.Errorf("%q %q %q %q, want none", token.Scopes(), token.Permissions(), token.ClientID(), token.OrganizationID())
	}
}

func TestTokenClaimsDecoding(t *testing.T) {
	token := tokenOf(t, claims{"https://example.com/roles": []string{"owner"}, "tier": 3})
	var custom struct {
		Roles []string `json:"https://example.com/roles"`
		Tier  int      `json:"tier"`
	}
	if err := token.Claims(&custom); err != nil || custom.Tier != 3 || !slices.Equal(custom.Roles, []string{"owner"}) {
		t.Errorf("Claims = %+v, %v", custom, err)
	}
	var wrong struct {
		Tier []string `json:"tier"`
	}
	if err := token.Claims(&wrong); err == nil || !strings.HasPrefix(err.Error(), "auth0grpc: ") {
		t.Errorf("Claims = %v", err)
	}
	if err := token.Claims(nil); err == nil {
		t.Error("Claims(nil) = nil")
	}
}

// The context of a handler is an ordinary one: it has the values and the end of the call's
// context, and contexts that are made of it need no goroutine to end with it.
func TestContextOfAToken(t *testing.T) {
	type key struct{}
	call, end := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
	ctx := auth0grpctest.ContextWithToken(call, claims{})
	if got := ctx.Value(key{}); got != "value" {
		t.Errorf("Value = %v, want the value of the call", got)
	}
	goroutines := runtime.NumGoroutine()
	children := make([]context.Context, 100)
	for i := range children {
		child, cancel := context.WithCancel(ctx)
		defer cancel()
		children[i] = child
	}
	if more := runtime.NumGoroutine() - goroutines; more >= len(children) {
		t.Errorf("%d goroutines for %d contexts", more, len(children))
	}
	cause := errors.New("the call has ended")
	end(cause)
	for _, child := range append(children, ctx) {
		if got := context.Cause(child); got != cause {
			t.Fatalf("Cause = %v, want %v", got, cause)
		}
		if token, ok := auth0grpc.TokenFromContext(child); !ok || token.Subject() != auth0grpctest.Subject {
			t.Fatal("a context without its token")
		}
	}
}

// Tokens end up in logs with their contexts (GO-2024-2978).
func TestTokenPrintsNoClaims(t *testing.T) {
	ctx := auth0grpctest.ContextWithToken(t.Context(), claims{"email": "leak@example.com", "scope": "leak", "permissions": []string{"leak"}})
	token, _ := auth0grpc.TokenFromContext(ctx)
	want := fmt.Sprintf("Token(%q)", auth0grpctest.Subject)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		if got := fmt.Sprintf(verb, token); got != want {
			t.Errorf("%s prints %s, want %s", verb, got, want)
		}
		if got := fmt.Sprintf(verb, []any{token, map[string]*auth0grpc.Token{"x": token}, struct{ T *auth0grpc.Token }{token}}); strings.Contains(got, "leak") {
			t.Errorf("%s prints %s from inside", verb, got)
		}
		if got := fmt.Sprintf(verb, *token); got != want {
			t.Errorf("%s prints a copy as %s, want %s", verb, got, want)
		}
		if got := fmt.Sprintf(verb, ctx); strings.Contains(got, "leak") {
			t.Errorf("%s prints the context as %s", verb, got)
		}
	}
	var lines bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&lines, nil), slog.NewJSONHandler(&lines, nil)} {
		slog.New(handler).Info("call", "token", token, "copy", *token, "group", slog.GroupValue(slog.Any("token", token)))
	}
	if strings.Contains(lines.String(), "leak") || strings.Count(lines.String(), auth0grpctest.Subject) != 6 {
		t.Errorf("slog prints %s", &lines)
	}
	if text, err := json.Marshal(map[string]any{"token": token}); err != nil || strings.Contains(string(text), "leak") {
		t.Errorf("JSON is %s, %v", text, err)
	}
}

func TestNoTokenInContext(t *testing.T) {
	if token, ok := auth0grpc.TokenFromContext(context.Background()); ok || token != nil {
		t.Errorf("TokenFromContext = %v, %t", token, ok)
	}
	if fields := auth0grpc.LogFields(context.Background()); fields != nil {
		t.Errorf("LogFields = %v, want nil", fields)
	}
}

func TestLogFieldsWithoutOrganization(t *testing.T) {
	ctx := auth0grpctest.ContextWithToken(t.Context(), claims{"iss": "https://a.example.com/"})
	want := []any{"auth.subject", auth0grpctest.Subject, "auth.client_id", auth0grpctest.ClientID, "auth.issuer", "https://a.example.com/"}
	if diff := cmp.Diff(want, []any(auth0grpc.LogFields(ctx))); diff != "" {
		t.Errorf("LogFields (-want +got):\n%s", diff)
	}
}
