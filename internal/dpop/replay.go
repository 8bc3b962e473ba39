package dpop

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrFull reports a Memory without room for another live proof.
var ErrFull = errors.New("dpop: replay memory is full")

// shards divide the lock. Each holds about 4,000 of a million proofs, so that
// forgetting all that a shard holds at once takes well under a millisecond.
const shards = 256

// Memory remembers in this process which proofs were used (RFC 9449, section
// 11.1). It is exact: no filter that forgets or mistakes, and no eviction. It
// holds at most its capacity, refuses to go on when that is full of live
// proofs, forgets each proof after its time, and starts no goroutine. It is safe
// for concurrent use. Other processes do not see it.
type Memory struct {
	secret   [16]byte
	capacity int64
	now      func() time.Time
	live     atomic.Int64
	shards   [shards]shard
}

// NewMemory returns a Memory for at most capacity live proofs, which take about
// 70 bytes each as they come; with a capacity below 1, Use always fails. A nil
// now is time.Now.
func NewMemory(capacity int, now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	m := &Memory{capacity: int64(capacity), now: now}
	rand.Read(m.secret[:])
	for i := range m.shards {
		m.shards[i].used = map[key]struct{}{}
	}
	return m
}

// Use records id until the instant until, that one included, and reports
// whether this is its first use. Of any number of uses of one id with one until,
// at most one is the first, also when they race, when until has just passed, and
// when the clock is set back or forth. The error is nil or ErrFull; first is
// false with an error. It never waits, so it does not look at the context.
func (m *Memory) Use(_ context.Context, id string, until time.Time) (first bool, err error) {
	k, s := m.locate(id)
	now := m.now().UnixMicro()
	first, err = m.use(s, k, now, until.UnixMicro())
	if err != ErrFull {
		return first, err
	}
	// Other shards may hold proofs that nobody has needed to forget yet.
	for i := range m.shards {
		m.forget(&m.shards[i], now)
	}
	return m.use(s, k, now, until.UnixMicro())
}

// key stands for an id: 128 bits of a keyed hash.
//
// Two ids with one key make the second look used: a proof is refused, and none
// is ever let through. By chance, among the 2^20 proofs of a window, that is one
// in 2^89. To have a victim's next proof refused, an attacker needs its jti
// beforehand and a second preimage under a secret that never leaves the process.
type key [16]byte

// locate hashes id to its key and shard. The secret keeps clients from choosing
// jti values that crowd one shard. An id of Verify's bounds fits the buffer.
func (m *Memory) locate(id string) (key, *shard) {
	buffer := make([]byte, 0, 384)
	sum := sha256.Sum256(append(append(buffer, m.secret[:]...), id...))
	return key(sum[:16]), &m.shards[sum[16]]
}

func (m *Memory) use(s *shard, k key, now, until int64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.live.Add(-s.forget(now))
	// A use whose time has passed is late for its own record, and one that ends
	// no later than a record already forgotten may have been that record: before
	// the clock was set back, or in a race at the window's end. Both are refused,
	// which costs a sound clock nothing.
	if _, used := s.used[k]; used || until < now || until <= s.forgotten {
		return false, nil
	}
	if !m.reserve() {
		return false, ErrFull
	}
	s.used[k] = struct{}{}
	s.push(record{k, until})
	return true, nil
}

// reserve counts one more live record if there is room for it. The count is the
// whole Memory's, so that the capacity is exact however the ids spread.
func (m *Memory) reserve() bool {
	for n := m.live.Load(); n < m.capacity; n = m.live.Load() {
		if m.live.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

func (m *Memory) forget(s *shard, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.live.Add(-s.forget(now))
}

// record is a key and the last microsecond for which to remember it.
type record struct {
	key   key
	until int64
}

// shard holds its records twice, without pointers for the garbage collector to
// follow: by key to find them, and as a binary heap with the first to end on
// top, because the ends do not come in order.
type shard struct {
	mu        sync.Mutex
	used      map[key]struct{}
	heap      []record
	forgotten int64 // the latest end of a record that is gone
}

// forget removes the records that ended before now and returns how many.
func (s *shard) forget(now int64) (gone int64) {
	for len(s.heap) > 0 && s.heap[0].until < now {
		s.forgotten = max(s.forgotten, s.heap[0].until)
		delete(s.used, s.heap[0].key)
		s.pop()
		gone++
	}
	// Neither maps nor slices shrink: after a flood, let them go.
	if gone > 0 && len(s.heap) == 0 && cap(s.heap) > 1<<10 {
		s.used, s.heap = map[key]struct{}{}, nil
	}
	return gone
}

// push is container/heap's, without an allocation for the interface.
func (s *shard) push(r record) {
	s.heap = append(s.heap, r)
	i := len(s.heap) - 1
	for i > 0 && s.heap[(i-1)/2].until > r.until {
		s.heap[i] = s.heap[(i-1)/2]
		i = (i - 1) / 2
	}
	s.heap[i] = r
}

// pop removes the top: the last record takes its place and sinks.
func (s *shard) pop() {
	last := len(s.heap) - 1
	r := s.heap[last]
	s.heap = s.heap[:last]
	i := 0
	for child := 1; child < last; child = 2*i + 1 {
		if child+1 < last && s.heap[child+1].until < s.heap[child].until {
			child++
		}
		if s.heap[child].until >= r.until {
			break
		}
		s.heap[i] = s.heap[child]
		i = child
	}
	if last > 0 {
		s.heap[i] = r
	}
}
