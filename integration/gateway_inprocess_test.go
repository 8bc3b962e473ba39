package integration

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/integration/ordersv1"
)

// Handlers that are registered in process run without any interceptor: grpc-gateway calls
// the implementation itself. docs/operating.md and docs/threat-model.md warn of it.
func TestGatewayHandlerServerIsUnprotected(t *testing.T) {
	a := newAuthority(t)
	mux := runtime.NewServeMux()
	if err := ordersv1.RegisterOrdersHandlerServer(t.Context(), mux, orders{}); err != nil {
		t.Fatal(err)
	}
	front := a.serveHTTP(t, mux)
	status, _, body := a.fetch(t, http.MethodGet, front+"/v1/orders/7", "")
	if status != http.StatusOK {
		t.Errorf("without a token: %d %s; if grpc-gateway runs interceptors now, the two pages are out of date", status, body)
	}
	for _, page := range []string{"operating.md", "threat-model.md"} {
		text, err := os.ReadFile("../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile("Register[A-Za-z]*HandlerServer").Match(text) {
			t.Errorf("docs/%s does not warn of it", page)
		}
	}
	summarize(t, "grpc-gateway: RegisterXHandlerServer runs no interceptor")
}

// inProcess returns a connection to a server in this process. Each call passes the
// interceptors of guard. No other process can reach the server.
func inProcess(
	guard *auth0grpc.Interceptor, register func(grpc.ServiceRegistrar),
) (conn *grpc.ClientConn, stop func(), err error) {
	server := grpc.NewServer(guard.ServerOptions()...)
	register(server)
	if err := guard.CheckServices(server.GetServiceInfo()); err != nil {
		return nil, nil, err
	}
	listener := bufconn.Listen(1 << 20)
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
	conn, err = grpc.NewClient("passthrough:///in-process", grpc.WithContextDialer(dial),
		grpc.WithTransportCredentials(insecure.NewCredentials())) // nothing leaves the process
	if err != nil {
		return nil, nil, err
	}
	go func() { _ = server.Serve(listener) }() // ends by stop
	return conn, func() { _ = conn.Close(); server.Stop() }, nil
}

// The remedy of docs/operating.md: the gateway calls a server in the same process, over
// memory and through both interceptors.
func TestGatewayInProcess(t *testing.T) {
	a := newAuthority(t)
	tenant := auth0grpctest.NewTenant(t)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{
			ordersv1.Orders_GetStatus_FullMethodName:   auth0grpc.Public(),
			ordersv1.Orders_CreateOrder_FullMethodName: auth0grpc.Scopes("write:orders"),
			"/orders.v1.Orders/*":                      auth0grpc.Scopes("read:orders"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, stop, err := inProcess(guard, func(s grpc.ServiceRegistrar) { ordersv1.RegisterOrdersServer(s, orders{}) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	mux := runtime.NewServeMux()
	if err := ordersv1.RegisterOrdersHandler(t.Context(), mux, conn); err != nil {
		t.Fatal(err)
	}
	front := a.serveHTTP(t, mux)
	token := tenant.Token(map[string]any{"scope": "read:orders"})
	for _, row := range []struct {
		name, token, method, path string
		status                    int
		body                      string
	}{
		{"public", "", http.MethodGet, "/v1/status", 200, "open"},
		{"unary", token, http.MethodGet, "/v1/orders/7", 200, "tea"},
		{"stream", token, http.MethodGet, "/v1/orders:watch?count=3", 200, `{"result":{"id":"2"`},
		{"no token", "", http.MethodGet, "/v1/orders/7", 401, "MISSING_TOKEN"},
		{"no token, stream", "", http.MethodGet, "/v1/orders:watch", 401, "MISSING_TOKEN"},
		{"bad token", "x", http.MethodGet, "/v1/orders/7", 401, "MALFORMED_TOKEN"},
		{"insufficient scope", token, http.MethodPost, "/v1/orders", 403, "INSUFFICIENT_SCOPE"},
	} {
		status, _, body := a.fetch(t, row.method, front+row.path, row.token)
		if status != row.status || !strings.Contains(body, row.body) {
			t.Errorf("%s: %d %s, want %d with %s", row.name, status, body, row.status, row.body)
		}
	}
	summarize(t, "grpc-gateway in one process with both interceptors: 401 and 403")
}

// The page has the function that is tested here.
func TestGatewayPage(t *testing.T) {
	source, err := os.ReadFile("gateway_inprocess_test.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	function := regexp.MustCompile(`(?s)func inProcess\(.*?\n}\n`).Find(source)
	if want := fmt.Sprintf("```go\n%s```", function); !strings.Contains(string(page), want) {
		t.Errorf("docs/operating.md does not have\n%s", want)
	}
}
