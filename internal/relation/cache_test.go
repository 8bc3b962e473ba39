package relation

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A clock stands still until a test moves it.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_900_000_000, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func newTestCache(change func(*Limits)) (*Cache, *clock) {
	limits := Limits{Timeout: time.Hour, Lifetime: 5 * time.Second, Entries: 100, Checks: 4}
	if change != nil {
		change(&limits)
	}
	c := new(clock)
	return New(limits, c.now), c
}

func yes(context.Context) (bool, error) { return true, nil }
func no(context.Context) (bool, error)  { return false, nil }

// neverAsk fails the test if the answer is not in the cache.
func neverAsk(t *testing.T) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) {
		t.Error("a check was made")
		return false, nil
	}
}

func key(object string) Key { return Key{Subject: "s", Relation: "viewer", Object: object} }

func TestOnlyPositiveAnswersAreCached(t *testing.T) {
	c, clock := newTestCache(nil)
	for range 2 {
		if allowed, err := c.Allowed(t.Context(), key("a"), no); allowed || err != nil {
			t.Fatalf("Allowed = %t, %v", allowed, err)
		}
	}
	if allowed, err := c.Allowed(t.Context(), key("a"), yes); !allowed || err != nil {
		t.Fatalf("a negative answer was cached: %t, %v", allowed, err)
	}
	clock.advance(5*time.Second - 1)
	if allowed, _ := c.Allowed(t.Context(), key("a"), neverAsk(t)); !allowed {
		t.Error("the positive answer was not cached")
	}
	clock.advance(1)
	if allowed, _ := c.Allowed(t.Context(), key("a"), no); allowed {
		t.Error("the answer outlived its lifetime")
	}
	if n := c.Len(); n != 0 {
		t.Errorf("%d answers in the cache after the only one expired", n)
	}
	// The clock is set back: the age of an answer is unknown.
	_, _ = c.Allowed(t.Context(), key("b"), yes)
	clock.advance(-time.Hour)
	if allowed, _ := c.Allowed(t.Context(), key("b"), no); allowed {
		t.Error("an answer from the future is used")
	}
}

func TestNoCache(t *testing.T) {
	c, _ := newTestCache(func(l *Limits) { l.Lifetime = -1 })
	_, _ = c.Allowed(t.Context(), key("a"), yes)
	if n := c.Len(); n != 0 {
		t.Errorf("%d answers in the cache", n)
	}
	if allowed, _ := c.Allowed(t.Context(), key("a"), no); allowed || c.Len() != 0 {
		t.Errorf("Allowed = %t with %d answers", allowed, c.Len())
	}
}

// Each part of a question counts, also where parts move from one to the next.
func TestKeysDiffer(t *testing.T) {
	keys := []Key{
		{}, {Issuer: "a"}, {Subject: "a"}, {Client: "a"}, {Organization: "a"}, {Actor: "a"}, {Relation: "a"}, {Object: "a"},
		{Issuer: "a", Subject: "b"}, {Issuer: "ab"}, {Subject: "ab"}, {Subject: "a", Client: "b"}, {Relation: "a", Object: "b"},
		{Object: strings.Repeat("a", 1000)}, {Subject: strings.Repeat("a", 1000)}, {Subject: "\x01a"}, {Issuer: "\x01a"},
	}
	seen := map[digest]Key{}
	for _, k := range keys {
		if other, ok := seen[k.digest()]; ok {
			t.Errorf("%+v and %+v are one question", k, other)
		}
		seen[k.digest()] = k
	}
}

// 10,000 concurrent calls for 100 objects make one check for each.
func TestCallsShareChecks(t *testing.T) {
	c, _ := newTestCache(func(l *Limits) { l.Checks, l.Entries = 128, 1000 })
	var checks atomic.Int64
	var calls sync.WaitGroup
	for i := range 10_000 {
		calls.Go(func() {
			allowed, err := c.Allowed(t.Context(), key(fmt.Sprint(i%100)), func(context.Context) (bool, error) {
				checks.Add(1)
				return true, nil
			})
			if !allowed || err != nil {
				t.Errorf("Allowed = %t, %v", allowed, err)
			}
		})
	}
	calls.Wait()
	if n := checks.Load(); n != 100 {
		t.Errorf("%d checks, want 100", n)
	}
}

// The caller that started a check leaves; the others get its answer.
func TestCheckOutlivesItsCaller(t *testing.T) {
	c, _ := newTestCache(nil)
	started, answer := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := c.Allowed(ctx, key("a"), func(ctx context.Context) (bool, error) {
			close(started)
			<-answer
			return true, ctx.Err()
		})
		first <- err
	}()
	<-started
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("first caller: %v", err)
	}
	second := make(chan bool, 1)
	go func() {
		allowed, _ := c.Allowed(t.Context(), key("a"), neverAsk(t))
		second <- allowed
	}()
	close(answer)
	if !<-second {
		t.Error("the second caller got no answer")
	}
}

// A function that ignores its context does not hold the caller, and its place is taken
// until it returns.
func TestTimeoutAndBusy(t *testing.T) {
	c, _ := newTestCache(func(l *Limits) { l.Timeout, l.Checks = time.Millisecond, 1 })
	release, returned := make(chan struct{}), make(chan struct{})
	_, err := c.Allowed(t.Context(), key("a"), func(context.Context) (bool, error) {
		defer close(returned)
		<-release
		return true, nil
	})
	if !errors.Is(err, ErrTimeout) {
		t.Errorf("slow check: %v, want %v", err, ErrTimeout)
	}
	if _, err := c.Allowed(t.Context(), key("b"), neverAsk(t)); !errors.Is(err, ErrBusy) {
		t.Errorf("second check: %v, want %v", err, ErrBusy)
	}
	close(release)
	<-returned
	for { // the place is given back after the function has returned
		if _, err := c.Allowed(t.Context(), key("b"), no); err == nil {
			break
		}
	}
	if c.Len() != 0 {
		t.Error("an answer after the timeout was cached")
	}
}

// Failures pause the checks, and one check a pause tries again.
func TestPauseAfterFailures(t *testing.T) {
	c, clock := newTestCache(func(l *Limits) {
		l.IsBadQuestion = func(err error) bool { return err == errors.ErrUnsupported }
	})
	down := errors.New("down")
	checks := 0
	fail := func(context.Context) (bool, error) { checks++; return false, down }
	// A wrong question is no failure of the service.
	for range 3 * maxFailures {
		_, err := c.Allowed(t.Context(), key("a"), func(context.Context) (bool, error) { return false, errors.ErrUnsupported })
		if err != errors.ErrUnsupported {
			t.Fatal(err)
		}
	}
	for range maxFailures {
		if _, err := c.Allowed(t.Context(), key("a"), fail); err != down {
			t.Fatal(err)
		}
	}
	for range 100 {
		if _, err := c.Allowed(t.Context(), key("a"), fail); err != ErrPaused {
			t.Fatal(err)
		}
	}
	if checks != maxFailures {
		t.Errorf("%d checks, want %d", checks, maxFailures)
	}
	clock.advance(pause)
	if _, err := c.Allowed(t.Context(), key("a"), fail); err != down {
		t.Errorf("after the pause: %v", err)
	}
	if _, err := c.Allowed(t.Context(), key("a"), fail); err != ErrPaused {
		t.Errorf("second check after the pause: %v", err)
	}
	clock.advance(-time.Hour) // the clock is set back
	if allowed, err := c.Allowed(t.Context(), key("a"), yes); !allowed || err != nil {
		t.Errorf("recovered: %t, %v", allowed, err)
	}
	if allowed, err := c.Allowed(t.Context(), key("b"), yes); !allowed || err != nil {
		t.Errorf("after a success: %t, %v", allowed, err)
	}
}

// Answers and callers that wait are bounded.
func TestBounds(t *testing.T) {
	c, _ := newTestCache(func(l *Limits) { l.Entries, l.Checks = 10, 1 })
	for i := range 1000 {
		if _, err := c.Allowed(t.Context(), key(fmt.Sprint(i)), yes); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.Len(); n != 10 {
		t.Errorf("%d answers in the cache, want 10", n)
	}
	// Callers that wait are bounded.
	release := make(chan struct{})
	var callers sync.WaitGroup
	var busy atomic.Int64
	refused := make(chan struct{})
	for range 3 * waitersPerCheck {
		callers.Go(func() {
			_, err := c.Allowed(t.Context(), key("slow"), func(context.Context) (bool, error) {
				<-release
				return true, nil
			})
			if err == ErrBusy && busy.Add(1) == waitersPerCheck {
				close(refused)
			}
		})
	}
	<-refused
	close(release)
	callers.Wait()
	if n := busy.Load(); n > 2*waitersPerCheck {
		t.Errorf("%d callers refused, want at most %d", n, 2*waitersPerCheck)
	}
}

// No caller is allowed with an error, and such an answer is not cached.
func TestErrorsAllowNothing(t *testing.T) {
	c, _ := newTestCache(func(l *Limits) { l.Checks = 1 })
	down := errors.New("down")
	refused := func(name string, ctx context.Context, want error, ask func(context.Context) (bool, error)) {
		t.Helper()
		if allowed, err := c.Allowed(ctx, key("a"), ask); allowed || !errors.Is(err, want) {
			t.Errorf("%s: %t, %v, want false, %v", name, allowed, err, want)
		}
	}
	var check context.Context
	refused("yes with an error", t.Context(), down, func(ctx context.Context) (bool, error) {
		check = ctx
		return true, down
	})
	if check.Err() == nil {
		t.Error("the context of a check that has returned still holds its timer")
	}
	refused("again", t.Context(), down, func(context.Context) (bool, error) { return false, down })

	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	refused("the caller left", ctx, context.Canceled, func(context.Context) (bool, error) {
		cancel()
		<-release
		return false, down
	})
	if allowed, err := c.Allowed(t.Context(), key("b"), neverAsk(t)); allowed || err != ErrBusy {
		t.Errorf("busy: %t, %v", allowed, err)
	}
	close(release)
	awaitState(c, func() bool { return c.checks == 0 })
	c.failures, c.resume = maxFailures, c.now().Add(pause)
	refused("paused", t.Context(), ErrPaused, neverAsk(t))
	if n := c.Len(); n != 0 {
		t.Errorf("%d answers in the cache", n)
	}
}

// awaitState returns when other goroutines have made the condition true.
func awaitState(c *Cache, condition func() bool) {
	for {
		c.mu.Lock()
		ok := condition()
		c.mu.Unlock()
		if ok {
			return
		}
		runtime.Gosched()
	}
}

// Calls that wait share the check in progress, up to the bound exactly. A call that comes
// just after its end finds the answer in the cache.
func TestWaitersShareACheck(t *testing.T) {
	c, _ := newTestCache(func(l *Limits) { l.Checks = 1 })
	started, release := make(chan struct{}), make(chan struct{})
	var checks, busy atomic.Int64
	var calls sync.WaitGroup
	call := func() {
		allowed, err := c.Allowed(t.Context(), key("a"), func(context.Context) (bool, error) {
			if checks.Add(1) == 1 {
				close(started)
			}
			<-release
			return true, nil
		})
		if err == ErrBusy && !allowed {
			busy.Add(1)
		} else if !allowed || err != nil {
			t.Errorf("Allowed = %t, %v", allowed, err)
		}
	}
	calls.Go(call)
	<-started
	for range 2*waitersPerCheck - 1 {
		calls.Go(call)
	}
	awaitState(c, func() bool { return c.waiting+int(busy.Load()) == 2*waitersPerCheck })
	close(release)
	calls.Wait()
	if checks.Load() != 1 || busy.Load() != waitersPerCheck {
		t.Errorf("%d checks, %d callers refused, want 1 and %d", checks.Load(), busy.Load(), waitersPerCheck)
	}
	k := key("a")
	if f, err := c.join(t.Context(), k.digest(), neverAsk(t)); f != nil || err != nil {
		t.Errorf("join = %v, %v, want the answer from the cache", f, err)
	}
}

// While one check tries again after a pause, no other one begins.
func TestOneCheckAfterAPause(t *testing.T) {
	c, clock := newTestCache(nil)
	c.failures, c.resume = maxFailures, c.now().Add(pause)
	clock.advance(pause)
	started, release := make(chan struct{}), make(chan struct{})
	var call sync.WaitGroup
	call.Go(func() {
		allowed, err := c.Allowed(t.Context(), key("a"), func(context.Context) (bool, error) {
			close(started)
			<-release
			return true, nil
		})
		if !allowed || err != nil {
			t.Errorf("Allowed = %t, %v", allowed, err)
		}
	})
	<-started
	if allowed, err := c.Allowed(t.Context(), key("b"), neverAsk(t)); allowed || err != ErrPaused {
		t.Errorf("second check: %t, %v, want %v", allowed, err, ErrPaused)
	}
	close(release)
	call.Wait()
}

// An answer in use outlives answers that are used once, however many.
func TestAnswersInUseStay(t *testing.T) {
	c, _ := newTestCache(func(l *Limits) { l.Entries = 10 })
	_, _ = c.Allowed(t.Context(), key("used"), yes)
	for i := range 1000 {
		if allowed, err := c.Allowed(t.Context(), key("used"), neverAsk(t)); !allowed || err != nil {
			t.Fatalf("after %d other answers: %t, %v", i, allowed, err)
		}
		_, _ = c.Allowed(t.Context(), key(fmt.Sprint(i)), yes)
	}
}

func BenchmarkCached(b *testing.B) {
	c, _ := newTestCache(nil)
	k := Key{Issuer: "https://tenant.eu.auth0.com/", Subject: "auth0|0123456789", Client: "client", Relation: "viewer", Object: "order:0123456789"}
	_, _ = c.Allowed(b.Context(), k, yes)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Allowed(b.Context(), k, yes)
	}
}

func BenchmarkUncached(b *testing.B) {
	c, _ := newTestCache(func(l *Limits) { l.Lifetime = -1 })
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Allowed(b.Context(), key("a"), yes)
	}
}
