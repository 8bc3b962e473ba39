package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

// A follower reads the journal to its end over as many streams as it takes.
type follower struct {
	orders ordersv1.OrdersClient
	token  func() string // a new one at each call
	out    io.Writer
	seen   int // the number of the last message
}

func (f *follower) follow(ctx context.Context) error {
	for stream := 1; ; stream++ {
		first := f.seen + 1
		why, err := f.read(ctx, stream == 2)
		if err != nil {
			return err
		}
		fmt.Fprintf(f.out, "stream %d: messages %d to %d, %s\n", stream, first, f.seen, why)
		if f.seen == messages {
			return summary(f.out, stream)
		}
	}
}

// read follows one stream until it is time for the next, and says why it is.
func (f *follower) read(ctx context.Context, ignoreTTL bool) (why string, err error) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	// Real programs use auth0grpcclient, whose credentials refresh by themselves.
	stream, err := f.orders.WatchOrders(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+f.token()))
	if err != nil {
		return "", err
	}
	if err := stream.Send(&ordersv1.GetOrderRequest{Id: strconv.Itoa(f.seen)}); err != nil {
		return "", err
	}
	var renewAt time.Time
	for {
		order, err := stream.Recv()
		reason, _ := auth0grpc.ReasonFromError(err)
		switch {
		case errors.Is(err, io.EOF):
			return "to the end", nil
		case reason == auth0grpc.ReasonTokenExpired:
			return "ended by the server: " + string(reason), nil
		case err != nil:
			return "", err
		}
		if order.GetId() != strconv.Itoa(f.seen+1) {
			return "", fmt.Errorf("message %s comes after message %d", order.GetId(), f.seen)
		}
		f.seen++
		if renewAt.IsZero() {
			renewAt = time.Now().Add(ttl(stream) / 2)
		}
		if !ignoreTTL && time.Now().After(renewAt) {
			return "renewed at half of its time", nil
		}
	}
}

// ttl returns how long the stream may last, from its header metadata.
func ttl(stream grpc.ClientStream) time.Duration {
	header, err := stream.Header()
	if err != nil || len(header.Get(auth0grpc.StreamTTLHeader)) == 0 {
		return time.Hour
	}
	seconds, err := strconv.Atoi(header.Get(auth0grpc.StreamTTLHeader)[0])
	if err != nil {
		return time.Hour
	}
	return time.Duration(seconds) * time.Second
}

// serve serves on a loopback port and connects to it.
func serve(server *grpc.Server) (*grpc.ClientConn, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go server.Serve(listener) // ends by server.Stop
	return grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
}
