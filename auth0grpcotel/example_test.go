package auth0grpcotel_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
	"github.com/auth0grpc/auth0grpc/auth0grpcotel"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// greeter is the service of the example.
type greeter struct {
	testgrpc.UnimplementedTestServiceServer
}

func (greeter) UnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{}, nil
}

// callGreeter calls a server behind a guard with each of the tokens, "" for none.
func callGreeter(guard *auth0grpc.Interceptor, tokens ...string) {
	server := grpc.NewServer(guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, greeter{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Stop()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	for _, token := range tokens {
		ctx := context.Background()
		if token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
		}
		_, _ = testgrpc.NewTestServiceClient(conn).UnaryCall(ctx, &testgrpc.SimpleRequest{})
	}
}

// printSums prints the points of the metrics with these names.
func printSums(reader sdkmetric.Reader, names ...string) {
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		log.Fatal(err)
	}
	var lines []string
	for _, m := range all.ScopeMetrics[0].Metrics {
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok && slices.Contains(names, m.Name) {
			for _, point := range sum.DataPoints {
				labels := point.Attributes.Encoded(attribute.DefaultEncoder())
				lines = append(lines, fmt.Sprintf("%s{%s} %d", m.Name, labels, point.Value))
			}
		}
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
}

// Metrics of a server: three calls with a good token, which is verified once, and
// one without. A program has an exporter in place of the ManualReader.
func Example() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()

	reader := sdkmetric.NewManualReader()
	telemetry, err := auth0grpcotel.New(auth0grpcotel.Config{
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:      []string{tenant.Issuer()},
		Audiences:    []string{auth0grpctest.Audience},
		HTTPClient:   tenant.HTTPClient(),
		Methods:      map[string]auth0grpc.Rule{"/grpc.testing.TestService/UnaryCall": auth0grpc.Scopes("read:msg")},
		OnDecision:   telemetry.OnDecision,
		OnKeyRefresh: telemetry.OnKeyRefresh,
	})
	if err != nil {
		log.Fatal(err)
	}
	telemetry.Observe(guard)

	token := tenant.Token(map[string]any{"scope": "read:msg"})
	callGreeter(guard, token, token, token, "")
	printSums(reader, "auth0grpc.decisions", "auth0grpc.cache.size", "auth0grpc.active_streams")
	// Output:
	// auth0grpc.active_streams{} 0
	// auth0grpc.cache.size{} 1
	// auth0grpc.decisions{auth0grpc.cache.result=hit,auth0grpc.outcome=allowed,rpc.method=grpc.testing.TestService/UnaryCall} 2
	// auth0grpc.decisions{auth0grpc.cache.result=miss,auth0grpc.outcome=allowed,rpc.method=grpc.testing.TestService/UnaryCall} 1
	// auth0grpc.decisions{auth0grpc.outcome=refused,error.type=MISSING_TOKEN,rpc.method=grpc.testing.TestService/UnaryCall} 1
}

// The span of a call identifies the client. The user's identity is personal data, and
// is on the span because EndUserID requests it.
func ExampleTelemetry_OnDecision() {
	telemetry, err := auth0grpcotel.New(auth0grpcotel.Config{EndUserID: true})
	if err != nil {
		log.Fatal(err)
	}
	recorder := tracetest.NewSpanRecorder() // a program has an exporter
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("example")

	ctx, span := tracer.Start(context.Background(), "orders.v1.Orders/Get") // as otelgrpc does
	telemetry.OnDecision(ctx, auth0grpc.Decision{                           // as an Interceptor does
		Row: "/orders.v1.Orders/Get", Outcome: auth0grpc.OutcomeAllowed, CacheHit: true,
		Subject: "auth0|alice", ClientID: "web-app", Issuer: "https://tenant.example/",
	})
	span.End()
	for _, a := range recorder.Ended()[0].Attributes() {
		fmt.Printf("%s: %s\n", a.Key, a.Value.AsString())
	}
	// Output:
	// auth0grpc.outcome: allowed
	// auth0grpc.row: /orders.v1.Orders/Get
	// auth0grpc.cache.result: hit
	// auth0grpc.issuer: https://tenant.example/
	// auth0grpc.client.id: web-app
	// enduser.id: auth0|alice
}

// The state of a revocation feed and of Auth0's events. The feed of module auth0grpcredis
// has the same fields, so its Stats convert:
//
//	telemetry.ObserveFeed(func() auth0grpcotel.FeedStats { return auth0grpcotel.FeedStats(feed.Stats()) })
func ExampleTelemetry_ObserveEvents() {
	reader := sdkmetric.NewManualReader()
	telemetry, err := auth0grpcotel.New(auth0grpcotel.Config{
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	})
	if err != nil {
		log.Fatal(err)
	}
	monitor := new(auth0grpcevents.Monitor) // also auth0grpcevents.Config.Monitor
	telemetry.ObserveEvents(monitor)
	telemetry.ObserveFeed(func() auth0grpcotel.FeedStats { return auth0grpcotel.FeedStats{Connected: true, Entries: 12} })
	printSums(reader, "auth0grpc.events.leaders", "auth0grpc.feed.connected", "auth0grpc.feed.entries")
	// Output:
	// auth0grpc.events.leaders{} 0
	// auth0grpc.feed.connected{} 1
	// auth0grpc.feed.entries{} 12
}
