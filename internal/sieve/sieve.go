// Package sieve holds values by digest, up to a total weight. It is a hash table of linked
// lists, which readers follow without a lock, and a queue from the oldest entry to the
// newest, from which the SIEVE algorithm evicts: a hand moves along the queue, spares
// each entry that was used since it last came by, and evicts the first one that was not.
// Values that are used once therefore leave soon, and values in use stay (Zhang and
// others, "SIEVE is Simpler than LRU", NSDI 2024).
package sieve

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// A Key is a digest, such as SHA-256.
type Key = [32]byte

// A Cache holds values of bounded total weight. It is made by [New] and is safe for
// concurrent use; readers take no lock.
type Cache[V any] struct {
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
	key    Key
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

// New returns a Cache for about size values, whose total weight is at most maxWeight.
func New[V any](size int, maxWeight uint64) *Cache[V] {
	buckets := 1
	for buckets < min(size, maxBuckets) {
		buckets *= 2
	}
	return &Cache[V]{buckets: make([]atomic.Pointer[entry[V]], buckets), maxWeight: maxWeight}
}

// bucket returns the list of a key. A digest is evenly distributed, and the tokens are
// the issuer's, so no stranger can fill one list.
func (c *Cache[V]) bucket(key *Key) *atomic.Pointer[entry[V]] {
	return &c.buckets[binary.LittleEndian.Uint64(key[:])&uint64(len(c.buckets)-1)]
}

// find returns the entry of a key, or nil.
func (c *Cache[V]) find(key *Key) *entry[V] {
	e := c.bucket(key).Load()
	for e != nil && e.key != *key {
		e = e.next.Load()
	}
	return e
}

// Get returns the value of a key, and spares it from the next eviction.
func (c *Cache[V]) Get(key Key) (value V, ok bool) {
	e := c.find(&key)
	if e == nil {
		return value, false
	}
	if !e.used.Load() { // or each call would write to memory that all processors read
		e.used.Store(true)
	}
	return e.value, true
}

// Peek is [Cache.Get] without an effect on evictions.
func (c *Cache[V]) Peek(key Key) (value V, ok bool) {
	if e := c.find(&key); e != nil {
		return e.value, true
	}
	return value, false
}

// Add adds a value, in place of another one with its key. It evicts values first until
// there is room. A weight above the cache's maximum counts as the maximum.
func (c *Cache[V]) Add(key Key, value V, weight uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.find(&key); old != nil {
		c.remove(old)
	}
	weight = min(weight, c.maxWeight)
	for c.weight+weight > c.maxWeight {
		c.evict()
	}
	e := &entry[V]{key: key, value: value, weight: weight, older: c.newest}
	if c.newest == nil {
		c.oldest = e
	} else {
		c.newest.newer = e
	}
	c.newest = e
	c.weight += weight
	c.count++
	bucket := c.bucket(&key)
	e.next.Store(bucket.Load())
	bucket.Store(e)
}

// Delete removes the value of a key, if there is one.
func (c *Cache[V]) Delete(key Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.find(&key); e != nil {
		c.remove(e)
	}
}

// Len returns the number of values.
func (c *Cache[V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// evict removes one entry. There must be one.
func (c *Cache[V]) evict() {
	e := c.candidate(c.hand)
	for spared := 0; e.used.Load() && spared < maxSpared; spared++ {
		e.used.Store(false)
		e = c.candidate(e.newer)
	}
	c.hand = e
	c.remove(e) // moves the hand on
}

// candidate returns e, or the oldest entry behind the newest.
func (c *Cache[V]) candidate(e *entry[V]) *entry[V] {
	if e == nil {
		return c.oldest
	}
	return e
}

// remove takes an entry out of its bucket and out of the queue.
func (c *Cache[V]) remove(e *entry[V]) {
	link := c.bucket(&e.key)
	for link.Load() != e {
		link = &link.Load().next
	}
	link.Store(e.next.Load())
	if c.hand == e {
		c.hand = e.newer
	}
	if e.older == nil {
		c.oldest = e.newer
	} else {
		e.older.newer = e.newer
	}
	if e.newer == nil {
		c.newest = e.older
	} else {
		e.newer.older = e.older
	}
	c.weight -= e.weight
	c.count--
}
