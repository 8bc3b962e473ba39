package dpop

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash/maphash"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrFull reports a ReplayMemory without room for another live proof, and ErrKeyFull one
// in which the proof's key has used up its share.
var (
	ErrFull    = errors.New("dpop: replay memory is full")
	ErrKeyFull = errors.New("dpop: replay memory holds too many proofs of this key")
)

// shards divide the lock. Each holds about 4,000 of a million proofs, so that
// forgetting all that a shard holds at once takes well under a millisecond.
const shards = 256

// Neither maps nor slices shrink by themselves. Larger ones than these are replaced
// when their records have expired.
const (
	manyRecords = 1 << 10
	manyOwners  = 1 << 7
)

// ReplayMemory remembers in this process which proofs were used (RFC 9449, section
// 11.1). It is exact: it uses no probabilistic filter, and evicts no live proof. Its
// capacity bounds it; if it is full of live proofs, a use fails. It forgets a proof that
// has expired, and starts no goroutine. It is safe for concurrent use. Other processes do
// not see it.
//
// A key may have at most half as many live proofs as there are free places. One key
// thus takes a third of the capacity at most, a second one a third of the rest, and so
// on: of a million places ten greedy keys leave 17,000, and twenty leave 300. Against
// more of them only a limit on the rate of calls helps.
type ReplayMemory struct {
	secret   [16]byte
	seed     maphash.Seed
	capacity int64
	now      func() time.Time
	count    atomic.Int64
	shards   [shards]shard
	shares   [shards]share
}

// NewReplayMemory returns a [ReplayMemory] for at most capacity live proofs. A proof
// takes about 80 bytes, or 120 if its key has no other proof. With a capacity below 1,
// Use always fails. A nil now means time.Now.
func NewReplayMemory(capacity int, now func() time.Time) *ReplayMemory {
	if now == nil {
		now = time.Now
	}
	m := &ReplayMemory{seed: maphash.MakeSeed(), capacity: int64(capacity), now: now}
	rand.Read(m.secret[:])
	for i := range m.shards {
		m.shards[i].used = map[key]struct{}{}
		m.shares[i].counts = map[owner]int64{}
	}
	return m
}

// Use records id up to and including the instant until, and reports whether this is its
// first use. Of all uses of one id with one until, at most one is the first. This holds
// if the uses race, if until has just passed and if the clock is set back or forth. The
// text of id before its first space names the key whose share the proof uses up; an id
// without a space uses up none.
//
// The error is nil, ErrFull or ErrKeyFull; first is false with an error. Use never
// waits, so it does not look at the context.
func (m *ReplayMemory) Use(_ context.Context, id string, until time.Time) (first bool, err error) {
	k, s := m.shardFor(id)
	r := record{key: k, until: until.UnixMicro(), owner: m.ownerOf(id)}
	now := m.now().UnixMicro()
	first, err = m.use(s, r, now)
	if err == nil {
		return first, nil
	}
	// Other shards may hold proofs whose time has passed.
	m.forgetAll(now)
	return m.use(s, r, now)
}

// Len returns how many live proofs m holds.
func (m *ReplayMemory) Len() int {
	m.forgetAll(m.now().UnixMicro())
	return int(m.count.Load())
}

// Capacity returns how many live proofs m can hold.
func (m *ReplayMemory) Capacity() int { return int(m.capacity) }

// key stands for an id: 128 bits of a keyed hash.
//
// If two ids have the same key, the second one looks used: a proof is refused, and none
// ever passes. By chance, among the 2^20 proofs of a window, this happens once in 2^89.
// To make the server refuse a victim's next proof, an attacker would need its jti in
// advance and a second preimage under a secret that never leaves the process.
type key [16]byte

// shardFor hashes id to its key and shard. The secret keeps clients from choosing
// jti values that crowd one shard. An id of Verify's bounds fits the buffer.
func (m *ReplayMemory) shardFor(id string) (key, *shard) {
	buffer := make([]byte, 0, 384)
	sum := sha256.Sum256(append(append(buffer, m.secret[:]...), id...))
	return key(sum[:16]), &m.shards[sum[16]]
}

// An owner stands for the key of a proof: a keyed hash of its thumbprint, 0 for
// none. Keys whose hashes are equal share one count.
type owner uint64

func (m *ReplayMemory) ownerOf(id string) owner {
	thumbprint, _, ok := strings.Cut(id, " ")
	if !ok {
		return 0
	}
	return owner(maphash.String(m.seed, thumbprint))
}

// share counts the live records of some of the owners. Its lock is taken while a
// shard's lock is held, and never in the opposite order.
type share struct {
	mu     sync.Mutex
	counts map[owner]int64
	peak   int // owners at once since the map was made
}

func (m *ReplayMemory) use(s *shard, r record, now int64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.forget(s, now)
	// An expired proof has no record any more. A proof that expires no later than a
	// forgotten record may be that record: the clock was set back, or two uses race
	// at the end of the time. Both are refused, and a correct clock causes neither.
	if _, used := s.used[r.key]; used || r.until < now || r.until <= s.latestForgotten {
		return false, nil
	}
	if err := m.reserve(r.owner); err != nil {
		return false, err
	}
	s.used[r.key] = struct{}{}
	s.push(r)
	return true, nil
}

// reserve counts one more live record if there is room for it. The count covers the
// whole ReplayMemory, so the capacity is exact for any distribution of the ids.
func (m *ReplayMemory) reserve(o owner) error {
	s := &m.shares[o%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		n := m.count.Load()
		switch free := m.capacity - n; {
		case free <= 0:
			return ErrFull
		case 2*s.counts[o] >= free:
			return ErrKeyFull
		}
		if m.count.CompareAndSwap(n, n+1) {
			break
		}
	}
	if o != 0 {
		s.counts[o]++
		s.peak = max(s.peak, len(s.counts))
	}
	return nil
}

// release undoes the count of reserve for one record.
func (m *ReplayMemory) release(o owner) {
	m.count.Add(-1)
	if o == 0 {
		return
	}
	s := &m.shares[o%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[o]--; s.counts[o] == 0 {
		delete(s.counts, o)
	}
	if s.peak > manyOwners && len(s.counts) < s.peak/4 { // as in forget
		copied := make(map[owner]int64, len(s.counts))
		maps.Copy(copied, s.counts)
		s.counts, s.peak = copied, len(copied)
	}
}

func (m *ReplayMemory) forgetAll(now int64) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		m.forget(s, now)
		s.mu.Unlock()
	}
}

// forget removes the records of s that ended before now. The caller holds the lock
// of s.
func (m *ReplayMemory) forget(s *shard, now int64) {
	if len(s.heap) == 0 || s.heap[0].until >= now {
		return
	}
	for len(s.heap) > 0 && s.heap[0].until < now {
		r := s.heap[0]
		s.latestForgotten = max(s.latestForgotten, r.until)
		delete(s.used, r.key)
		s.pop()
		m.release(r.owner)
	}
	// After a flood, give the memory back.
	if len(s.heap) == 0 && cap(s.heap) > manyRecords {
		s.used, s.heap = map[key]struct{}{}, nil
	}
}

// record is a key and the last microsecond for which to remember it.
type record struct {
	key   key
	until int64
	owner owner
}

// shard holds its records twice, without pointers for the garbage collector to
// follow: by key to find them, and as a binary heap with the first to end on
// top, because the ends do not come in order.
type shard struct {
	mu              sync.Mutex
	used            map[key]struct{}
	heap            []record
	latestForgotten int64 // the latest end of a record that is gone
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
