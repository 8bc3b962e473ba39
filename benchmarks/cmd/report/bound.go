package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
	"github.com/auth0grpc/auth0grpc/internal/progress"
)

// A boundPlan sets the amount of measuring tokens bound to their sender.
type boundPlan struct {
	rounds int
	each   time.Duration // of a case in a round
}

// boundResults holds the measurements of tokens bound to their sender.
type boundResults struct {
	rounds int
	cases  []suite.Case
	series map[string]*series // by name of the case
}

func measureBound(s *suite.Suite, p boundPlan, line *progress.Line) (*boundResults, error) {
	cases, err := s.BoundCases()
	if err != nil {
		return nil, err
	}
	measured, err := measureCases(cases, p.rounds, p.each, line)
	return &boundResults{p.rounds, cases, measured}, err
}

func (r *boundResults) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "DPoP and client certificates, on one core. Medians of %s.\n", rounds(r.rounds))
	writeBounds(&b, r.bounds())
	b.WriteString("\n### Calls with bound tokens\n\n")
	writeSeries(&b, r.cases, r.series)
	return b.String()
}

func (r *boundResults) bounds() []bound {
	of := func(peer string) *series {
		for _, c := range r.cases {
			if c.Peer == peer {
				return r.series[c.Name()]
			}
		}
		panic("report: no case " + peer)
	}
	mtls := func(beside, peer, base string) bound {
		return atMost("mTLS, beside an unbound token "+beside, of(peer).ratio(of(base)), 1.15, times)
	}
	floor := []*series{of(suite.ProofFloor), of(suite.Unbound)}
	return []bound{
		atMost("DPoP, beside a bare ES256 verification and the warm path", of(suite.BoundDPoP).ratio(floor...), 1.5, times),
		atMost("the same with a nonce", of(suite.BoundNonce).ratio(floor...), 1.5, times),
		mtls("at the same server", suite.BoundMTLS, suite.UnboundMTLS),
		mtls("where no binding is configured", suite.BoundMTLS, suite.Unbound),
		mtls("where both bindings are allowed", suite.BoundBoth, suite.UnboundBoth),
	}
}
