package auth0grpc

import (
	"context"
	"errors"
	"runtime"
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

// While signatures are good as many checks run as calls come. Bad ones limit them
// to half of the processors, until enough good ones followed.
func TestSignatureGateLimits(t *testing.T) {
	processors := runtime.GOMAXPROCS(0)
	g := newSignatureGate(true)
	if g.loose != 1024 || g.tight != max(1, processors/2) || g.maxWaiting != 64*g.tight {
		t.Errorf("limits %d, %d and %d for %d processors", g.loose, g.tight, g.maxWaiting, processors)
	}
	if off := newSignatureGate(false); off.tight != off.loose || off.maxWaiting < off.loose {
		t.Errorf("without a cache: limits %d, %d and %d", off.loose, off.tight, off.maxWaiting)
	}
	g = &signatureGate{loose: 8, tight: 2, maxWaiting: 3}
	check := func(good bool) {
		t.Helper()
		if r := g.enter(t.Context()); r != nil {
			t.Fatal(r)
		}
		g.leave(good)
	}
	want := func(limit int) {
		t.Helper()
		if got := g.limit(); got != limit {
			t.Errorf("%d checks may be in progress, want %d", got, limit)
		}
	}
	want(8)
	for range 40 { // one bad signature in five
		check(false)
		for range 4 {
			check(true)
		}
		want(8)
	}
	check(false)
	check(false)
	want(8)
	check(false)
	want(2)
	for range 4 {
		check(true)
	}
	want(8)
	for range 1000 {
		check(false)
	}
	for range maxSuspicion - tightAbove - 1 {
		check(true)
	}
	want(2)
	check(true)
	want(8)
}

// Calls beyond the limit wait and are served in their order. Calls beyond the
// bound on waiting are refused at once.
func TestSignatureGateOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &signatureGate{loose: 2, tight: 1, maxWaiting: 3, suspicion: tightAbove}
		begun, refused := enterAll(t.Context(), g, 7)
		if len(begun) != 2 || len(refused) != 2 {
			t.Fatalf("%d begun and %d refused, want 2 and 2", len(begun), len(refused))
		}
		for range 2 {
			if r := <-refused; r != refusedOverload {
				t.Errorf("refused with %v", r)
			}
		}
		for want := range 5 {
			if got := <-begun; got != want {
				t.Errorf("call %d came in place of call %d", got, want)
			}
			g.leave(want > 0) // the first is bad: one at a time from then on
			synctest.Wait()
			if g.inProgress > 1 && want > 0 {
				t.Errorf("%d checks in progress after a bad signature", g.inProgress)
			}
		}
		if g.inProgress != 0 || len(g.waiting) != 0 {
			t.Errorf("%d in progress, %d waiting", g.inProgress, len(g.waiting))
		}
	})
}

// A call waits for maxWait and no longer, whatever the checks in progress do.
func TestSignatureGatePatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &signatureGate{loose: 1, tight: 1, maxWaiting: 8}
		if r := g.enter(t.Context()); r != nil {
			t.Fatal(r)
		}
		began := time.Now()
		if r := g.enter(t.Context()); r != refusedOverload || time.Since(began) != maxWait {
			t.Errorf("%v after %v, want an overload after %v", r, time.Since(began), maxWait)
		}
		g.leave(true)
		if g.inProgress != 0 || len(g.waiting) != 0 {
			t.Errorf("%d in progress, %d waiting", g.inProgress, len(g.waiting))
		}
	})
}

// A call that leaves gives its place to the next, also if its turn comes then.
func TestSignatureGateCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &signatureGate{loose: 1, tight: 1, maxWaiting: 8}
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
			if g.inProgress != 0 || len(g.waiting) != 0 {
				t.Fatalf("%d in progress, %d waiting", g.inProgress, len(g.waiting))
			}
		}
	})
}
