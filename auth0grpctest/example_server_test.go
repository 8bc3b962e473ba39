package auth0grpctest_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

// exampleGuard returns an interceptor whose methods want the scope read:msg, with
// a configuration that change may change.
func exampleGuard(tenant *auth0grpctest.Tenant, change func(*auth0grpc.Config)) *auth0grpc.Interceptor {
	config := auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		HTTPClient: tenant.HTTPClient(),
		Methods:    map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Scopes("read:msg")},
		Logger:     slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&config)
	}
	guard, err := auth0grpc.New(config)
	if err != nil {
		log.Fatal(err)
	}
	return guard
}

// exampleServer serves the greeter behind a guard until stop is called.
func exampleServer(guard *auth0grpc.Interceptor, options ...grpc.ServerOption) (address string, stop func()) {
	server := grpc.NewServer(append(options, guard.ServerOptions()...)...)
	testgrpc.RegisterTestServiceServer(server, greeter{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	return listener.Addr().String(), server.Stop
}

// exampleCall calls a server, with metadata in pairs, and returns OK or the
// reason of the refusal.
func exampleCall(address string, transport credentials.TransportCredentials, pairs ...string) string {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(context.Background(), pairs...)
	_, err = testgrpc.NewTestServiceClient(conn).UnaryCall(ctx, &testgrpc.SimpleRequest{})
	if reason, ok := auth0grpc.ReasonFromError(err); ok {
		return string(reason)
	}
	if err != nil {
		return err.Error()
	}
	return "OK"
}

// exampleServed is exampleServer and exampleCall in one, without TLS and for
// bearer tokens.
func exampleServed(guard *auth0grpc.Interceptor) (call func(token string) string, stop func()) {
	address, stop := exampleServer(guard)
	return func(token string) string {
		return exampleCall(address, insecure.NewCredentials(), "authorization", "Bearer "+token)
	}, stop
}

// The key that takes over in a rotation was published before, so that servers have
// it. A revoked key is known to them until they fetch the key set again, which
// they do when it is ten minutes old.
func ExampleTenant_RotateKeys() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	start, ahead := time.Now(), new(atomic.Int64)
	clock := func() time.Time { return start.Add(time.Duration(ahead.Load())) }
	tenant.SetNow(clock)
	call, stop := exampleServed(exampleGuard(tenant, func(config *auth0grpc.Config) { config.Now = clock }))
	defer stop()

	old := tenant.Token(map[string]any{"scope": "read:msg"})
	fmt.Println("before:", call(old))
	tenant.RotateKeys()
	fresh := tenant.Token(map[string]any{"scope": "read:msg"})
	fmt.Println("rotated:", call(old), call(fresh))
	tenant.RevokePreviousKey()
	fmt.Println("revoked:", call(old), call(fresh))
	fmt.Println("the key set was fetched", tenant.KeyFetches(), "time")
	ahead.Store(int64(11 * time.Minute))
	fmt.Println("11 minutes later:", call(old), call(fresh))
	// Output:
	// before: OK
	// rotated: OK OK
	// revoked: OK OK
	// the key set was fetched 1 time
	// 11 minutes later: UNKNOWN_KEY OK
}

// An outage of the tenant does not stop a server that has its keys. One that
// starts meanwhile has to wait for the end of it.
func ExampleTenant_SetDown() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	call, stop := exampleServed(exampleGuard(tenant, nil))
	defer stop()
	token := tenant.Token(map[string]any{"scope": "read:msg"})
	fmt.Println(call(token))

	tenant.SetDown(true)
	fmt.Println("served before:", call(token), call(tenant.Token(map[string]any{"scope": "read:msg", "sub": "auth0|bob"})))
	late := exampleGuard(tenant, nil)
	callLate, stopLate := exampleServed(late)
	defer stopLate()
	fmt.Println("started meanwhile:", callLate(token))

	tenant.SetDown(false)
	fmt.Println("ready:", late.Ready(context.Background()) == nil, callLate(token))
	fmt.Println(tenant.DiscoveryFetches(), "requests for the discovery document,", tenant.KeyFetches(), "for the keys")
	// Output:
	// OK
	// served before: OK OK
	// started meanwhile: KEYS_UNAVAILABLE
	// ready: true OK
	// 3 requests for the discovery document, 2 for the keys
}

// Tenant and server share a clock, which the test puts forward by a day: the life
// of a token.
func ExampleTenant_SetNow() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	start, ahead := time.Now(), new(atomic.Int64)
	clock := func() time.Time { return start.Add(time.Duration(ahead.Load())) }
	tenant.SetNow(clock)
	call, stop := exampleServed(exampleGuard(tenant, func(config *auth0grpc.Config) { config.Now = clock }))
	defer stop()

	token := tenant.Token(map[string]any{"scope": "read:msg"})
	fmt.Println(call(token))
	ahead.Store(int64(24 * time.Hour))
	fmt.Println(call(token))
	fmt.Println(call(tenant.Token(map[string]any{"scope": "read:msg"})))
	// Output:
	// OK
	// TOKEN_EXPIRED
	// OK
}

// A server that allows a second algorithm is tested with a key that Auth0 does
// not have yet.
func ExampleTenant_PublishES256() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	tenant.PublishES256()
	token := tenant.Sign(map[string]any{"alg": "ES256"}, map[string]any{ // Sign has no defaults for claims
		"iss": tenant.Issuer(), "sub": auth0grpctest.Subject, "aud": auth0grpctest.Audience, "scope": "read:msg",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})

	for _, algorithms := range [][]string{{"RS256"}, {"RS256", "ES256"}} {
		call, stop := exampleServed(exampleGuard(tenant, func(config *auth0grpc.Config) { config.Algorithms = algorithms }))
		fmt.Println(algorithms, call(token))
		stop()
	}
	// Output:
	// [RS256] UNSUPPORTED_ALGORITHM
	// [RS256 ES256] OK
}

// Payloads that no Go map can hold. A claim that is there twice has two values,
// and which of them counts differs from one parser to the next.
func ExampleTenant_SignRaw() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	call, stop := exampleServed(exampleGuard(tenant, nil))
	defer stop()

	encoded, _, _ := strings.Cut(tenant.Token(nil), ".")
	header, err := base64.RawURLEncoding.DecodeString(encoded) // with the id of the key that signs
	if err != nil {
		log.Fatal(err)
	}
	good := fmt.Sprintf(`"iss":%q,"sub":"auth0|alice","aud":%q,"scope":"read:msg","iat":1700000000,"exp":4000000000`,
		tenant.Issuer(), auth0grpctest.Audience)
	for _, row := range []struct{ name, payload string }{
		{"once", "{" + good + "}"},
		{"twice", "{" + good + `,"sub":"auth0|admin"}`},
		{"cut off", "{" + good},
	} {
		fmt.Println(row.name, call(tenant.SignRaw(string(header), row.payload)))
	}
	// Output:
	// once OK
	// twice MALFORMED_TOKEN
	// cut off MALFORMED_TOKEN
}

// An API can be switched to the profile of RFC 9068, in which the application has
// another name. A rule holds for both.
func ExampleTenant_RFC9068Token() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	call, stop := exampleServed(exampleGuard(tenant, func(config *auth0grpc.Config) {
		config.Methods = map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Clients("billing")}
	}))
	defer stop()

	fmt.Println(call(tenant.Token(map[string]any{"azp": "billing"})))
	fmt.Println(call(tenant.RFC9068Token(map[string]any{"client_id": "billing"})))
	fmt.Println(call(tenant.RFC9068Token(map[string]any{"client_id": "reports"})))
	// Output:
	// OK
	// OK
	// WRONG_CLIENT
}

// A logout token ends the user's access tokens, and is none itself.
func ExampleTenant_LogoutToken() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	guard := exampleGuard(tenant, nil)
	call, stop := exampleServed(guard)
	defer stop()
	token, logout := tenant.Token(map[string]any{"scope": "read:msg"}), tenant.LogoutToken(nil)
	fmt.Println(call(token), call(logout))

	post := func(logoutToken string) int { // as Auth0 does
		form := strings.NewReader(url.Values{"logout_token": {logoutToken}}.Encode())
		request := httptest.NewRequest(http.MethodPost, "/logout", form)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer := httptest.NewRecorder()
		guard.BackChannelLogout(auth0grpctest.ClientID).ServeHTTP(answer, request)
		return answer.Code
	}
	fmt.Println(post(tenant.LogoutToken(map[string]any{"aud": "another-app"})), call(token))
	fmt.Println(post(logout), call(token))
	// Output:
	// OK WRONG_TOKEN_TYPE
	// 400 OK
	// 200 TOKEN_REVOKED
}
