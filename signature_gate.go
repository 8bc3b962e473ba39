package auth0grpc

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	// looseLimit bounds the checks in progress while signatures are good. A check
	// runs for microseconds and never blocks, so as many as there are processors
	// run, and others are in progress only if the scheduler interrupted them.
	looseLimit = 1024

	// waitersPerSlot bounds the calls that wait for a check, for each check that may
	// be in progress meanwhile. Calls are served in their order.
	waitersPerSlot = 64

	// maxWait bounds the wait itself, by about 200 checks of an RSA-2048 signature.
	// A flood of calls also fills the scheduler's queue, and a check that was
	// interrupted comes to the end of it.
	maxWait = 5 * time.Millisecond

	// A bad signature adds badWeight to the suspicion, a good one takes 1 away. The
	// bound is tight while the suspicion is above tightAbove. One bad signature in
	// five does not make it tight, so a few forged calls cannot slow good ones down.
	badWeight    = 4
	tightAbove   = 8
	maxSuspicion = 64
)

// A signatureGate bounds the public-key operations in progress and the calls that
// wait for one. It is safe for concurrent use.
//
// While signatures are good the bound is loose: processors are the limit, and a
// hand-over from call to call would cost throughput. Bad signatures make it tight:
// half of the processors, so that a flood of forged tokens under a published kid
// leaves room for calls whose tokens are in the cache.
//
// Beyond the bound on waiting a call is rejected at once. A forged token looks like
// a good one until its signature is checked, so no choice among waiting calls serves
// a larger share of the good ones than their share of all calls. First come, first
// served gives each call that share and bounds its wait. A caller that is rejected
// gets a RetryInfo and the same share again.
type signatureGate struct {
	loose, tight, maxWaiting int

	mu         sync.Mutex
	suspicion  int
	inProgress int
	waiting    []chan struct{} // closed when the call may begin, in order of arrival
}

// newSignatureGate returns a gate. Without a cache no call has a known token, so
// there is nothing to leave room for and the bound stays loose.
func newSignatureGate(cached bool) *signatureGate {
	g := &signatureGate{loose: looseLimit, tight: max(1, runtime.GOMAXPROCS(0)/2)}
	if !cached {
		g.tight = g.loose
	}
	g.maxWaiting = waitersPerSlot * g.tight
	return g
}

func (g *signatureGate) limit() int {
	if g.suspicion > tightAbove {
		return g.tight
	}
	return g.loose
}

// enter waits until a check may begin. The caller must call leave after it, unless
// enter returns a refusal: of an overload, or of a call whose ctx ended.
func (g *signatureGate) enter(ctx context.Context) *refusal {
	g.mu.Lock()
	if g.inProgress < g.limit() {
		g.inProgress++
		g.mu.Unlock()
		return nil
	}
	if len(g.waiting) >= g.maxWaiting {
		g.mu.Unlock()
		return refusedOverload
	}
	turn := make(chan struct{})
	g.waiting = append(g.waiting, turn)
	g.mu.Unlock()
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	refused := refusedOverload
	select {
	case <-turn:
		return nil
	case <-timer.C:
	case <-ctx.Done():
		refused = contextEnded(ctx.Err())
	}
	g.mu.Lock()
	if i := slices.Index(g.waiting, turn); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	} else { // its turn came meanwhile
		g.inProgress--
		g.admit()
	}
	g.mu.Unlock()
	return refused
}

// leave ends a check that enter let begin. good reports whether the signature was
// good.
func (g *signatureGate) leave(good bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if good {
		g.suspicion = max(g.suspicion-1, 0)
	} else {
		g.suspicion = min(g.suspicion+badWeight, maxSuspicion)
	}
	g.inProgress--
	g.admit()
}

// admit lets waiting calls begin, as many as the limit allows.
func (g *signatureGate) admit() {
	for len(g.waiting) > 0 && g.inProgress < g.limit() {
		close(g.waiting[0])
		g.waiting = slices.Delete(g.waiting, 0, 1)
		g.inProgress++
	}
}
