package auth0grpc

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/revocation"
)

// openStreams is an index of the open streams that were opened with a token: by
// deadline, and by each claim that a revocation can name. It ends them on time.
//
// The streams are spread over shards, each with its own lock. A lock is held for the
// streams of one shard that share a claim, or for expiryBatch of them, and never while
// a stream is ended. All shards share one timer, which runs while any stream has a
// deadline.
type openStreams struct {
	policy    StreamPolicy
	now       func() time.Time
	afterFunc func(time.Duration, func()) timer
	endStream func(*guardedStream, *caller, *refusal) // is called without a lock

	shards    [streamShards]streamShard
	timed     atomic.Int64 // streams with a deadline to wait for
	lingering atomic.Int64 // streams that ended before their handler returned

	nextExpiry atomic.Int64 // when the timer fires; noDeadline if it does not run
	timerMu    sync.Mutex
	timer      timer // under timerMu, as are changes of nextExpiry

	statuses workers // send the statuses of ended streams
}

// A timer is a *time.Timer, or a test's replacement.
type timer interface{ Stop() bool }

func realTimer(d time.Duration, f func()) timer { return time.AfterFunc(d, f) }

// deadlineMicros returns t in the unit of deadlines, rounded up. Whole
// microseconds reach further than any date, unlike nanoseconds.
func deadlineMicros(t time.Time) int64 { return t.Add(time.Microsecond - 1).UnixMicro() }

// init prepares the index for use.
func (s *openStreams) init(policy StreamPolicy, now func() time.Time, endStream func(*guardedStream, *caller, *refusal)) {
	s.policy, s.now, s.endStream, s.afterFunc = policy, now, endStream, realTimer
	s.nextExpiry.Store(noDeadline)
}

// deadline returns when a stream of c ends, and whether it has a deadline.
func (s *openStreams) deadline(c *caller) (time.Time, bool) {
	policy := s.policy
	if c.row != nil && c.row.rule.streams.kind != 0 {
		policy = c.row.rule.streams
	}
	return c.claims.usableUntil.Add(policy.grace), policy.kind != ignoreExpiry
}

// add adds a stream to the index, and sets the timer if it is the next to end.
func (s *openStreams) add(g *guardedStream, now time.Time) {
	timed := g.deadline != noDeadline
	if timed {
		s.timed.Add(1) // before nextExpiry is read: see stopTimer
	}
	g.shard = &s.shards[rand.Uint32N(streamShards)]
	g.shard.add(g)
	if timed && g.deadline < s.nextExpiry.Load() {
		s.setTimer(g.deadline, now)
	}
}

// remove removes a stream from the index, and may be called again.
func (s *openStreams) remove(g *guardedStream) {
	if g.shard.remove(g) && s.timed.Add(-1) == 0 {
		s.stopTimer()
	}
}

// setTimer sets the timer to a deadline, unless it fires earlier anyway.
func (s *openStreams) setTimer(deadline int64, now time.Time) {
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	if deadline >= s.nextExpiry.Load() {
		return
	}
	s.dropTimer()
	s.nextExpiry.Store(deadline)
	s.timer = s.afterFunc(time.UnixMicro(deadline).Sub(now), s.endExpired)
}

// stopTimer stops the timer if no stream has a deadline. A stream that is added
// meanwhile sets the timer itself, or is counted here in time to keep it.
func (s *openStreams) stopTimer() {
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	fires := s.nextExpiry.Swap(noDeadline)
	if s.timed.Load() > 0 {
		s.nextExpiry.Store(fires)
		return
	}
	s.dropTimer()
}

// dropTimer stops the timer if it runs. The caller holds timerMu.
func (s *openStreams) dropTimer() {
	s.nextExpiry.Store(noDeadline)
	if s.timer != nil {
		s.timer.Stop()
	}
}

// endExpired ends the streams whose deadline has passed, and sets the timer for the
// next one. If the clock was set back, no deadline has passed.
func (s *openStreams) endExpired() {
	s.timerMu.Lock()
	s.dropTimer() // another one, if a stream has set it since this one fired
	s.timerMu.Unlock()
	now := s.now()
	next := int64(noDeadline)
	for i := range s.shards {
		for {
			expired, deadline := s.shards[i].takeExpired(now.UnixMicro())
			s.timed.Add(-int64(len(expired)))
			for _, g := range expired {
				s.endStream(g, &g.caller, endedExpired)
			}
			if len(expired) < expiryBatch {
				next = min(next, deadline)
				break
			}
		}
	}
	s.setTimer(next, now)
}

// endRevoked ends the streams whose token c covers, if revoked reports them.
func (s *openStreams) endRevoked(c revocation.Criteria, revoked func(*claims) bool) {
	index, value := streamIndexOf(c)
	hash := maphash.String(streamSeed, value)
	for i := range s.shards {
		for _, g := range s.shards[i].matching(index, hash, c) {
			if revoked(g.claims) && g.endRequested.CompareAndSwap(false, true) {
				s.endStream(g, &g.caller, endedRevoked)
			}
		}
	}
}

// endRefused ends the streams that the current table refuses. current returns it.
func (s *openStreams) endRefused(current func() *table) {
	underHandler := map[*refusal]*refusal{} // few, for any number of streams
	for i := range s.shards {
		for _, g := range s.shards[i].matching(byIssuer, 0, revocation.Criteria{}) {
			methods := current()
			if methods == g.table {
				continue
			}
			c, refused := g.checkRow(methods)
			if refused == nil {
				continue
			}
			if underHandler[refused] == nil {
				underHandler[refused] = refused.underHandler()
			}
			s.endStream(g, &c, underHandler[refused])
		}
	}
}

// endOne ends a stream, unless it has ended by itself. describe sets metadata that
// goes with the status.
func (s *openStreams) endOne(g *guardedStream, reason *refusal, describe func()) {
	closed := g.endHandler(reason, func() {
		s.lingering.Add(1)
		s.remove(g) // before the client can know that it has ended
		describe()
	})
	if closed && g.writer() != nil {
		s.statuses.do(g.writeStatus)
	}
}

// handlerReturned records that the handler of a stream has returned. It returns
// the reason if the stream was ended before.
func (s *openStreams) handlerReturned(g *guardedStream) *refusal {
	reason := g.finish()
	if reason != nil {
		s.lingering.Add(-1)
	}
	return reason
}

// len returns the number of open streams.
func (s *openStreams) len() int {
	n := 0
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		n += shard.size
		shard.mu.Unlock()
	}
	return n
}
