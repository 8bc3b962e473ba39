package auth0grpcotel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcotel"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

const (
	method  = "/orders.v1.Orders/Get"
	watched = "/orders.v1.Orders/List"
	service = "/admin.v1.Admin/*"
)

func configFor(tenant *auth0grpctest.Tenant) auth0grpc.Config {
	return auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		HTTPClient: tenant.HTTPClient(),
		Logger:     slog.New(slog.DiscardHandler),
		Methods: map[string]auth0grpc.Rule{
			method:  auth0grpc.Authenticated(),
			watched: auth0grpc.Scopes("read:orders").ReportOnly(),
			service: auth0grpc.Public(),
		},
	}
}

func mustNew(tb testing.TB, config auth0grpc.Config) *auth0grpc.Interceptor {
	tb.Helper()
	guard, err := auth0grpc.New(config)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	return guard
}

// A scene is a tenant, an interceptor that reports to telemetry, and its reader.
type scene struct {
	tenant    *auth0grpctest.Tenant
	guard     *auth0grpc.Interceptor
	reader    *sdkmetric.ManualReader
	telemetry *auth0grpcotel.Telemetry
}

// newScene returns a scene; change may be nil.
func newScene(t *testing.T, change func(*auth0grpc.Config)) *scene {
	t.Helper()
	s := &scene{tenant: auth0grpctest.NewTenant(t), reader: sdkmetric.NewManualReader()}
	s.telemetry = newTelemetry(t, s.reader)
	config := configFor(s.tenant)
	config.OnDecision, config.OnKeyRefresh = s.telemetry.OnDecision, s.telemetry.OnKeyRefresh
	if change != nil {
		change(&config)
	}
	s.guard = mustNew(t, config)
	s.telemetry.Observe(s.guard)
	return s
}

func newTelemetry(t *testing.T, reader sdkmetric.Reader) *auth0grpcotel.Telemetry {
	t.Helper()
	telemetry, err := auth0grpcotel.New(auth0grpcotel.Config{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	if err != nil {
		t.Fatal(err)
	}
	return telemetry
}

// call makes a unary call; token may be "".
func (s *scene) call(ctx context.Context, fullMethod, token string) error {
	if token != "" {
		ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "Bearer "+token))
	}
	_, err := s.guard.UnaryServerInterceptor()(ctx, nil, &grpc.UnaryServerInfo{FullMethod: fullMethod},
		func(context.Context, any) (any, error) { return nil, nil })
	return err
}

// collect returns the points of all metrics, as "name{attributes}". A histogram has its
// count, a gauge its whole part.
func collect(t *testing.T, reader sdkmetric.Reader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	points := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					points[pointName(m.Name, p.Attributes)] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					points[pointName(m.Name, p.Attributes)] = int64(p.Count)
					if p.Sum <= 0 {
						t.Errorf("%s: sum %v", m.Name, p.Sum)
					}
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					points[pointName(m.Name, p.Attributes)] = p.Value
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					points[pointName(m.Name, p.Attributes)] = int64(p.Value)
				}
			default:
				t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	return points
}

func pointName(name string, attributes attribute.Set) string {
	return name + "{" + attributes.Encoded(attribute.DefaultEncoder()) + "}"
}

func TestMetrics(t *testing.T) {
	s := newScene(t, nil)
	issuer := s.tenant.Issuer()
	s.tenant.SetDown(true)
	_ = s.guard.Ready(t.Context())
	s.tenant.SetDown(false)
	if err := s.guard.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	good := s.tenant.Token(nil)
	for range 3 {
		_ = s.call(t.Context(), method, good)
	}
	delegated := s.tenant.Token(map[string]any{"act": map[string]any{"sub": "agt_1"}})
	for range 2 {
		_ = s.call(t.Context(), method, delegated)
	}
	_ = s.call(t.Context(), method, "")
	_ = s.call(t.Context(), method, s.tenant.Token(map[string]any{"exp": time.Now().Add(-time.Hour)}))
	_ = s.call(t.Context(), watched, good)
	_ = s.call(t.Context(), watched, "")
	_ = s.call(t.Context(), service[:len(service)-1]+"Delete", "")
	_ = s.call(t.Context(), "/made.up/Method", good)
	_ = s.call(t.Context(), "/made.up/Method", "")
	want := map[string]int64{
		"auth0grpc.decisions{auth0grpc.cache.result=miss,auth0grpc.outcome=allowed,rpc.method=orders.v1.Orders/Get}":                                1,
		"auth0grpc.decisions{auth0grpc.cache.result=hit,auth0grpc.outcome=allowed,rpc.method=orders.v1.Orders/Get}":                                 2,
		"auth0grpc.decisions{auth0grpc.cache.result=miss,auth0grpc.delegated=true,auth0grpc.outcome=allowed,rpc.method=orders.v1.Orders/Get}":       1,
		"auth0grpc.decisions{auth0grpc.cache.result=hit,auth0grpc.delegated=true,auth0grpc.outcome=allowed,rpc.method=orders.v1.Orders/Get}":        1,
		"auth0grpc.decisions{auth0grpc.outcome=refused,error.type=MISSING_TOKEN,rpc.method=orders.v1.Orders/Get}":                                   1,
		"auth0grpc.decisions{auth0grpc.cache.result=miss,auth0grpc.outcome=refused,error.type=TOKEN_EXPIRED,rpc.method=orders.v1.Orders/Get}":       1,
		"auth0grpc.decisions{auth0grpc.cache.result=hit,auth0grpc.outcome=reported,error.type=INSUFFICIENT_SCOPE,rpc.method=orders.v1.Orders/List}": 1,
		"auth0grpc.decisions{auth0grpc.outcome=reported,error.type=MISSING_TOKEN,rpc.method=orders.v1.Orders/List}":                                 1,
		"auth0grpc.decisions{auth0grpc.outcome=allowed,rpc.method=admin.v1.Admin/*}":                                                                1,
		"auth0grpc.decisions{auth0grpc.cache.result=hit,auth0grpc.outcome=refused,error.type=METHOD_NOT_LISTED,rpc.method=_OTHER}":                  1,
		"auth0grpc.decisions{auth0grpc.outcome=refused,error.type=MISSING_TOKEN,rpc.method=_OTHER}":                                                 1,
		"auth0grpc.verification.duration{}":                         2,
		"auth0grpc.verification.duration{error.type=TOKEN_EXPIRED}": 1,
		"auth0grpc.cache.size{}":                                    2,
		"auth0grpc.active_streams{}":                                0,
		"auth0grpc.lingering_streams{}":                             0,
		"auth0grpc.policy.info{auth0grpc.policy=" + s.guard.Stats().Policy + ",auth0grpc.policy.role=current}": 1,
		"auth0grpc.key.refreshes{auth0grpc.issuer=" + issuer + "}":                                             1,
		"auth0grpc.key.refreshes{auth0grpc.issuer=" + issuer + ",error.type=_OTHER}":                           1,
		"auth0grpc.key.age{auth0grpc.issuer=" + issuer + "}":                                                   0,
	}
	got := collect(t, s.reader)
	for at := time.Now(); got["auth0grpc.key.refreshes{auth0grpc.issuer="+issuer+"}"] == 0 && time.Since(at) < time.Minute; {
		runtime.Gosched() // OnKeyRefresh is called after Ready returns
		got = collect(t, s.reader)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// A fleet with two tables is visible, and so are the calls that a candidate would decide
// otherwise.
func TestPolicies(t *testing.T) {
	s := newScene(t, nil)
	if err := s.guard.SetCandidate(map[string]auth0grpc.Rule{method: auth0grpc.Scopes("admin")}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_ = s.call(t.Context(), method, s.tenant.Token(map[string]any{"jti": "one", "iat": 1, "exp": time.Now().Add(time.Hour)}))
	}
	stats, got := s.guard.Stats(), collect(t, s.reader)
	for name, want := range map[string]int64{
		"auth0grpc.policy.info{auth0grpc.policy=" + stats.Policy + ",auth0grpc.policy.role=current}":                                                     1,
		"auth0grpc.policy.info{auth0grpc.policy=" + stats.CandidatePolicy + ",auth0grpc.policy.role=candidate}":                                          1,
		"auth0grpc.decisions{auth0grpc.cache.result=miss,auth0grpc.candidate.outcome=refused,auth0grpc.outcome=allowed,rpc.method=orders.v1.Orders/Get}": 1,
		"auth0grpc.decisions{auth0grpc.cache.result=hit,auth0grpc.candidate.outcome=refused,auth0grpc.outcome=allowed,rpc.method=orders.v1.Orders/Get}":  1,
	} {
		if got[name] != want {
			t.Errorf("%s = %d, want %d, in\n%v", name, got[name], want, got)
		}
	}
}

// A client must not be able to make series, by methods or subjects that it makes
// up (CVE-2023-47108).
func TestFloodMakesNoSeries(t *testing.T) {
	s := newScene(t, nil)
	before := 0
	for round := range 2 {
		for n := range 1000 {
			madeUp := fmt.Sprintf("/made.up%d/Method%d", round, n)
			_ = s.call(t.Context(), madeUp, "")
			_ = s.call(t.Context(), madeUp, fmt.Sprintf("made.up.%d", n))
			_ = s.call(t.Context(), fmt.Sprintf("%sMethod%d%d", service[:len(service)-1], round, n), "")
		}
		for n := range 20 {
			_ = s.call(t.Context(), method, s.tenant.Token(map[string]any{"sub": fmt.Sprintf("auth0|%d.%d", round, n), "azp": fmt.Sprint(n)}))
		}
		points := collect(t, s.reader)
		if round > 0 && len(points) != before {
			t.Errorf("%d series became %d", before, len(points))
		}
		before = len(points)
		for name := range points {
			if strings.Contains(name, "made.up") || strings.Contains(name, "Method") || strings.Contains(name, "auth0|") {
				t.Errorf("series %s", name)
			}
		}
	}
	if before > 12 {
		t.Errorf("%d series", before)
	}
}

// A caller that left is not an error of the token.
func TestCallerLeft(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	telemetry := newTelemetry(t, reader)
	for _, code := range []codes.Code{codes.Canceled, codes.DeadlineExceeded, codes.Unknown} {
		telemetry.OnDecision(t.Context(), auth0grpc.Decision{Row: method, Outcome: auth0grpc.OutcomeRefused, Code: code, Duration: 1})
	}
	var types []string
	for name := range collect(t, reader) {
		if _, after, ok := strings.Cut(name, "auth0grpc.verification.duration{error.type="); ok {
			types = append(types, strings.TrimSuffix(after, "}"))
		}
	}
	slices.Sort(types)
	if want := []string{"CANCELLED", "DEADLINE_EXCEEDED", "_OTHER"}; !slices.Equal(types, want) {
		t.Errorf("error.type %q, want %q", types, want)
	}
}

// Streams are counted while they are open, and their ends besides the decisions
// that opened them.
func TestStreams(t *testing.T) {
	s := newScene(t, func(c *auth0grpc.Config) {
		c.Methods = map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Authenticated()}
	})
	opened := make(chan struct{})
	server := grpc.NewServer(s.guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, streamer{opened: opened})
	client := testgrpc.NewTestServiceClient(auth0grpctest.Connect(t, server, s.tenant.Token(nil)))
	stream, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-opened
	if n := collect(t, s.reader)["auth0grpc.active_streams{}"]; n != 1 {
		t.Errorf("%d streams are open, want 1", n)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Fatal(err)
	}
	server.GracefulStop() // the end is reported
	points := collect(t, s.reader)
	for name, want := range map[string]int64{
		"auth0grpc.active_streams{}": 0,
		"auth0grpc.decisions{auth0grpc.cache.result=miss,auth0grpc.outcome=allowed,rpc.method=grpc.testing.TestService/*}": 1,
		"auth0grpc.decisions{auth0grpc.outcome=ended,rpc.method=grpc.testing.TestService/*}":                               1,
		"auth0grpc.verification.duration{}": 1,
	} {
		if points[name] != want {
			t.Errorf("%s = %d, want %d", name, points[name], want)
		}
	}
}

// A stream that the server has ended is counted until its handler returns.
func TestLingeringStreams(t *testing.T) {
	s := newScene(t, func(c *auth0grpc.Config) {
		c.Methods = map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Authenticated()}
	})
	opened, release := make(chan struct{}), make(chan struct{})
	server := grpc.NewServer(s.guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, idler{opened: opened, release: release})
	client := testgrpc.NewTestServiceClient(auth0grpctest.Connect(t, server, s.tenant.Token(nil)))
	if _, err := client.FullDuplexCall(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-opened
	if n := collect(t, s.reader)["auth0grpc.lingering_streams{}"]; n != 0 {
		t.Errorf("%d streams linger before the end, want 0", n)
	}
	if err := s.guard.Revoke(t.Context(), auth0grpc.Revocation{IssuedBefore: time.Now().Add(time.Second)}); err != nil {
		t.Error(err)
	}
	points := collect(t, s.reader)
	if points["auth0grpc.lingering_streams{}"] != 1 || points["auth0grpc.active_streams{}"] != 0 {
		t.Errorf("%v, want one stream that lingers", points)
	}
	close(release)
	server.GracefulStop()
	if n := collect(t, s.reader)["auth0grpc.lingering_streams{}"]; n != 0 {
		t.Errorf("%d streams linger after their handlers, want 0", n)
	}
}

// An idler has a handler that ignores its context.
type idler struct {
	testgrpc.UnimplementedTestServiceServer
	opened, release chan struct{}
}

func (s idler) FullDuplexCall(testgrpc.TestService_FullDuplexCallServer) error {
	close(s.opened)
	<-s.release
	return nil
}

type streamer struct {
	testgrpc.UnimplementedTestServiceServer
	opened chan struct{}
}

func (s streamer) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	close(s.opened)
	for {
		if _, err := stream.Recv(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Several Interceptors add up, and without one there is no gauge.
func TestObserve(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	telemetry := newTelemetry(t, reader)
	if points := collect(t, reader); len(points) != 0 {
		t.Errorf("points before anything happened: %v", points)
	}
	tenant := auth0grpctest.NewTenant(t)
	for range 2 {
		s := &scene{tenant: tenant, guard: mustNew(t, configFor(tenant))}
		telemetry.Observe(s.guard)
		if err := s.call(t.Context(), method, tenant.Token(nil)); err != nil {
			t.Fatal(err)
		}
	}
	points := collect(t, reader)
	if points["auth0grpc.cache.size{}"] != 2 {
		t.Errorf("%v, want 2 tokens", points)
	}
	if _, ok := points["auth0grpc.key.age{auth0grpc.issuer="+tenant.Issuer()+"}"]; !ok || len(points) != 5 {
		t.Errorf("%v, want one age of keys", points)
	}
}

// The counts are exact though many goroutines make the series.
func TestCountsAreExact(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	telemetry := newTelemetry(t, reader)
	const callers, calls = 8, 500
	done := make(chan struct{})
	for range callers {
		go func() {
			defer func() { done <- struct{}{} }()
			for n := range calls {
				d := auth0grpc.Decision{Row: fmt.Sprintf("/a.B/M%d", n%50), Outcome: auth0grpc.OutcomeAllowed, Issuer: "i", CacheHit: n%2 == 0, Duration: 1}
				telemetry.OnDecision(t.Context(), d)
			}
		}()
	}
	for range callers {
		<-done
		collect(t, reader) // while the others go on
	}
	var sum int64
	for name, n := range collect(t, reader) {
		if strings.HasPrefix(name, "auth0grpc.decisions{") {
			sum += n
		}
	}
	if sum != callers*calls {
		t.Errorf("%d decisions, want %d", sum, callers*calls)
	}
}

// attributesOf runs a call in a span and returns the attributes of that span.
func attributesOf(t *testing.T, run func(context.Context)) map[string]string {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")
	ctx, span := tracer.Start(t.Context(), "call")
	run(ctx)
	span.End()
	ended := recorder.Ended()
	if len(ended) != 1 {
		t.Fatalf("%d spans, want none of our own", len(ended)-1)
	}
	all := map[string]string{}
	for _, a := range ended[0].Attributes() {
		all[string(a.Key)] = a.Value.AsString()
	}
	return all
}

func TestSpans(t *testing.T) {
	s := newScene(t, nil)
	good := s.tenant.Token(map[string]any{"org_id": "org_a", "email": "leak@example.com"})
	who := map[string]string{
		"auth0grpc.issuer": s.tenant.Issuer(), "auth0grpc.client.id": auth0grpctest.ClientID, "auth0grpc.organization.id": "org_a",
	}
	as := func(more map[string]string) map[string]string {
		all := maps.Clone(who)
		maps.Copy(all, more)
		return all
	}
	for _, test := range []struct {
		name, method, token string
		want                map[string]string
	}{
		{"verified", method, good, as(map[string]string{"auth0grpc.outcome": "allowed", "auth0grpc.row": method, "auth0grpc.cache.result": "miss"})},
		{"known", method, good, as(map[string]string{"auth0grpc.outcome": "allowed", "auth0grpc.row": method, "auth0grpc.cache.result": "hit"})},
		{"reported", watched, good, as(map[string]string{
			"auth0grpc.outcome": "reported", "auth0grpc.reason": "INSUFFICIENT_SCOPE", "auth0grpc.row": watched, "auth0grpc.cache.result": "hit",
		})},
		{"refused", method, "", map[string]string{"auth0grpc.outcome": "refused", "auth0grpc.reason": "MISSING_TOKEN", "auth0grpc.row": method}},
		{"delegated", method, s.tenant.Token(map[string]any{"act": map[string]any{"sub": "agt_1", "act": map[string]any{"sub": "spa"}}}), map[string]string{
			"auth0grpc.issuer": s.tenant.Issuer(), "auth0grpc.client.id": auth0grpctest.ClientID, "auth0grpc.actor": "agt_1",
			"auth0grpc.outcome": "allowed", "auth0grpc.row": method, "auth0grpc.cache.result": "miss",
		}},
		{"unlisted", "/made.up/Method", "", map[string]string{"auth0grpc.outcome": "refused", "auth0grpc.reason": "MISSING_TOKEN"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := attributesOf(t, func(ctx context.Context) { _ = s.call(ctx, test.method, test.token) })
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
		})
	}
}

// The end of a stream adds its reason and takes nothing back.
func TestSpanOfEndedStream(t *testing.T) {
	telemetry := newTelemetry(t, sdkmetric.NewManualReader())
	got := attributesOf(t, func(ctx context.Context) {
		telemetry.OnDecision(ctx, auth0grpc.Decision{Row: method, Outcome: auth0grpc.OutcomeAllowed})
		telemetry.OnDecision(ctx, auth0grpc.Decision{Row: method, Outcome: auth0grpc.OutcomeEnded, Reason: auth0grpc.ReasonTokenExpired})
	})
	want := map[string]string{"auth0grpc.outcome": "allowed", "auth0grpc.row": method, "auth0grpc.reason": "TOKEN_EXPIRED"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

// The subject is on spans only where it was asked for.
func TestEndUserID(t *testing.T) {
	for _, asked := range []bool{false, true} {
		telemetry, err := auth0grpcotel.New(auth0grpcotel.Config{MeterProvider: noop.NewMeterProvider(), EndUserID: asked})
		if err != nil {
			t.Fatal(err)
		}
		got := attributesOf(t, func(ctx context.Context) {
			telemetry.OnDecision(ctx, auth0grpc.Decision{Outcome: auth0grpc.OutcomeAllowed, Subject: "auth0|1"})
		})
		if want := map[bool]string{true: "auth0|1"}[asked]; got["enduser.id"] != want {
			t.Errorf("asked for: %t, enduser.id = %q, want %q", asked, got["enduser.id"], want)
		}
	}
}

// New returns the error of the provider.
func TestNewFails(t *testing.T) {
	if _, err := auth0grpcotel.New(auth0grpcotel.Config{MeterProvider: broken{}}); !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "auth0grpcotel: ") {
		t.Errorf("New = %v, want %v", err, errBroken)
	}
	if _, err := auth0grpcotel.New(auth0grpcotel.Config{}); err != nil {
		t.Errorf("New with the global provider: %v", err)
	}
	sound := &failingMeter{}
	if _, err := auth0grpcotel.New(auth0grpcotel.Config{MeterProvider: failing{meter: sound}}); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= sound.calls; n++ {
		_, err := auth0grpcotel.New(auth0grpcotel.Config{MeterProvider: failing{meter: &failingMeter{fails: n}}})
		if !errors.Is(err, errBroken) {
			t.Errorf("New = %v, although call %d of %d fails", err, n, sound.calls)
		}
	}
}

type failing struct {
	noop.MeterProvider
	meter *failingMeter
}

func (f failing) Meter(string, ...metric.MeterOption) metric.Meter { return f.meter }

// A failingMeter fails one of its calls.
type failingMeter struct {
	noop.Meter
	calls, fails int
}

func (m *failingMeter) next() error {
	if m.calls++; m.calls == m.fails {
		return errBroken
	}
	return nil
}

func (m *failingMeter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return noop.Float64Histogram{}, m.next()
}

func (m *failingMeter) Int64Counter(string, ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return noop.Int64Counter{}, m.next()
}

func (m *failingMeter) Int64ObservableCounter(string, ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	return noop.Int64ObservableCounter{}, m.next()
}

func (m *failingMeter) Int64ObservableUpDownCounter(string, ...metric.Int64ObservableUpDownCounterOption) (metric.Int64ObservableUpDownCounter, error) {
	return noop.Int64ObservableUpDownCounter{}, m.next()
}

func (m *failingMeter) Int64ObservableGauge(string, ...metric.Int64ObservableGaugeOption) (metric.Int64ObservableGauge, error) {
	return noop.Int64ObservableGauge{}, m.next()
}

func (m *failingMeter) Float64ObservableGauge(string, ...metric.Float64ObservableGaugeOption) (metric.Float64ObservableGauge, error) {
	return noop.Float64ObservableGauge{}, m.next()
}

func (m *failingMeter) RegisterCallback(metric.Callback, ...metric.Observable) (metric.Registration, error) {
	return noop.Registration{}, m.next()
}

var errBroken = errors.New("broken")

type broken struct{ noop.MeterProvider }

func (broken) Meter(string, ...metric.MeterOption) metric.Meter { return brokenMeter{} }

type brokenMeter struct{ noop.Meter }

func (brokenMeter) Int64Counter(string, ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return nil, errBroken
}
