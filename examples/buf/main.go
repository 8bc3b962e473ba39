// Buf protects a service by the options in its .proto file, which "buf generate" compiles
// with a copy of the options. It prints the table. See docs/proto.md.
//
//	go run ./examples/buf
package main

import (
	"fmt"
	"log"

	"google.golang.org/grpc"

	"github.com/auth0grpc/auth0grpc"
	teav1 "github.com/auth0grpc/auth0grpc/examples/buf/gen/tea/v1"
	"github.com/auth0grpc/auth0grpc/policy"
)

func main() {
	log.SetFlags(0)
	// This server only names the services: the table comes before the interceptors.
	services := grpc.NewServer()
	teav1.RegisterTeaServiceServer(services, teav1.UnimplementedTeaServiceServer{})
	methods, err := policy.FromServer(services)
	if err != nil {
		log.Fatal(err)
	}
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:   []string{"https://example.eu.auth0.com/"},
		Audiences: []string{"https://api.example.com"},
		Methods:   methods,
	})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(guard.ServerOptions()...)
	teav1.RegisterTeaServiceServer(server, teav1.UnimplementedTeaServiceServer{})
	if err := guard.CheckServices(server.GetServiceInfo()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard)
}
