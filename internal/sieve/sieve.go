// Package sieve holds values by digest, up to a total weight. It evicts by the SIEVE
// algorithm (Zhang and others, "SIEVE is Simpler than LRU", NSDI 2024): entries stand in
// a queue from the oldest to the newest. A hand moves along the queue, spares each entry
// that was used since it last came by, and evicts the first one that was not. So values
// that are used once leave soon, and values in use stay.
//
// Writers take a lock. Readers take none: they follow the linked lists of a hash table.
// A writer publishes a complete entry, and an entry that was removed is not used again.
package sieve

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
)

// A Key is a digest, such as SHA-256.
type Key = [32]byte

// A Cache holds values of bounded total weight. It is made by [New] and is safe for
// concurrent use; readers take no lock.
type Cache[V any] struct {
	buckets   []atomic.Pointer[entry[V]] // a power of two
	secret    uint64                     // odd
	shift     uint                       // 64 less the bits of a bucket's number
	maxWeight uint64

	mu             sync.Mutex // for writers
	weight         uint64     // of all entries; at most maxWeight
	count          int
	oldest, newest *entry[V]
	hand           *entry[V] // the next candidate for eviction; nil: the oldest
}

// An entry is one value. Readers use only the fields up to next. A reader that holds an
// entry which is removed meanwhile can still follow next, to entries that were behind it.
type entry[V any] struct {
	key   Key
	value V
	used  atomic.Bool              // since the hand last came by
	next  atomic.Pointer[entry[V]] // in its bucket

	weight       uint64
	older, newer *entry[V] // in the queue; nil after removal
}

// maxSpared bounds the entries that one call of Add spares. They take less time than a
// signature check. Without the bound a new value in a cache of a million values in use
// would pass all of them.
const maxSpared = 1024

// maxBuckets bounds the room that empty buckets take: 8 MiB. Beyond it the lists grow.
const maxBuckets = 1 << 20

// New returns a Cache for about size values, whose total weight is at most maxWeight. If
// maxWeight is 0, the cache holds nothing.
func New[V any](size int, maxWeight uint64) *Cache[V] {
	log := bits.Len(uint(min(max(size, 1), maxBuckets) - 1))
	var secret [8]byte
	rand.Read(secret[:])
	return &Cache[V]{
		buckets:   make([]atomic.Pointer[entry[V]], 1<<log),
		secret:    binary.LittleEndian.Uint64(secret[:]) | 1,
		shift:     uint(64 - log),
		maxWeight: maxWeight,
	}
}

// bucket returns the list of a key.
//
// A stranger who knows how a digest is computed can search for keys with equal bits. So
// the bucket is the upper bits of a product with a secret odd number: any two different
// words share one of n buckets with a probability of at most 2/n (Dietzfelbinger and
// others, "A Reliable Randomized Algorithm for the Closest-Pair Problem", 1997). Keys
// whose first 8 bytes are equal always share one. With 2^40 digests a stranger finds
// many pairs of them, but hardly a triple.
func (c *Cache[V]) bucket(key *Key) *atomic.Pointer[entry[V]] {
	return &c.buckets[binary.LittleEndian.Uint64(key[:])*c.secret>>c.shift]
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
// there is room. Weight 0 counts as 1, and a weight above the cache's maximum counts as
// the maximum.
func (c *Cache[V]) Add(key Key, value V, weight uint64) {
	weight = min(max(weight, 1), c.maxWeight)
	if weight == 0 {
		return
	}
	e := &entry[V]{key: key, value: value, weight: weight}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.find(&key)
	if old != nil {
		c.dequeue(old)
	}
	for spare := maxSpared; c.weight > c.maxWeight-weight; {
		spare = c.evict(spare)
	}
	c.enqueue(e)
	link := c.bucket(&key)
	next := link.Load()
	if old != nil { // in its place, so that readers always find one of both
		link, next = c.linkTo(old), old.next.Load()
	}
	e.next.Store(next)
	link.Store(e)
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

// evict removes one entry, and spares at most the given number. It returns how many it
// may still spare. There must be an entry.
func (c *Cache[V]) evict(spare int) int {
	e := c.candidate(c.hand)
	for ; e.used.Load() && spare > 0; spare-- {
		e.used.Store(false)
		e = c.candidate(e.newer)
	}
	c.hand = e
	c.remove(e) // moves the hand on
	return spare
}

// candidate returns e, or the oldest entry behind the newest.
func (c *Cache[V]) candidate(e *entry[V]) *entry[V] {
	if e == nil {
		return c.oldest
	}
	return e
}

func (c *Cache[V]) remove(e *entry[V]) {
	c.linkTo(e).Store(e.next.Load())
	c.dequeue(e)
}

// linkTo returns the link to an entry in its bucket.
func (c *Cache[V]) linkTo(e *entry[V]) *atomic.Pointer[entry[V]] {
	link := c.bucket(&e.key)
	for link.Load() != e {
		link = &link.Load().next
	}
	return link
}

// enqueue makes an entry the newest one.
func (c *Cache[V]) enqueue(e *entry[V]) {
	e.older = c.newest
	if c.newest == nil {
		c.oldest = e
	} else {
		c.newest.newer = e
	}
	c.newest = e
	c.weight += e.weight
	c.count++
}

// dequeue takes an entry out of the queue.
func (c *Cache[V]) dequeue(e *entry[V]) {
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
	// Or a reader that holds e would keep alive every entry that is added from now on.
	e.older, e.newer = nil, nil
	c.weight -= e.weight
	c.count--
}
