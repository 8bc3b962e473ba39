package auth0grpc

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/revocation"
)

var indexSizes = []int{1_000, 10_000, 50_000, 100_000}

// newFullIndex returns an index with n open streams, each with its own subject and
// token, ten to an organization.
func newFullIndex(n int, deadline int64) *openStreams {
	s := new(openStreams)
	s.init(StreamPolicy{}, time.Now, func(g *guardedStream, _ *caller, _ *refusal) { s.remove(g) })
	s.afterFunc = func(time.Duration, func()) timer { return &fakeStop{of: new(fakeTimer)} }
	for k := range n {
		s.add(newIndexedStream(streamCriteria(k), deadline), time.Time{})
	}
	return s
}

func streamCriteria(k int) revocation.Criteria {
	return revocation.Criteria{
		Issuer: "https://tenant.example/", Subject: fmt.Sprint("auth0|", k), ClientID: "client",
		OrganizationID: fmt.Sprint("org_", k/10), TokenID: fmt.Sprint("jti-", k),
	}
}

// BenchmarkRevokeStream revokes the subject of one stream among many, and opens
// that stream again. The bound: at 50,000 open streams at most 3 times the time at
// 1,000.
func BenchmarkRevokeStream(b *testing.B) {
	took := map[int]float64{}
	for _, size := range indexSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := newFullIndex(size, noDeadline)
			k := 0
			for b.Loop() {
				c := streamCriteria(k % size)
				s.endRevoked(revocation.Criteria{Issuer: c.Issuer, Subject: c.Subject}, always)
				s.add(newIndexedStream(c, noDeadline), time.Time{})
				k += 7919
			}
			took[size] = float64(b.Elapsed()) / float64(b.N)
			b.ReportMetric(took[size]/took[1_000], "×1000")
		})
	}
}

// BenchmarkOpenDuringRevocations measures the median opening, quiet and during a
// burst of 1,000 revocations. The bound: at most 5 times.
func BenchmarkOpenDuringRevocations(b *testing.B) {
	for _, size := range indexSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := newFullIndex(size, noDeadline)
			var quiet, burst []time.Duration
			open := func() time.Duration {
				g := newIndexedStream(streamCriteria(size), noDeadline)
				start := time.Now()
				s.add(g, time.Time{})
				took := time.Since(start)
				s.remove(g)
				return took
			}
			for b.Loop() {
				for range 1000 {
					quiet = append(quiet, open())
				}
				var revoker sync.WaitGroup
				done := make(chan struct{})
				revoker.Go(func() {
					defer close(done)
					for k := range 1000 {
						s.endRevoked(revocation.Criteria{Subject: fmt.Sprint("auth0|", size+1+k)}, always)
					}
				})
				for over := false; !over; {
					burst = append(burst, open())
					select {
					case <-done:
						over = true
					default:
					}
				}
				revoker.Wait()
			}
			slices.Sort(quiet)
			slices.Sort(burst)
			q, l := quiet[len(quiet)/2], burst[len(burst)/2]
			b.ReportMetric(float64(q), "quiet-ns")
			b.ReportMetric(float64(l), "burst-ns")
			b.ReportMetric(float64(l)/float64(q), "ratio")
		})
	}
}

// BenchmarkExpireTogether ends streams that expire in the same second. longest-ms
// is the longest time that a lock was held, in the iteration that the scheduler
// disturbed least. The bound: 10 ms at 100,000.
func BenchmarkExpireTogether(b *testing.B) {
	for _, size := range indexSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			least := time.Hour
			for b.Loop() {
				var longest time.Duration
				b.StopTimer()
				s := newFullIndex(size, 1)
				b.StartTimer()
				for i := range s.shards {
					for more := true; more; {
						start := time.Now()
						expired, _ := s.shards[i].takeExpired(2)
						longest = max(longest, time.Since(start))
						more = len(expired) == expiryBatch
					}
				}
				least = min(least, longest)
			}
			b.ReportMetric(float64(least)/1e6, "longest-ms")
		})
	}
}

// BenchmarkCatchUp applies 100,000 revocations of other tokens beside 2,000 open
// streams.
func BenchmarkCatchUp(b *testing.B) {
	s := newFullIndex(2_000, noDeadline)
	for b.Loop() {
		for k := range 100_000 {
			s.endRevoked(revocation.Criteria{Subject: fmt.Sprint("auth0|", 1_000_000+k)}, always)
		}
	}
}

// BenchmarkOpenStream opens and closes streams on all processors. Compare runs
// with -cpu 1,2,4,8.
func BenchmarkOpenStream(b *testing.B) {
	s := newFullIndex(1_000, 1<<50)
	b.RunParallel(func(pb *testing.PB) {
		c := streamCriteria(1)
		for pb.Next() {
			g := newIndexedStream(c, 1<<51)
			s.add(g, time.Time{})
			s.remove(g)
		}
	})
}

// BenchmarkSetMethodsStreams evaluates open streams by a new table: one that admits all
// of them, and one that ends them. slowest-µs is the slowest opening meanwhile. The
// bound: 100 ms at 10,000 streams.
func BenchmarkSetMethodsStreams(b *testing.B) {
	tables := map[string]map[string]Rule{
		"admits": {"/a.B/*": Authenticated()}, "ends": {"/a.B/*": Scopes("admin")},
	}
	for name, methods := range tables {
		next, faults := newTable(methods)
		if len(faults) > 0 {
			b.Fatal(faults)
		}
		for _, size := range indexSizes {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				var slowest time.Duration
				for b.Loop() {
					b.StopTimer()
					s := newFullIndex(size, noDeadline)
					for i := range s.shards {
						for _, g := range s.shards[i].matching(byIssuer, 0, revocation.Criteria{}) {
							g.fullMethod = "/a.B/C"
						}
					}
					done := make(chan struct{})
					b.StartTimer()
					go func() {
						defer close(done)
						s.endRefused(func() *table { return next })
					}()
					for over := false; !over; {
						start := time.Now()
						g := newIndexedStream(streamCriteria(size), noDeadline)
						s.add(g, time.Time{})
						s.remove(g)
						slowest = max(slowest, time.Since(start))
						select {
						case <-done:
							over = true
						default:
						}
					}
				}
				b.ReportMetric(float64(slowest.Microseconds()), "slowest-µs")
			})
		}
	}
}
