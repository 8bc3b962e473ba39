package main

import (
	"fmt"
	"time"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
)

func (r *callResults) bounds() []bound {
	var all []bound
	all = append(all, r.interceptorBounds()...)
	all = append(all, r.callBounds()...)
	all = append(all, r.floodBounds()...)
	return append(all, r.cacheBounds()...)
}

// at returns the key of a case with RS256 and the small token on one core.
func at(level, peer string) key { return key{level, peer, "RS256", suite.Small, 1} }

func (k key) of(size int) key        { k.size = size; return k }
func (k key) on(cores int) key       { k.cores = cores; return k }
func (r *callResults) allCores() int { return r.cores[len(r.cores)-1] }

func (r *callResults) interceptorBounds() []bound {
	warm, cold := at(suite.Interceptor, suite.Warm), at(suite.Interceptor, suite.Cold)
	hash, goOIDC := at(suite.Floor, suite.Hash), at(suite.Interceptor, suite.GoOIDC)
	large := warm.of(suite.Large)
	small, big := r.ratio(warm, hash), r.ratio(large, hash.of(suite.Large))
	all := []bound{
		atMost("warm interceptor, beside SHA-256 of the token", small, 1.5, times),
		atMost("the same with a token of 4 KB", big, 1.5, times),
		{"warm interceptor, beside SHA-256 of a token that repeats", "aim: 0.50 ×", fmt.Sprintf(times, small), small <= 0.5},
		{"the same with a token of 4 KB, which repeats", "aim: 0.50 ×", fmt.Sprintf(times, big), big <= 0.5},
		atMost("allocations of a warm call", float64(r.series[warm].allocs), 3, "%.0f"),
		atMost("bytes more for a token of 4 KB", float64(r.series[large].bytes-r.series[warm].bytes), 16, "%.0f"),
		atLeast("faster than "+suite.GoOIDC, r.ratio(goOIDC, warm), 60, "%.0f ×"),
		atLeast("faster than "+suite.GoJWT, r.ratio(at(suite.Interceptor, suite.GoJWT), warm), 90, "%.0f ×"),
		atMost("cache off, beside "+suite.GoOIDC, r.ratio(cold, goOIDC), 1, times),
	}
	raw := r.ratio(cold, at(suite.Floor, suite.PublicKey))
	all = append(all, bound{"cache off, beside a raw RSA-2048 verification", "aim: 1.40 ×", fmt.Sprintf(times, raw), raw <= 1.4})
	if len(r.cores) > 1 {
		figure := fmt.Sprintf("warm throughput of %d cores, beside one", r.allCores())
		all = append(all, atLeast(figure, r.ratio(warm, warm.on(r.allCores())), 1.7, times))
	}
	return all
}

func (r *callResults) callBounds() []bound {
	var all []bound
	for _, cores := range r.cores {
		ratio := r.ratio(at(suite.Unary, suite.Warm).on(cores), at(suite.Unary, suite.NoAuth).on(cores))
		all = append(all, atMost("unary RPC over bufconn, beside one without auth, "+coreCount(cores), ratio, 1.06, "%.3f ×"))
	}
	return all
}

func coreCount(cores int) string {
	if cores == 1 {
		return "1 core"
	}
	return fmt.Sprintf("%d cores", cores)
}

func (r *callResults) floodBounds() []bound {
	var all []bound
	ours := func(kind suite.Flood, unread bool) floodKey {
		return floodKey{peer: suite.Warm, level: suite.Unary, kind: kind, unread: unread}
	}
	besieged := func(kind suite.Flood) floodKey {
		return floodKey{peer: suite.Warm, level: suite.Unary, kind: kind, siege: true}
	}
	for _, kind := range suite.Floods[1:] {
		least := 70.0
		if kind == suite.BadSignature {
			least = 45
		}
		of := func(baseline floodKey) float64 { return 100 * r.share(ours(kind, false), baseline) }
		figure := "good calls kept in a flood of " + string(kind)
		all = append(all,
			atLeast(figure+", beside calls without a token", of(ours(suite.NoToken, false)), least, "%.0f %%"),
			atLeast(figure+", beside the same bytes under an unread key", of(ours(kind, true)), least, "%.0f %%"),
			atLeast("the same in a siege, beside a siege without a token", 100*r.share(besieged(kind), besieged(suite.NoToken)), least, "%.0f %%"))
	}
	most, calls := int64(0), 0
	for _, f := range r.fetches {
		most, calls = max(most, f.First+f.Again, f.AfterReset), f.Calls
	}
	all = append(all, atMost(fmt.Sprintf("key set requests for %d bad tokens of a kind, in a cool-down", calls), float64(most), 1, "%.0f"))
	for _, c := range r.cold {
		if c.Peer == suite.Warm && c.Flooded {
			figure := fmt.Sprintf("slowest of %d first uses in a flood of bad signatures", c.Calls)
			all = append(all, bound{figure, "< 1 s", c.Max.Round(10 * time.Microsecond).String(), c.Max < time.Second})
		}
	}
	return all
}

func (r *callResults) cacheBounds() []bound {
	m := r.memory
	grown := 100 * (float64(m.Overfull)/float64(m.Full) - 1)
	return []bound{
		atMost(fmt.Sprintf("heap for a cached token, of %d", m.Entries), m.PerToken()/1000, 2.5, "%.2f KB"),
		atMost("heap that half as many tokens again add to a full cache", grown, 10, "%.1f %%"),
	}
}
