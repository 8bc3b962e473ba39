package auth0grpctest

import (
	"context"
	"fmt"
	"time"

	_ "github.com/auth0grpc/auth0grpc" // sets the hook
	"github.com/auth0grpc/auth0grpc/internal/testhook"
)

// contextIssuer is a name reserved for examples (RFC 2606): no tenant is there.
const contextIssuer = "https://tenant.example/"

// ContextWithToken returns a copy of ctx in which auth0grpc.TokenFromContext
// finds a token with the given claims, as if an interceptor had verified it.
// It is for unit tests of a handler, which then need no server and no tenant.
//
// Defaults and the meaning of claims are as for [Tenant.Token], except that
// "iss" is "https://tenant.example/". Nothing is signed, and neither the token
// nor a method's rule is checked: a handler test is no test of the policy.
// ContextWithToken panics if the claims have no JSON form or do not make a
// token.
func ContextWithToken(ctx context.Context, claims map[string]any) context.Context {
	payload := mustJSON(merge(accessClaims(contextIssuer, time.Now(), defaultTokenLifetime), claims))
	ctx, err := testhook.ContextWithClaims(ctx, payload)
	if err != nil {
		panic(fmt.Errorf("auth0grpctest: ContextWithToken: %w", err))
	}
	return ctx
}
