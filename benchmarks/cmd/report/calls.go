package main

import (
	"cmp"
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

// A key names a case on a number of cores.
type key struct {
	level, peer, algorithm string
	size, cores            int
}

// A series holds the results of a case, a sample for each round.
type series struct {
	ns            []float64 // per operation
	bytes, allocs int64     // per operation, in the last round
}

// results holds all measurements.
type results struct {
	machine string
	rounds  int
	flood   time.Duration // of one
	cores   []int         // 1 and all
	keys    []key         // in the order of the cases
	series  map[key]*series
	floods  []suite.FloodResult // every round
	cold    []suite.ColdResult
	fetches []suite.FetchResult
	memory  suite.MemoryResult
}

// measure takes about p.rounds × 130 × p.benchtime, and the time of the floods.
func measure(s *suite.Suite, p plan, line *progress.Line) (*results, error) {
	r := &results{machine: machine(), rounds: p.rounds, flood: p.flood, cores: []int{1}, series: make(map[key]*series)}
	if all := runtime.GOMAXPROCS(0); all > 1 {
		r.cores = append(r.cores, all)
	}
	// The cache comes first: garbage of other peers would be in its heap.
	line.Step("cache of %d tokens", p.entries)
	var err error
	if r.memory, err = s.Memory(p.entries); err != nil {
		return nil, err
	}
	if err := r.measureCases(s, p, line); err != nil {
		return nil, err
	}
	return r, r.measureFloods(s, p, line)
}

func (r *results) measureCases(s *suite.Suite, p plan, line *progress.Line) error {
	if err := flag.Set("test.benchtime", p.benchtime.String()); err != nil {
		return err
	}
	cases, err := s.Cases()
	if err != nil {
		return err
	}
	for round := range p.rounds {
		for _, cores := range r.cores {
			for _, c := range cases {
				line.Step("round %d of %d, %s: %s", round+1, p.rounds, coreCount(cores), c.Name())
				if err := r.sample(c, cores); err != nil {
					return err
				}
			}
		}
		slices.Reverse(cases) // so that no case gains from a drift of the machine
	}
	slices.SortStableFunc(r.keys, func(a, b key) int { return cmp.Compare(a.cores, b.cores) })
	return nil
}

// sample measures one case once.
func (r *results) sample(c suite.Case, cores int) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
	got := testing.Benchmark(c.Bench)
	if got.N == 0 {
		return errors.New(c.Name() + " failed")
	}
	k := key{c.Level, c.Peer, c.Algorithm, c.Size, cores}
	if r.series[k] == nil {
		r.series[k] = new(series)
		r.keys = append(r.keys, k)
	}
	one := r.series[k]
	one.ns = append(one.ns, float64(got.T.Nanoseconds())/float64(got.N))
	one.bytes, one.allocs = got.AllocedBytesPerOp(), got.AllocsPerOp()
	return nil
}

func (r *results) measureFloods(s *suite.Suite, p plan, line *progress.Line) error {
	benches := s.FloodBenches()
	for round := range p.floodRounds {
		for _, b := range benches {
			for _, k := range floodsOver(b.Peer(), suite.Unary) {
				line.Step("floods, round %d of %d: %s, %s", round+1, p.floodRounds, b.Peer(), k.kind)
				got, err := b.Calls(k.kind, k.unread, p.flood)
				if err != nil {
					return err
				}
				r.floods = append(r.floods, got)
			}
			for _, kind := range suite.Floods {
				line.Step("sieges, round %d of %d: %s, %s", round+1, p.floodRounds, b.Peer(), kind)
				got, err := b.Siege(kind, p.flood)
				if err != nil {
					return err
				}
				r.floods = append(r.floods, got)
			}
		}
		for _, kind := range suite.Floods {
			got, err := benches[0].Interceptor(kind, p.flood)
			if err != nil {
				return err
			}
			r.floods = append(r.floods, got)
		}
	}
	for _, b := range benches {
		line.Step("first uses during a flood: %s", b.Peer())
		for _, flooded := range []bool{false, true} {
			got, err := b.FirstUses(p.firstUses, flooded)
			if err != nil {
				return err
			}
			r.cold = append(r.cold, got)
		}
	}
	for _, kind := range suite.Floods[1:] {
		line.Step("key set requests in a flood of %d: %s", p.badTokens, kind)
		got, err := s.Fetches(kind, p.badTokens)
		if err != nil {
			return err
		}
		r.fetches = append(r.fetches, got)
	}
	return nil
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

// ns returns the median time of an operation.
func (r *results) ns(k key) float64 { return median(r.series[k].ns) }

// ratio returns the time of an operation of a, divided by the time of b. It is the
// median of the rounds' ratios: values of one round compare best.
func (r *results) ratio(a, b key) float64 {
	var all []float64
	for i := range r.series[a].ns {
		all = append(all, r.series[a].ns[i]/r.series[b].ns[i])
	}
	return median(all)
}

// A floodKey names floods of one kind on one library.
type floodKey struct {
	peer, level string
	kind        suite.Flood
	unread      bool // its bytes were under a key that no code reads
	siege       bool // attackers did not wait for good calls
}

// floodsOver returns the floods for a library at a level, the baseline without a token
// first. Only in RPCs do the bytes cross a transport.
func floodsOver(peer, level string) []floodKey {
	var all []floodKey
	for _, kind := range suite.Floods {
		all = append(all, floodKey{peer: peer, level: level, kind: kind})
		if level == suite.Unary && kind != suite.NoToken {
			all = append(all, floodKey{peer: peer, level: level, kind: kind, unread: true})
		}
	}
	return all
}

func (r *results) floodsOf(k floodKey) []suite.FloodResult {
	var all []suite.FloodResult
	for _, f := range r.floods {
		if f.Peer == k.peer && f.Level == k.level && f.Kind == k.kind && f.Unread == k.unread && f.Siege == k.siege {
			all = append(all, f)
		}
	}
	return all
}

// share returns the throughput of good calls under a, divided by the throughput under b.
// It is the median of the rounds' shares.
func (r *results) share(a, b floodKey) float64 {
	of, whole := r.floodsOf(a), r.floodsOf(b)
	all := make([]float64, len(of))
	for i := range of {
		all[i] = of[i].PerSecond() / whole[i].PerSecond()
	}
	return median(all)
}

// median returns the middle value, or the mean of the two middle ones.
func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// medianOf is median for a property of floods.
func medianOf(all []suite.FloodResult, property func(suite.FloodResult) float64) float64 {
	values := make([]float64, len(all))
	for i, f := range all {
		values[i] = property(f)
	}
	return median(values)
}
