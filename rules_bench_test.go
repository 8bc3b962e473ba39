package auth0grpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// numbered returns size names.
func numbered(prefix string, size int) []string {
	names := make([]string, size)
	for i := range names {
		names[i] = prefix + strconv.Itoa(i)
	}
	return names
}

// BenchmarkRuleNames measures warm calls with a token of 400 permissions, at rules of
// growing size and at a rule of one name, side by side. Bound: 15 times the small rule.
func BenchmarkRuleNames(b *testing.B) {
	tenant := auth0grpctest.NewTenant(b)
	authorization := "Bearer " + tenant.Token(map[string]any{
		"permissions": numbered("p", 400), "org_id": "org_last", "azp": "last",
	})
	ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs("authorization", authorization))
	kinds := []struct {
		name  string
		sizes []int
		rule  func(size int) auth0grpc.Rule
	}{
		{"Permissions", []int{10, 100, 400}, func(size int) auth0grpc.Rule { return auth0grpc.Permissions(numbered("p", size)...) }},
		{"AnyPermission", []int{10, 100, 1000, 10_000}, func(size int) auth0grpc.Rule {
			return auth0grpc.AnyPermission(append(numbered("other", size-1), "p399")...)
		}},
		{"Organizations", []int{10, 100, 1000, 10_000}, func(size int) auth0grpc.Rule {
			return auth0grpc.Organizations(append(numbered("org_", size-1), "org_last")...)
		}},
		{"Clients", []int{10, 100, 1000, 10_000}, func(size int) auth0grpc.Rule {
			return auth0grpc.Clients(append(numbered("client", size-1), "last")...)
		}},
	}
	for _, kind := range kinds {
		for _, size := range kind.sizes {
			b.Run(fmt.Sprintf("%s/%d", kind.name, size), func(b *testing.B) {
				calls := warmCalls(b, tenant, ctx, kind.rule(1), kind.rule(size))
				best := [2]time.Duration{time.Hour, time.Hour}
				b.ReportAllocs()
				for b.Loop() {
					for i, call := range calls {
						start := time.Now()
						call()
						best[i] = min(best[i], time.Since(start))
					}
				}
				b.ReportMetric(float64(best[1]), "best-ns")
				b.ReportMetric(float64(best[1])/float64(best[0]), "ratio")
			})
		}
	}
}

// warmCalls returns a function for each rule that makes a call which has to pass.
func warmCalls(b *testing.B, tenant *auth0grpctest.Tenant, ctx context.Context, rules ...auth0grpc.Rule) []func() {
	methods := map[string]auth0grpc.Rule{}
	for i, rule := range rules {
		methods["/a.B/M"+strconv.Itoa(i)] = rule
	}
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience},
		HTTPClient: tenant.HTTPClient(), Methods: methods,
	})
	if err != nil {
		b.Fatal(err)
	}
	intercept := guard.UnaryServerInterceptor()
	handler := func(context.Context, any) (any, error) { return nil, nil }
	calls := make([]func(), len(rules))
	for i := range calls {
		info := &grpc.UnaryServerInfo{FullMethod: "/a.B/M" + strconv.Itoa(i)}
		calls[i] = func() {
			if _, err := intercept(ctx, nil, info, handler); err != nil {
				b.Fatal(err)
			}
		}
		calls[i]()
	}
	return calls
}

// reportPerItem reports the time for each of size items. The figures stay level if
// the work is linear.
func reportPerItem(b *testing.B, size int) {
	b.ReportMetric(float64(b.Elapsed())/float64(b.N*size), "ns/item")
}

// benchmarkConfig is a sound Config with the methods.
func benchmarkConfig(methods map[string]auth0grpc.Rule) auth0grpc.Config {
	return auth0grpc.Config{Issuers: []string{"https://a.example.com/"}, Audiences: []string{"api"}, Methods: methods}
}

func BenchmarkNewNames(b *testing.B) {
	for _, size := range []int{1000, 10_000, 100_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			names := numbered("read:stock", size)
			for b.Loop() {
				if _, err := auth0grpc.New(benchmarkConfig(map[string]auth0grpc.Rule{"/a.B/C": auth0grpc.Scopes(names...)})); err != nil {
					b.Fatal(err)
				}
			}
			reportPerItem(b, size)
		})
	}
}

// BenchmarkNewFaults has a fault in each name.
func BenchmarkNewFaults(b *testing.B) {
	for _, size := range []int{1000, 10_000, 100_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			names := numbered("read stock", size)
			for b.Loop() {
				_, err := auth0grpc.New(benchmarkConfig(map[string]auth0grpc.Rule{"/a.B/C": auth0grpc.Scopes(names...)}))
				if len(err.Error()) < size {
					b.Fatal(err)
				}
			}
			reportPerItem(b, size)
		})
	}
}

func BenchmarkMarshalNames(b *testing.B) {
	for _, size := range []int{1000, 10_000, 100_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			rule := auth0grpc.Scopes(numbered("read:stock", size)...)
			for b.Loop() {
				if _, err := json.Marshal(rule); err != nil {
					b.Fatal(err)
				}
			}
			reportPerItem(b, size)
		})
	}
}

// BenchmarkSetMethods has rows of two scopes, of which one is shared by few rows.
func BenchmarkSetMethods(b *testing.B) {
	for _, size := range []int{1000, 10_000, 100_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			methods := map[string]auth0grpc.Rule{}
			for i := range size {
				method := fmt.Sprintf("/example.inventory%d.v1.InventoryService/ReadStockOfWarehouse%d", i/20, i%20)
				methods[method] = auth0grpc.Scopes("read:stock"+strconv.Itoa(i%(size/20)), "read:warehouse")
			}
			guard, err := auth0grpc.New(benchmarkConfig(methods))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := guard.SetMethods(methods); err != nil {
					b.Fatal(err)
				}
			}
			reportPerItem(b, size)
		})
	}
}

// BenchmarkCheckServicesHints has a slip in each row.
func BenchmarkCheckServicesHints(b *testing.B) {
	for _, size := range []int{100, 1000, 10_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			methods, services := slips(size)
			guard, err := auth0grpc.New(benchmarkConfig(methods))
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if guard.CheckServices(services) == nil {
					b.Fatal("no error")
				}
			}
			reportPerItem(b, size)
		})
	}
}

// slips returns a server of so many methods, and a table with a slip in each row.
func slips(size int) (map[string]auth0grpc.Rule, map[string]grpc.ServiceInfo) {
	methods, services := map[string]auth0grpc.Rule{}, map[string]grpc.ServiceInfo{}
	for i := range size {
		service, method := fmt.Sprintf("example.inventory%d.v1.InventoryService", i/20), fmt.Sprintf("ReadStockOfWarehouse%d", i%20)
		info := services[service]
		info.Methods = append(info.Methods, grpc.MethodInfo{Name: method})
		services[service] = info
		methods["/"+service+"/"+method+"s"] = auth0grpc.Public()
	}
	return methods, services
}
