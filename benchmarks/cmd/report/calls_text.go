package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
)

// text returns all tables.
func (r *callResults) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Medians of %s. Every case ran once in each round; ratios are medians of the rounds' ratios.\n"+
		"RS256 and a token of 900 bytes, on one core, unless it says otherwise.\n\n![Cost of a call](results.svg)\n", rounds(r.rounds))
	writeBounds(&b, r.bounds())
	r.writeCases(&b)
	r.writeFloods(&b)
	r.writeFirstUses(&b)
	r.writeFetches(&b)
	fmt.Fprintf(&b, "\n### Memory\n\nA cache for %d tokens, full: %.1f MB of heap, %.0f bytes a token. After half as many more: %.1f MB.\n",
		r.memory.Entries, float64(r.memory.Full)/1e6, r.memory.PerToken(), float64(r.memory.Overfull)/1e6)
	return b.String()
}

func (r *callResults) writeCases(b *strings.Builder) {
	for _, level := range []string{suite.Floor, suite.Interceptor, suite.Unary, suite.UnaryTCP, suite.Stream} {
		fmt.Fprintf(b, "\n### %s\n\n", strings.ToUpper(level[:1])+level[1:])
		columns := []string{"", "alg", "token", "1 core, ns"}
		if len(r.cores) > 1 {
			columns = append(columns, coreCount(r.allCores())+", ns")
		}
		heading(b, 2, append(columns, "B", "allocs", "× auth0grpc")...)
		for _, k := range r.keys {
			if k.level != level || k.cores != 1 {
				continue
			}
			cells := []string{k.peer, k.algorithm, fmt.Sprintf("%d B", k.size)}
			for _, cores := range r.cores {
				cells = append(cells, fmt.Sprintf("%.0f", r.ns(k.on(cores))))
			}
			one := r.series[k]
			row(b, append(cells, fmt.Sprint(one.bytes), fmt.Sprint(one.allocs), fmt.Sprintf("%.2f", r.toWarm(k)))...)
		}
	}
}

// toWarm returns the ratio to auth0grpc at the same level, for the floor at the
// interceptor.
func (r *callResults) toWarm(k key) float64 {
	warm := k
	warm.peer = suite.Warm
	if k.level == suite.Floor {
		warm.level = suite.Interceptor
	}
	return r.ratio(k, warm)
}

func (r *callResults) writeFloods(b *strings.Builder) {
	b.WriteString("\n### Floods\n\nGood calls with a token known already, while ten times as many flooding calls are made over another connection.\n" +
		"Client, server and tenant share the machine, so every cost of the flood slows the good calls down.\n" +
		"Each flood lasted " + r.flood.String() + "; key set requests are per flood.\n" +
		"The shares compare the good calls per second with those\n\n" +
		"- with the same library while the flood carries no token,\n" +
		"- with the same library while the flood carries the same bytes under a metadata key that no code reads,\n" +
		"- with auth0grpc while the flood carries no token.\n\n" +
		"CPU a call is the processor time of client and server for a call, good and flooding ones together. Unread is the\n" +
		"same if the flood's bytes are not read: the difference is the cost of the library.\n\n")
	heading(b, 3, "", "level", "flood", "good calls/s", "of no token", "of bytes unread", "of auth0grpc's", "CPU a call", "unread", "p50", "p99", "key set requests")
	for _, peer := range suite.Libraries {
		r.writeFlood(b, peer, suite.Unary)
	}
	r.writeFlood(b, suite.Warm, suite.Interceptor)
	r.writeSieges(b)
}

func (r *callResults) writeSieges(b *strings.Builder) {
	b.WriteString("\n### Sieges\n\nThe same with ten attackers for each caller of good calls. They do not wait for the good calls: each sends as fast as it is answered.\n" +
		"Costlier flooding calls come less often. The server has to bound their share of the machine.\n\n")
	heading(b, 2, "", "flood", "good calls/s", "of no token", "of auth0grpc's", "flooding calls/s", "p50", "p99", "key set requests")
	ours := floodKey{peer: suite.Warm, level: suite.Unary, kind: suite.NoToken, siege: true}
	for _, peer := range suite.Libraries {
		none := ours
		none.peer = peer
		for _, kind := range suite.Floods {
			k := none
			k.kind = kind
			all := r.floodsOf(k)
			row(b, peer, string(kind),
				fmt.Sprintf("%.0f", medianOf(all, suite.FloodResult.PerSecond)),
				fmt.Sprintf("%.0f %%", 100*r.share(k, none)), fmt.Sprintf("%.0f %%", 100*r.share(k, ours)),
				fmt.Sprintf("%.0f", medianOf(all, func(f suite.FloodResult) float64 { return float64(f.Bad) / f.Elapsed.Seconds() })),
				latency(medianOf(all, func(f suite.FloodResult) float64 { return float64(f.P50) })),
				latency(medianOf(all, func(f suite.FloodResult) float64 { return float64(f.P99) })),
				fmt.Sprintf("%.0f", medianOf(all, func(f suite.FloodResult) float64 { return float64(f.Fetches) })),
			)
		}
	}
}

func (r *callResults) writeFlood(b *strings.Builder, peer, level string) {
	none := floodKey{peer: peer, level: level, kind: suite.NoToken}
	ours := none
	ours.peer = suite.Warm
	for _, k := range floodsOver(peer, level) {
		if k.unread {
			continue
		}
		cpu := func(of []suite.FloodResult) string {
			return fmt.Sprintf("%.1f µs", medianOf(of, func(f suite.FloodResult) float64 { return float64(f.CPUPerCall()) })/1000)
		}
		all, ofUnread, cpuUnread := r.floodsOf(k), "–", "–"
		unread := k
		unread.unread = true
		if same := r.floodsOf(unread); len(same) > 0 {
			ofUnread, cpuUnread = fmt.Sprintf("%.0f %%", 100*r.share(k, unread)), cpu(same)
		}
		row(b, peer, level, string(k.kind),
			fmt.Sprintf("%.0f", medianOf(all, suite.FloodResult.PerSecond)),
			fmt.Sprintf("%.0f %%", 100*r.share(k, none)), ofUnread, fmt.Sprintf("%.0f %%", 100*r.share(k, ours)),
			cpu(all), cpuUnread,
			latency(medianOf(all, func(f suite.FloodResult) float64 { return float64(f.P50) })),
			latency(medianOf(all, func(f suite.FloodResult) float64 { return float64(f.P99) })),
			fmt.Sprintf("%.0f", medianOf(all, func(f suite.FloodResult) float64 { return float64(f.Fetches) })),
		)
	}
}

func latency(ns float64) string {
	return fmt.Sprintf("%.2f ms", ns/float64(time.Millisecond))
}

func (r *callResults) writeFirstUses(b *strings.Builder) {
	b.WriteString("\n### First uses in a flood\n\nThe latency of good calls with new tokens, one after the other. Meanwhile attackers send bad signatures under a\n" +
		"known `kid` as fast as they are answered. Every good call succeeded.\n\n")
	heading(b, 2, "", "flood", "calls", "p50", "p99", "max")
	for _, c := range r.cold {
		flooded := "none"
		if c.Flooded {
			flooded = string(suite.BadSignature)
		}
		row(b, c.Peer, flooded, fmt.Sprint(c.Calls), latency(float64(c.P50)), latency(float64(c.P99)), latency(float64(c.Max)))
	}
}

func (r *callResults) writeFetches(b *strings.Builder) {
	b.WriteString("\n### Key set requests\n\nBy auth0grpc with a stopped clock: in a flood, in the same flood again, and in one more after the cool-down.\n\n")
	heading(b, 1, "flood", "bad tokens each", "first", "again", "after the cool-down")
	for _, f := range r.fetches {
		row(b, string(f.Kind), fmt.Sprint(f.Calls), fmt.Sprint(f.First), fmt.Sprint(f.Again), fmt.Sprint(f.AfterReset))
	}
}
