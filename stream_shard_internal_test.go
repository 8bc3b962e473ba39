package auth0grpc

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/revocation"
)

// A stream that leaves, in any way, keeps the timer that another stream needs.
func TestTimerSurvivesOtherStreams(t *testing.T) {
	for name, test := range map[string]struct {
		deadline int64 // of the stream that leaves
		leave    func(*indexRig, *fakeTimer, *guardedStream)
	}{
		"removed once": {3_000_000, func(r *indexRig, _ *fakeTimer, g *guardedStream) { r.remove(g) }},
		// Its removal saw no other deadline, and stops the timer only now.
		"removed before":  {3_000_000, func(r *indexRig, _ *fakeTimer, g *guardedStream) { r.remove(g); r.stopTimer() }},
		"removed twice":   {3_000_000, func(r *indexRig, _ *fakeTimer, g *guardedStream) { r.remove(g); r.remove(g) }},
		"was next to end": {1_500_000, func(r *indexRig, _ *fakeTimer, g *guardedStream) { r.remove(g); r.remove(g) }},
		"has expired":     {1_000_000, func(r *indexRig, clock *fakeTimer, g *guardedStream) { clock.fire(); r.remove(g) }},
		"ignores expiry":  {noDeadline, func(r *indexRig, _ *fakeTimer, g *guardedStream) { r.remove(g); r.remove(g) }},
		"ignores, revoked": {noDeadline, func(r *indexRig, _ *fakeTimer, g *guardedStream) {
			r.endRevoked(revocation.Criteria{TokenID: "leaves"}, always)
		}},
		"expires, revoked": {3_000_000, func(r *indexRig, _ *fakeTimer, g *guardedStream) {
			r.endRevoked(revocation.Criteria{TokenID: "leaves"}, always)
			r.remove(g)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.UnixMicro(1_000_000)
			r, clock := newIndexRig(func() time.Time { return now }), &fakeTimer{}
			r.afterFunc = clock.afterFunc
			stays := newIndexedStream(revocation.Criteria{Issuer: "i"}, 2_000_000)
			leaves := newIndexedStream(revocation.Criteria{Issuer: "i", TokenID: "leaves"}, test.deadline)
			r.add(stays, now)
			r.add(leaves, now)
			test.leave(r, clock, leaves)
			if clock.running.Load() != 1 || r.timed.Load() != 1 || r.len() != 1 {
				t.Errorf("%d timers, %d deadlines, %d open, want 1 of each", clock.running.Load(), r.timed.Load(), r.len())
			}
			if next := r.nextExpiry.Load(); next > stays.deadline {
				t.Errorf("the timer is set to %d, want %d or earlier", next, stays.deadline)
			}
			now = time.UnixMicro(2_000_000)
			clock.fire()
			if r.ended[stays] != endedExpired || clock.running.Load() != 0 || r.timed.Load() != 0 || r.len() != 0 {
				t.Errorf("ended for %v; %d timers, %d deadlines, %d open", r.ended[stays], clock.running.Load(), r.timed.Load(), r.len())
			}
		})
	}
}

// A shard keeps nothing of a stream that it has removed, and a removed stream keeps no
// other: a handler that ignores the end would hold both in memory.
func TestShardReleasesRemovedStreams(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		var shard streamShard
		var open []*guardedStream
		for n := range 20 {
			deadline := int64(random.IntN(5))
			if n%3 == 0 {
				deadline = noDeadline
			}
			g := newIndexedStream(revocation.Criteria{Issuer: "i", Subject: "s"}, deadline)
			shard.add(g)
			open = append(open, g)
		}
		random.Shuffle(len(open), func(a, b int) { open[a], open[b] = open[b], open[a] })
		for n, g := range open {
			if timed := shard.remove(g); timed != (g.deadline != noDeadline) || g.heapIndex != -1 || g.links != [indexCount]streamLink{} {
				t.Fatalf("removed: timed %t, deadline %d, place %d, links %v", timed, g.deadline, g.heapIndex, g.links)
			}
			left := 0
			for _, other := range open[n+1:] {
				if other.deadline != noDeadline {
					left++
				}
			}
			if len(shard.deadlines) != left {
				t.Fatalf("%d deadlines for %d streams", len(shard.deadlines), left)
			}
		}
		for _, g := range shard.deadlines[:cap(shard.deadlines)] {
			if g != nil {
				t.Fatal("the heap holds a removed stream")
			}
		}
	}
}

// The lock of a shard is held for one batch of expired streams at a time.
func TestExpiryBatchIsBounded(t *testing.T) {
	var shard streamShard
	for n := range 2*expiryBatch + 1 {
		shard.add(newIndexedStream(revocation.Criteria{Issuer: "i"}, int64(n)))
	}
	last := int64(2 * expiryBatch)
	for _, want := range []struct {
		expired int
		next    int64
	}{{expiryBatch, expiryBatch}, {expiryBatch, last}, {1, noDeadline}, {0, noDeadline}} {
		expired, next := shard.takeExpired(last)
		if len(expired) != want.expired || next != want.next {
			t.Errorf("%d expired, the next at %d, want %d and %d", len(expired), next, want.expired, want.next)
		}
	}
}
