package auth0grpchttp_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpchttp"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// orders starts a tenant, and returns a guard and a good token.
func orders() (guard *auth0grpc.Interceptor, token string, stop func()) {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	guard, err = auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
		Methods:  map[string]auth0grpc.Rule{get: auth0grpc.Scopes("read:orders"), create: auth0grpc.Scopes("write:orders")},
		Resource: "https://api.example.com",
	})
	if err != nil {
		log.Fatal(err)
	}
	return guard, tenant.Token(map[string]any{"scope": "read:orders"}), tenant.Close
}

// send prints the answer to a request.
func send(handler http.Handler, method, path, token string) {
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	handler.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Header().Get("WWW-Authenticate"))))
}

// A Connect or gRPC handler behind the door: the path is the method.
func ExampleHandler() {
	guard, token, stop := orders()
	defer stop()
	connectHandler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	handler := auth0grpchttp.Handler(guard, connectHandler)
	send(handler, "POST", get, token)
	send(handler, "POST", get, "")
	send(handler, "POST", create, token)
	// Output:
	// 200
	// 401 Bearer resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"
	// 403 Bearer error="insufficient_scope", scope="write:orders", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"
}

// A door behind the router: each route has its method. Browsers may send preflights.
func ExampleFullMethod() {
	guard, token, stop := orders()
	defer stop()
	getOrder := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	mux := http.NewServeMux()
	mux.Handle("/v1/orders/{id}", auth0grpchttp.Handler(guard, getOrder, auth0grpchttp.FullMethod(get),
		auth0grpchttp.ClientCertificate(func(*http.Request) (*x509.Certificate, error) { return nil, nil }), // a proxy's
		auth0grpchttp.Preflight(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))))
	send(mux, "GET", "/v1/orders/7", token)
	// Output: 200
}

// A whole router behind one door: its patterns are mapped.
func ExampleRoutes() {
	guard, token, stop := orders()
	defer stop()
	door := auth0grpchttp.Middleware(guard, auth0grpchttp.Routes(
		func(r *http.Request) string { return r.Pattern }, map[string]string{"GET /v1/orders/{id}": get}))
	mux := http.NewServeMux()
	for _, pattern := range []string{"GET /v1/orders/{id}", "DELETE /v1/orders/{id}"} {
		mux.Handle(pattern, door(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	}
	send(mux, "GET", "/v1/orders/7", token)
	send(mux, "DELETE", "/v1/orders/7", token) // has no method
	// Output:
	// 200
	// 403
}

// The user's function returns the method.
func ExampleMethodFunc() {
	guard, token, stop := orders()
	defer stop()
	handler := auth0grpchttp.Handler(guard, http.NotFoundHandler(), auth0grpchttp.MethodFunc(func(r *http.Request) (string, bool) {
		return get, r.Method == http.MethodGet
	}))
	send(handler, "GET", "/", token)
	send(handler, "PUT", "/", token)
	// Output:
	// 404
	// 403
}

// The routes of grpc-gateway come from the google.api.http options. This service has
// none, so its methods have their own paths.
func ExampleGatewayRoutes() {
	service := testgrpc.File_grpc_testing_test_proto.Services().ByName("UnimplementedService")
	routes, err := auth0grpchttp.GatewayRoutes(service)
	fmt.Println(routes, err)
	// Output: map[POST /grpc.testing.UnimplementedService/UnimplementedCall:/grpc.testing.UnimplementedService/UnimplementedCall] <nil>
}

// A handler with several methods decides by itself.
func ExampleWriteRefusal() {
	guard, _, stop := orders()
	defer stop()
	send(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := guard.Check(context.Background(), auth0grpc.Request{FullMethod: create, Authorization: r.Header.Values("Authorization")})
		var refusal *auth0grpc.Refusal
		if errors.As(err, &refusal) {
			auth0grpchttp.WriteRefusal(w, r, refusal)
		}
	}), "POST", "/", "a.b.c")
	// Output: 401 Bearer error="invalid_token", error_description="the access token is malformed", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"
}

// Clients read the metadata without a token.
func ExampleMetadata() {
	guard, _, stop := orders()
	defer stop()
	mux := http.NewServeMux()
	mux.Handle("/.well-known/oauth-protected-resource", auth0grpchttp.Metadata(guard, func(m *auth0grpc.ResourceMetadata) {
		m.Name, m.AuthorizationServers = "Orders", nil
	}))
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/oauth-protected-resource", nil))
	fmt.Println(w.Body)
	// Output: {"resource":"https://api.example.com","resource_name":"Orders","scopes_supported":["read:orders","write:orders"],"bearer_methods_supported":["header"]}
}
