// Package testhook lets auth0grpctest put a token into a context without
// signing one, and lets nobody else do it: being internal, it cannot be
// imported from outside this module.
package testhook

import "context"

// ContextWithClaims returns a copy of ctx that carries a token with the given
// payload, a JSON object of claims, as if an interceptor had verified it.
// Package auth0grpc sets it when it is initialised.
var ContextWithClaims func(ctx context.Context, payload []byte) (context.Context, error)
