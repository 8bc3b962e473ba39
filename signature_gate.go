package auth0grpc

import (
	"container/list"
	"context"
	"runtime"
	"sync"
	"time"
)

const (
	// openLimit bounds the checks in progress while signatures are good. A check runs
	// for microseconds and never blocks, so each processor runs one. More are in
	// progress only if the scheduler interrupted them.
	openLimit = 1024

	// waitersPerCheck bounds the calls that wait, for each check that may be in
	// progress. With the check in progress they are 100. So a call that is not
	// rejected begins after at most 100 checks on one of the gate's processors. The
	// bound holds at any pace of the machine: no clock rejects a call.
	waitersPerCheck = 99

	// The gate is tight while bad signatures outnumber good ones by more than
	// tightAbove. It counts no more than maxExcess, so as many good signatures open
	// it again. Without a bad signature for floodPause it opens too.
	tightAbove = 8
	maxExcess  = 64
	floodPause = time.Second
)

// A signatureGate bounds the public-key operations in progress and the calls that wait
// for one. It is safe for concurrent use.
//
// While signatures are good the gate is open: processors are the limit, and a hand-over
// from call to call would cost throughput. It becomes tight when more signatures are
// bad than good: half of the processors, so that a flood of forged tokens under a
// published kid leaves room for calls whose tokens are in the cache. A smaller share of
// forged calls cannot slow good ones down, and at most doubles the checks. The gate
// opens again after good signatures, or when the bad ones stop.
//
// Beyond the bound on waiting a call is rejected immediately. A forged token looks like
// a good one until its signature is checked. So no choice among waiting calls can
// prefer the good ones. First come, first served
// gives each call that share and bounds its wait. A rejected caller gets a RetryInfo
// and the same share again.
type signatureGate struct {
	open, tight int // checks in progress while the gate is open, and while it is tight
	waiters     int // calls that wait, for each check in progress

	mu         sync.Mutex
	excess     int // of bad signatures over good ones, between 0 and maxExcess
	lastBad    time.Time
	inProgress int
	waiting    list.List // of *turn, in order of arrival
}

// A turn is a call that waits at a signatureGate.
type turn struct {
	decided chan struct{} // closed when the call may begin or is rejected
	refused *refusal      // set before decided is closed
}

// newSignatureGate returns a gate. Without a cache no call has a known token, so
// there is nothing to leave room for: a tight gate then takes all processors.
func newSignatureGate(cached bool) *signatureGate {
	g := &signatureGate{open: openLimit, tight: runtime.GOMAXPROCS(0), waiters: waitersPerCheck}
	if cached {
		g.tight = max(1, g.tight/2)
	}
	return g
}

// limit returns how many checks may be in progress.
func (g *signatureGate) limit() int {
	if g.excess > tightAbove && time.Since(g.lastBad) >= floodPause {
		g.excess = 0
	}
	if g.excess > tightAbove {
		return g.tight
	}
	return g.open
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
	if g.waiting.Len() >= g.limit()*g.waiters {
		g.mu.Unlock()
		return refusedOverload
	}
	t := &turn{decided: make(chan struct{})}
	place := g.waiting.PushBack(t)
	g.mu.Unlock()
	select {
	case <-t.decided:
		return t.refused
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-t.decided:
		if t.refused == nil { // its turn came meanwhile
			g.end()
		}
	default:
		g.waiting.Remove(place)
	}
	return contextRefusal(ctx.Err())
}

// leave ends a check that enter let begin. good reports whether the signature was
// good.
func (g *signatureGate) leave(good bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if good {
		g.excess = max(g.excess-1, 0)
	} else {
		g.excess = min(g.excess+1, maxExcess)
		g.lastBad = time.Now()
	}
	g.end()
}

// end takes a check out of those in progress. It lets waiting calls begin, oldest
// first, and rejects the youngest if the gate has become too tight for them.
func (g *signatureGate) end() {
	g.inProgress--
	for g.waiting.Len() > 0 && g.inProgress < g.limit() {
		g.inProgress++
		g.decide(g.waiting.Front(), nil)
	}
	for g.waiting.Len() > g.limit()*g.waiters {
		g.decide(g.waiting.Back(), refusedOverload)
	}
}

// decide ends the wait of a call.
func (g *signatureGate) decide(place *list.Element, refused *refusal) {
	t := g.waiting.Remove(place).(*turn)
	t.refused = refused
	close(t.decided)
}
