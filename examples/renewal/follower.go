package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"

	"google.golang.org/grpc"

	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

// A follower reads the journal to its end over as many streams as it takes.
type follower struct {
	orders  ordersv1.OrdersClient
	out     io.Writer
	seen    int // the number of the last message
	streams int
}

// open opens the next stream and asks for the messages after last.
func (f *follower) open(ctx context.Context, last *ordersv1.Order) (grpc.ServerStreamingClient[ordersv1.Order], error) {
	f.streams++
	after := last.GetId()
	if last == nil {
		after = "0"
	}
	fmt.Fprintf(f.out, "stream %d: resumes after message %s\n", f.streams, after)
	stream, err := f.orders.WatchOrders(ctx)
	if err != nil {
		return nil, err
	}
	return stream, stream.Send(&ordersv1.GetOrderRequest{Id: after})
}

// handle takes one message. Each must come once, and in order.
func (f *follower) handle(order *ordersv1.Order) error {
	if order.GetId() != strconv.Itoa(f.seen+1) {
		return fmt.Errorf("message %s comes after message %d", order.GetId(), f.seen)
	}
	f.seen++
	return nil
}

// serve serves on a loopback port and returns its address.
func serve(server *grpc.Server) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go server.Serve(listener) // ends by server.Stop
	return listener.Addr().String(), nil
}
