// Minimal is the program of the README: a server, its table, and nothing more.
package main

import (
	"log"
	"net"

	"google.golang.org/grpc"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/examples/internal/orders"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

var methods = map[string]auth0grpc.Rule{
	"/orders.v1.Orders/GetOrder":    auth0grpc.Scopes("read:orders"),
	"/orders.v1.Orders/ListOrders":  auth0grpc.AnyScope("read:orders", "admin"),
	"/orders.v1.Orders/WatchOrders": auth0grpc.Scopes("read:orders"),
	"/orders.v1.Orders/*":           auth0grpc.Scopes("write:orders"),
	"/orders.v1.Catalog/*":          auth0grpc.Public(),
}

func main() {
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:   []string{"https://TENANT.eu.auth0.com/"},
		Audiences: []string{"https://api.example.com"},
		Methods:   methods,
	})
	if err != nil {
		log.Fatal(err) // lists every fault of the configuration
	}
	server := grpc.NewServer(guard.ServerOptions()...)
	ordersv1.RegisterOrdersServer(server, orders.NewServer())
	ordersv1.RegisterCatalogServer(server, orders.Catalog{})
	if err := guard.CheckServices(server.GetServiceInfo()); err != nil {
		log.Fatal(err) // lists methods without a row, and rows without a method
	}
	listener, err := net.Listen("tcp", ":50051")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(listener))
}
