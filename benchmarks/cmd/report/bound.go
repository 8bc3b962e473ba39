// Bound measures the cost of tokens bound to their sender. It prints each figure that
// auth0grpc promises beside its bound.
//
//	go run ./cmd/bound          # a minute, on an idle machine
//	go run ./cmd/bound -short   # seconds, to see that it works; no figures to quote
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

func main() {
	testing.Init() // the flag that testing.Benchmark reads
	isShort := flag.Bool("short", false, "measure a little of each, to see that it works")
	flag.Parse()
	rounds, each := 15, 300*time.Millisecond
	if *isShort {
		rounds, each = 1, 5*time.Millisecond
	}
	if err := run(os.Stdout, rounds, each); err != nil {
		fmt.Fprintln(os.Stderr, "bound:", err)
		os.Exit(1)
	}
}

// samples holds the results of a case, one for each round.
type samples struct {
	ns            []float64
	bytes, allocs int64 // in the last round
}

func run(out io.Writer, rounds int, each time.Duration) error {
	if err := flag.Set("test.benchtime", each.String()); err != nil {
		return err
	}
	s, err := suite.New()
	if err != nil {
		return err
	}
	defer s.Close()
	cases, err := s.BoundCases()
	if err != nil {
		return err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	measured := map[string]*samples{}
	order := slices.Clone(cases)
	line := progress.New(os.Stderr)
	defer line.Clear() // also after an error
	for round := range rounds {
		for _, c := range order {
			line.Step("round %d of %d: %s", round+1, rounds, c.Peer)
			got := testing.Benchmark(c.Bench)
			if got.N == 0 {
				return fmt.Errorf("%s failed", c.Name())
			}
			one := measured[c.Peer]
			if one == nil {
				one = new(samples)
				measured[c.Peer] = one
			}
			one.ns = append(one.ns, float64(got.T.Nanoseconds())/float64(got.N))
			one.bytes, one.allocs = got.AllocedBytesPerOp(), got.AllocsPerOp()
		}
		slices.Reverse(order) // so that no case gains from a drift of the machine
	}
	line.Clear()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CASE\tNS\tB\tALLOCS")
	for _, c := range cases {
		one := measured[c.Peer]
		fmt.Fprintf(table, "%s\t%.0f\t%d\t%d\n", c.Peer, median(one.ns), one.bytes, one.allocs)
	}
	fmt.Fprintln(table, "\nFIGURE\tBOUND\tMEASURED\t")
	for _, f := range figures(measured) {
		verdict := "ok"
		if f.measured > f.most {
			verdict = "bound missed"
		}
		fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%s\n", f.name, f.most, f.measured, verdict)
	}
	return table.Flush()
}

// A figure is a ratio and its upper bound.
type figure struct {
	name           string
	most, measured float64
}

func figures(measured map[string]*samples) []figure {
	// ratio returns the median of the rounds' ratios to the sum of other cases.
	ratio := func(of string, to ...string) float64 {
		var all []float64
		for i, ns := range measured[of].ns {
			sum := 0.0
			for _, part := range to {
				sum += measured[part].ns[i]
			}
			all = append(all, ns/sum)
		}
		return median(all)
	}
	return []figure{
		{"DPoP, beside a bare ES256 verification and the warm path", 1.5, ratio(suite.BoundDPoP, suite.ProofFloor, suite.Unbound)},
		{"the same with a nonce", 1.5, ratio(suite.BoundNonce, suite.ProofFloor, suite.Unbound)},
		{"mTLS, beside an unbound token at the same server", 1.15, ratio(suite.BoundMTLS, suite.UnboundMTLS)},
		{"mTLS, beside an unbound token where no binding is configured", 1.15, ratio(suite.BoundMTLS, suite.Unbound)},
		{"mTLS, beside an unbound token where both bindings are allowed", 1.15, ratio(suite.BoundBoth, suite.UnboundBoth)},
	}
}

// median returns the middle value, or the mean of the two middle ones.
func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
