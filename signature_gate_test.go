package auth0grpc

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// enterAll makes count calls enter the gate at once and returns those that may
// begin, in their order, and those that were refused.
func enterAll(ctx context.Context, g *signatureGate, count int) (begun chan int, refused chan *refusal) {
	begun, refused = make(chan int, count), make(chan *refusal, count)
	for i := range count {
		go func() {
			if r := g.enter(ctx); r != nil {
				refused <- r
			} else {
				begun <- i
			}
		}()
		synctest.Wait() // so that calls arrive in their order
	}
	return begun, refused
}

// While signatures are good as many checks run as calls come. A majority of bad
// ones limits them to half of the processors, until enough good ones followed.
func TestSignatureGateLimits(t *testing.T) {
	processors := runtime.GOMAXPROCS(0)
	if g := newSignatureGate(true); g.open != 1024 || g.tight != max(1, processors/2) || g.waiters != 99 {
		t.Errorf("limits %d, %d and %d for %d processors", g.open, g.tight, g.waiters, processors)
	}
	if g := newSignatureGate(false); g.open != 1024 || g.tight != processors || g.waiters != 99 {
		t.Errorf("without a cache: limits %d, %d and %d for %d processors", g.open, g.tight, g.waiters, processors)
	}
	synctest.Test(t, func(t *testing.T) {
		g := &signatureGate{open: 8, tight: 2, waiters: 3}
		check := func(good bool, count int) {
			t.Helper()
			for range count {
				if r := g.enter(t.Context()); r != nil {
					t.Fatal(r)
				}
				g.leave(good)
			}
		}
		want := func(limit int) {
			t.Helper()
			if got := g.limit(); got != limit {
				t.Errorf("%d checks may be in progress, want %d", got, limit)
			}
		}
		want(8)
		for range 40 { // as many bad as good
			check(false, 1)
			check(true, 1)
			want(8)
		}
		check(false, tightAbove)
		want(8)
		check(false, 1)
		want(2)
		check(true, 1)
		want(8)
		check(false, 1000)
		check(true, maxExcess-tightAbove-1)
		want(2)
		check(true, 1)
		want(8)
		check(false, 1000)
		time.Sleep(floodPause - 1)
		want(2)
		check(false, 1)
		time.Sleep(floodPause - 1)
		want(2)
		time.Sleep(time.Nanosecond) // the flood has stopped
		want(8)
		check(false, tightAbove)
		want(8)
		check(false, 1)
		want(2)
	})
}

// A thousand callers with good tokens at once are never rejected: neither from the
// start nor once a flood of forged tokens is over.
func TestSignatureGateServesGoodCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, cached := range []bool{true, false} {
			g := newSignatureGate(cached)
			for range 2 {
				const callers = 2000 // more than openLimit
				var calls sync.WaitGroup
				verified := make(chan struct{})
				for range callers {
					calls.Go(func() {
						if r := g.enter(t.Context()); r != nil {
							t.Errorf("a good call is rejected: %v", r)
							return
						}
						<-verified
						g.leave(true)
					})
				}
				synctest.Wait()
				if g.inProgress != openLimit || g.waiting.Len() != callers-openLimit {
					t.Errorf("%d checks in progress and %d calls waiting", g.inProgress, g.waiting.Len())
				}
				close(verified)
				calls.Wait()
				for range 1000 {
					if g.enter(t.Context()) == nil {
						g.leave(false)
					}
				}
				time.Sleep(floodPause)
			}
		}
	})
}

// In a flood a good call either is rejected at once or begins after at most 100
// checks for each check that may be in progress.
func TestSignatureGateBoundsChecksBeforeACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newSignatureGate(true)
		for range tightAbove + 1 {
			_ = g.enter(t.Context())
			g.leave(false)
		}
		floodEnd, endFlood := context.WithCancel(t.Context())
		defer endFlood()
		turns := make(chan struct{})
		rejected, before := 0, 0 // by and in front of the good call
		for range 1000 {
			go func() {
				if g.enter(floodEnd) == nil {
					<-turns
					g.leave(false)
				}
			}()
		}
		synctest.Wait()
		for g.waiting.Len() >= g.tight*waitersPerCheck { // an unlucky good caller tries again
			if r := g.enter(t.Context()); r != refusedOverload {
				t.Fatalf("beyond the bound: %v", r)
			}
			rejected++
			turns <- struct{}{}
			synctest.Wait()
		}
		done := false
		go func() {
			if r := g.enter(t.Context()); r != nil {
				t.Errorf("within the bound: %v", r)
			}
			done = true
			g.leave(true)
		}()
		for synctest.Wait(); !done; synctest.Wait() {
			turns <- struct{}{}
			before++
		}
		if rejected != 1 || before > 100*g.tight {
			t.Errorf("rejected %d times, begun after %d checks", rejected, before)
		}
		endFlood()
		close(turns)
		synctest.Wait()
		if g.inProgress != 0 || g.waiting.Len() != 0 {
			t.Errorf("%d in progress, %d waiting", g.inProgress, g.waiting.Len())
		}
	})
}

// Calls beyond the limit wait and are served in their order. Calls beyond the
// bound on waiting are refused at once.
func TestSignatureGateOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &signatureGate{open: 2, tight: 1, waiters: 2, excess: tightAbove, lastBad: time.Now()}
		begun, refused := enterAll(t.Context(), g, 8)
		if len(begun) != 2 || len(refused) != 2 {
			t.Fatalf("%d begun and %d refused, want 2 and 2", len(begun), len(refused))
		}
		for want := range 4 {
			if got := <-begun; got != want {
				t.Errorf("call %d came in place of call %d", got, want)
			}
			g.leave(want > 0) // the first is bad: one at a time from then on
			synctest.Wait()
			if want == 0 && (len(refused) != 4 || g.waiting.Len() != 2) {
				t.Errorf("after it became tight: %d refused and %d waiting, want 4 and 2", len(refused), g.waiting.Len())
			}
			g.excess = maxExcess
			if g.inProgress > 1 {
				t.Errorf("%d checks in progress after a bad signature", g.inProgress)
			}
		}
		for range 4 {
			if r := <-refused; r != refusedOverload {
				t.Errorf("refused with %v", r)
			}
		}
		if g.inProgress != 0 || g.waiting.Len() != 0 {
			t.Errorf("%d in progress, %d waiting", g.inProgress, g.waiting.Len())
		}
	})
}

// No time ends a wait but the context of the caller.
func TestSignatureGatePatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &signatureGate{open: 1, tight: 1, waiters: 8}
		if r := g.enter(t.Context()); r != nil {
			t.Fatal(r)
		}
		begun, refused := enterAll(t.Context(), g, 1)
		time.Sleep(time.Hour)
		if len(begun) != 0 || len(refused) != 0 {
			t.Errorf("after an hour: %d begun, %d refused", len(begun), len(refused))
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r := g.enter(ctx); !errors.Is(r, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v, want the end of the context", r, time.Since(began))
		}
		g.leave(true)
		<-begun
		g.leave(true)
		if g.inProgress != 0 || g.waiting.Len() != 0 {
			t.Errorf("%d in progress, %d waiting", g.inProgress, g.waiting.Len())
		}
	})
}

// A call that leaves gives its place to the next, also if its turn comes then.
func TestSignatureGateCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &signatureGate{open: 1, tight: 1, waiters: 8}
		if r := g.enter(t.Context()); r != nil {
			t.Fatal(r)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, refused := enterAll(ctx, g, 2)
		begun, _ := enterAll(t.Context(), g, 1)
		cancel()
		for range 2 {
			if r := <-refused; !errors.Is(r, context.Canceled) {
				t.Errorf("refused with %v", r)
			}
		}
		g.leave(true)
		<-begun
		g.leave(true)
		for range 200 { // the turn and the end of the context come at once
			_ = g.enter(t.Context())
			ctx, cancel := context.WithCancel(t.Context())
			both, gone := enterAll(ctx, g, 1)
			go cancel()
			g.leave(true)
			synctest.Wait()
			if len(both) == 1 {
				g.leave(true)
			} else if len(gone) != 1 {
				t.Fatal("the call neither began nor ended")
			}
			if g.inProgress != 0 || g.waiting.Len() != 0 {
				t.Fatalf("%d in progress, %d waiting", g.inProgress, g.waiting.Len())
			}
		}
	})
}
