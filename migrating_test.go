package auth0grpc_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// The code of docs/migrating.md: the hand-written interceptor.
func handWritten(verifier *oidc.IDTokenVerifier, scopes map[string]string) auth.AuthFunc {
	return func(ctx context.Context) (context.Context, error) {
		raw, err := auth.AuthFromMD(ctx, "bearer")
		if err != nil {
			return nil, err
		}
		token, err := verifier.Verify(ctx, raw)
		if err != nil {
			return nil, status.Error(codes.Unauthenticated, err.Error())
		}
		var claims struct {
			Scope string `json:"scope"`
		}
		if err := token.Claims(&claims); err != nil {
			return nil, status.Error(codes.Unauthenticated, err.Error())
		}
		method, _ := grpc.Method(ctx)
		if want, ok := scopes[method]; ok && !slices.Contains(strings.Fields(claims.Scope), want) {
			return nil, status.Error(codes.PermissionDenied, "missing scope")
		}
		return ctx, nil
	}
}

// The code of docs/migrating.md: the same server with this library.
func migrated(issuer string, methods map[string]auth0grpc.Rule) (*grpc.Server, error) {
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:   []string{issuer},
		Audiences: []string{"https://api.example.com"},
		Methods:   methods,
	})
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(auth.UnaryServerInterceptor(guard.AuthFunc())),
		grpc.ChainStreamInterceptor(auth.StreamServerInterceptor(guard.AuthFunc())),
	)
	return server, nil
}

// The page's statements about the hand-written code are true: a method that is not in
// its map is open, and refused here.
func TestMigratingClosesWhatWasOpen(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	token := tenant.Token(nil) // genuine, without any scope
	provider, err := oidc.NewProvider(oidc.ClientContext(t.Context(), tenant.HTTPClient()), tenant.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	byHand := handWritten(provider.Verifier(&oidc.Config{ClientID: auth0grpctest.Audience}), map[string]string{"/grpc.testing.TestService/EmptyCall": "read:orders"})
	before := grpc.NewServer(grpc.ChainUnaryInterceptor(auth.UnaryServerInterceptor(byHand)))
	config := auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		Methods:    map[string]auth0grpc.Rule{"/grpc.testing.TestService/EmptyCall": auth0grpc.Scopes("read:orders")},
		HTTPClient: tenant.HTTPClient(),
	}
	after := grpc.NewServer(mustNew(t, config).ServerOptions()...)
	for server, want := range map[*grpc.Server]codes.Code{before: codes.OK, after: codes.PermissionDenied} {
		testgrpc.RegisterTestServiceServer(server, service{})
		client := testgrpc.NewTestServiceClient(auth0grpctest.Connect(t, server, token))
		if _, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); status.Code(err) != want {
			t.Errorf("a method that is in no map: %v, want %v", err, want)
		}
	}
	if _, err := migrated("", nil); err == nil {
		t.Error("New takes an empty configuration")
	}
}
