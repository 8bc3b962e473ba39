// Package auth0grpc protects a gRPC server with Auth0. Every call must carry an access
// token that is valid, issued for this API and not expired. The token must have the
// scopes in the method's row of one table.
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
// A method without a row is refused. [Interceptor.CheckServices] compares the table
// with the registered services, so that a server does not start with a forgotten
// method.
//
// # Outcomes
//
// A refused call ends with a fixed text and a google.rpc.ErrorInfo whose reason is a
// [Reason]. If RFC 6750 defines a challenge, it is under the key www-authenticate, in
// the header metadata and in the trailer:
//
//	no token             Unauthenticated   Bearer
//	malformed value      Unauthenticated   Bearer error="invalid_request"
//	bad token            Unauthenticated   Bearer error="invalid_token"
//	rule not met         PermissionDenied  Bearer error="insufficient_scope"
//	unlisted method      PermissionDenied  no challenge
//	keys unavailable     Unavailable       no challenge; google.rpc.RetryInfo
//
// invalid_request and invalid_token come with an error_description. insufficient_scope
// lists the scopes of the rule in scope="…", if scopes are missing.
//
// Only callers with a valid token learn that a method is unlisted. The status, and the
// error that outer interceptors see, contain no part of the token.
//
// # Keys
//
// The keys of each issuer are fetched on first use and kept for up to a day if the
// issuer is unavailable. After 5 minutes they are refreshed in the background, and
// after 10 minutes calls wait for the refresh. So a revoked key stops verifying within
// 10 minutes while the issuer can be reached.
package auth0grpc
