package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
	"github.com/auth0grpc/auth0grpc/internal/progress"
)

// A series holds the results of a case, a sample for each round.
type series struct {
	ns            []float64 // per operation
	bytes, allocs int64     // per operation, in the last round
}

// add measures the case once.
func (s *series) add(c suite.Case) error {
	got := testing.Benchmark(c.Bench)
	if got.N == 0 {
		return errors.New(c.Name() + " failed")
	}
	s.ns = append(s.ns, float64(got.T.Nanoseconds())/float64(got.N))
	s.bytes, s.allocs = got.AllocedBytesPerOp(), got.AllocsPerOp()
	return nil
}

func (s *series) median() float64 { return median(s.ns) }

// ratio returns the median of the rounds' ratios to the sum of other series.
func (s *series) ratio(others ...*series) float64 {
	all := make([]float64, len(s.ns))
	for i, ns := range s.ns {
		sum := 0.0
		for _, other := range others {
			sum += other.ns[i]
		}
		all[i] = ns / sum
	}
	return median(all)
}

// measureCases measures each case once in each round, on one core. It returns a series
// for each name.
func measureCases(cases []suite.Case, rounds int, each time.Duration, line *progress.Line) (map[string]*series, error) {
	if err := flag.Set("test.benchtime", each.String()); err != nil {
		return nil, err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	measured := map[string]*series{}
	order := slices.Clone(cases)
	for round := range rounds {
		for _, c := range order {
			line.Step("round %d of %d: %s", round+1, rounds, c.Name())
			if measured[c.Name()] == nil {
				measured[c.Name()] = new(series)
			}
			if err := measured[c.Name()].add(c); err != nil {
				return nil, err
			}
		}
		slices.Reverse(order) // so that no case gains from a drift of the machine
	}
	return measured, nil
}

// machine describes the machine of the figures.
func machine() string {
	about := fmt.Sprintf("%s, %s/%s, %d cores", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	info, _ := os.ReadFile("/proc/cpuinfo") // on Linux only
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name\t: "); ok {
			return about + ", " + strings.TrimSpace(name)
		}
	}
	return about
}

// median returns the middle value, or the mean of the two middle ones.
func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
