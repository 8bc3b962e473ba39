package auth0grpc_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// BenchmarkCandidate compares a warm call with a candidate table and without, by turns.
// The bounds: a ratio of 1.05, and no allocation more.
func BenchmarkCandidate(b *testing.B) {
	tenant := auth0grpctest.NewTenant(b)
	methods := map[string]auth0grpc.Rule{"/a.B/C": auth0grpc.Scopes("read:orders")}
	ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs("authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders write:orders"})))
	newCall := func(candidate map[string]auth0grpc.Rule) func() {
		guard, err := auth0grpc.New(auth0grpc.Config{
			Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(), Methods: methods,
			OnDecision: func(context.Context, auth0grpc.Decision) {},
		})
		if err == nil {
			err = guard.SetCandidate(candidate)
		}
		if err != nil {
			b.Fatal(err)
		}
		unary, info := guard.UnaryServerInterceptor(), &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}
		return func() {
			for range 1000 {
				if _, err := unary(ctx, nil, info, func(context.Context, any) (any, error) { return nil, nil }); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	calls := []func(){newCall(nil), newCall(map[string]auth0grpc.Rule{"/a.B/C": auth0grpc.Scopes("read:orders", "write:orders")})}
	best := []time.Duration{time.Hour, time.Hour}
	for b.Loop() {
		for i, call := range calls {
			start := time.Now()
			call()
			best[i] = min(best[i], time.Since(start))
		}
	}
	b.ReportMetric(float64(best[1])/float64(best[0]), "ratio")
	b.ReportMetric((testing.AllocsPerRun(10, calls[1])-testing.AllocsPerRun(10, calls[0]))/1000, "more-allocs")
	b.ReportMetric(float64(best[1]-best[0])/1000, "more-ns")
	b.ReportMetric(0, "ns/op")
}
