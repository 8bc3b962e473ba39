// Quickstart shows the answers of a protected server to good and bad calls. It
// needs no account and no network: the tenant runs inside this process.
//
//	go run ./examples/quickstart
//
// The exit status is 1 if any call ends otherwise than its row announces.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/examples/internal/orders"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

func main() {
	log.SetFlags(0)
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(out io.Writer) error {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		return err
	}
	defer tenant.Close()

	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		Methods:    methods(),
		HTTPClient: tenant.HTTPClient(), // trusts this tenant's certificate; leave it out for Auth0
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "THE TABLE\n\n%v\n", guard)

	server, err := newServer(guard, out)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go server.Serve(listener) // ends with Stop
	defer server.Stop()

	// Without TLS, as nothing leaves this machine. See examples/server for a real one.
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return demonstrate(ctx, tenant, conn, out)
}

// methods is the table: the rule of each method.
func methods() map[string]auth0grpc.Rule {
	return map[string]auth0grpc.Rule{
		ordersv1.Orders_GetOrder_FullMethodName:     auth0grpc.Scopes("read:orders"),
		ordersv1.Orders_ListOrders_FullMethodName:   auth0grpc.AnyScope("read:orders", "admin"),
		ordersv1.Orders_CreateOrder_FullMethodName:  auth0grpc.Scopes("write:orders"),
		ordersv1.Orders_ImportOrders_FullMethodName: auth0grpc.AllOf(auth0grpc.Scopes("write:orders"), auth0grpc.Permissions("import:orders")),
		ordersv1.Orders_WatchOrders_FullMethodName:  auth0grpc.Authenticated(),
		"/orders.v1.Orders/*":                       auth0grpc.Scopes("admin"), // DeleteOrder, and methods to come
		ordersv1.Catalog_GetPrice_FullMethodName:    auth0grpc.Optional(),
		"/orders.v1.Catalog/*":                      auth0grpc.Public(),
		auth0grpc.HealthService:                     auth0grpc.Public(),
	}
}

// newServer registers the services and has the table checked against them:
// first as it should be, then with a service that the table forgets.
func newServer(guard *auth0grpc.Interceptor, out io.Writer) (*grpc.Server, error) {
	server := grpc.NewServer(guard.ServerOptions()...)
	ordersv1.RegisterOrdersServer(server, orders.NewServer(auth0grpctest.Subject, "auth0|another-user"))
	ordersv1.RegisterCatalogServer(server, orders.Catalog{})
	healthv1.RegisterHealthServer(server, health.NewServer())
	if err := guard.CheckServices(server.GetServiceInfo()); err != nil {
		return nil, err
	}
	fmt.Fprint(out, "CheckServices: every method has a row, and every row a method.\n\n")

	reflection.RegisterV1(server)
	err := guard.CheckServices(server.GetServiceInfo())
	if err == nil {
		return nil, fmt.Errorf("CheckServices did not report a service that has no row")
	}
	fmt.Fprintln(out, "CheckServices with reflection registered, and its row forgotten:")
	for line := range strings.SplitSeq(wrap(err.Error(), 78), "\n") {
		fmt.Fprintf(out, "  %s\n", line)
	}
	fmt.Fprintln(out, "A server should stop here.")
	fmt.Fprintln(out)
	return server, nil
}

// wrap breaks text at spaces into lines of at most width bytes, if its words allow.
func wrap(text string, width int) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return strings.Join(append(lines, line), "\n")
}
