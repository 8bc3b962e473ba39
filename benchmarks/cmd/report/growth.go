package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
	"github.com/auth0grpc/auth0grpc/internal/progress"
)

// A growthPlan sets the sizes at which costs are measured.
type growthPlan struct {
	rounds      int   // of first uses
	tokens      int   // each used once in a round
	tokenSizes  []int // bytes
	streams     []int
	revocations []int
	names       []int // of a rule
	tableRows   []int
}

// growthResults holds the measurements at growing sizes.
type growthResults struct {
	plan     growthPlan
	firstUse map[firstUseKey]*rates
	revokes  []suite.RevokeResult
	expiries []suite.ExpiryResult
	lists    []suite.ListResult
	names    []suite.NamesResult
	tables   []suite.TableResult
}

type firstUseKey struct {
	peer string
	size int
}

// rates holds the calls per second of each round, and the processor time of a call.
type rates struct{ perSecond, cpu []float64 }

func measureGrowth(s *suite.Suite, p growthPlan, line *progress.Line) (*growthResults, error) {
	r := &growthResults{plan: p, firstUse: map[firstUseKey]*rates{}}
	if err := r.measureFirstUse(s, line); err != nil {
		return nil, err
	}
	for _, n := range p.streams {
		line.Step("revocations with %d streams", n)
		revoked, err := s.Revoke(n)
		if err != nil {
			return nil, err
		}
		line.Step("%d streams that expire together", n)
		expired, err := s.ExpireTogether(n)
		if err != nil {
			return nil, err
		}
		r.revokes, r.expiries = append(r.revokes, revoked), append(r.expiries, expired)
	}
	for _, n := range p.revocations {
		line.Step("a list of %d revocations", n)
		list, err := s.RevocationList(n)
		if err != nil {
			return nil, err
		}
		r.lists = append(r.lists, list)
	}
	line.Step("rules with many names")
	var err error
	if r.names, err = s.RuleNames(p.names); err != nil {
		return nil, err
	}
	for _, n := range p.tableRows {
		line.Step("a table of %d rows", n)
		table, err := s.SetMethods(n)
		if err != nil {
			return nil, err
		}
		r.tables = append(r.tables, table)
	}
	return r, nil
}

// measureFirstUse measures every peer in each round, and each round reverses the order.
func (r *growthResults) measureFirstUse(s *suite.Suite, line *progress.Line) error {
	peers := slices.Clone(suite.FirstUsePeers)
	for _, size := range r.plan.tokenSizes {
		line.Step("minting %d tokens of %d bytes", r.plan.tokens, size)
		calls := s.NewFirstUseCalls(r.plan.tokens, size)
		for round := range r.plan.rounds {
			for _, peer := range peers {
				line.Step("first uses of %d bytes, round %d of %d: %s", size, round+1, r.plan.rounds, peer)
				elapsed, cpu, err := calls.Measure(peer)
				if err != nil {
					return err
				}
				k := firstUseKey{peer, size}
				if r.firstUse[k] == nil {
					r.firstUse[k] = new(rates)
				}
				one := r.firstUse[k]
				one.perSecond = append(one.perSecond, float64(r.plan.tokens)/elapsed.Seconds())
				one.cpu = append(one.cpu, float64(cpu)/float64(r.plan.tokens))
			}
			slices.Reverse(peers)
		}
	}
	return nil
}

// faster returns the rate of auth0grpc beside another peer: the median of the rounds.
func (r *growthResults) faster(size int, peer string) float64 {
	ours, other := r.firstUse[firstUseKey{suite.Warm, size}], r.firstUse[firstUseKey{peer, size}]
	all := make([]float64, len(ours.perSecond))
	for i := range all {
		all[i] = ours.perSecond[i] / other.perSecond[i]
	}
	return median(all)
}

func (r *growthResults) bounds() []bound {
	small := r.plan.tokenSizes[0]
	all := []bound{
		atLeast(firstUses(small, suite.GoOIDC), r.faster(small, suite.GoOIDC), 1.3, times),
		atLeast(firstUses(small, suite.GolangJWT), r.faster(small, suite.GolangJWT), 0.95, times),
	}
	for _, size := range r.plan.tokenSizes[1:] {
		if size == 8<<10 {
			all = append(all, atLeast(firstUses(size, suite.GoOIDC), r.faster(size, suite.GoOIDC), 2.5, times))
		}
	}
	fewest, most := r.revokes[0], r.revokes[len(r.revokes)-1]
	slowest := slices.MaxFunc(r.revokes, func(a, b suite.RevokeResult) int { return cmp.Compare(a.BurstRatio(), b.BurstRatio()) })
	list, shortest := r.lists[len(r.lists)-1], r.lists[0]
	few, many := r.names[0], r.names[slices.IndexFunc(r.names, func(n suite.NamesResult) bool { return n.Names >= 1000 })]
	return append(all,
		atMost(fmt.Sprintf("a Revoke with %d open streams, beside %d", most.Streams, fewest.Streams), ratioOf(most.Revoke, fewest.Revoke), 3, times),
		atMost(fmt.Sprintf("median opening during 1000 revocations, beside a quiet one, %d streams", slowest.Streams), slowest.BurstRatio(), 5, times),
		atMost(fmt.Sprintf("heap for a revocation, of %d", list.Entries), list.Bytes, 150, "%.0f B"),
		atMost(fmt.Sprintf("a known token after a revocation, of %d, beside %d", list.Entries, shortest.Entries), ratioOf(list.Call, shortest.Call), 1.5, times),
		atMost(fmt.Sprintf("400 permissions at a rule of %d names, beside %d", many.Names, few.Names), ratioOf(many.Call, few.Call), 15, times),
	)
}

func firstUses(size int, peer string) string {
	return fmt.Sprintf("first uses per second, %d B, beside %s", size, peer)
}

func ratioOf(a, b time.Duration) float64 { return float64(a) / float64(b) }

func (r *growthResults) text() string {
	var b strings.Builder
	b.WriteString("Costs at growing sizes, on all cores.\n\n![Costs at growing sizes](growth.svg)\n")
	writeBounds(&b, r.bounds())
	r.writeFirstUse(&b)
	b.WriteString("\n### Open streams\n\nA Revoke that ends one stream, mean of 1000. The median opening of a stream, quiet and while another goroutine revokes.\n" +
		"Streams whose tokens expire at the same instant: the time until the last has ended, and the slowest opening meanwhile.\n\n")
	heading(&b, 0, "streams", "Revoke", "opening, quiet", "opening, revoking", "all expired", "slowest opening")
	for i, one := range r.revokes {
		expired := r.expiries[i]
		row(&b, fmt.Sprint(one.Streams), duration(float64(one.Revoke)), duration(float64(one.Quiet)), duration(float64(one.Burst)),
			latency(float64(expired.All)), latency(float64(expired.Slowest)))
	}
	b.WriteString("\n### Revocations in memory\n\nA known token is checked against the list after each new revocation. The slowest Revoke includes pauses of the machine.\n\n")
	heading(&b, 0, "revocations", "heap for each", "known token", "slowest Revoke")
	for _, one := range r.lists {
		row(&b, fmt.Sprint(one.Entries), fmt.Sprintf("%.0f B", one.Bytes), duration(float64(one.Call)), latency(float64(one.Slowest)))
	}
	b.WriteString("\n### Rules with many names\n\nA known token of 400 permissions, at `AnyPermission` with names of which the last fits. The best of 5000 calls.\n\n")
	heading(&b, 0, "names", "call")
	for _, one := range r.names {
		row(&b, fmt.Sprint(one.Names), duration(float64(one.Call)))
	}
	b.WriteString("\n### Large tables\n\n")
	heading(&b, 0, "rows", "SetMethods")
	for _, one := range r.tables {
		row(&b, fmt.Sprint(one.Rows), latency(float64(one.Set)))
	}
	return b.String()
}

func (r *growthResults) writeFirstUse(b *strings.Builder) {
	fmt.Fprintf(b, "\n### Tokens used once\n\nCalls per second from 64 goroutines, %d different tokens in each of %s. CPU is the processor time of a call.\n\n",
		r.plan.tokens, rounds(r.plan.rounds))
	heading(b, 1, "", "token", "calls/s", "auth0grpc beside it", "CPU")
	for _, size := range r.plan.tokenSizes {
		for _, peer := range suite.FirstUsePeers {
			one := r.firstUse[firstUseKey{peer, size}]
			row(b, peer, fmt.Sprintf("%d B", size), fmt.Sprintf("%.0f", median(one.perSecond)),
				fmt.Sprintf(times, r.faster(size, peer)), duration(median(one.cpu)))
		}
	}
}

// svg returns the curves.
func (r *growthResults) svg() string {
	firstUse := curves{title: "Calls per second with tokens used once", note: "by bytes of the token; 64 goroutines; higher is better"}
	for _, peer := range []string{suite.Warm, suite.GolangJWT, suite.GoOIDC, suite.GoJWT} {
		c := curve{name: peer, ours: peer == suite.Warm}
		for _, size := range r.plan.tokenSizes {
			c.points = append(c.points, point{size, median(r.firstUse[firstUseKey{peer, size}].perSecond)})
		}
		firstUse.lines = append(firstUse.lines, c)
	}
	revoke := curves{title: "Time of a Revoke that ends one stream, µs", note: "by open streams; level is better"}
	opening := curves{title: "Time to open a stream, µs", note: "by open streams; median; level is better"}
	expire := curves{title: "Time until all have ended that expire together, ms", note: "by open streams"}
	var revokes, quiet, burst, ends curve
	revokes.ours, quiet.name, burst.name, burst.ours, ends.ours = true, "quiet", "during 1000 revocations", true, true
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	for i, one := range r.revokes {
		revokes.points = append(revokes.points, point{one.Streams, us(one.Revoke)})
		quiet.points = append(quiet.points, point{one.Streams, us(one.Quiet)})
		burst.points = append(burst.points, point{one.Streams, us(one.Burst)})
		ends.points = append(ends.points, point{one.Streams, us(r.expiries[i].All) / 1000})
	}
	revoke.lines, opening.lines, expire.lines = []curve{revokes}, []curve{quiet, burst}, []curve{ends}
	var known, names, tables curve
	known.ours, names.ours, tables.ours = true, true, true
	for _, one := range r.lists {
		known.points = append(known.points, point{one.Entries, us(one.Call)})
	}
	for _, one := range r.names {
		names.points = append(names.points, point{one.Names, us(one.Call)})
	}
	for _, one := range r.tables {
		tables.points = append(tables.points, point{one.Rows, us(one.Set) / 1000})
	}
	return curveChart("Costs at growing sizes", firstUse, revoke, opening, expire,
		curves{"Time of a call after a new revocation, µs", "by revocations in memory; level is better", []curve{known}},
		curves{"Time of a call with 400 permissions, µs", "by names of the rule; level is better", []curve{names}},
		curves{"Time of SetMethods, ms", "by rows of the table", []curve{tables}})
}
