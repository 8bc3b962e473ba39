// Package auth0grpctest is an Auth0 tenant that runs inside the test process.
//
// A [Tenant] is an https server with Auth0's discovery document, key set,
// token endpoint and device endpoint. It signs access tokens in both of Auth0's
// profiles, rotates and revokes its keys in Auth0's manner, and can play an
// outage. A test of a server that uses package auth0grpc starts like this:
//
//	tenant := auth0grpctest.NewTenant(t)
//	interceptor, err := auth0grpc.New(auth0grpc.Config{
//		Issuers:    []string{tenant.Issuer()},
//		Audiences:  []string{auth0grpctest.Audience},
//		HTTPClient: tenant.HTTPClient(),
//		Methods:    methods,
//	})
//
// and then a token per row of the test table:
//
//	tenant.Token(map[string]any{"scope": "read:msg"})
//
// Bound tokens come from [Tenant.BoundToken], with proofs of a [DPoPKey], and
// from [Tenant.CertificateBoundToken], with certificates of a
// [CertificateAuthority]. The token endpoint binds as well, knows private_key_jwt
// and tls_client_auth, and has Auth0's on-behalf-of exchange.
//
// [Connect] gives a client of a grpc.Server that sends such a token.
// [ContextWithToken] is for tests of a handler alone: no server, no signature.
//
// The package is for tests and demonstrations. It keeps secrets in memory,
// issues tokens to any caller in the process, and panics, with a text that
// starts with "auth0grpctest:", where a production package returns an error.
package auth0grpctest
