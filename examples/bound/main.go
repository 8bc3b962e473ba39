// Bound shows tokens that are worthless to a thief: bound to a
// key of the client (DPoP) or to its certificate (mutual TLS). It needs no
// account and no network: tenant, server and clients run inside this process.
//
//	go run ./examples/bound
//
// The exit status is 1 if any call ends otherwise than its row announces.
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()

	config, err := bindings("https://" + listener.Addr().String())
	if err != nil {
		return err
	}
	config.Issuers, config.Audiences = []string{tenant.Issuer()}, []string{auth0grpctest.Audience}
	config.HTTPClient = tenant.HTTPClient() // trusts this tenant's certificate; leave it out for Auth0
	guard, err := auth0grpc.New(config)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "THE TABLE\n\n%v\n", guard)

	authority := auth0grpctest.NewCertificateAuthority() // of the server, the clients and the proxy
	tap := new(wiretap)
	server := newServer(guard, authority, tap)
	if err := guard.CheckServices(server.GetServiceInfo()); err != nil {
		return err
	}
	go server.Serve(listener) // ends with Stop
	defer server.Stop()

	clients, err := connect(tenant, authority, listener.Addr().String())
	if err != nil {
		return err
	}
	defer clients.close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return demonstrate(ctx, clients, tap, out)
}

// bindings allows both, and two rows each insist on one.
func bindings(authority string) (auth0grpc.Config, error) {
	nonceKey := make([]byte, 32) // replicas share it, so it is a secret of the deployment
	if _, err := rand.Read(nonceKey); err != nil {
		return auth0grpc.Config{}, err
	}
	return auth0grpc.Config{
		Methods: map[string]auth0grpc.Rule{
			"/orders.v1.Orders/CreateOrder": auth0grpc.Scopes("write:orders").RequireDPoP(),
			"/orders.v1.Orders/DeleteOrder": auth0grpc.Scopes("admin").RequireMTLS(),
			"/orders.v1.Orders/*":           auth0grpc.Scopes("read:orders"),
		},
		DPoP: auth0grpc.DPoPConfig{
			Mode:        auth0grpc.BindingAllowed,
			Authorities: []string{authority}, // as in the address that clients use: "https://api.example.com"
			NonceKeys:   [][]byte{nonceKey},
		},
		MTLS: auth0grpc.MTLSConfig{
			Mode:        auth0grpc.BindingAllowed,
			Certificate: certificateBehind("envoy"),
		},
	}, nil
}

func newServer(guard *auth0grpc.Interceptor, authority *auth0grpctest.CertificateAuthority, tap *wiretap) *grpc.Server {
	transport := credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{authority.Server("127.0.0.1")},
		ClientAuth:   tls.VerifyClientCertIfGiven, // some clients have none
		ClientCAs:    authority.Pool(),
	})
	options := []grpc.ServerOption{grpc.Creds(transport), grpc.ChainUnaryInterceptor(tap.listen)}
	server := grpc.NewServer(append(options, guard.ServerOptions()...)...)
	ordersv1.RegisterOrdersServer(server, orders.NewServer("bearer@clients", "dpop@clients", "mtls@clients"))
	return server
}
