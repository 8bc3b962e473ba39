package main

import (
	"context"
	"net/http"
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcconnect"
	"github.com/auth0grpc/auth0grpc/auth0grpchttp"
	"github.com/auth0grpc/auth0grpc/examples/doors/doorsv1"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

// methods is the table: the rule of each method, at every door.
func methods() map[string]auth0grpc.Rule {
	return map[string]auth0grpc.Rule{
		doorsv1.Orders_GetOrder_FullMethodName:     auth0grpc.Scopes("read:orders"),
		doorsv1.Orders_ListOrders_FullMethodName:   auth0grpc.Scopes("read:orders"),
		doorsv1.Orders_WatchOrders_FullMethodName:  auth0grpc.Scopes("read:orders"),
		doorsv1.Orders_CreateOrder_FullMethodName:  auth0grpc.Scopes("write:orders"),
		doorsv1.Orders_ImportOrders_FullMethodName: auth0grpc.Scopes("write:orders"),
		doorsv1.Orders_DeleteOrder_FullMethodName:  auth0grpc.AnyScope("delete:orders", "admin"),
		auth0grpc.ReflectionService:                auth0grpc.Authenticated(), // for grpcurl
	}
}

// newHandler returns the handler for all doors of service. Each request passes exactly
// one decision, by the door that serves it:
//
//	/doors.v1.Orders/             gRPC, Connect v2, gRPC-Web: interceptors
//	/grpc.reflection.v1.…/        gRPC: interceptors
//	/connect-v1/doors.v1.Orders/  Connect v1: auth0grpchttp
//	/v1/                          grpc-gateway in process: auth0grpchttp.Routes
//	/plain/orders/{id}            net/http: auth0grpchttp.FullMethod
//	/.well-known/…                protected resource metadata: no decision
//	everything else               refused as a method without a row
func newHandler(guard *auth0grpc.Interceptor, service doorsv1.OrdersServer) (http.Handler, error) {
	native, err := newGRPC(guard, service)
	if err != nil {
		return nil, err
	}
	gateway, err := newGateway(guard, service)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/doors.v1.Orders/", byContentType(native, newConnect(guard, service)))
	mux.Handle("/grpc.reflection.v1.ServerReflection/", byContentType(native, closed(guard)))
	mux.Handle("/connect-v1/", http.StripPrefix("/connect-v1", auth0grpchttp.Handler(guard, newConnectV1(service))))
	mux.Handle("/v1/", gateway)
	mux.Handle("GET /plain/orders/{id}", auth0grpchttp.Handler(guard, plainGetOrder(service),
		auth0grpchttp.FullMethod(doorsv1.Orders_GetOrder_FullMethodName)))
	mux.Handle("/.well-known/oauth-protected-resource", auth0grpchttp.Metadata(guard))
	mux.Handle("/", closed(guard))
	return mux, nil
}

// closed refuses every request as a call of a method that has no row.
func closed(guard *auth0grpc.Interceptor) http.Handler {
	return auth0grpchttp.Handler(guard, http.NotFoundHandler(), auth0grpchttp.FullMethod(""))
}

// byContentType passes gRPC calls to native, and all other requests to rest. Both decide
// on the path, so this choice is no decision. It leaves gRPC-Web to rest.
func byContentType(native, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
		if r.ProtoMajor == 2 && (kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+")) {
			native.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// newGRPC returns the server of grpc-go, whose ServeHTTP is a door. Without the handler
// for unknown methods, grpc-go answers those before any interceptor, so that strangers
// learn which methods exist.
func newGRPC(guard *auth0grpc.Interceptor, service doorsv1.OrdersServer, options ...grpc.ServerOption) (*grpc.Server, error) {
	unknown := grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
		return status.Error(codes.Unimplemented, "the method is not implemented")
	})
	server := grpc.NewServer(append(append(guard.ServerOptions(), unknown), options...)...)
	doorsv1.RegisterOrdersServer(server, service)
	reflection.RegisterV1(server)
	return server, guard.CheckServices(server.GetServiceInfo())
}

// newConnect returns the handler of Connect v2.
func newConnect(guard *auth0grpc.Interceptor, service doorsv1.OrdersServer) http.Handler {
	server := connect.NewServer(auth0grpcconnect.Interceptor(guard))
	server.Register(connectMethods(service)...)
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server)
	return auth0grpcconnect.Handler(guard, mux)
}

// newGateway returns the handler of grpc-gateway, which calls service itself: no
// interceptor runs. So each route is decided on by the method that its google.api.http
// option belongs to.
func newGateway(guard *auth0grpc.Interceptor, service doorsv1.OrdersServer) (http.Handler, error) {
	routes, err := auth0grpchttp.GatewayRoutes(doorsv1.File_doors_proto.Services().ByName("Orders"))
	if err != nil {
		return nil, err
	}
	door := auth0grpchttp.Middleware(guard, auth0grpchttp.Routes(gatewayPattern, routes))
	refuse := closed(guard)
	unmapped := func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, _ int) {
		refuse.ServeHTTP(w, r)
	}
	// Without the last option the gateway reads forms before the decision.
	mux := runtime.NewServeMux(runtime.WithRoutingErrorHandler(unmapped), runtime.WithMiddlewares(func(next runtime.HandlerFunc) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, pathParams map[string]string) {
			door(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next(w, r, pathParams) })).ServeHTTP(w, r)
		}
	}), runtime.WithDisablePathLengthFallback())
	if err := doorsv1.RegisterOrdersHandlerServer(context.Background(), mux, service); err != nil {
		return nil, err
	}
	return mux, nil
}

// gatewayPattern returns the route that the gateway chose, as GatewayRoutes names it.
func gatewayPattern(r *http.Request) string {
	pattern, _ := runtime.HTTPPattern(r.Context())
	return r.Method + " " + pattern.String()
}

// plainGetOrder is a handler without any framework.
func plainGetOrder(service doorsv1.OrdersServer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		order, err := service.GetOrder(r.Context(), &ordersv1.GetOrderRequest{Id: r.PathValue("id")})
		if err != nil {
			http.Error(w, http.StatusText(http.StatusNotFound), http.StatusNotFound)
			return
		}
		text, err := protojson.Marshal(order)
		if err != nil {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text) // an error: the client left
	})
}
