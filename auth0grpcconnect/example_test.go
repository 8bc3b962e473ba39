package auth0grpcconnect_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcconnect"
	"github.com/auth0grpc/auth0grpc/auth0grpchttp"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A server of Connect v2 has the interceptor. A handler of Connect v1, or of any other
// kind, is behind auth0grpchttp. One table decides on both.
func Example() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{"/orders.v1.Orders/*": auth0grpc.Scopes("read:orders"), "/old.v1.Old/*": auth0grpc.Scopes("read:orders")},
	})
	if err != nil {
		log.Fatal(err)
	}
	server := connect.NewServer(auth0grpcconnect.Interceptor(guard))
	auth0grpcconnect.HideUnknown(server)
	server.Register(connect.Method{Spec: connect.Spec{Procedure: "/orders.v1.Orders/Get"}, Handler: func(context.Context, connect.Spec, connect.ServerStream) error {
		return nil
	}})
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server)
	v1 := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}) // of generated code
	mux.Handle("/old.v1.Old/", auth0grpchttp.Handler(guard, v1))

	for _, path := range []string{"/orders.v1.Orders/Get", "/orders.v1.Orders/NoSuchMethod", "/old.v1.Old/Get"} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", path, http.NoBody)
		r.Header.Set("Content-Type", "application/json")
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	}
	// Output:
	// 401 Bearer
	// 401 Bearer
	// 401 Bearer
}

// Connect answers a GET of a procedure without the interceptor. With the handler, the
// status does not tell that the procedure is not registered.
func ExampleHandler() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{"/orders.v1.Orders/*": auth0grpc.Scopes("read:orders")},
	})
	if err != nil {
		log.Fatal(err)
	}
	server := connect.NewServer(auth0grpcconnect.Interceptor(guard)) // and server.Register
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server)
	for _, handler := range []http.Handler{mux, auth0grpcconnect.Handler(guard, mux)} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/orders.v1.Orders/NoSuchMethod", nil))
		fmt.Println(w.Code)
	}
	// Output:
	// 404
	// 401
}
