// Package testhook lets auth0grpctest put a token into a context without signing one.
// The package is internal, so no other module can import it.
package testhook

import "context"

// ContextWithClaims returns a copy of ctx that carries a token with the given
// payload, a JSON object of claims, as if an interceptor had verified it.
// Package auth0grpc sets it when it is initialised.
var ContextWithClaims func(ctx context.Context, payload []byte) (context.Context, error)
