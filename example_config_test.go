package auth0grpc_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// The token needs each of the scopes.
func ExampleScopes() {
	tenant, _, call, stop := embedded(allow(auth0grpc.Scopes("read:orders", "read:prices")))
	defer stop()
	fmt.Println(call(tenant.Token(map[string]any{"scope": "openid read:orders read:prices"})))
	fmt.Println(call(tenant.Token(map[string]any{"scope": "read:orders"})))
	// Output:
	// OK, error <nil>
	// INSUFFICIENT_SCOPE
}

// A permission of the user counts, even if the client did not request a scope for it.
func ExamplePermissions() {
	tenant, _, call, stop := embedded(allow(auth0grpc.Permissions("refund:orders")))
	defer stop()
	fmt.Println(call(tenant.Token(map[string]any{"permissions": []string{"refund:orders"}})))
	fmt.Println(call(tenant.Token(map[string]any{"scope": "refund:orders"})))
	// Output:
	// OK, error <nil>
	// INSUFFICIENT_PERMISSIONS
}

// A user with a scope, or one trusted application.
func ExampleAnyOf() {
	rule := auth0grpc.AnyOf(auth0grpc.Scopes("read:reports"), auth0grpc.Clients("nightly-job"))
	tenant, _, call, stop := embedded(allow(rule))
	defer stop()
	fmt.Println(call(tenant.Token(map[string]any{"scope": "read:reports"})))
	fmt.Println(call(tenant.Token(map[string]any{"azp": "nightly-job"})))
	fmt.Println(call(tenant.Token(nil)))
	// Output:
	// OK, error <nil>
	// OK, error <nil>
	// INSUFFICIENT_SCOPE
}

// Only one application may call.
func ExampleClients() {
	tenant, _, call, stop := embedded(allow(auth0grpc.Clients("nightly-job")))
	defer stop()
	fmt.Println(call(tenant.Token(map[string]any{"azp": "nightly-job"})))
	fmt.Println(call(tenant.Token(map[string]any{"azp": "web-app"})))
	// Output:
	// OK, error <nil>
	// WRONG_CLIENT
}

// Every call passes. The handler gets no token, even if the call has one.
func ExamplePublic() {
	tenant, _, call, stop := embedded(func(config *auth0grpc.Config) {
		config.Methods = map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Public()}
		config.OnDecision = func(_ context.Context, d auth0grpc.Decision) { fmt.Printf("%s %q\n", d.Outcome, d.Subject) }
	})
	defer stop()
	call("")
	call(tenant.Token(map[string]any{"exp": time.Now().Add(-time.Hour)}))
	// Output:
	// allowed ""
	// allowed ""
}

// Every caller with a valid token passes, without a scope.
func ExampleAuthenticated() {
	tenant, _, call, stop := embedded(allow(auth0grpc.Authenticated()))
	defer stop()
	fmt.Println(call(tenant.Token(nil)))
	fmt.Println(call(""))
	// Output:
	// OK, error <nil>
	// MISSING_TOKEN
}

// The rule admits the caller to the method. The handler checks the record.
func ExampleToken_Subject() {
	owner := map[string]string{"order-1": "auth0|alice", "order-2": "auth0|bob"}
	getOrder := func(ctx context.Context, id string) error {
		token, ok := auth0grpc.TokenFromContext(ctx)
		if !ok || owner[id] != token.Subject() {
			return status.Error(codes.NotFound, "no such order")
		}
		return nil
	}
	ctx := auth0grpctest.ContextWithToken(context.Background(), map[string]any{"sub": "auth0|alice"})
	fmt.Println(getOrder(ctx, "order-1"))
	fmt.Println(getOrder(ctx, "order-2"))
	// Output:
	// <nil>
	// rpc error: code = NotFound desc = no such order
}

// A handler returns more to callers with a second scope.
func ExampleToken_HasScope() {
	ctx := auth0grpctest.ContextWithToken(context.Background(), map[string]any{"scope": "read:orders read:prices"})
	token, _ := auth0grpc.TokenFromContext(ctx)
	fmt.Println(token.HasScope("read:prices"), token.HasScope("admin"))
	// Output: true false
}

// Streams of all methods end with their token, one method's after a grace period.
func ExampleStreamPolicy() {
	_, err := auth0grpc.New(auth0grpc.Config{
		Issuers:   []string{"https://example.eu.auth0.com/"},
		Audiences: []string{"https://api.example.com"},
		Methods: map[string]auth0grpc.Rule{
			"/orders.v1.Orders/WatchOrders": auth0grpc.Scopes("read:orders"),
			"/orders.v1.Orders/Export":      auth0grpc.Scopes("read:orders").Streams(auth0grpc.EndAfter(5 * time.Minute)),
		},
		StreamPolicy: auth0grpc.EndAtExpiry(), // the default
	})
	fmt.Println(err)
	// Output: <nil>
}

// A hook counts refusals by reason. It runs within the call, so it must be fast.
func ExampleDecision() {
	_, _, call, stop := embedded(func(config *auth0grpc.Config) {
		config.OnDecision = func(_ context.Context, d auth0grpc.Decision) {
			fmt.Println(d.FullMethod, d.Outcome, d.Reason)
		}
	})
	defer stop()
	call("")
	// Output: /grpc.testing.TestService/UnaryCall refused MISSING_TOKEN
}

// A roll-out: calls without a token pass, and the hook reports them.
func ExampleReportOnlyMode() {
	_, _, call, stop := embedded(func(config *auth0grpc.Config) {
		config.ReportOnly = auth0grpc.ReportOnlyTable
		config.OnDecision = func(_ context.Context, d auth0grpc.Decision) { fmt.Println(d.Outcome, d.Reason) }
	})
	defer stop()
	call("")
	// Output: reported MISSING_TOKEN
}

// A token that is bound to a client certificate is accepted over TLS with that
// certificate only.
func ExampleMTLSConfig() {
	authority := auth0grpctest.NewCertificateAuthority()
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:   []string{"https://example.eu.auth0.com/"},
		Audiences: []string{"https://api.example.com"},
		Methods:   map[string]auth0grpc.Rule{"/orders.v1.Orders/*": auth0grpc.Scopes("settle:orders")},
		MTLS:      auth0grpc.MTLSConfig{Mode: auth0grpc.BindingRequired},
	})
	if err != nil {
		log.Fatal(err)
	}
	transport := credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{authority.Server("localhost")},
		ClientCAs:    authority.Pool(),
		ClientAuth:   tls.VerifyClientCertIfGiven,
	})
	_ = grpc.NewServer(append(guard.ServerOptions(), grpc.Creds(transport))...)
	// Output:
}
