package policy_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/policy"
)

// largeTable has rows for 20 methods in each of the services, and names of the
// length that names have.
func largeTable(rows int, rule auth0grpc.Rule) (table map[string]auth0grpc.Rule, methods []string) {
	table = map[string]auth0grpc.Rule{}
	for i := range rows {
		method := fmt.Sprintf("/example.inventory%d.v1.InventoryService/ReadStockOfWarehouse%d", i/20, i%20)
		methods = append(methods, method)
		table[method] = rule
	}
	return table, methods
}

// BenchmarkLookup measures the cost of a call at a table of 5 rows and at one of
// 5,000, side by side, so that other load of the machine affects both. "public" is
// little more than the look-up; "verified" is a call with a token that was verified
// before. At both tables each method is called in turn, so the large one also has
// to come into the processor's cache.
func BenchmarkLookup(b *testing.B) {
	tenant := auth0grpctest.NewTenant(b)
	authorization := "Bearer " + tenant.Token(map[string]any{"scope": "read:stock"})
	for name, rule := range map[string]auth0grpc.Rule{"public": auth0grpc.Public(), "verified": auth0grpc.Scopes("read:stock")} {
		b.Run(name, func(b *testing.B) {
			ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs("authorization", authorization))
			small, large := callsOf(b, tenant, 5, rule), callsOf(b, tenant, 5000, rule)
			best := [2]time.Duration{time.Hour, time.Hour}
			for b.Loop() {
				for i, calls := range []func(context.Context) error{small, large} {
					start := time.Now()
					if err := calls(ctx); err != nil {
						b.Fatal(err)
					}
					best[i] = min(best[i], time.Since(start))
				}
			}
			b.ReportMetric(float64(best[0])/5000, "ns/call-of-5")
			b.ReportMetric(float64(best[1])/5000, "ns/call-of-5000")
			b.ReportMetric(float64(best[1])/float64(best[0]), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// callsOf returns a function that makes 5,000 calls at a table of so many rows.
func callsOf(b *testing.B, tenant *auth0grpctest.Tenant, rows int, rule auth0grpc.Rule) func(context.Context) error {
	table, methods := largeTable(rows, rule)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(), Methods: table,
	})
	if err != nil {
		b.Fatal(err)
	}
	intercept := guard.UnaryServerInterceptor()
	handler := func(context.Context, any) (any, error) { return nil, nil }
	infos := make([]*grpc.UnaryServerInfo, 5000)
	for i := range infos {
		infos[i] = &grpc.UnaryServerInfo{FullMethod: methods[i%rows]}
	}
	return func(ctx context.Context) error {
		for _, info := range infos {
			if _, err := intercept(ctx, nil, info, handler); err != nil {
				return err
			}
		}
		return nil
	}
}

// scopedTable is largeTable with rules of two scopes.
func scopedTable(rows int) map[string]auth0grpc.Rule {
	table, methods := largeTable(rows, auth0grpc.Public())
	for i, method := range methods {
		table[method] = auth0grpc.Scopes("read:stock"+strconv.Itoa(i%50), "read:warehouse")
	}
	return table
}

func BenchmarkNew5000(b *testing.B) {
	table := scopedTable(5000)
	b.ReportAllocs()
	for b.Loop() {
		newGuard(b, table)
	}
}

func BenchmarkSetMethods5000(b *testing.B) {
	table := scopedTable(5000)
	guard := newGuard(b, table)
	b.ReportAllocs()
	for b.Loop() {
		if err := guard.SetMethods(table); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse5000(b *testing.B) {
	document, err := policy.Marshal(scopedTable(5000))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(document)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := policy.Parse(document); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseNames parses one rule with a growing number of names. The figures
// ns/name stay level if Parse is linear.
func BenchmarkParseNames(b *testing.B) {
	for _, size := range []int{1000, 10_000, 100_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			document := []byte(`{"methods": {"/a.B/C": {"scopes": [` + list(size, `"read:stock%d"`) + `]}}}`)
			for b.Loop() {
				if _, err := policy.Parse(document); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N*size), "ns/name")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// list formats the numbers below size, with commas between them.
func list(size int, format string) string {
	elements := make([]string, size)
	for i := range elements {
		elements[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(elements, ",")
}

// TestParseIsLinear compares two sizes of each document. 64 times the size may take
// 1,000 times as long, for memory is slower than caches and the machine may be busy. A
// quadratic reader takes 4,096 times as long.
func TestParseIsLinear(t *testing.T) {
	const size, factor, bound = 500, 64, 1000
	documents := map[string]func(size int) string{
		"names beside a fault": func(size int) string {
			return `{"methods": {"/a.B/C": {"scopes": ["",` + list(size, `"read:stock%d"`) + `]}}}`
		},
		"faults on one line": func(size int) string {
			return `{"methods": {"/a.B/C": {"scopes": [` + list(size, `%d`) + `]}}}`
		},
		"equal members": func(size int) string {
			return "{\n" + list(size, `"methods": {"/a.B/C%d": {"public": true}}`) + `}`
		},
		"rows": func(size int) string {
			return `{"methods": {` + list(size, `"/a.B/C%d": {"public": true}`) + `}}`
		},
	}
	for name, document := range documents {
		t.Run(name, func(t *testing.T) {
			small, large := []byte(document(size)), []byte(document(size*factor))
			best := [2]time.Duration{time.Hour, time.Hour}
			ratio := func() float64 { return float64(best[1]) / float64(best[0]) }
			for round := 0; round < 50 && (round == 0 || ratio() > bound); round++ { // other processes disturb a round
				for i, data := range [][]byte{small, large} {
					start := time.Now()
					_, _ = policy.Parse(data)
					best[i] = min(best[i], time.Since(start))
				}
			}
			if ratio() > bound {
				t.Errorf("%v for %d, %v for %d: ratio %.0f, want at most %d", best[0], size, best[1], size*factor, ratio(), bound)
			}
		})
	}
}

// Large tables, ordinary and hostile: the time has a bound.
func BenchmarkCompare(b *testing.B) {
	before, after := table{}, table{}
	for i := range 10_000 {
		key := fmt.Sprintf("/a.B/M%d", i)
		scope := fmt.Sprint("scope", i%500)
		before[key] = auth0grpc.AllOf(auth0grpc.Scopes(scope), auth0grpc.AnyScope("x", "y", "z"))
		after[key] = auth0grpc.AllOf(auth0grpc.AnyScope(scope, "admin"), auth0grpc.Scopes("x"))
	}
	hardBefore, hardAfter := hardTable(14, 200)
	for name, tables := range map[string][2]table{"rows=10000": {before, after}, "hostile": {hardBefore, hardAfter}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := policy.Compare(tables[0], tables[1]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
