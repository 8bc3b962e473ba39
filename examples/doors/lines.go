package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A line is a command for the reader's shell, and the answer that it gets.
type line struct{ door, command, answer string }

// lines returns tokens as shell variables, and a command for each door. A shell can
// evaluate the text.
func lines(tenant *auth0grpctest.Tenant, address string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Doors on %s. Enter revokes all tokens, Ctrl-C stops.\n\n", address)
	for _, token := range []struct {
		name   string
		claims map[string]any
	}{
		{"READER", map[string]any{"scope": "read:orders"}},
		{"WRITER", map[string]any{"scope": "read:orders write:orders"}},
		{"EXPIRED", map[string]any{"scope": "read:orders", "exp": time.Now().Add(-time.Minute)}},
		{"OUTAGE", map[string]any{"scope": "read:orders", "iss": outage}},
		{"OTHER_API", map[string]any{"scope": "read:orders", "aud": "https://billing.example.com"}},
	} {
		fmt.Fprintf(&b, "export %s=%s\n", token.name, tenant.Token(token.claims))
	}
	for _, l := range commands(address) {
		fmt.Fprintf(&b, "\n# %s: %s\n%s\n", l.door, l.answer, l.command)
	}
	return b.String()
}

func commands(address string) []line {
	const (
		curl   = `curl -i -H "Authorization: Bearer $READER" `
		json   = `-H "Content-Type: application/json" -d '{"id":"1"}' `
		method = "/doors.v1.Orders/GetOrder"
	)
	authority := strings.TrimPrefix(address, "http://")
	return []line{
		{"gRPC", `grpcurl -plaintext -H "Authorization: Bearer $READER" -d '{"id":"1"}' ` + authority + " doors.v1.Orders/GetOrder", "the order"},
		{"gRPC, bidirectional stream", `grpcurl -plaintext -H "Authorization: Bearer $READER" -d '{"id":"1"} {"id":"1"}' ` + authority + " doors.v1.Orders/WatchOrders", "the order, twice"},
		{"gRPC, missing scope", `grpcurl -plaintext -H "Authorization: Bearer $READER" -d '{"product":"tea"}' ` + authority + " doors.v1.Orders/CreateOrder", "PermissionDenied"},
		{"Connect v2", curl + json + address + method, "200"},
		{"Connect v2, GET", curl + "'" + address + method + "?connect=v1&encoding=json&message=%7B%22id%22%3A%221%22%7D'", "200"},
		{"Connect v2, expired token", strings.Replace(curl, "READER", "EXPIRED", 1) + json + address + method, "401 unauthenticated"},
		{"Connect v1", curl + json + address + "/connect-v1" + method, "200"},
		{"Connect v1, no token", "curl -i " + json + address + "/connect-v1" + method, "401 unauthenticated"},
		{"grpc-gateway", curl + address + "/v1/orders/1", "200"},
		{"grpc-gateway, missing scope", curl + `-d '{"product":"tea"}' ` + address + "/v1/orders", "403 permission_denied"},
		{"grpc-gateway, with the scope", strings.Replace(curl, "READER", "WRITER", 1) + `-d '{"product":"tea"}' ` + address + "/v1/orders", "200"},
		{"plain HTTP", curl + address + "/plain/orders/1", "200"},
		{"plain HTTP, token of another API", strings.Replace(curl, "READER", "OTHER_API", 1) + address + "/plain/orders/1", "401 unauthenticated"},
		{"plain HTTP, unreachable issuer", strings.Replace(curl, "READER", "OUTAGE", 1) + address + "/plain/orders/1", "503 unavailable"},
		{"metadata of the API, RFC 9728", "curl -i " + address + "/.well-known/oauth-protected-resource", "200"},
	}
}
