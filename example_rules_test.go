package auth0grpc_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"google.golang.org/grpc"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// allow replaces the rule of the server's methods.
func allow(rule auth0grpc.Rule) func(*auth0grpc.Config) {
	return func(config *auth0grpc.Config) {
		config.Methods = map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": rule}
	}
}

// One of the scopes is enough.
func ExampleAnyScope() {
	tenant, _, call, stop := embedded(allow(auth0grpc.AnyScope("read:orders", "admin")))
	defer stop()
	fmt.Println(call(tenant.Token(map[string]any{"scope": "admin"})))
	fmt.Println(call(tenant.Token(map[string]any{"scope": "write:orders"})))
	// Output:
	// OK, error <nil>
	// INSUFFICIENT_SCOPE
}

// The client was granted the scope, and the user has the permission.
func ExampleAllOf() {
	rule := auth0grpc.AllOf(auth0grpc.Scopes("write:orders"), auth0grpc.Permissions("approve:orders"))
	tenant, _, call, stop := embedded(allow(rule))
	defer stop()
	fmt.Println(call(tenant.Token(map[string]any{"scope": "write:orders", "permissions": []string{"approve:orders"}})))
	fmt.Println(call(tenant.Token(map[string]any{"scope": "write:orders"})))
	// Output:
	// OK, error <nil>
	// INSUFFICIENT_PERMISSIONS
}

// A call without a token passes. A call with a bad token does not.
func ExampleOptional() {
	tenant, _, call, stop := embedded(func(config *auth0grpc.Config) {
		config.Methods = map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Optional()}
		config.OnDecision = func(_ context.Context, d auth0grpc.Decision) { fmt.Printf("%s %q\n", d.Outcome, d.Reason) }
	})
	defer stop()
	call("")
	call(tenant.Token(map[string]any{"exp": time.Now().Add(-time.Minute)}))
	// Output:
	// allowed ""
	// refused "TOKEN_EXPIRED"
}

// Only members of one organization may call.
func ExampleOrganizations() {
	tenant, _, call, stop := embedded(allow(auth0grpc.Organizations("org_partner")))
	defer stop()
	fmt.Println(call(tenant.Token(map[string]any{"org_id": "org_partner"})))
	fmt.Println(call(tenant.Token(map[string]any{"org_id": "org_other"})))
	fmt.Println(call(tenant.Token(nil)))
	// Output:
	// OK, error <nil>
	// WRONG_ORGANIZATION
	// WRONG_ORGANIZATION
}

// A handler reads a claim that an Action of the tenant adds.
func ExampleToken_Claims() {
	ctx := auth0grpctest.ContextWithToken(context.Background(), map[string]any{"https://example.com/plan": "gold"})
	token, _ := auth0grpc.TokenFromContext(ctx)
	var claims struct {
		Plan string `json:"https://example.com/plan"`
	}
	if err := token.Claims(&claims); err != nil {
		log.Fatal(err)
	}
	fmt.Println(claims.Plan)
	// Output: gold
}

// Each call must prove that its sender owns the token.
func ExampleBindingMode() {
	tenant, _, call, stop := embedded(func(config *auth0grpc.Config) {
		config.DPoP = auth0grpc.DPoPConfig{
			Mode:        auth0grpc.BindingRequired,
			Authorities: []string{"https://api.example.com"},
		}
	})
	defer stop()
	fmt.Println(call(tenant.Token(map[string]any{"scope": "greet"})))
	// Output: DPOP_REQUIRED
}

// An employee leaves: all tokens of this user end at once.
func ExampleRevocation() {
	tenant, guard, call, stop := embedded(nil)
	defer stop()
	token := tenant.Token(map[string]any{"scope": "greet", "sub": "auth0|mallory"})
	fmt.Println(call(token))
	if err := guard.Revoke(context.Background(), auth0grpc.Revocation{Subject: "auth0|mallory"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(call(token))
	// Output:
	// OK, error <nil>
	// TOKEN_REVOKED
}

// Both interceptors, so that neither unary methods nor streams are forgotten.
func ExampleInterceptor_ServerOptions() {
	guard := orders()
	server := grpc.NewServer(guard.ServerOptions()...)
	defer server.Stop()
	// Register the services, then compare them with the table.
	fmt.Println(guard.CheckServices(server.GetServiceInfo(), auth0grpc.AllowIdleRows()))
	// Output: <nil>
}

// A replica applies the revocations of the others until ctx ends.
func ExampleInterceptor_FollowRevocations() {
	feed := auth0grpc.NewRevocationFeed(24 * time.Hour)
	_, guard, _, stop := embedded(func(config *auth0grpc.Config) { config.RevocationFeed = feed })
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- guard.FollowRevocations(ctx) }()
	cancel() // the program ends
	fmt.Println(<-done)
	// Output: context canceled
}

// A payment must not be made by an agent or an on-behalf-of client.
func ExampleNotDelegated() {
	rule := auth0grpc.AllOf(auth0grpc.Scopes("write:payments"), auth0grpc.NotDelegated())
	tenant, _, call, stop := embedded(allow(rule))
	defer stop()
	fmt.Println(call(tenant.Token(map[string]any{"scope": "write:payments"})))
	fmt.Println(call(tenant.Token(map[string]any{"scope": "write:payments", "act": map[string]any{"sub": "agt_1"}})))
	// Output:
	// OK, error <nil>
	// ACTOR_NOT_ALLOWED
}

// One agent may act for users. Earlier actors do not count.
func ExampleActedBy() {
	tenant, _, call, stop := embedded(allow(auth0grpc.ActedBy("agt_1")))
	defer stop()
	act := map[string]any{"sub": "agt_1", "act": map[string]any{"sub": "spa"}}
	fmt.Println(call(tenant.Token(map[string]any{"act": act})))
	fmt.Println(call(tenant.Token(map[string]any{"act": act["act"]})))
	// Output:
	// OK, error <nil>
	// ACTOR_NOT_ALLOWED
}

// Visitors without a login may read the catalogue.
func ExampleRule_AllowAnonymous() {
	anonymous := map[string]any{"sub": "anon@1234", "scope": "read:catalogue"}
	for _, rule := range []auth0grpc.Rule{auth0grpc.Scopes("read:catalogue"), auth0grpc.Scopes("read:catalogue").AllowAnonymous()} {
		tenant, _, call, stop := embedded(allow(rule))
		fmt.Println(call(tenant.Token(anonymous)))
		stop()
	}
	// Output:
	// ANONYMOUS_SUBJECT
	// OK, error <nil>
}

// A handler distinguishes a user, an agent that acts for one, a program and a visitor.
func ExampleToken_Actor() {
	for _, claims := range []map[string]any{
		{"sub": "auth0|1"},
		{"sub": "auth0|1", "act": map[string]any{"sub": "agt_1", "act": map[string]any{"sub": "spa"}}},
		{"sub": "app@clients", "azp": "app"},
		{"sub": "anon@1234"},
	} {
		ctx := auth0grpctest.ContextWithToken(context.Background(), claims)
		token, _ := auth0grpc.TokenFromContext(ctx)
		fmt.Printf("%s actor %q of %q machine %t anonymous %t\n",
			token.Subject(), token.Actor(), token.Actors(), token.IsMachine(), token.IsAnonymous())
	}
	// Output:
	// auth0|1 actor "" of [] machine false anonymous false
	// auth0|1 actor "agt_1" of ["agt_1" "spa"] machine false anonymous false
	// app@clients actor "" of [] machine true anonymous false
	// anon@1234 actor "" of [] machine false anonymous true
}
