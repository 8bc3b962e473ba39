// Streams measures the cost of streams that end with their token, and of refusals before
// the body of a call. It prints each figure that auth0grpc promises beside its bound.
//
//	go run ./cmd/streams          # four minutes, on an idle machine
//	go run ./cmd/streams -short   # seconds, to see that it works; no figures to quote
//
// Every round measures every case once, and each round reverses the order. Times and
// ratios are medians over the rounds.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
	"github.com/auth0grpc/auth0grpc/internal/progress"
)

// A plan sets the amount of measuring.
type plan struct {
	rounds  int
	each    time.Duration // of a case in a round
	streams int           // idle ones
	life    time.Duration // of their token; all are opened within it
	idle    int           // rounds of them
	calls   int           // with bodies
	body    int           // bytes
}

func main() {
	suite.BodiesServer()
	testing.Init() // the flag that testing.Benchmark reads
	isShort := flag.Bool("short", false, "measure a little of each, to see that it works")
	flag.Parse()
	p := plan{21, 300 * time.Millisecond, 10_000, 20 * time.Second, 3, 10_000, 1_000_000}
	if *isShort {
		p = plan{1, 5 * time.Millisecond, 200, 2 * time.Second, 1, 50, 1_000_000}
	}
	if err := run(os.Stdout, p); err != nil {
		fmt.Fprintln(os.Stderr, "streams:", err)
		os.Exit(1)
	}
}

// results holds all measurements.
type results struct {
	cases   []suite.Case
	samples map[string]*samples           // by name of the case
	idle    map[string][]suite.IdleResult // by kind of stream
	bodies  map[suite.BodiesServing]suite.BodiesResult
}

// servings lists the servers of calls without a token, in the order of the table.
var servings = []suite.BodiesServing{{}, {Tap: true}, {Narrow: true}, {Tap: true, Narrow: true}}

// samples holds the results of a case, one for each round.
type samples struct {
	ns            []float64
	bytes, allocs int64 // in the last round
}

func run(out io.Writer, p plan) error {
	r := &results{samples: map[string]*samples{}, idle: map[string][]suite.IdleResult{}, bodies: map[suite.BodiesServing]suite.BodiesResult{}}
	line := progress.New(os.Stderr)
	defer line.Clear() // also after an error
	for i, how := range servings {
		line.Step("calls with bodies, server %d of %d", i+1, len(servings))
		got, err := suite.Bodies(how, p.calls, p.body)
		if err != nil {
			return err
		}
		r.bodies[how] = got
	}
	s, err := suite.New()
	if err != nil {
		return err
	}
	defer s.Close()
	for round := range p.idle {
		for _, kind := range []string{suite.OpenStream, suite.ProtectedRO, suite.Protected} {
			line.Step("idle streams, round %d of %d: %s", round+1, p.idle, kind)
			got, err := s.Idle(kind, p.streams, p.life)
			if err != nil {
				return err
			}
			r.idle[kind] = append(r.idle[kind], got)
		}
	}
	if err := r.measureCases(s, p, line); err != nil {
		return err
	}
	line.Clear()
	return r.print(out)
}

func (r *results) measureCases(s *suite.Suite, p plan, line *progress.Line) error {
	if err := flag.Set("test.benchtime", p.each.String()); err != nil {
		return err
	}
	streams, err := s.StreamCases()
	if err != nil {
		return err
	}
	taps, err := s.TapCases()
	if err != nil {
		return err
	}
	r.cases = slices.Concat(streams, taps)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	order := slices.Clone(r.cases)
	for round := range p.rounds {
		for _, c := range order {
			line.Step("round %d of %d: %s", round+1, p.rounds, c.Name())
			got := testing.Benchmark(c.Bench)
			if got.N == 0 {
				return fmt.Errorf("%s failed", c.Name())
			}
			one := r.samples[c.Name()]
			if one == nil {
				one = new(samples)
				r.samples[c.Name()] = one
			}
			one.ns = append(one.ns, float64(got.T.Nanoseconds())/float64(got.N))
			one.bytes, one.allocs = got.AllocedBytesPerOp(), got.AllocsPerOp()
		}
		slices.Reverse(order) // so that no case gains from a drift of the machine
	}
	return nil
}

func (r *results) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CASE\tNS\tB\tALLOCS")
	for _, c := range r.cases {
		one := r.samples[c.Name()]
		fmt.Fprintf(table, "%s: %s\t%.0f\t%d\t%d\n", c.Level, c.Peer, median(one.ns), one.bytes, one.allocs)
	}
	fmt.Fprintln(table, "\nIDLE STREAMS\tHEAP B\tSTACK B\tGOROUTINES\tLAST END")
	for _, kind := range []string{suite.OpenStream, suite.ProtectedRO, suite.Protected} {
		n := float64(r.idle[kind][0].Streams)
		end := time.Duration(r.medianIdle(kind, func(i suite.IdleResult) float64 { return float64(i.LastEnd) }))
		fmt.Fprintf(table, "%.0f × %s\t%.0f\t%.0f\t%.2f\t%v\n", n, kind, r.heap(kind), r.stack(kind),
			r.medianIdle(kind, func(i suite.IdleResult) float64 { return float64(i.Goroutines) / n }), end.Round(time.Millisecond))
	}
	fmt.Fprintln(table, "\nCALLS WITHOUT A TOKEN\tBYTES READ\tCPU\tALLOCATED")
	for _, how := range servings {
		b, name := r.bodies[how], "without the tap"
		if how.Tap {
			name = "with the tap"
		}
		if how.Narrow {
			name += ", window of 64 KiB"
		}
		fmt.Fprintf(table, "%d, %s\t%d\t%v\t%d\n", b.Calls, name, b.Read, b.CPU.Round(time.Millisecond), b.Allocated)
	}
	fmt.Fprintln(table, "\nFIGURE\tBOUND\tMEASURED\t")
	for _, f := range r.figures() {
		verdict := "ok"
		if f.falls() {
			verdict = "bound missed"
		}
		fmt.Fprintf(table, "%s\t%s %.4g\t%.4g\t%s\n", f.name, f.sign(), f.bound, f.measured, verdict)
	}
	return table.Flush()
}

// A figure is a measured value and its bound.
type figure struct {
	name            string
	least           bool // bound is a lower bound, not an upper one
	bound, measured float64
}

func (f figure) falls() bool {
	return f.least && f.measured < f.bound || !f.least && f.measured > f.bound
}

func (f figure) sign() string {
	if f.least {
		return "≥"
	}
	return "≤"
}

func (r *results) figures() []figure {
	less := func(narrow bool, spent func(suite.BodiesResult) float64) float64 {
		return spent(r.bodies[suite.BodiesServing{Narrow: narrow}]) / spent(r.bodies[suite.BodiesServing{Tap: true, Narrow: narrow}])
	}
	cpu := func(b suite.BodiesResult) float64 { return b.CPU.Seconds() }
	allocated := func(b suite.BodiesResult) float64 { return float64(b.Allocated) }
	read := func(b suite.BodiesResult) float64 { return float64(b.Read) }
	allocs := func(peer string) float64 { return float64(r.of(suite.Message, peer).allocs) }
	us := func(peer string) float64 { return median(r.of(suite.Tap, peer).ns) / 1e3 }
	return []figure{
		{"opening a protected stream, beside an open one", false, 1.10, r.ratio(suite.Opening)},
		{"a message on a protected stream, beside an open one", false, 1.02, r.ratio(suite.Message)},
		{"the same, with many on their way", false, 1.02, r.ratio(suite.Piped)},
		{"allocations that a message adds", false, 0, allocs(suite.Protected) - allocs(suite.OpenStream)},
		{"heap that protection adds to an idle stream, B", false, 1024, r.heap(suite.Protected) - r.heap(suite.OpenStream)},
		{"time until all idle streams have ended, s", false, 1, r.medianIdle(suite.Protected, func(i suite.IdleResult) float64 { return i.LastEnd.Seconds() })},
		{"tap, token in the cache, µs", false, 2, us(suite.Known)},
		{"tap, token not in the cache, µs", false, 15, us(suite.Unknown)},
		{"less CPU with the tap, window of 64 KiB, times", true, 20, less(true, cpu)},
		{"less memory, times", true, 20, less(true, allocated)},
		{"fewer bytes read, times", true, 1, less(true, read)},
		{"less CPU with the tap, window as gRPC widens it, times", true, 20, less(false, cpu)},
		{"less memory, times", true, 20, less(false, allocated)},
		{"fewer bytes read, times", true, 1, less(false, read)},
	}
}

func (r *results) of(level, peer string) *samples {
	for _, c := range r.cases {
		if c.Level == level && c.Peer == peer {
			return r.samples[c.Name()]
		}
	}
	panic("streams: no case " + level + ", " + peer)
}

// ratio returns the median of the rounds' ratios of a protected to an open stream.
func (r *results) ratio(level string) float64 {
	protected, open := r.of(level, suite.Protected), r.of(level, suite.OpenStream)
	all := make([]float64, len(open.ns))
	for i := range open.ns {
		all[i] = protected.ns[i] / open.ns[i]
	}
	return median(all)
}

func (r *results) medianIdle(kind string, property func(suite.IdleResult) float64) float64 {
	var all []float64
	for _, one := range r.idle[kind] {
		all = append(all, property(one))
	}
	return median(all)
}

// heap and stack return bytes for each idle stream.
func (r *results) heap(kind string) float64 {
	return r.medianIdle(kind, func(i suite.IdleResult) float64 { return float64(i.Heap) / float64(i.Streams) })
}

func (r *results) stack(kind string) float64 {
	return r.medianIdle(kind, func(i suite.IdleResult) float64 { return float64(i.Stacks) / float64(i.Streams) })
}

// median returns the middle value, or the mean of the two middle ones.
func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
