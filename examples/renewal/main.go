// Renewal follows a long stream with short-lived tokens, without losing a
// message and without getting one twice:
//
//	go run ./examples/renewal
//
// A stream ends with the token that it was opened with. The server says in the
// header metadata how long that is (auth0grpc.StreamTTLHeader). auth0grpcclient.Follow
// opens the next stream, with a new token, while there is time. The request of each
// stream names the last message that arrived, so that the server resumes behind it.
//
// It needs no account and no network: tenant, server and client run in here.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

const (
	messages      = 900
	pace          = 5 * time.Millisecond // from one message to the next
	tokenLifetime = 4 * time.Second
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		return err
	}
	defer tenant.Close()
	tenant.SetTokenLifetime(tokenLifetime)
	tenant.AddClient("follower", "development-secret", map[string][]string{auth0grpctest.Audience: {"read:orders"}})
	server, err := newServer(tenant)
	if err != nil {
		return err
	}
	defer server.Stop()
	address, err := serve(server)
	if err != nil {
		return err
	}
	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
		Issuer:                 tenant.Issuer(),
		ClientID:               "follower",
		ClientSecret:           "development-secret",
		Audience:               auth0grpctest.Audience,
		HTTPClient:             tenant.HTTPClient(),
		InsecureAllowPlaintext: true, // the server is in this process
	})
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(address, append(creds.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return err
	}
	defer conn.Close()
	f := &follower{orders: ordersv1.NewOrdersClient(conn), out: out}
	if err := auth0grpcclient.Follow(ctx, creds, f.open, f.handle); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d messages, each once and in order, by %d streams.\n", f.seen, f.streams)
	return err
}

func newServer(tenant *auth0grpctest.Tenant) (*grpc.Server, error) {
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		HTTPClient: tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{
			"/orders.v1.Orders/WatchOrders": auth0grpc.Scopes("read:orders").Streams(auth0grpc.EndAtExpiry()),
			"/orders.v1.Orders/*":           auth0grpc.Scopes("admin"),
		},
	})
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer(guard.ServerOptions()...)
	ordersv1.RegisterOrdersServer(server, &journal{began: time.Now()})
	return server, guard.CheckServices(server.GetServiceInfo())
}

// A journal writes an order every few milliseconds and hands them out by number.
type journal struct {
	ordersv1.UnimplementedOrdersServer
	began time.Time
}

// WatchOrders sends every order after the one that the first message names.
func (j *journal) WatchOrders(stream grpc.BidiStreamingServer[ordersv1.GetOrderRequest, ordersv1.Order]) error {
	request, err := stream.Recv()
	if err != nil {
		return err
	}
	seen, err := strconv.Atoi(request.GetId())
	if err != nil {
		return err
	}
	for next := seen + 1; next <= messages; next++ {
		written := time.NewTimer(time.Until(j.began.Add(time.Duration(next) * pace)))
		select {
		case <-written.C:
		case <-stream.Context().Done():
			written.Stop()
			return context.Cause(stream.Context()) // that the token has expired, for one
		}
		if err := stream.Send(&ordersv1.Order{Id: strconv.Itoa(next)}); err != nil {
			return err
		}
	}
	return nil
}
