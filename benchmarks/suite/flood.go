package suite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/auth0grpc/auth0grpc"
)

// floodRate is the number of flooding calls for each good one. In a siege it is the
// number of attackers for each goroutine that makes good calls.
const floodRate = 10

// floodPool is the number of different small tokens in a flood. Each is repeated after
// all the others: no library remembers refused tokens, and no HPACK table is as large.
const floodPool = 4096

// A FloodResult describes the good calls during a flood.
type FloodResult struct {
	Peer    string
	Level   string
	Kind    Flood
	Unread  bool
	Siege   bool
	Good    int // calls
	Bad     int // calls
	Elapsed time.Duration
	CPU     time.Duration // of the whole process
	P50     time.Duration // of the good calls
	P99     time.Duration
	Fetches int64 // requests for the key set meanwhile
}

// PerSecond returns the throughput of good calls.
func (r FloodResult) PerSecond() float64 { return float64(r.Good) / r.Elapsed.Seconds() }

// CPUPerCall returns the processor time of a call, good and flooding ones together.
// Unlike throughput it hardly depends on other load of the machine.
func (r FloodResult) CPUPerCall() time.Duration {
	return r.CPU / time.Duration(max(1, r.Good+r.Bad))
}

// A FloodBench sends floods to one library.
type FloodBench struct {
	suite *Suite
	peer  string
	pools map[Flood][]string
}

// FloodBenches returns one for each of the [Libraries], with the same tokens.
func (s *Suite) FloodBenches() []*FloodBench {
	pools := make(map[Flood][]string)
	for _, kind := range Floods {
		count := floodPool
		if kind == Letters || kind == Symbols {
			count /= 16 // their size matters, not their number
		}
		pools[kind] = s.bad(kind, count)
	}
	all := make([]*FloodBench, len(Libraries))
	for i, name := range Libraries {
		all[i] = &FloodBench{s, name, pools}
	}
	return all
}

// Peer returns the name of the library.
func (f *FloodBench) Peer() string { return f.peer }

// Calls floods a server over bufconn for duration. All good calls have one token that
// was verified before. Good and flooding calls use separate connections.
//
// With unread, the flooding calls carry the same bytes under a metadata key that no
// code reads, and no token. This separates the cost of a token check from the cost of
// the bytes in HTTP/2, before any interceptor runs.
func (f *FloodBench) Calls(kind Flood, unread bool, duration time.Duration) (FloodResult, error) {
	return f.attack(kind, unread, duration, flood)
}

// Siege is [FloodBench.Calls] with attackers that do not wait for the good calls: each
// sends as fast as it is answered. The costlier a flooding call, the fewer there are.
// The loss of good calls depends on the share of the machine that the server allows
// the attackers.
func (f *FloodBench) Siege(kind Flood, duration time.Duration) (FloodResult, error) {
	result, err := f.attack(kind, false, duration, siege)
	result.Siege = true
	return result, err
}

func (f *FloodBench) attack(kind Flood, unread bool, duration time.Duration, run attack) (FloodResult, error) {
	r, err := f.suite.newRig(f.peer, "RS256", inMemory)
	if err != nil {
		return FloodResult{}, err
	}
	defer r.close()
	conn, err := r.dial()
	if err != nil {
		return FloodResult{}, err
	}
	attacker := testgrpc.NewTestServiceClient(conn)
	carry := outgoing
	if unread {
		carry = outgoingUnread
	}
	good, bad := outgoing(f.suite.Token("RS256", Small)), contexts(f.pools[kind], carry)
	result, err := run(duration,
		func() error { return call(good, r.client) },
		func(i int64) error { return refused(call(bad[i%int64(len(bad))], attacker)) }, r.issuer)
	result.Peer, result.Level, result.Kind, result.Unread = f.peer, Unary, kind, unread
	return result, err
}

// Interceptor floods the interceptor alone.
func (f *FloodBench) Interceptor(kind Flood, duration time.Duration) (FloodResult, error) {
	p, err := f.suite.newPeer(f.peer, "RS256")
	if err != nil {
		return FloodResult{}, err
	}
	good, bad := incoming(f.suite.Token("RS256", Small)), contexts(f.pools[kind], incoming)
	if err := p.intercept(good); err != nil {
		return FloodResult{}, err
	}
	result, err := flood(duration,
		func() error { return p.intercept(good) },
		func(i int64) error { return refused(p.intercept(bad[i%int64(len(bad))])) }, p.issuer)
	result.Peer, result.Level, result.Kind = f.peer, Interceptor, kind
	return result, err
}

func contexts(tokens []string, with func(string) context.Context) []context.Context {
	all := make([]context.Context, len(tokens))
	for i, token := range tokens {
		all[i] = with(token)
	}
	return all
}

func call(ctx context.Context, client testgrpc.TestServiceClient) error {
	_, err := client.EmptyCall(ctx, &testgrpc.Empty{})
	return err
}

// refused returns an error for a flooding call that was accepted.
func refused(err error) error {
	if err == nil {
		return errors.New("suite: a flooding call was let through")
	}
	return nil
}

// An attack makes good and bad calls at once until duration is over.
type attack func(duration time.Duration, good func() error, bad func(int64) error, issuer *issuerClient) (FloodResult, error)

// flood makes a good call and floodRate bad ones in turn, on several goroutines. So the
// ratio of good to flooding calls is the same for each library and each kind.
func flood(duration time.Duration, good func() error, bad func(int64) error, issuer *issuerClient) (FloodResult, error) {
	return measured(duration, issuer, func(b *besieged) {
		for range b.workers {
			b.group.Go(func() {
				for b.goesOn() {
					b.good(good)
					for range floodRate {
						b.bad(bad)
					}
				}
			})
		}
	})
}

// siege makes good calls on several goroutines, and bad ones on floodRate times as many
// others.
func siege(duration time.Duration, good func() error, bad func(int64) error, issuer *issuerClient) (FloodResult, error) {
	return measured(duration, issuer, func(b *besieged) {
		for range b.workers {
			b.group.Go(func() {
				for b.goesOn() {
					b.good(good)
				}
			})
		}
		for range floodRate * b.workers {
			b.group.Go(func() {
				for b.goesOn() {
					b.bad(bad)
				}
			})
		}
	})
}

// besieged counts the calls of an attack.
type besieged struct {
	workers int // goroutines that make good calls
	until   time.Time
	group   sync.WaitGroup
	sent    atomic.Int64
	failure atomic.Pointer[error]

	mu        sync.Mutex
	latencies []time.Duration
}

func (b *besieged) goesOn() bool { return b.failure.Load() == nil && time.Now().Before(b.until) }

func (b *besieged) fail(err error) { b.failure.CompareAndSwap(nil, &err) }

func (b *besieged) good(call func() error) {
	began := time.Now()
	err := call()
	took := time.Since(began)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.latencies = append(b.latencies, took)
	if err != nil {
		b.fail(fmt.Errorf("suite: a good call under attack: %w", err))
	}
}

func (b *besieged) bad(call func(int64) error) {
	if err := call(b.sent.Add(1)); err != nil {
		b.fail(err)
	}
}

func measured(duration time.Duration, issuer *issuerClient, start func(*besieged)) (FloodResult, error) {
	runtime.GC()
	before, used, began := issuer.fetches.Load(), cpuTime(), time.Now()
	b := &besieged{workers: 4 * runtime.GOMAXPROCS(0), until: began.Add(duration)}
	start(b)
	b.group.Wait()
	if err := b.failure.Load(); err != nil {
		return FloodResult{}, *err
	}
	return FloodResult{
		Good: len(b.latencies), Bad: int(b.sent.Load()), Elapsed: time.Since(began), CPU: cpuTime() - used,
		P50: quantile(b.latencies, 0.5), P99: quantile(b.latencies, 0.99), Fetches: issuer.fetches.Load() - before,
	}, nil
}

// quantile returns a quantile of all, which it sorts.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(q*float64(len(all))))]
}

// A ColdResult is the latency of good calls whose tokens were new to the server.
type ColdResult struct {
	Peer          string
	Flooded       bool // with bad signatures, as fast as they were answered
	Calls         int
	P50, P99, Max time.Duration
}

// FirstUses sends each of count fresh good tokens once, one after the other. If flooded
// is set, other goroutines send bad signatures without a pause.
func (f *FloodBench) FirstUses(count int, flooded bool) (ColdResult, error) {
	r, err := f.suite.newRig(f.peer, "RS256", inMemory)
	if err != nil {
		return ColdResult{}, err
	}
	defer r.close()
	conn, err := r.dial()
	if err != nil {
		return ColdResult{}, err
	}
	fresh := contexts(f.suite.mintMany("RS256", count), outgoing)
	attacker, bad := testgrpc.NewTestServiceClient(conn), contexts(f.pools[BadSignature], outgoing)
	attack, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	if flooded {
		for w := range 4 * runtime.GOMAXPROCS(0) {
			group.Go(func() {
				for i := w * 97; attack.Err() == nil; i++ {
					_ = call(bad[i%len(bad)], attacker)
				}
			})
		}
		time.Sleep(50 * time.Millisecond) // until it runs at full speed
	}
	latencies := make([]time.Duration, count)
	for i, ctx := range fresh {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		began := time.Now()
		err := call(ctx, r.client)
		cancel()
		if err != nil {
			return ColdResult{}, fmt.Errorf("suite: a good token's first use: %w", err)
		}
		latencies[i] = time.Since(began)
	}
	return ColdResult{
		Peer: f.peer, Flooded: flooded, Calls: count,
		P50: quantile(latencies, 0.5), P99: quantile(latencies, 0.99), Max: slices.Max(latencies),
	}, nil
}

// A FetchResult counts auth0grpc's requests for the key set in floods of Calls bad tokens
// each, with a stopped clock.
type FetchResult struct {
	Kind       Flood
	Calls      int
	First      int64 // in the first flood, the cool-down not yet running
	Again      int64 // in one more at the same instant
	AfterReset int64 // in one more a cool-down later
}

// Fetches floods the interceptor of auth0grpc three times.
func (s *Suite) Fetches(kind Flood, calls int) (FetchResult, error) {
	var clock atomic.Int64
	clock.Store(time.Now().UnixNano())
	issuer := s.newIssuerClient("RS256")
	p, err := s.newOurs(auth0grpc.Config{Now: func() time.Time { return time.Unix(0, clock.Load()) }}, "RS256", issuer)
	if err != nil {
		return FetchResult{}, err
	}
	if err := p.intercept(incoming(s.Token("RS256", Small))); err != nil {
		return FetchResult{}, err
	}
	bad := contexts(s.bad(kind, min(calls, floodPool)), incoming)
	result := FetchResult{Kind: kind, Calls: calls}
	for _, count := range []*int64{&result.First, &result.Again, &result.AfterReset} {
		if count == &result.AfterReset {
			clock.Add(int64(31 * time.Second))
		}
		before := issuer.fetches.Load()
		if err := sendAll(p, bad, calls); err != nil {
			return FetchResult{}, err
		}
		*count = issuer.fetches.Load() - before
	}
	return result, nil
}

// sendAll makes as many bad calls on several goroutines.
func sendAll(p *peer, bad []context.Context, calls int) error {
	workers := 4 * runtime.GOMAXPROCS(0)
	failures := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w; i < calls && failures[w] == nil; i += workers {
				failures[w] = refused(p.intercept(bad[i%len(bad)]))
			}
		})
	}
	group.Wait()
	return errors.Join(failures...)
}
