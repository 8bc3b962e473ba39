package auth0grpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

// A message of a queue carries the token of the client that sent it. The consumer asks
// for the decision before it handles the message.
func ExampleInterceptor_Check() {
	tenant, guard, _, stop := embedded(nil)
	defer stop()
	type message struct{ method, authorization string }
	handle := func(ctx context.Context) string {
		token, _ := auth0grpc.TokenFromContext(ctx)
		return "handled for " + token.Subject()
	}
	consume := func(m message) string {
		request := auth0grpc.Request{FullMethod: m.method}
		if m.authorization != "" {
			request.Authorization = []string{m.authorization}
		}
		ctx, err := guard.Check(context.Background(), request)
		var refusal *auth0grpc.Refusal
		switch {
		case errors.As(err, &refusal) && refusal.RetryAfter() > 0:
			return fmt.Sprint("later: ", refusal.Reason())
		case err != nil:
			return fmt.Sprint("rejected: ", err)
		}
		return handle(ctx)
	}

	token := tenant.Token(map[string]any{"sub": "auth0|alice", "scope": "greet"})
	fmt.Println(consume(message{unary, "Bearer " + token}))
	fmt.Println(consume(message{unary, ""}))
	// Output:
	// handled for auth0|alice
	// rejected: auth0grpc: no access token was sent
}

// A refusal has a form for HTTP too. Package auth0grpchttp writes it.
func ExampleRefusal() {
	tenant, guard, _, stop := embedded(nil)
	defer stop()
	write := func(header http.Header, refusal *auth0grpc.Refusal) int {
		for _, challenge := range refusal.Challenges() {
			header.Add("WWW-Authenticate", challenge)
		}
		if nonce := refusal.DPoPNonce(); nonce != "" {
			header.Set("DPoP-Nonce", nonce)
		}
		if delay := refusal.RetryAfter(); delay > 0 {
			header.Set("Retry-After", strconv.Itoa(int((delay+time.Second-1)/time.Second)))
		}
		return refusal.HTTPStatus()
	}

	token := tenant.Token(map[string]any{"scope": "other"})
	ctx, err := guard.Check(context.Background(), auth0grpc.Request{FullMethod: unary, Authorization: []string{"Bearer " + token}})
	var refusal *auth0grpc.Refusal
	if !errors.As(err, &refusal) {
		log.Fatal(err)
	}
	header := http.Header{}
	fmt.Println(write(header, refusal), header.Get("WWW-Authenticate"))
	_, ok := auth0grpc.DPoPNonceFromContext(ctx) // for the header DPoP-Nonce of a call that may proceed
	fmt.Println(ok)
	// Output:
	// 403 Bearer error="insufficient_scope", scope="greet"
	// false
}

// A subscription over a WebSocket ends when its token is revoked.
func ExampleInterceptor_CheckStream() {
	tenant, guard, _, stop := embedded(nil)
	defer stop()
	token := tenant.Token(map[string]any{"sub": "auth0|alice", "scope": "greet"})
	subscription, err := guard.CheckStream(context.Background(), auth0grpc.Request{FullMethod: unary, Authorization: []string{"Bearer " + token}})
	if err != nil {
		log.Fatal(err)
	}
	defer subscription.Close()
	ttl, expires := subscription.TTL()
	fmt.Println(ttl > 0, expires)

	if err := guard.Revoke(context.Background(), auth0grpc.Revocation{Issuer: tenant.Issuer(), Subject: "auth0|alice"}); err != nil {
		log.Fatal(err)
	}
	<-subscription.Context().Done()
	fmt.Println(subscription.Close().Reason())
	// Messages of a call with MessagesFollow go through the subscription.
	fmt.Println(subscription.Received(nil, nil), subscription.Sends())
	// Output:
	// true true
	// TOKEN_REVOKED
	// <nil> <nil>
}

// Clients find the authorization server by the metadata of the API (RFC 9728).
func ExampleNewResourceMetadata() {
	_, guard, _, stop := embedded(func(config *auth0grpc.Config) { config.Resource = "https://api.example.com" })
	defer stop()
	metadata := auth0grpc.NewResourceMetadata(guard)
	fmt.Println(metadata.Resource, metadata.Scopes)
	fmt.Println(auth0grpc.ResourceMetadataURL(metadata.Resource))
	// Output:
	// https://api.example.com [greet]
	// https://api.example.com/.well-known/oauth-protected-resource
}

// A transport that shows no message to Check cannot serve a rule about it.
func ExampleRule_NeedsMessage() {
	rule := auth0grpc.Scopes("read:orders")
	fmt.Println(rule.NeedsMessage(), rule.Same("org_id", auth0grpc.ClaimOrganization).NeedsMessage())
	// Output: false true
}
