package main

import (
	"cmp"
	"flag"
	"runtime"
	"slices"
	"time"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
	"github.com/auth0grpc/auth0grpc/internal/progress"
)

// A callPlan sets the amount of measuring single calls.
type callPlan struct {
	rounds      int           // each case is measured once in each
	benchtime   time.Duration // of a case in a round
	floodRounds int
	flood       time.Duration // of a flood in a round
	firstUses   int           // fresh tokens during a flood
	badTokens   int           // with a stopped clock
	entries     int           // of the cache that is filled
}

// A key names a case on a number of cores.
type key struct {
	level, peer, algorithm string
	size, cores            int
}

// callResults holds the measurements of single calls.
type callResults struct {
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

// measureCalls takes about p.rounds × 130 × p.benchtime, and the time of the floods.
func measureCalls(s *suite.Suite, p callPlan, line *progress.Line) (*callResults, error) {
	r := &callResults{rounds: p.rounds, flood: p.flood, cores: []int{1}, series: make(map[key]*series)}
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

func (r *callResults) measureCases(s *suite.Suite, p callPlan, line *progress.Line) error {
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
func (r *callResults) sample(c suite.Case, cores int) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
	k := key{c.Level, c.Peer, c.Algorithm, c.Size, cores}
	if r.series[k] == nil {
		r.series[k] = new(series)
		r.keys = append(r.keys, k)
	}
	return r.series[k].add(c)
}

func (r *callResults) measureFloods(s *suite.Suite, p callPlan, line *progress.Line) error {
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

// ns returns the median time of an operation.
func (r *callResults) ns(k key) float64 { return r.series[k].median() }

// ratio returns the time of an operation of a, divided by the time of b. It is the
// median of the rounds' ratios: values of one round compare best.
func (r *callResults) ratio(a, b key) float64 {
	return r.series[a].ratio(r.series[b])
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

func (r *callResults) floodsOf(k floodKey) []suite.FloodResult {
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
func (r *callResults) share(a, b floodKey) float64 {
	of, whole := r.floodsOf(a), r.floodsOf(b)
	all := make([]float64, len(of))
	for i := range of {
		all[i] = of[i].PerSecond() / whole[i].PerSecond()
	}
	return median(all)
}

// medianOf is median for a property of floods.
func medianOf(all []suite.FloodResult, property func(suite.FloodResult) float64) float64 {
	values := make([]float64, len(all))
	for i, f := range all {
		values[i] = property(f)
	}
	return median(values)
}
