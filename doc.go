// Package auth0grpc protects a gRPC server with Auth0: every call must carry an
// access token that is genuine, meant for this API, in date, and holds the
// scopes that the method's row in one declared table asks for.
//
//	guard, err := auth0grpc.New(auth0grpc.Config{
//		Issuers:   []string{"https://TENANT.eu.auth0.com/"},
//		Audiences: []string{"https://api.example.com"},
//		Methods: map[string]auth0grpc.Rule{
//			"/orders.v1.Orders/Get":    auth0grpc.Scopes("read:orders"),
//			"/orders.v1.Orders/Create": auth0grpc.Scopes("write:orders"),
//			auth0grpc.HealthService:    auth0grpc.Public(),
//		},
//	})
//	…
//	server := grpc.NewServer(guard.ServerOptions()...)
//
// What is not in the table is refused. CheckServices compares the table with the
// registered services, so that a server does not start with a method forgotten.
//
// # Outcomes
//
// A refused call ends with a fixed text, a google.rpc.ErrorInfo whose reason is
// a Reason, and, where RFC 6750 has one, a challenge under the key
// www-authenticate, in the header metadata and in the trailer:
//
//	no token                      Unauthenticated    Bearer
//	malformed authorization       Unauthenticated    Bearer error="invalid_request", …
//	any fault of the token        Unauthenticated    Bearer error="invalid_token", …
//	rule not met                  PermissionDenied   Bearer error="insufficient_scope", scope="…"
//	unlisted method, good token   PermissionDenied
//	keys cannot be had            Unavailable        (with google.rpc.RetryInfo)
//
// Neither the status nor the error that interceptors outside see holds anything
// of the token.
//
// # Keys
//
// Each issuer's keys are fetched on first use and kept through outages of up to
// a day: refreshed in the background after 5 minutes, waited for after 10, so
// that a revoked key stops verifying within 10 minutes while the issuer answers.
package auth0grpc
