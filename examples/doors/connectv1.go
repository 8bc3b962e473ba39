package main

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/examples/doors/doorsv1"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

// newConnectV1 returns handlers of Connect v1, for a server that is not migrated yet.
// They decide nothing: auth0grpchttp is in front.
func newConnectV1(service doorsv1.OrdersServer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(doorsv1.Orders_GetOrder_FullMethodName, connect.NewUnaryHandler(doorsv1.Orders_GetOrder_FullMethodName,
		func(ctx context.Context, request *connect.Request[ordersv1.GetOrderRequest]) (*connect.Response[ordersv1.Order], error) {
			order, err := service.GetOrder(ctx, request.Msg)
			return connect.NewResponse(order), connectV1Error(err)
		}, connect.WithIdempotency(connect.IdempotencyNoSideEffects)))
	mux.Handle(doorsv1.Orders_CreateOrder_FullMethodName, connect.NewUnaryHandler(doorsv1.Orders_CreateOrder_FullMethodName,
		func(ctx context.Context, request *connect.Request[ordersv1.CreateOrderRequest]) (*connect.Response[ordersv1.Order], error) {
			order, err := service.CreateOrder(ctx, request.Msg)
			return connect.NewResponse(order), connectV1Error(err)
		}))
	mux.Handle(doorsv1.Orders_ListOrders_FullMethodName, connect.NewServerStreamHandler(doorsv1.Orders_ListOrders_FullMethodName,
		func(ctx context.Context, request *connect.Request[ordersv1.ListOrdersRequest], stream *connect.ServerStream[ordersv1.Order]) error {
			orders := &grpc.GenericServerStream[ordersv1.ListOrdersRequest, ordersv1.Order]{ServerStream: grpcStream{ctx, stream.Conn()}}
			return connectV1Error(endOf(ctx, service.ListOrders(request.Msg, orders)))
		}))
	mux.Handle(doorsv1.Orders_WatchOrders_FullMethodName, connect.NewBidiStreamHandler(doorsv1.Orders_WatchOrders_FullMethodName,
		func(ctx context.Context, stream *connect.BidiStream[ordersv1.GetOrderRequest, ordersv1.Order]) error {
			orders := &grpc.GenericServerStream[ordersv1.GetOrderRequest, ordersv1.Order]{ServerStream: grpcStream{ctx, stream.Conn()}}
			return connectV1Error(endOf(ctx, service.WatchOrders(orders)))
		}))
	return mux
}

// endOf returns the error of a stream. If the door has ended the stream, because its token
// expired or was revoked, the cause of the context is the reason for the client.
func endOf(ctx context.Context, err error) error {
	var refusal *auth0grpc.Refusal
	if errors.As(context.Cause(ctx), &refusal) {
		return refusal
	}
	return err
}

// connectV1Error returns the error of a gRPC handler as an error of Connect v1.
func connectV1Error(err error) error {
	s, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	refused := connect.NewError(connect.Code(s.Code()), errors.New(s.Message()))
	for _, detail := range s.Proto().GetDetails() {
		if d, err := connect.NewErrorDetail(detail); err == nil {
			refused.AddDetail(d)
		}
	}
	return refused
}
