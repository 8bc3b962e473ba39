package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/examples/doors/doorsv1"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

// recorded is the service behind the doors. It records the methods that ran.
type recorded struct {
	doorsv1.UnimplementedOrdersServer
	mu  sync.Mutex
	ran []string
}

func (s *recorded) record(ctx context.Context, method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := auth0grpc.TokenFromContext(ctx); !ok {
		method += " without a token"
	}
	s.ran = append(s.ran, method)
}

// take returns the recorded methods, and forgets them.
func (s *recorded) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.ran = nil }()
	return s.ran
}

func (s *recorded) GetOrder(ctx context.Context, _ *ordersv1.GetOrderRequest) (*ordersv1.Order, error) {
	s.record(ctx, get)
	return &ordersv1.Order{}, nil
}

func (s *recorded) CreateOrder(ctx context.Context, _ *ordersv1.CreateOrderRequest) (*ordersv1.Order, error) {
	s.record(ctx, doorsv1.Orders_CreateOrder_FullMethodName)
	return &ordersv1.Order{}, nil
}

func (s *recorded) DeleteOrder(ctx context.Context, _ *ordersv1.DeleteOrderRequest) (*ordersv1.DeleteOrderResponse, error) {
	s.record(ctx, doorsv1.Orders_DeleteOrder_FullMethodName)
	return &ordersv1.DeleteOrderResponse{}, nil
}

func (s *recorded) ListOrders(_ *ordersv1.ListOrdersRequest, stream grpc.ServerStreamingServer[ordersv1.Order]) error {
	s.record(stream.Context(), list)
	return nil
}

func (s *recorded) ImportOrders(stream grpc.ClientStreamingServer[ordersv1.CreateOrderRequest, ordersv1.ImportOrdersResponse]) error {
	s.record(stream.Context(), doorsv1.Orders_ImportOrders_FullMethodName)
	return nil
}

func (s *recorded) WatchOrders(stream grpc.BidiStreamingServer[ordersv1.GetOrderRequest, ordersv1.Order]) error {
	s.record(stream.Context(), watch)
	return nil
}

// versions of HTTP in the fuzz test.
var versions = []string{"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"}

// For any request: a handler that ran implies that Check allowed the method that ran, and
// that the request had the token.
func FuzzDoors(f *testing.F) {
	tenant := auth0grpctest.NewTenant(f)
	token := tenant.Token(claims{"scope": "read:orders"})
	allowed := []string{get, watch} // to this token
	var mu sync.Mutex
	var decided []string
	service := new(recorded)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{
			get: auth0grpc.Scopes("read:orders"), watch: auth0grpc.Authenticated(), list: auth0grpc.Scopes("list:orders"),
			doorsv1.Orders_CreateOrder_FullMethodName:  auth0grpc.Scopes("write:orders"),
			doorsv1.Orders_ImportOrders_FullMethodName: auth0grpc.Organizations("org_a"),
			doorsv1.Orders_DeleteOrder_FullMethodName:  auth0grpc.Scopes("delete:orders"),
			auth0grpc.ReflectionService:                auth0grpc.Authenticated(),
		},
		Logger: slog.New(slog.DiscardHandler),
		OnDecision: func(_ context.Context, d auth0grpc.Decision) {
			mu.Lock()
			defer mu.Unlock()
			if d.Outcome == auth0grpc.OutcomeAllowed {
				decided = append(decided, d.FullMethod)
			}
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	handler, err := newHandler(guard, service)
	if err != nil {
		f.Fatal(err)
	}
	addSeeds(f)
	f.Fuzz(func(t *testing.T, method, target, headers string, body []byte, version uint8, withToken bool) {
		proto := versions[int(version)%len(versions)]
		text := method + " " + target + " " + strings.Replace(proto, "2.0", "1.1", 1) + "\r\nHost: a\r\n"
		if withToken {
			text += "Authorization: Bearer " + token + "\r\n"
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text + headers + "\r\n\r\n")))
		if err != nil {
			t.Skip("not a request")
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		if proto == "HTTP/2.0" {
			r.Proto, r.ProtoMajor, r.ProtoMinor = proto, 2, 0
		}
		handler.ServeHTTP(httptest.NewRecorder(), r)
		mu.Lock()
		admitted := decided
		decided = nil
		mu.Unlock()
		for _, ran := range service.take() {
			if !withToken || !slices.Contains(allowed, ran) || !slices.Contains(admitted, ran) {
				t.Errorf("%s\n%q\nran %s, and the decisions allowed %q", proto, text+headers, ran, admitted)
			}
		}
	})
}

// addSeeds adds each cell of the corpus, and requests that are known to confuse routers.
func addSeeds(f *testing.F) {
	for _, c := range cells() {
		contentType := "Content-Type: " + c.contentType
		if c.contentType == "" {
			contentType = "X-Filler: x"
		}
		for version := range versions {
			if c.path != "" {
				f.Add(c.htm, c.path+"?"+c.query, contentType, c.body, uint8(version), true)
			}
		}
	}
	for _, method := range []string{get, list, watch, doorsv1.Orders_CreateOrder_FullMethodName} {
		f.Add("POST", method, "Content-Type: application/grpc\r\nTe: trailers", frame(nil), uint8(2), true)
		f.Add("POST", method, "Content-Type: application/grpc\r\nTe: trailers", frame(nil), uint8(2), false)
	}
	create := doorsv1.Orders_CreateOrder_FullMethodName
	targets := []string{
		"/doors.v1.Orders/%43reateOrder", "/doors.v1.Orders%2fCreateOrder", "//doors.v1.Orders/CreateOrder", create + "/", "/./v1/orders",
		"/doors.v1.Orders/GetOrder/../CreateOrder", "/doors.v1.Orders/GetOrder/%2e%2e/CreateOrder", "/DOORS.V1.ORDERS/CREATEORDER",
		"http://b" + create, "http://b/v1/orders", "/connect-v1" + create, "/connect-v1/connect-v1" + create, "/connect-v1", "/connect-v1/v1/orders",
		"/v1/orders", "/v1//orders", "/v1/orders/", "/v1/orders/1/", "/v1/orders/1%2f..", "/v1/orders/../orders:import", "/v1/orders:import", "/v1/orders:get", "/v1/orders%3Aimport",
		"/v1/orders/1:get", "/plain/orders/", "/plain/orders/1/../2", "/plain/orders/1%2f2", "/plain//orders/1", "/.well-known/oauth-protected-resource", "/", "*",
		create + "?connect=v1&encoding=json&message=%7B%7D", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	}
	headers := []string{
		"Content-Type: application/grpc", "Content-Type: Application/GRPC", "Content-Type: application/grpc;x", "Content-Type: application/grpc-web", "Content-Type: application/connect+json",
		"Content-Type: application/json\r\nConnect-Protocol-Version: 1", "X-HTTP-Method-Override: DELETE\r\nContent-Type: application/x-www-form-urlencoded",
		"Grpc-Metadata-Authorization: Bearer x\r\nGrpc-Metadata-Dpop: x", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
		"Origin: https://b.example\r\nAccess-Control-Request-Method: POST", "X-Original-URL: /v1/orders/1\r\nX-Rewrite-URL: /v1/orders/1", "X-Filler: x" + strings.Repeat("\r\nX-Filler: x", 99),
	}
	for i, target := range targets {
		for j, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "PRI"} {
			f.Add(method, target, headers[(i+j)%len(headers)], frame(fmt.Appendf(nil, "%d", j)), uint8(i+j), j%4 != 3)
		}
	}
}
