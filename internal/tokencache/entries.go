package tokencache

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// entries holds values by digest, up to a total weight. It is a hash table of linked
// lists, which readers follow without a lock, and a queue from the oldest entry to the
// newest, from which the SIEVE algorithm evicts: a hand moves along the queue, spares
// each entry that was used since it last came by, and evicts the first one that was not.
// Tokens that are used once therefore leave soon, and tokens in use stay (Zhang and
// others, "SIEVE is Simpler than LRU", NSDI 2024).
type entries[V any] struct {
	buckets   []atomic.Pointer[entry[V]] // a power of two
	maxWeight uint64

	mu             sync.Mutex // for writers
	weight         uint64     // of all entries
	count          int
	oldest, newest *entry[V]
	hand           *entry[V] // the next candidate for eviction; nil: the oldest
}

// An entry is one value. A reader that holds an entry which is removed meanwhile can
// still follow next.
type entry[V any] struct {
	key    digest
	value  V
	weight uint64
	used   atomic.Bool              // since the hand last came by
	next   atomic.Pointer[entry[V]] // in its bucket
	older  *entry[V]                // in the queue
	newer  *entry[V]
}

// maxSpared bounds the entries that one eviction spares. They take less time than a
// signature check. Without the bound a new token in a cache of a million tokens in use
// would pass all of them.
const maxSpared = 1024

// maxBuckets bounds the room that empty entries take: 8 MiB. Beyond it the lists grow.
const maxBuckets = 1 << 20

// newEntries returns entries for about size values, whose total weight is at most
// maxWeight. No value may weigh more than that.
func newEntries[V any](size int, maxWeight uint64) *entries[V] {
	buckets := 1
	for buckets < min(size, maxBuckets) {
		buckets *= 2
	}
	return &entries[V]{buckets: make([]atomic.Pointer[entry[V]], buckets), maxWeight: maxWeight}
}

// bucket returns the list of a key. A digest is evenly distributed, and the tokens are
// the issuer's, so no stranger can fill one list.
func (s *entries[V]) bucket(key *digest) *atomic.Pointer[entry[V]] {
	return &s.buckets[binary.LittleEndian.Uint64(key[:])&uint64(len(s.buckets)-1)]
}

// find returns the entry of a key, or nil.
func (s *entries[V]) find(key *digest) *entry[V] {
	e := s.bucket(key).Load()
	for e != nil && e.key != *key {
		e = e.next.Load()
	}
	return e
}

// get returns the value of a key, and spares it from the next eviction.
func (s *entries[V]) get(key *digest) (value V, ok bool) {
	e := s.find(key)
	if e == nil {
		return value, false
	}
	if !e.used.Load() { // or each call would write to memory that all processors read
		e.used.Store(true)
	}
	return e.value, true
}

// peek is get without an effect on evictions.
func (s *entries[V]) peek(key *digest) (value V, ok bool) {
	if e := s.find(key); e != nil {
		return e.value, true
	}
	return value, false
}

// add adds a value, in place of another one with its key. It evicts values first until
// there is room.
func (s *entries[V]) add(key digest, value V, weight uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.find(&key); old != nil {
		s.remove(old)
	}
	for s.weight+weight > s.maxWeight {
		s.evict()
	}
	e := &entry[V]{key: key, value: value, weight: weight, older: s.newest}
	if s.newest == nil {
		s.oldest = e
	} else {
		s.newest.newer = e
	}
	s.newest = e
	s.weight += weight
	s.count++
	bucket := s.bucket(&key)
	e.next.Store(bucket.Load())
	bucket.Store(e)
}

// delete removes the value of a key, if there is one.
func (s *entries[V]) delete(key *digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(key); e != nil {
		s.remove(e)
	}
}

func (s *entries[V]) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// evict removes one entry. There must be one.
func (s *entries[V]) evict() {
	e := s.candidate(s.hand)
	for spared := 0; e.used.Load() && spared < maxSpared; spared++ {
		e.used.Store(false)
		e = s.candidate(e.newer)
	}
	s.hand = e
	s.remove(e) // moves the hand on
}

// candidate returns e, or the oldest entry behind the newest.
func (s *entries[V]) candidate(e *entry[V]) *entry[V] {
	if e == nil {
		return s.oldest
	}
	return e
}

// remove takes an entry out of its bucket and out of the queue.
func (s *entries[V]) remove(e *entry[V]) {
	link := s.bucket(&e.key)
	for link.Load() != e {
		link = &link.Load().next
	}
	link.Store(e.next.Load())
	if s.hand == e {
		s.hand = e.newer
	}
	if e.older == nil {
		s.oldest = e.newer
	} else {
		e.older.newer = e.newer
	}
	if e.newer == nil {
		s.newest = e.older
	} else {
		e.newer.older = e.older
	}
	s.weight -= e.weight
	s.count--
}
