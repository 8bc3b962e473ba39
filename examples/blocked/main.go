// Blocked ends the stream of a user whom an administrator blocks in Auth0:
//
//	go run ./examples/blocked
//
// The server follows the tenant's events with auth0grpcevents.Follow. The user's token is
// valid for a day, but its stream ends within milliseconds of the event, and its calls
// are refused. Another user's stream continues.
//
// It needs no account and no network: tenant, server and clients run in here.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		return err
	}
	defer tenant.Close()
	guard, conn, stop, err := startServer(tenant)
	if err != nil {
		return err
	}
	defer stop()
	ready, err := follow(ctx, tenant, guard)
	if err != nil {
		return err
	}
	defer ready()

	alice := tenant.Token(map[string]any{"sub": "auth0|alice", "scope": "read:orders"})
	bob := tenant.Token(map[string]any{"sub": "auth0|bob", "scope": "read:orders"})
	client := ordersv1.NewOrdersClient(conn)
	ofAlice, err := watch(ctx, client, alice)
	if err != nil {
		return err
	}
	ofBob, err := watch(ctx, client, bob)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "alice and bob watch their orders; their tokens expire tomorrow")

	blocked := time.Now()
	tenant.Events().BlockUser("auth0|alice") // in Auth0's dashboard: User Management, Block
	fmt.Fprintln(out, "an administrator blocks alice")
	_, err = ofAlice.Recv()
	reason, _ := auth0grpc.ReasonFromError(err)
	fmt.Fprintf(out, "alice's stream ends after %v: %v, %s\n", time.Since(blocked).Round(100*time.Microsecond), status.Code(err), reason)

	_, err = client.GetOrder(withToken(ctx, alice), &ordersv1.GetOrderRequest{Id: "1"})
	reason, _ = auth0grpc.ReasonFromError(err)
	fmt.Fprintln(out, "alice's next call:", status.Code(err), reason)

	if err := ofBob.Send(&ordersv1.GetOrderRequest{Id: "2"}); err != nil {
		return err
	}
	order, err := ofBob.Recv()
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "bob's stream goes on: order", order.GetId())
	return nil
}

// follow starts to follow the events of the tenant. In Auth0 the application is a
// machine-to-machine application with the scope read:events of the Management API.
func follow(ctx context.Context, tenant *auth0grpctest.Tenant, guard *auth0grpc.Interceptor) (wait func(), err error) {
	tenant.AddClient("events", "development-secret", map[string][]string{tenant.EventsAudience(): {auth0grpctest.EventsScope}})
	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
		Issuer:       tenant.Issuer(),
		ClientID:     "events",
		ClientSecret: "development-secret",
		Audience:     tenant.EventsAudience(),
		HTTPClient:   tenant.HTTPClient(),
	})
	if err != nil {
		return nil, err
	}
	config := auth0grpcevents.Config{
		TokenSource: creds,
		Tenant:      auth0grpctest.EventsTenant, // a tenant under auth0.com needs no name here
		HTTPClient:  tenant.HTTPClient(),
	}
	if err := config.Check(guard); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := auth0grpcevents.Follow(ctx, guard, config); ctx.Err() == nil {
			log.Print("the events are not followed any more: ", err)
		}
	}()
	return func() { cancel(); <-done }, nil
}

func startServer(tenant *auth0grpctest.Tenant) (*auth0grpc.Interceptor, *grpc.ClientConn, func(), error) {
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		HTTPClient: tenant.HTTPClient(),
		Methods:    map[string]auth0grpc.Rule{"/orders.v1.Orders/*": auth0grpc.Scopes("read:orders")},
	})
	if err != nil {
		return nil, nil, nil, err
	}
	server := grpc.NewServer(guard.ServerOptions()...)
	ordersv1.RegisterOrdersServer(server, orders{})
	if err := guard.CheckServices(server.GetServiceInfo()); err != nil {
		return nil, nil, nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, nil, err
	}
	go func() { _ = server.Serve(listener) }() // ends by Stop
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		server.Stop()
		return nil, nil, nil, err
	}
	return guard, conn, func() { _ = conn.Close(); server.Stop() }, nil
}

// orders answers each request of a stream with the order that it names.
type orders struct {
	ordersv1.UnimplementedOrdersServer
}

func (orders) WatchOrders(stream grpc.BidiStreamingServer[ordersv1.GetOrderRequest, ordersv1.Order]) error {
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := stream.Send(&ordersv1.Order{Id: request.GetId()}); err != nil {
			return err
		}
	}
}

func withToken(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// watch opens a stream and waits for its first message.
func watch(ctx context.Context, client ordersv1.OrdersClient, token string) (grpc.BidiStreamingClient[ordersv1.GetOrderRequest, ordersv1.Order], error) {
	stream, err := client.WatchOrders(withToken(ctx, token))
	if err != nil {
		return nil, err
	}
	if err := stream.Send(&ordersv1.GetOrderRequest{Id: "1"}); err != nil {
		return nil, err
	}
	_, err = stream.Recv()
	return stream, err
}
