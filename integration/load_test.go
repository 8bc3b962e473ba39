package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/integration/ordersv1"
)

// speed is how much faster than real time the library's clock runs in the tests
// of operations: a minute in a second.
//
// That clock is Config.Now, by which the library takes every age: of keys, of
// failures and cool-downs, of tokens. Nothing else is faster: connections, the
// provider and the time limits of requests are real. So ten minutes of the
// library pass in ten seconds with sixty times as many refreshes, each taking
// sixty times as much of its time: harder than the real thing, not easier.
const speed = 60

// fastClock returns a clock that starts at the real time.
func fastClock() func() time.Time {
	began := time.Now()
	return func() time.Time {
		return began.Add(time.Since(began) * speed)
	}
}

// perSecond is the load of the tests of operations, in real time.
const perSecond = 500

// A load calls a server at a constant rate with tokens that are good.
type load struct {
	client ordersv1.OrdersClient
	began  time.Time
	calls  atomic.Int64
	failed atomic.Int64
	slow   atomic.Int64 // the longest call, in nanoseconds

	mu       sync.Mutex
	tokens   []string
	failures []string // the first few
	stop     context.CancelFunc
	stopped  sync.WaitGroup
}

// startLoad begins to call GetOrder with tokens picked at random.
func startLoad(t *testing.T, client ordersv1.OrdersClient, tokens []string) *load {
	t.Helper()
	l := &load{client: client, began: time.Now(), tokens: tokens}
	ctx, cancel := context.WithCancel(t.Context())
	l.stop = cancel
	due := make(chan struct{}, perSecond)
	l.stopped.Go(func() { pace(ctx, due) })
	for range 32 {
		l.stopped.Go(func() {
			for range due {
				l.call()
			}
		})
	}
	t.Cleanup(func() { l.end() })
	return l
}

// pace puts perSecond marks a second into due until ctx ends.
func pace(ctx context.Context, due chan<- struct{}) {
	defer close(due)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for sent := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for ; sent < int(time.Since(began).Seconds()*perSecond); sent++ {
			select {
			case due <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (l *load) call() {
	l.mu.Lock()
	token := l.tokens[rand.IntN(len(l.tokens))]
	l.mu.Unlock()
	began := time.Now()
	ctx, cancel := withToken(token)
	defer cancel()
	_, err := l.client.GetOrder(ctx, &ordersv1.GetOrderRequest{Id: "1"})
	took := int64(time.Since(began))
	for slowest := l.slow.Load(); took > slowest && !l.slow.CompareAndSwap(slowest, took); slowest = l.slow.Load() {
	}
	l.calls.Add(1)
	if err == nil {
		return
	}
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) < 5 {
		l.failures = append(l.failures, err.Error())
	}
}

// use replaces the tokens. Calls that are under way keep the ones they have.
func (l *load) use(tokens []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens = tokens
}

// end stops the load and waits for its calls. It may be called again.
func (l *load) end() {
	l.stop()
	l.stopped.Wait()
}

// check ends the load and fails unless every call went well and the load was as large
// as configured.
func (l *load) check(t *testing.T) {
	t.Helper()
	l.end()
	if rate := float64(l.calls.Load()) / time.Since(l.began).Seconds(); rate < perSecond*9/10 {
		t.Errorf("%.0f calls/s, want %d", rate, perSecond)
	}
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d of %d good calls failed, the first with %q", n, l.calls.Load(), l.failures)
	}
}

// String describes the load.
func (l *load) String() string {
	return fmt.Sprintf("%d good calls, %d failed, slowest %v", l.calls.Load(), l.failed.Load(), time.Duration(l.slow.Load()).Round(time.Millisecond))
}

// pass waits for some time of a clock.
func pass(t *testing.T, now func() time.Time, d time.Duration) {
	t.Helper()
	until := now().Add(d)
	eventually(t, d, "time passes", func() bool { return now().After(until) })
}
