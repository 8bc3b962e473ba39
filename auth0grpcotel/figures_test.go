package auth0grpcotel_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcotel"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// variants of the interceptor with a warm cache, by the hook that is set.
func variants(tb testing.TB) map[string]func() {
	tb.Helper()
	tenant := auth0grpctest.NewTenant(tb)
	telemetry, err := auth0grpcotel.New(auth0grpcotel.Config{
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())),
	})
	if err != nil {
		tb.Fatal(err)
	}
	token := tenant.Token(map[string]any{"scope": strings.Repeat("read:orders ", 15)}) // about 900 bytes, as Auth0's with some scopes are
	all := map[string]func(){}
	for name, hook := range map[string]func(context.Context, auth0grpc.Decision){
		"unset":   nil,
		"empty":   func(context.Context, auth0grpc.Decision) {},
		"metrics": telemetry.OnDecision,
	} {
		config := configFor(tenant)
		config.OnDecision = hook
		intercept := mustNew(tb, config).UnaryServerInterceptor()
		ctx := metadata.NewIncomingContext(tb.Context(), metadata.Pairs("authorization", "Bearer "+token))
		info := &grpc.UnaryServerInfo{FullMethod: method}
		handler := func(context.Context, any) (any, error) { return nil, nil }
		all[name] = func() {
			if _, err := intercept(ctx, nil, info, handler); err != nil {
				tb.Error(err)
			}
		}
		all[name]() // the one that is verified
	}
	return all
}

func BenchmarkInterceptor(b *testing.B) {
	for name, call := range variants(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}

// BenchmarkRatio reports the cost of a call with each hook, as a multiple of the cost
// without. The variants take turns, and the quickest turn of each counts, so that other
// load of the machine affects all of them or none.
func BenchmarkRatio(b *testing.B) {
	const calls = 1000
	all := variants(b)
	names := []string{"unset", "empty", "metrics"}
	best := map[string]time.Duration{}
	for b.Loop() {
		for _, name := range names {
			call, start := all[name], time.Now()
			for range calls {
				call()
			}
			if took := time.Since(start); best[name] == 0 || took < best[name] {
				best[name] = took
			}
		}
		slices.Reverse(names)
	}
	b.ReportMetric(0, "ns/op") // a turn of all of them says nothing
	b.ReportMetric(float64(best["unset"].Nanoseconds())/calls, "ns/unset")
	b.ReportMetric(float64(best["metrics"].Nanoseconds())/calls, "ns/metrics")
	b.ReportMetric(float64(best["empty"])/float64(best["unset"]), "×empty")
	b.ReportMetric(float64(best["metrics"])/float64(best["unset"]), "×metrics")
}

// Metrics cost a warm call no allocation.
func TestMetricsAllocateNothing(t *testing.T) {
	all := variants(t)
	unset, metrics := testing.AllocsPerRun(1000, all["unset"]), testing.AllocsPerRun(1000, all["metrics"])
	if metrics != unset {
		t.Errorf("%v allocations with metrics, %v without", metrics, unset)
	}
}
