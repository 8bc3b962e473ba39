package main

import (
	"fmt"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
)

// summary returns the chart of the README.
func (r *callResults) summary() string {
	return chart("Time that checking a token adds to a call, and good calls per second under forged tokens",
		r.interceptorPanel(false), r.floodPanel(suite.UnknownKey))
}

// svg returns the chart of RESULTS.md.
func (r *callResults) svg() string {
	return chart("Cost of a call with each library, and good calls per second under forged tokens",
		r.interceptorPanel(true), r.callPanel(), r.floodPanel(suite.UnknownKey), r.floodPanel(suite.BadSignature))
}

// interceptorPanel shows the interceptor alone.
func (r *callResults) interceptorPanel(floors bool) panel {
	p := panel{title: "Time that checking the token adds to a call", note: "one core, RS256, 900 bytes; shorter is better"}
	add := func(k key, name string, kind barKind) {
		p.bars = append(p.bars, bar{name, r.ns(k), duration(r.ns(k)), kind})
	}
	if floors {
		p.note = "one core, RS256, 900 bytes; outlined: the floor; shorter is better"
		add(at(suite.Floor, suite.Hash), "floor: "+suite.Hash, floor)
		add(at(suite.Floor, suite.PublicKey), "floor: RSA-2048 verification", floor)
	}
	for _, peer := range suite.Peers[1:] {
		add(at(suite.Interceptor, peer), peer, kindOf(peer))
	}
	return p.shortestFirst()
}

// callPanel shows whole calls as ratios within a round, as the bounds do: medians of
// times drift apart on a machine with other load.
func (r *callResults) callPanel() panel {
	p := panel{title: "Time of a whole call, client and server", note: "unary RPC over bufconn, one core, beside no auth; shorter is better"}
	for _, peer := range suite.Peers {
		ratio := r.ratio(at(suite.Unary, peer), at(suite.Unary, suite.NoAuth))
		p.bars = append(p.bars, bar{peer, ratio, fmt.Sprintf(times, ratio), kindOf(peer)})
	}
	return p.shortestFirst()
}

// floodPanel shows the good calls in a flood of forged tokens.
func (r *callResults) floodPanel(kind suite.Flood) panel {
	forged := map[suite.Flood]string{suite.UnknownKey: "unknown key", suite.BadSignature: "bad signature"}[kind]
	p := panel{title: "Good calls per second under forged tokens", note: "ten forged tokens (" + forged + ") to one good; longer is better"}
	for _, peer := range suite.Libraries {
		rate := medianOf(r.floodsOf(floodKey{peer: peer, level: suite.Unary, kind: kind}), suite.FloodResult.PerSecond)
		p.bars = append(p.bars, bar{peer, rate, grouped(rate), kindOf(peer)})
	}
	return p.longestFirst()
}
