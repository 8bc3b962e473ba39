// Server serves orders.v1.Orders to clients of an Auth0 tenant, over TLS.
//
//	export AUTH0_DOMAIN=TENANT.eu.auth0.com AUTH0_AUDIENCE=https://api.example.com
//	go run ./examples/server -self-signed server.pem
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/examples/internal/env"
	"github.com/auth0grpc/auth0grpc/examples/internal/orders"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
	"github.com/auth0grpc/auth0grpc/examples/internal/selfsigned"
	"github.com/auth0grpc/auth0grpc/examples/internal/trust"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		log.Fatal(err)
	}
}

// methods states the rule of each method. Define the scopes as permissions of the
// API in Auth0.
func methods() map[string]auth0grpc.Rule {
	return map[string]auth0grpc.Rule{
		ordersv1.Orders_GetOrder_FullMethodName:     auth0grpc.Scopes("read:orders"),
		ordersv1.Orders_ListOrders_FullMethodName:   auth0grpc.Scopes("read:orders"),
		ordersv1.Orders_WatchOrders_FullMethodName:  auth0grpc.Scopes("read:orders"),
		ordersv1.Orders_CreateOrder_FullMethodName:  auth0grpc.Scopes("write:orders"),
		ordersv1.Orders_ImportOrders_FullMethodName: auth0grpc.Scopes("write:orders"),
		ordersv1.Orders_DeleteOrder_FullMethodName:  auth0grpc.AnyScope("write:orders", "admin"),
		ordersv1.Catalog_GetPrice_FullMethodName:    auth0grpc.Optional(),
		"/orders.v1.Catalog/*":                      auth0grpc.Public(),
		auth0grpc.HealthService:                     auth0grpc.Public(),
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	addr := flags.String("addr", "localhost:50051", "`address` to listen on")
	certFile := flags.String("cert", "", "`file` of the TLS certificate")
	keyFile := flags.String("key", "", "`file` of its key")
	selfSigned := flags.String("self-signed", "", "without -cert: make a certificate and write it to this `file`, for -ca of the client")
	tenantCA := flags.String("tenant-ca", "", "for a development tenant: `file` of its certificate (see docs/desk-tenant.md)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	settings, err := env.Require(getenv, "AUTH0_DOMAIN", "AUTH0_AUDIENCE")
	if err != nil {
		return err
	}
	httpClient, err := trust.Client(*tenantCA)
	if err != nil {
		return err
	}
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{"https://" + settings["AUTH0_DOMAIN"] + "/"},
		Audiences:  []string{settings["AUTH0_AUDIENCE"]},
		Methods:    methods(),
		HTTPClient: httpClient,
	})
	if err != nil {
		return err
	}
	certificate, err := loadCertificate(*certFile, *keyFile, *selfSigned)
	if err != nil {
		return err
	}
	server, healthServer, err := newServer(guard, &certificate)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	logger := log.New(stdout, "", 0)
	logger.Printf("serving on %s", listener.Addr())
	go awaitKeys(ctx, guard, healthServer, logger)
	defer logger.Print("stopped")
	return serve(ctx, server, healthServer, listener)
}

// newServer returns a server of which every method has a row in the table.
func newServer(guard *auth0grpc.Interceptor, certificate *tls.Certificate) (*grpc.Server, *health.Server, error) {
	options := append(guard.ServerOptions(), grpc.Creds(credentials.NewServerTLSFromCert(certificate)))
	server := grpc.NewServer(options...)
	healthServer := health.NewServer()
	healthServer.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	healthv1.RegisterHealthServer(server, healthServer)
	ordersv1.RegisterOrdersServer(server, orders.NewServer())
	ordersv1.RegisterCatalogServer(server, orders.Catalog{})
	return server, healthServer, guard.CheckServices(server.GetServiceInfo())
}

// awaitKeys says that the server is healthy once the tenant's keys are there. It
// tries again for as long as they are unavailable; calls are answered meanwhile.
func awaitKeys(ctx context.Context, guard *auth0grpc.Interceptor, healthServer *health.Server, logger *log.Logger) {
	for {
		err := guard.Ready(ctx)
		if err == nil {
			healthServer.SetServingStatus("", healthv1.HealthCheckResponse_SERVING)
			return
		}
		logger.Printf("not ready: %v", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
		}
	}
}

// serve answers calls until ctx ends; those under way then have ten seconds to
// finish.
func serve(ctx context.Context, server *grpc.Server, healthServer *health.Server, listener net.Listener) error {
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		healthServer.Shutdown()
		timer := time.AfterFunc(10*time.Second, server.Stop)
		defer timer.Stop()
		server.GracefulStop()
	})
	if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	<-stopped
	return nil
}

func loadCertificate(certFile, keyFile, selfSigned string) (tls.Certificate, error) {
	switch {
	case certFile != "" || keyFile != "":
		return tls.LoadX509KeyPair(certFile, keyFile)
	case selfSigned != "":
		return selfsigned.Certificate(selfSigned)
	}
	return tls.Certificate{}, errors.New("tokens need TLS: give -cert and -key, or -self-signed to try it out")
}
