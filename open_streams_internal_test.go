package auth0grpc

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/internal/revocation"
)

// An indexRig is an index of streams without gRPC, and a record of its ends.
type indexRig struct {
	openStreams
	mu    sync.Mutex
	ended map[*guardedStream]*refusal
}

func newIndexRig(now func() time.Time) *indexRig {
	r := &indexRig{ended: map[*guardedStream]*refusal{}}
	r.init(StreamPolicy{}, now, func(g *guardedStream, _ *caller, reason *refusal) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended[g] = reason
		r.remove(g)
	})
	return r
}

// newClaims returns the claims of a token with the given criteria.
func newClaims(c revocation.Criteria) *claims {
	return &claims{Token: Token{issuer: c.Issuer, subject: c.Subject, clientID: c.ClientID, organizationID: c.OrganizationID}, tokenID: c.TokenID}
}

func newIndexedStream(c revocation.Criteria, deadline int64) *guardedStream {
	return &guardedStream{callCtx: context.Background(), caller: caller{claims: newClaims(c)}, deadline: deadline}
}

func always(*claims) bool { return true }

// The index finds the streams that a comparison of all of them finds, after any
// order of openings and ends.
func TestIndexFindsWhatAScanFinds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	anyCriteria := func(issuers ...string) revocation.Criteria {
		return revocation.Criteria{
			Issuer: pick(issuers...), Subject: pick("", "a", "b", "c"), ClientID: pick("", "a", "b"),
			OrganizationID: pick("", "a", "b"), TokenID: pick("", "a", "b", "c", "d"),
		}
	}
	for range 300 {
		r := newIndexRig(time.Now)
		open := map[*guardedStream]bool{}
		for range 60 {
			g := newIndexedStream(anyCriteria("i", "j"), noDeadline)
			r.add(g, time.Time{})
			open[g] = true
			for other := range open { // an arbitrary one leaves
				if random.IntN(3) == 0 {
					r.remove(other)
					r.remove(other)
					delete(open, other)
				}
				break
			}
		}
		for range 5 {
			c := anyCriteria("", "i", "j")
			want := map[*guardedStream]*refusal{}
			for g := range open {
				if c.Matches(g.claims.revocationToken()) {
					want[g] = endedRevoked
					delete(open, g)
				}
			}
			clear(r.ended)
			r.endRevoked(c, always)
			if len(want) != len(r.ended) || r.len() != len(open) {
				t.Fatalf("%+v ended %d streams, want %d; %d open, want %d", c, len(r.ended), len(want), r.len(), len(open))
			}
			for g := range want {
				if r.ended[g] != endedRevoked {
					t.Fatalf("%+v did not end %+v", c, g.claims.revocationToken())
				}
			}
		}
		r.endRevoked(revocation.Criteria{}, always)
		if n := r.len(); n != 0 {
			t.Fatalf("%d streams are left", n)
		}
		for i := range r.shards { // nothing of a stream that left stays
			for index, heads := range r.shards[i].heads {
				if len(heads) != 0 {
					t.Fatalf("index %d has %d lists", index, len(heads))
				}
			}
		}
	}
}

// A stream that the revocation spares goes on, and a later one ends it, once.
func TestIndexSparesAStream(t *testing.T) {
	r := newIndexRig(time.Now)
	g := newIndexedStream(revocation.Criteria{Issuer: "i", Subject: "s"}, noDeadline)
	r.add(g, time.Time{})
	c := revocation.Criteria{Subject: "s"}
	r.endRevoked(c, func(*claims) bool { return false })
	if len(r.ended) != 0 {
		t.Error("ended a stream that is not revoked")
	}
	g.endRequested.Store(true) // another revocation ends it
	r.endRevoked(c, always)
	if len(r.ended) != 0 {
		t.Error("ended a stream twice")
	}
	g.endRequested.Store(false)
	r.endRevoked(c, always)
	if len(r.ended) != 1 {
		t.Error("did not end a revoked stream")
	}
}

// A fakeTimer records the one timer of an index.
type fakeTimer struct {
	running atomic.Int64
	after   time.Duration
	fire    func()
}

func (f *fakeTimer) afterFunc(d time.Duration, fire func()) timer {
	f.running.Add(1)
	f.after, f.fire = d, fire
	return &fakeStop{of: f}
}

type fakeStop struct {
	of   *fakeTimer
	once sync.Once
}

func (s *fakeStop) Stop() bool {
	s.once.Do(func() { s.of.running.Add(-1) })
	return true
}

// More streams than one batch expire together, across all shards; the others stay,
// and the timer waits for the next of them.
func TestExpiryInBatches(t *testing.T) {
	now := time.UnixMicro(1_000_000)
	r := newIndexRig(func() time.Time { return now })
	clock := &fakeTimer{}
	r.afterFunc = clock.afterFunc
	const due = streamShards * expiryBatch * 3 / 2
	for n := range due {
		r.add(newIndexedStream(revocation.Criteria{Issuer: "i", TokenID: fmt.Sprint(n)}, 1_000_000+int64(n%7)), now)
	}
	for n := range 3 {
		r.add(newIndexedStream(revocation.Criteria{Issuer: "i"}, 5_000_000+int64(n)), now)
		r.add(newIndexedStream(revocation.Criteria{Issuer: "i"}, noDeadline), now)
	}
	if clock.after != 0 || clock.running.Load() != 1 {
		t.Errorf("%d timers, the last after %v", clock.running.Load(), clock.after)
	}
	now = time.UnixMicro(1_000_006)
	clock.fire()
	if len(r.ended) != due || r.len() != 6 {
		t.Errorf("%d ended and %d open, want %d and 6", len(r.ended), r.len(), due)
	}
	for g, reason := range r.ended {
		if reason != endedExpired || g.deadline > now.UnixMicro() {
			t.Fatalf("ended a stream with deadline %d for %v", g.deadline, reason)
		}
	}
	if want := 3999994 * time.Microsecond; clock.after != want || clock.running.Load() != 1 {
		t.Errorf("%d timers run, the last after %v, want one after %v", clock.running.Load(), clock.after, want)
	}
	now = now.Add(time.Minute)
	clock.fire()
	if clock.running.Load() != 0 || r.timed.Load() != 0 || r.len() != 3 {
		t.Errorf("%d timers run, %d deadlines, %d open, want 0, 0 and 3", clock.running.Load(), r.timed.Load(), r.len())
	}
}

// The timer runs exactly while a deadline is ahead, also if streams open and end at the
// same time.
func TestTimerFollowsTheDeadlines(t *testing.T) {
	r := newIndexRig(time.Now)
	clock := &fakeTimer{}
	var mu sync.Mutex
	r.afterFunc = func(d time.Duration, f func()) timer {
		mu.Lock()
		defer mu.Unlock()
		return clock.afterFunc(d, f)
	}
	for round := range 200 {
		var group sync.WaitGroup
		stays := newIndexedStream(revocation.Criteria{Issuer: "i"}, int64(2000+round))
		for n := range 4 {
			group.Go(func() {
				for k := range 5 {
					g := newIndexedStream(revocation.Criteria{Issuer: "i"}, int64(1000*n+k))
					r.add(g, time.Time{})
					r.remove(g)
				}
			})
		}
		group.Go(func() { r.add(stays, time.Time{}) })
		group.Wait()
		if next := r.nextExpiry.Load(); clock.running.Load() != 1 || next > stays.deadline {
			t.Fatalf("%d timers, the next at %d, want one at %d or earlier", clock.running.Load(), next, stays.deadline)
		}
		r.remove(stays)
		if next := r.nextExpiry.Load(); clock.running.Load() != 0 || next != noDeadline {
			t.Fatalf("%d timers, the next at %d, want none", clock.running.Load(), next)
		}
	}
}

// Many tasks use few goroutines; a task that blocks delays no other for long, and
// each runs once, the oldest first.
func TestWorkers(t *testing.T) {
	var w workers
	var running, most, done atomic.Int64
	const tasks = 5000
	var all sync.WaitGroup
	all.Add(tasks)
	for range tasks {
		w.do(func() {
			defer all.Done()
			n := running.Add(1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			done.Add(1)
			running.Add(-1)
		})
	}
	all.Wait()
	if most.Load() > tasks/10 || done.Load() != tasks {
		t.Errorf("%d goroutines at once for %d tasks, %d ran", most.Load(), tasks, done.Load())
	}
	release := make(chan struct{})
	var blocked sync.WaitGroup
	for range 3 * maxWorkers {
		blocked.Add(1)
		w.do(func() { defer blocked.Done(); <-release })
	}
	last := make(chan struct{})
	w.do(func() { close(last) })
	<-last // behind tasks that block in every place
	close(release)
	blocked.Wait()
	one := sync.WaitGroup{}
	one.Add(1)
	w.do(one.Done) // the places are free again
	one.Wait()
}

// The oldest task runs first.
func TestWorkersInOrder(t *testing.T) {
	w := workers{running: maxWorkers} // no place: the tasks queue
	var got []int
	for n := range 5 {
		w.do(func() { got = append(got, n) })
	}
	w.run()
	if diff := cmp.Diff([]int{0, 1, 2, 3, 4}, got); diff != "" || !slices.IsSorted(got) {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if w.running != maxWorkers-1 || w.tasks != nil {
		t.Errorf("%d places taken, %d tasks left", w.running, len(w.tasks))
	}
}

// The timer is set to the earliest deadline, in any order.
func TestTimerKeepsTheEarliestDeadline(t *testing.T) {
	now := time.Unix(1_900_000_000, 0)
	for _, order := range [][]int64{{1, 2}, {2, 1}, {1, 1}, {3, 1, 2}} {
		r := newIndexRig(func() time.Time { return now })
		started := 0
		r.afterFunc = func(time.Duration, func()) timer { started++; return time.NewTimer(time.Hour) }
		for _, second := range order {
			r.setTimer(now.Add(time.Duration(second)*time.Second).UnixMicro(), now)
		}
		if got, want := r.nextExpiry.Load(), now.Add(time.Second).UnixMicro(); got != want || started > 2 {
			t.Errorf("order %v: the timer fires %d µs late, set %d times", order, got-want, started)
		}
		r.dropTimer()
	}
}
