// Observability serves orders.v1.Orders with decisions in the log and in metrics,
// makes calls to it, good ones and bad ones, and serves the metrics to Prometheus:
//
//	cd examples/observability && go run .
//	curl -s localhost:9464/metrics | grep auth0grpc
//
// It needs no account: the tenant runs inside this process. Beside it lie a
// dashboard for Grafana and three alert rules for Prometheus, which the test
// compares with the metrics that this program really emits.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpclog"
	"github.com/auth0grpc/auth0grpc/auth0grpcotel"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/examples/internal/orders"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

func main() {
	log.SetFlags(0)
	addr := flag.String("addr", "localhost:9464", "`address` to serve /metrics on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, os.Stderr); err != nil {
		log.Fatal(err)
	}
}

// run serves and calls until ctx ends.
func run(ctx context.Context, addr string, logTo io.Writer) error {
	shop, err := open(logTo)
	if err != nil {
		return err
	}
	defer shop.close()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(shop.metrics, promhttp.HandlerOpts{}))
	server := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	defer server.Close()

	if err := shop.outage(ctx); err != nil {
		return err
	}
	for tick := time.Tick(time.Second); ; {
		shop.calls(ctx)
		select {
		case <-tick:
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		}
	}
}

// A shop is the protected server with all that watches it, and a client.
type shop struct {
	tenant  *auth0grpctest.Tenant
	guard   *auth0grpc.Interceptor
	metrics *prometheus.Registry
	client  ordersv1.OrdersClient
	closes  []func()
}

func (s *shop) close() {
	for i := len(s.closes) - 1; i >= 0; i-- {
		s.closes[i]()
	}
}

func open(logTo io.Writer) (*shop, error) {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		return nil, err
	}
	s := &shop{tenant: tenant, metrics: prometheus.NewRegistry(), closes: []func(){tenant.Close}}
	if err := errors.Join(s.protect(slog.New(slog.NewTextHandler(logTo, nil))), s.serve()); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// protect makes the interceptor and the observers of its decisions: copy this part.
func (s *shop) protect(logger *slog.Logger) error {
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(s.metrics))
	if err != nil {
		return err
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	telemetry, err := auth0grpcotel.New(auth0grpcotel.Config{MeterProvider: provider})
	if err != nil {
		return err
	}
	decisions := auth0grpclog.New(auth0grpclog.Config{Logger: logger})
	s.closes = append(s.closes, func() { decisions.Flush(context.Background()) })

	s.guard, err = auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{s.tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		Methods:    methods(),
		HTTPClient: s.tenant.HTTPClient(), // trusts this tenant's certificate; leave it out for Auth0
		Logger:     logger,
		OnDecision: func(ctx context.Context, d auth0grpc.Decision) {
			decisions.OnDecision(ctx, d)
			telemetry.OnDecision(ctx, d)
		},
		OnKeyRefresh: func(r auth0grpc.KeyRefresh) {
			decisions.OnKeyRefresh(r)
			telemetry.OnKeyRefresh(r)
		},
	})
	if err != nil {
		return err
	}
	telemetry.Observe(s.guard)
	return s.guard.SetCandidate(candidate())
}

// candidate is the next table, which is evaluated on each call and enforced on none. It
// asks for a scope more to list orders.
func candidate() map[string]auth0grpc.Rule {
	next := methods()
	next[ordersv1.Orders_ListOrders_FullMethodName] = auth0grpc.Scopes("read:orders", "list:orders")
	return next
}

// methods has a row that is not enforced yet, and lacks one: DeleteOrder is
// refused to all callers.
func methods() map[string]auth0grpc.Rule {
	return map[string]auth0grpc.Rule{
		ordersv1.Orders_GetOrder_FullMethodName:     auth0grpc.Scopes("read:orders"),
		ordersv1.Orders_ListOrders_FullMethodName:   auth0grpc.Scopes("read:orders"),
		ordersv1.Orders_WatchOrders_FullMethodName:  auth0grpc.Scopes("read:orders"),
		ordersv1.Orders_CreateOrder_FullMethodName:  auth0grpc.Scopes("write:orders").ReportOnly(),
		ordersv1.Orders_ImportOrders_FullMethodName: auth0grpc.Scopes("write:orders"),
	}
}

// serve starts the server. Without TLS, as nothing leaves this machine; see
// examples/server for a real one.
func (s *shop) serve() error {
	if s.guard == nil {
		return nil // protect says why
	}
	server := grpc.NewServer(s.guard.ServerOptions()...)
	ordersv1.RegisterOrdersServer(server, orders.NewServer(auth0grpctest.Subject))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go server.Serve(listener) // ends with Stop
	s.closes = append(s.closes, server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	s.closes = append(s.closes, func() { conn.Close() })
	s.client = ordersv1.NewOrdersClient(conn)
	return nil
}
