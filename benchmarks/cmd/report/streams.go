package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
	"github.com/auth0grpc/auth0grpc/internal/progress"
)

// A streamPlan sets the amount of measuring streams, and refusals before the body of a
// call.
type streamPlan struct {
	rounds  int
	each    time.Duration // of a case in a round
	streams int           // idle ones
	life    time.Duration // of their token; all are opened within it
	idle    int           // rounds of them
	calls   int           // with bodies
	body    int           // bytes
}

// streamResults holds the measurements of streams.
type streamResults struct {
	rounds int
	cases  []suite.Case
	series map[string]*series            // by name of the case
	idle   map[string][]suite.IdleResult // by kind of stream
	bodies map[suite.BodiesServing]suite.BodiesResult
}

// idleKinds are the kinds of idle streams, in the order of the table.
var idleKinds = []string{suite.OpenStream, suite.ProtectedRO, suite.Protected}

// servings lists the servers of calls without a token, in the order of the table.
var servings = []suite.BodiesServing{{}, {Tap: true}, {Narrow: true}, {Tap: true, Narrow: true}}

func measureStreams(s *suite.Suite, p streamPlan, line *progress.Line) (*streamResults, error) {
	r := &streamResults{rounds: p.rounds, idle: map[string][]suite.IdleResult{}, bodies: map[suite.BodiesServing]suite.BodiesResult{}}
	for i, how := range servings {
		line.Step("calls with bodies, server %d of %d", i+1, len(servings))
		got, err := suite.Bodies(how, p.calls, p.body)
		if err != nil {
			return nil, err
		}
		r.bodies[how] = got
	}
	for round := range p.idle {
		for _, kind := range idleKinds {
			line.Step("idle streams, round %d of %d: %s", round+1, p.idle, kind)
			got, err := s.Idle(kind, p.streams, p.life)
			if err != nil {
				return nil, err
			}
			r.idle[kind] = append(r.idle[kind], got)
		}
	}
	streams, err := s.StreamCases()
	if err != nil {
		return nil, err
	}
	taps, err := s.TapCases()
	if err != nil {
		return nil, err
	}
	r.cases = slices.Concat(streams, taps)
	r.series, err = measureCases(r.cases, p.rounds, p.each, line)
	return r, err
}

func (r *streamResults) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Streams that end with their token, and refusals before the body of a call, on one core. Medians of %s.\n", rounds(r.rounds))
	writeBounds(&b, r.bounds())
	b.WriteString("\n### Stream calls\n\n")
	writeSeries(&b, r.cases, r.series)
	b.WriteString("\n### Idle streams\n\nBytes and goroutines for each, and the time until all had ended after their token expired.\n\n")
	heading(&b, 1, "", "streams", "heap, B", "stack, B", "goroutines", "last end")
	for _, kind := range idleKinds {
		n := float64(r.idle[kind][0].Streams)
		end := r.medianIdle(kind, func(i suite.IdleResult) float64 { return float64(i.LastEnd) })
		row(&b, kind, fmt.Sprintf("%.0f", n), fmt.Sprintf("%.0f", r.heap(kind)), fmt.Sprintf("%.0f", r.stack(kind)),
			fmt.Sprintf("%.2f", r.medianIdle(kind, func(i suite.IdleResult) float64 { return float64(i.Goroutines) / n })), latency(end))
	}
	b.WriteString("\n### Calls without a token\n\nEach sends a body of a megabyte. A window of 64 KiB is `InitialWindowSize`; gRPC widens it otherwise.\n\n")
	heading(&b, 1, "", "calls", "bytes read", "CPU", "allocated, B")
	for _, how := range servings {
		one, name := r.bodies[how], "without the tap"
		if how.Tap {
			name = "with the tap"
		}
		if how.Narrow {
			name += ", window of 64 KiB"
		}
		row(&b, name, fmt.Sprint(one.Calls), fmt.Sprint(one.Read), latency(float64(one.CPU)), fmt.Sprint(one.Allocated))
	}
	return b.String()
}

func (r *streamResults) bounds() []bound {
	less := func(narrow bool, spent func(suite.BodiesResult) float64) float64 {
		return spent(r.bodies[suite.BodiesServing{Narrow: narrow}]) / spent(r.bodies[suite.BodiesServing{Tap: true, Narrow: narrow}])
	}
	cpu := func(b suite.BodiesResult) float64 { return b.CPU.Seconds() }
	allocated := func(b suite.BodiesResult) float64 { return float64(b.Allocated) }
	read := func(b suite.BodiesResult) float64 { return float64(b.Read) }
	allocs := func(peer string) float64 { return float64(r.of(suite.Message, peer).allocs) }
	us := func(peer string) float64 { return r.of(suite.Tap, peer).median() / 1e3 }
	lastEnd := r.medianIdle(suite.Protected, func(i suite.IdleResult) float64 { return i.LastEnd.Seconds() })
	return []bound{
		atMost("opening a protected stream, beside an open one", r.ratio(suite.Opening), 1.10, "%.3f ×"),
		atMost("a message on a protected stream, beside an open one", r.ratio(suite.Message), 1.02, "%.3f ×"),
		atMost("the same, with many on their way", r.ratio(suite.Piped), 1.02, "%.3f ×"),
		atMost("allocations that a message adds", allocs(suite.Protected)-allocs(suite.OpenStream), 0, "%.0f"),
		atMost("heap that protection adds to an idle stream", r.heap(suite.Protected)-r.heap(suite.OpenStream), 1024, "%.0f B"),
		atMost("time until all idle streams have ended", lastEnd, 1, "%.2f s"),
		atMost("tap, token in the cache", us(suite.Known), 2, "%.2f µs"),
		atMost("tap, token not in the cache", us(suite.Unknown), 15, "%.2f µs"),
		atLeast("less CPU with the tap, window of 64 KiB", less(true, cpu), 20, "%.1f ×"),
		atLeast("less memory", less(true, allocated), 20, "%.1f ×"),
		atLeast("fewer bytes read", less(true, read), 1, "%.1f ×"),
		atLeast("less CPU with the tap, window as gRPC widens it", less(false, cpu), 20, "%.1f ×"),
		atLeast("less memory", less(false, allocated), 20, "%.1f ×"),
		atLeast("fewer bytes read", less(false, read), 1, "%.1f ×"),
	}
}

func (r *streamResults) of(level, peer string) *series {
	for _, c := range r.cases {
		if c.Level == level && c.Peer == peer {
			return r.series[c.Name()]
		}
	}
	panic("report: no case " + level + ", " + peer)
}

// ratio returns the ratio of a protected to an open stream.
func (r *streamResults) ratio(level string) float64 {
	return r.of(level, suite.Protected).ratio(r.of(level, suite.OpenStream))
}

func (r *streamResults) medianIdle(kind string, property func(suite.IdleResult) float64) float64 {
	var all []float64
	for _, one := range r.idle[kind] {
		all = append(all, property(one))
	}
	return median(all)
}

// heap and stack return bytes for each idle stream.
func (r *streamResults) heap(kind string) float64 {
	return r.medianIdle(kind, func(i suite.IdleResult) float64 { return float64(i.Heap) / float64(i.Streams) })
}

func (r *streamResults) stack(kind string) float64 {
	return r.medianIdle(kind, func(i suite.IdleResult) float64 { return float64(i.Stacks) / float64(i.Streams) })
}
