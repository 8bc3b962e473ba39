package auth0grpc

import (
	"container/heap"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/revocation"
)

// openStreams is an index of the open streams that were opened with a token: by
// deadline, and by each claim that a revocation can name. It ends them in time.
//
// The streams are spread over shards, each with its own lock. A lock is held for
// the streams of one shard that share a claim, or for expiryBatch of them, and
// never while a stream is ended. All shards share one timer, which runs while
// there is a deadline to wait for.
type openStreams struct {
	policy    StreamPolicy
	now       func() time.Time
	afterFunc func(time.Duration, func()) timer
	end       func(*guardedStream, *refusal) // is called without a lock

	shards    [streamShards]streamShard
	timed     atomic.Int64 // streams with a deadline to wait for
	lingering atomic.Int64 // streams that ended before their handler returned

	nextExpiry atomic.Int64 // when the timer fires; noDeadline if it does not run
	timerMu    sync.Mutex
	timer      timer // under timerMu, as are changes of nextExpiry

	statuses workers // send the statuses of ended streams
}

const (
	streamShards = 32
	expiryBatch  = 1000
)

// A timer is a *time.Timer, or a test's replacement.
type timer interface{ Stop() bool }

func realTimer(d time.Duration, f func()) timer { return time.AfterFunc(d, f) }

// noDeadline is the deadline of a stream that ignores the expiry of its token.
const noDeadline = math.MaxInt64

// deadlineMicros returns t in the unit of deadlines, rounded up. Whole
// microseconds reach further than any date, unlike nanoseconds.
func deadlineMicros(t time.Time) int64 { return t.Add(time.Microsecond - 1).UnixMicro() }

// init prepares the index for use.
func (s *openStreams) init(policy StreamPolicy, now func() time.Time, end func(*guardedStream, *refusal)) {
	s.policy, s.now, s.end, s.afterFunc = policy, now, end, realTimer
	s.nextExpiry.Store(noDeadline)
}

// add puts a stream into the index, and sets the timer if it is the next to end.
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

// remove takes a stream out of the index, and may be called again.
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
		s.timer = nil
	}
}

// endExpired ends the streams whose deadline has passed, and sets the timer for
// the next one. If the clock was set back, no deadline has passed.
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
				s.end(g, endedExpired)
			}
			if len(expired) < expiryBatch {
				next = min(next, deadline)
				break
			}
		}
	}
	if next != noDeadline {
		s.setTimer(next, now)
	}
}

// endRevoked ends the streams whose token c covers and revoked reports.
func (s *openStreams) endRevoked(c revocation.Criteria, revoked func(*claims) bool) {
	index, value := streamIndexOf(c)
	hash := maphash.String(streamSeed, value)
	for i := range s.shards {
		for _, g := range s.shards[i].matching(index, hash, c) {
			if revoked(g.claims) && g.endRequested.CompareAndSwap(false, true) {
				s.end(g, endedRevoked)
			}
		}
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

// A streamIndex is one way to find streams: by the value of a claim.
type streamIndex int

const (
	byTokenID streamIndex = iota
	bySubject
	byClient
	byOrganization
	byIssuer // every stream is in it
	indexCount
)

// streamIndexOf returns the most selective claim that c names, or byIssuer and ""
// if it names none.
func streamIndexOf(c revocation.Criteria) (streamIndex, string) {
	for index, value := range indexValues(c) {
		if value != "" {
			return streamIndex(index), value
		}
	}
	return byIssuer, ""
}

// indexValues returns the value of a claim for each index. A stream is in no list
// for an empty one.
func indexValues(c revocation.Criteria) [indexCount]string {
	return [...]string{c.TokenID, c.Subject, c.ClientID, c.OrganizationID, c.Issuer}
}

// streamSeed keeps clients from choosing claims that share a list.
var streamSeed = maphash.MakeSeed()

func (g *guardedStream) indexValues() [indexCount]string {
	return indexValues(g.claims.revocationToken().Criteria)
}

// A streamLink holds a stream's neighbours in the list of one value of an index.
type streamLink struct{ previous, next *guardedStream }

// A streamShard is a part of openStreams.
type streamShard struct {
	mu        sync.Mutex
	size      int
	deadlines deadlineHeap
	// heads has the first stream of each list, by the hash of the value. It keeps
	// no value: that would keep the whole token alive. Values of one hash share a
	// list, which costs a comparison and decides nothing.
	heads [indexCount]map[uint64]*guardedStream
}

func (h *streamShard) add(g *guardedStream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.size++
	g.listed = true
	g.heapIndex = -1
	if g.deadline != noDeadline {
		heap.Push(&h.deadlines, g)
	}
	for index, value := range g.indexValues() {
		if value == "" {
			continue
		}
		if h.heads[index] == nil {
			h.heads[index] = map[uint64]*guardedStream{}
		}
		hash := maphash.String(streamSeed, value)
		if first := h.heads[index][hash]; first != nil {
			first.links[index].previous = g
			g.links[index].next = first
		}
		h.heads[index][hash] = g
	}
}

// remove reports whether the stream still had a deadline to wait for.
func (h *streamShard) remove(g *guardedStream) (timed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !g.listed {
		return false
	}
	g.listed = false
	h.size--
	if timed = g.heapIndex >= 0; timed {
		heap.Remove(&h.deadlines, g.heapIndex)
	}
	for index, value := range g.indexValues() {
		if value != "" {
			h.unlink(g, streamIndex(index), value)
		}
	}
	return timed
}

func (h *streamShard) unlink(g *guardedStream, index streamIndex, value string) {
	link := g.links[index]
	g.links[index] = streamLink{}
	if link.next != nil {
		link.next.links[index].previous = link.previous
	}
	switch {
	case link.previous != nil:
		link.previous.links[index].next = link.next
	case link.next != nil:
		h.heads[index][maphash.String(streamSeed, value)] = link.next
	default:
		delete(h.heads[index], maphash.String(streamSeed, value))
	}
}

// takeExpired returns streams whose deadline has passed, at most expiryBatch, and
// the deadline of the next one. They stay open, without a deadline.
func (h *streamShard) takeExpired(now int64) (expired []*guardedStream, next int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.deadlines) > 0 && h.deadlines[0].deadline <= now && len(expired) < expiryBatch {
		expired = append(expired, heap.Pop(&h.deadlines).(*guardedStream))
	}
	if len(h.deadlines) == 0 {
		return expired, noDeadline
	}
	return expired, h.deadlines[0].deadline
}

// matching returns the streams whose token c covers. hash is of the value that c
// names for the index.
func (h *streamShard) matching(index streamIndex, hash uint64, c revocation.Criteria) (found []*guardedStream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c == (revocation.Criteria{}) {
		for _, first := range h.heads[byIssuer] {
			found = appendMatching(found, first, byIssuer, c)
		}
		return found
	}
	return appendMatching(found, h.heads[index][hash], index, c)
}

func appendMatching(found []*guardedStream, first *guardedStream, index streamIndex, c revocation.Criteria) []*guardedStream {
	for g := first; g != nil; g = g.links[index].next {
		if c.Matches(g.claims.revocationToken()) {
			found = append(found, g)
		}
	}
	return found
}

// A deadlineHeap is a heap.Interface of streams, the next to end first.
type deadlineHeap []*guardedStream

func (h deadlineHeap) Len() int           { return len(h) }
func (h deadlineHeap) Less(a, b int) bool { return h[a].deadline < h[b].deadline }

func (h deadlineHeap) Swap(a, b int) {
	h[a], h[b] = h[b], h[a]
	h[a].heapIndex, h[b].heapIndex = a, b
}

func (h *deadlineHeap) Push(g any) {
	added := g.(*guardedStream)
	added.heapIndex = len(*h)
	*h = append(*h, added)
}

func (h *deadlineHeap) Pop() any {
	last := len(*h) - 1
	removed := (*h)[last]
	removed.heapIndex = -1
	(*h)[last] = nil // for the garbage collector
	*h = (*h)[:last]
	return removed
}
