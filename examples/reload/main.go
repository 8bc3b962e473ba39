// Reload serves orders.v1.Orders by a policy in a file, and reads the file again
// on SIGHUP, without losing a call:
//
//	export AUTH0_DOMAIN=TENANT.eu.auth0.com AUTH0_AUDIENCE=https://api.example.com
//	go run ./examples/reload -policy examples/reload/policy.json -self-signed server.pem
//	kill -HUP PID
//
// A file that is not right changes nothing: its faults are logged, with line and
// column, and the table that was there goes on.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/examples/internal/env"
	"github.com/auth0grpc/auth0grpc/examples/internal/orders"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
	"github.com/auth0grpc/auth0grpc/examples/internal/selfsigned"
	"github.com/auth0grpc/auth0grpc/policy"
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

// run reads the settings and serves until ctx ends.
func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	flags := flag.NewFlagSet("reload", flag.ContinueOnError)
	addr := flags.String("addr", "localhost:50051", "`address` to listen on")
	file := flags.String("policy", "policy.json", "`file` with the policy")
	certificateFile := flags.String("self-signed", "server.pem", "`file` to write the server's certificate to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	settings, err := env.Require(getenv, "AUTH0_DOMAIN", "AUTH0_AUDIENCE")
	if err != nil {
		return err
	}
	certificate, err := selfsigned.Certificate(*certificateFile)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	config := auth0grpc.Config{
		Issuers:   []string{"https://" + settings["AUTH0_DOMAIN"] + "/"},
		Audiences: []string{settings["AUTH0_AUDIENCE"]},
	}
	return serve(ctx, config, *file, listener, log.New(stdout, "", 0), grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
}

// serve serves by the policy in file, which it reads now and on every SIGHUP.
func serve(ctx context.Context, config auth0grpc.Config, file string, listener net.Listener, logger *log.Logger, options ...grpc.ServerOption) error {
	methods, err := read(file)
	if err != nil {
		return err
	}
	config.Methods = methods
	guard, err := auth0grpc.New(config)
	if err != nil {
		return err
	}
	server := grpc.NewServer(append(guard.ServerOptions(), options...)...)
	ordersv1.RegisterOrdersServer(server, orders.NewServer())
	ordersv1.RegisterCatalogServer(server, orders.Catalog{})
	healthv1.RegisterHealthServer(server, health.NewServer())
	if err := guard.CheckServices(server.GetServiceInfo()); err != nil {
		return err
	}

	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	reload := func() error { return swap(guard, file, server.GetServiceInfo()) }
	go watch(ctx, hangups, reload, logger)

	logger.Printf("serving on %s", listener.Addr())
	defer context.AfterFunc(ctx, server.GracefulStop)()
	return server.Serve(listener)
}

func read(file string) (map[string]auth0grpc.Rule, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return policy.Parse(data)
}

// watch reloads on every signal until ctx ends.
func watch(ctx context.Context, hangups <-chan os.Signal, reload func() error, logger *log.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			if err := reload(); err != nil {
				logger.Printf("policy kept as it was: %v", err)
			} else {
				logger.Print("policy reloaded")
			}
		}
	}
}

// swap puts the policy in file into force if it has no faults and fits the services.
func swap(guard *auth0grpc.Interceptor, file string, services map[string]grpc.ServiceInfo) error {
	methods, err := read(file)
	if err != nil {
		return err
	}
	if err := auth0grpc.CheckMethods(methods, services); err != nil {
		return err
	}
	return guard.SetMethods(methods)
}
