// Package auth0grpcclient gives gRPC clients Auth0 access tokens: a service's own
// token by the client credentials grant, or a token on behalf of the user whose
// call the service handles.
//
//	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
//		Issuer:       "https://TENANT.eu.auth0.com/",
//		ClientID:     "…",
//		ClientSecret: os.Getenv("CLIENT_SECRET"),
//		Audience:     "https://api.example.com",
//	})
//	…
//	conn, err := grpc.NewClient(target, append(creds.DialOptions(),
//		grpc.WithTransportCredentials(credentials.NewTLS(nil)))...)
//
// One token serves all calls. It is fetched when the first call needs it and
// replaced in the background before it expires; a call waits only when there is
// no valid token. No token is sent over a connection without TLS.
//
// # Errors
//
// A call that gets no token ends before anything is sent. Its status is
// Unavailable, with a google.rpc.RetryInfo, if the token endpoint fails or limits
// the rate. It is Unauthenticated if the endpoint refuses: a retry does not help
// then. On behalf of a user, a refusal is Internal. See [TokenError].
//
// # Refused calls
//
// The interceptors in [Credentials.DialOptions] repeat a call once with a new
// token when the server answers Unauthenticated with the reason TOKEN_EXPIRED or
// TOKEN_REVOKED, and once with the server's nonce for USE_DPOP_NONCE. They do so
// only if the answer proves that no handler ran: its google.rpc.ErrorInfo has the
// metadata beforeHandler=true (auth0grpc.BeforeHandlerKey). The end of a running
// stream does not have it, nor does an error that a handler returned. Servers of
// releases before this key do not send it; their refusals are returned as they are.
//
// A stream is opened again only while no more than one message was sent on it and
// none received: that covers every server-streaming call, and the others up to
// their second message. Later refusals are returned as they are, and the next call
// has the new token.
//
// If a server refuses the new token too, the client fetches the next one after a
// second, then after 2, 4, 8 and 10 seconds. So one broken server does not use up
// the tenant's token quota. After a revocation one second is needed, because it
// covers the tokens of its own second as well. A server with
// auth0grpc.Config.ClockSkew refuses new tokens for that much longer, unless
// Revocation.IssuedBefore is set.
//
// # Long streams
//
// A server ends a stream with its token. [Follow] receives the messages of a stream for
// longer than that: it opens the next stream with a new token before the server ends the
// one before, and a function of the caller says where to resume.
//
// # Bound tokens
//
// With [Config.DPoP] the token is bound to a key that never leaves the process,
// and each call carries a fresh proof (RFC 9449). For an API that is not set up
// for DPoP, Auth0 returns an unbound token without an error. The client refuses
// such a token: it never drops a requested binding silently.
//
// For tokens that are bound to a client certificate (RFC 8705) give the same
// certificate to [Config.HTTPClient] and to the connection's TLS credentials.
// Calls carry only the token, under the scheme Bearer for every token_type in the
// response: RFC 8705 defines this scheme, and Auth0's own SDKs accept no other.
//
// # The caller's token
//
// A token that a server received is meant for that server. Forwarding it would give
// every service behind it the same power. This package never does so, and
// refuses a call whose outgoing metadata already has an authorization value
// (see [Config.InsecureForwardAuthorization]). [NewOnBehalfOf] exchanges it for a
// token that is meant for the next API and names this service as the actor.
package auth0grpcclient
