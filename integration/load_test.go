package integration

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/integration/ordersv1"
)

// speed is how much faster than real time the library's clock runs in the tests
// of operations, at most: a minute in a second.
const speed = 60

// A fastClock is Config.Now, by which the library takes every age: of keys, of
// failures and cool-downs, of tokens. Nothing else is faster: connections, the
// provider and the time limits of requests are real. So ten minutes of the library
// pass in ten seconds with sixty times as many refreshes: harder than the real
// thing, not easier.
//
// The clock runs only while a test waits for it, and no faster than this machine:
// it waits for the calls of the load that are due, and stands still during a fetch
// of keys.
type fastClock struct {
	passed   atomic.Int64 // nanoseconds
	began    time.Time
	fetching atomic.Int64 // fetches in progress
	load     *load        // nil: none
}

func newFastClock() *fastClock { return &fastClock{began: time.Now()} }

func (c *fastClock) now() time.Time { return c.began.Add(time.Duration(c.passed.Load())) }

// use has a Config use the clock.
func (c *fastClock) use(config *auth0grpc.Config) {
	config.Now = c.now
	client := *config.HTTPClient
	client.Transport = fetchCounter{client.Transport, &c.fetching}
	config.HTTPClient = &client
}

// runUntil lets the clock run until a condition holds.
func (c *fastClock) runUntil(t *testing.T, what string, condition func() bool) {
	t.Helper()
	const step = 10 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	began, calls, waiting := c.now(), c.load.count(), time.Now()
	for !condition() {
		<-tick.C
		if c.fetching.Load() > 0 || c.load.count() < calls {
			if time.Since(waiting) > patience {
				t.Fatalf("%s: nothing goes on", what)
			}
			continue
		}
		if c.load != nil {
			calls = max(calls+perSecond*int64(step)/int64(time.Second), c.load.count()-perSecond)
		}
		waiting = time.Now()
		c.passed.Add(int64(speed * step))
		if ran := c.now().Sub(began); ran > 2*time.Hour {
			t.Fatalf("%s: not within %v of the library's clock", what, ran)
		}
	}
}

// pass waits for some time of the clock.
func (c *fastClock) pass(t *testing.T, d time.Duration) {
	t.Helper()
	until := c.now().Add(d)
	c.runUntil(t, "time passes", func() bool { return c.now().After(until) })
}

// A fetchCounter counts the requests in progress, until their bodies are closed.
type fetchCounter struct {
	http.RoundTripper
	fetching *atomic.Int64
}

func (f fetchCounter) RoundTrip(request *http.Request) (*http.Response, error) {
	f.fetching.Add(1)
	response, err := f.RoundTripper.RoundTrip(request)
	if err != nil {
		f.fetching.Add(-1)
		return nil, err
	}
	response.Body = countedBody{response.Body, sync.OnceFunc(func() { f.fetching.Add(-1) })}
	return response, nil
}

type countedBody struct {
	io.ReadCloser
	closed func()
}

func (b countedBody) Close() error {
	defer b.closed()
	return b.ReadCloser.Close()
}

// perSecond is the load of the tests of operations, in real time. A slow machine makes
// fewer calls a second, and the library's clock is slower then.
const perSecond = 500

// A load calls a server at a constant rate with tokens that are good.
type load struct {
	client ordersv1.OrdersClient
	clock  *fastClock
	began  time.Time // of the clock
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
func startLoad(t *testing.T, clock *fastClock, client ordersv1.OrdersClient, tokens []string) *load {
	t.Helper()
	l := &load{client: client, clock: clock, began: clock.now(), tokens: tokens}
	clock.load = l
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

// count returns the number of calls that have ended, 0 without a load.
func (l *load) count() int64 {
	if l == nil {
		return 0
	}
	return l.calls.Load()
}

// use replaces the tokens. Calls that are under way keep the ones they have.
func (l *load) use(tokens []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens = tokens
}

// end stops the load and waits for its calls. It may be called again.
func (l *load) end() {
	l.clock.load = nil
	l.stop()
	l.stopped.Wait()
}

// check ends the load and fails unless every call went well and the load was as large
// as configured.
func (l *load) check(t *testing.T) {
	t.Helper()
	l.end()
	if want := l.clock.now().Sub(l.began).Seconds() / speed * perSecond; float64(l.calls.Load()) < want*9/10 {
		t.Errorf("%d calls, want %.0f", l.calls.Load(), want)
	}
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d of %d good calls failed, the first with %q", n, l.calls.Load(), l.failures)
	}
}

// String describes the load.
func (l *load) String() string {
	return fmt.Sprintf("%d good calls, %d failed, slowest %v", l.calls.Load(), l.failed.Load(), time.Duration(l.slow.Load()).Round(time.Millisecond))
}
