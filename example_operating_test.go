package auth0grpc_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

const unary = "/grpc.testing.TestService/UnaryCall"

// embedded starts a tenant and a server of it whose methods require rule.
func embedded(change func(*auth0grpc.Config)) (*auth0grpctest.Tenant, *auth0grpc.Interceptor, func(token string) string, func()) {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	config := auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		Methods:    map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Scopes("greet")},
		HTTPClient: tenant.HTTPClient(),
		Logger:     slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&config)
	}
	guard, err := auth0grpc.New(config)
	if err != nil {
		log.Fatal(err)
	}
	options := append(guard.ServerOptions(), grpc.InTapHandle(guard.TapHandle()))
	server := grpc.NewServer(options...)
	testgrpc.RegisterTestServiceServer(server, greeter{})
	conn, stop := serve(server)
	call := func(token string) string {
		ctx := context.Background()
		if token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
		}
		_, err := testgrpc.NewTestServiceClient(conn).UnaryCall(ctx, &testgrpc.SimpleRequest{})
		if reason, ok := auth0grpc.ReasonFromError(err); ok {
			return string(reason)
		}
		return fmt.Sprint("OK, error ", err)
	}
	return tenant, guard, call, func() { stop(); tenant.Close() }
}

// With the tap, a call that its headers alone condemn is refused before its message
// is read. Without it gRPC looks at the message first, and finds this one too
// large.
func ExampleInterceptor_TapHandle() {
	guard := orders()
	message := &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: make([]byte, 5<<20)}}
	for _, options := range [][]grpc.ServerOption{
		guard.ServerOptions(),
		append(guard.ServerOptions(), grpc.InTapHandle(guard.TapHandle())),
	} {
		server := grpc.NewServer(options...)
		testgrpc.RegisterTestServiceServer(server, greeter{})
		conn, stop := serve(server)
		_, err := testgrpc.NewTestServiceClient(conn).UnaryCall(context.Background(), message)
		fmt.Println(status.Code(err))
		stop()
	}
	// Output:
	// ResourceExhausted
	// Unauthenticated
}

// Ready loads the keys of every issuer.
func ExampleInterceptor_Ready() {
	tenant, guard, call, stop := embedded(nil)
	defer stop()
	tenant.SetDown(true)
	fmt.Println(guard.Ready(context.Background()) == nil)
	tenant.SetDown(false)
	fmt.Println(guard.Ready(context.Background()) == nil)
	fmt.Println(len(guard.Stats().KeyAge), guard.Stats().CachedTokens, guard.Stats().OpenStreams)
	fmt.Println(call(tenant.Token(map[string]any{"scope": "greet"})), guard.Stats().CachedTokens)
	// Output:
	// false
	// true
	// 1 0 0
	// OK, error <nil> 1
}

// A readiness probe requires the keys of any one issuer. It does not contact a tenant
// again that failed within the last 30 seconds.
func ExampleInterceptor_ReadyAny() {
	now := time.Now()
	tenant, guard, call, stop := embedded(func(config *auth0grpc.Config) {
		config.Now = func() time.Time { return now }
	})
	defer stop()
	probe := func(w http.ResponseWriter, r *http.Request) {
		if err := guard.ReadyAny(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}
	ask := func() int {
		recorder := httptest.NewRecorder()
		probe(recorder, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return recorder.Code
	}
	tenant.SetDown(true)
	fmt.Println(ask())
	tenant.SetDown(false)
	fmt.Println(ask(), tenant.KeyFetches())
	now = now.Add(30 * time.Second)
	fmt.Println(ask(), tenant.KeyFetches())
	fmt.Println(call(tenant.Token(map[string]any{"scope": "greet"})))
	// Output:
	// 503
	// 503 0
	// 200 1
	// OK, error <nil>
}

// Tokens of a user are refused from now on; a user who logs in again gets a good one.
func ExampleInterceptor_Revoke() {
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

// Interceptors that share a feed receive each other's revocations.
func ExampleNewRevocationFeed() {
	feed := auth0grpc.NewRevocationFeed(24 * time.Hour)
	tenant, one, _, stop := embedded(func(config *auth0grpc.Config) { config.RevocationFeed = feed })
	defer stop()
	_, other, call, stopOther := embedded(func(config *auth0grpc.Config) {
		config.RevocationFeed = feed
		config.Issuers, config.HTTPClient = []string{tenant.Issuer()}, tenant.HTTPClient()
	})
	defer stopOther()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go other.FollowRevocations(ctx)

	token := tenant.Token(map[string]any{"scope": "greet", "azp": "stolen-client"})
	if err := one.Revoke(ctx, auth0grpc.Revocation{ClientID: "stolen-client"}); err != nil {
		log.Fatal(err)
	}
	for call(token) != "TOKEN_REVOKED" { // it arrives within moments
	}
	fmt.Println(call(token))
	// Output: TOKEN_REVOKED
}

// Auth0 posts a logout token when a user logs out.
func ExampleInterceptor_BackChannelLogout() {
	tenant, guard, call, stop := embedded(nil)
	defer stop()
	token := tenant.Token(map[string]any{"scope": "greet"})
	fmt.Println(call(token))

	app := httptest.NewServer(guard.BackChannelLogout(auth0grpctest.ClientID))
	defer app.Close()
	answer, err := http.PostForm(app.URL, url.Values{"logout_token": {tenant.LogoutToken(nil)}})
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	fmt.Println(answer.Status)
	fmt.Println(call(token))
	// Output:
	// OK, error <nil>
	// 200 OK
	// TOKEN_REVOKED
}

// The table is replaced while the server serves.
func ExampleInterceptor_SetMethods() {
	tenant, guard, call, stop := embedded(nil)
	defer stop()
	token := tenant.Token(map[string]any{"scope": "greet"})
	fmt.Println(call(token))
	err := guard.SetMethods(map[string]auth0grpc.Rule{unary: auth0grpc.Scopes("greet", "wave")})
	fmt.Println(err, guard.RequiredScopes(), guard.Methods()[unary])
	fmt.Println(call(token))
	fmt.Println(guard.SetMethods(nil))
	// Output:
	// OK, error <nil>
	// <nil> [greet wave] greet AND wave
	// INSUFFICIENT_SCOPE
	// auth0grpc: Config.Methods is required: a method without a row is refused, so an empty table refuses every call
}

// A row in report-only mode, with a hook that counts the calls that it would have
// refused.
func ExampleRule_ReportOnly() {
	_, _, call, stop := embedded(func(config *auth0grpc.Config) {
		config.Methods = map[string]auth0grpc.Rule{unary: auth0grpc.Scopes("greet").ReportOnly()}
		config.OnDecision = func(_ context.Context, d auth0grpc.Decision) {
			fmt.Println(d.Outcome, d.Row, d.Reason)
		}
	})
	defer stop()
	fmt.Println(call("") != "MISSING_TOKEN") // no token, and yet it gets through to the handler
	// Output:
	// reported /grpc.testing.TestService/UnaryCall MISSING_TOKEN
	// true
}

// The row also sets the policy for open streams and the required binding of tokens.
func ExampleRule_Streams() {
	for _, rule := range []auth0grpc.Rule{
		auth0grpc.Scopes("read:orders").Streams(auth0grpc.IgnoreExpiry()),
		auth0grpc.Scopes("write:orders").Streams(auth0grpc.EndAfter(5 * time.Minute)),
		auth0grpc.AnyPermission("refund:orders", "admin").Streams(auth0grpc.EndAtExpiry()),
		auth0grpc.Scopes("pay").RequireDPoP(),
		auth0grpc.Scopes("settle").RequireMTLS(),
		auth0grpc.Optional(),
	} {
		fmt.Println(rule)
	}
	// Output:
	// read:orders, streams run on
	// write:orders, streams end 5m0s after expiry
	// permission(refund:orders) OR permission(admin), streams end at expiry
	// pay, DPoP required
	// settle, mTLS required
	// optional
}

// Tokens bound to a key of the client, with a memory of used proofs and nonces.
func ExampleDPoPConfig() {
	_, err := auth0grpc.New(auth0grpc.Config{
		Issuers:   []string{"https://example.eu.auth0.com/"},
		Audiences: []string{"https://api.example.com"},
		Methods:   map[string]auth0grpc.Rule{"/orders.v1.Orders/*": auth0grpc.Scopes("read:orders").RequireDPoP()},
		DPoP: auth0grpc.DPoPConfig{
			Mode:        auth0grpc.BindingAllowed,
			Authorities: []string{"https://orders.example.com"},
			ReplayStore: auth0grpc.NewReplayStore(100_000, nil),
		},
	})
	fmt.Println(err)
	// Output: <nil>
}

// All that a handler can ask a token.
func ExampleToken() {
	ctx := auth0grpctest.ContextWithToken(context.Background(), map[string]any{
		"sub": "auth0|alice", "azp": "web-app", "org_id": "org_1", "aud": "https://api.example.com",
		"scope": "read:orders", "permissions": []string{"read:orders", "write:orders"},
		"iat": 1700000000, "exp": 1700086400, "https://example.com/plan": "gold",
	})
	token, _ := auth0grpc.TokenFromContext(ctx)
	fmt.Println(token.Subject(), token.ClientID(), token.OrganizationID(), token.Audience())
	fmt.Println(token.Scopes(), token.HasScope("write:orders"), token.HasPermission("write:orders"))
	fmt.Println(token.Expiry().Sub(token.IssuedAt()))
	var custom struct {
		Plan string `json:"https://example.com/plan"`
	}
	if err := token.Claims(&custom); err != nil {
		log.Fatal(err)
	}
	fmt.Println(custom.Plan)
	fmt.Println(token)
	// Output:
	// auth0|alice web-app org_1 [https://api.example.com]
	// [read:orders] false true
	// 24h0m0s
	// gold
	// Token("auth0|alice")
}

// Other packages that revoke tokens compare their configuration with the issuers.
func ExampleInterceptor_Issuers() {
	tenant, guard, _, stop := embedded(nil)
	defer stop()
	fmt.Println(len(guard.Issuers()), guard.Issuers()[0] == tenant.Issuer())
	// Output:
	// 1 true
}
