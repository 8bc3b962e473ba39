// Package tokencache remembers what was found out about tokens, by the SHA-256 of
// the token and never the token itself. It knows nothing of what it remembers, of
// verification or of time: what it holds was true once, and whoever takes it out
// judges whether it still is.
//
// Only what was verified gets in, so garbage cannot push good entries out.
package tokencache

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"
)

// A digest names a token. SHA-256 has no known collisions, so no second token can
// be found for a cached one.
type digest [sha256.Size]byte

// A Cache holds a bounded number of values, those used least giving way to new
// ones. It is made by New and is safe for concurrent use; readers take no lock.
type Cache[V any] struct {
	entries *otter.Cache[digest, V]
	flights singleflight.Group
	// headers are the encoded JOSE headers of tokens that were verified, each with
	// the dot behind it; there are as many as the issuers have keys. A token that
	// starts with none of them is not in the cache, and is not hashed to find that
	// out.
	headers atomic.Pointer[[]string]
}

// maxHeaders bounds Cache.headers. It fills up only if tokens that the issuer
// signed have more different headers; then every token is hashed.
const maxHeaders = 32

// New returns a Cache for at most size values.
func New[V any](size int) *Cache[V] {
	c := &Cache[V]{entries: otter.Must(&otter.Options[digest, V]{
		MaximumSize: size,
		// On the goroutine that caused it: there is none to leak, and the bound
		// holds when a call returns.
		Executor: func(task func()) { task() },
	})}
	c.headers.Store(&[]string{})
	return c
}

// Find returns what is known of a token.
func (c *Cache[V]) Find(raw string) (value V, ok bool) {
	if !c.mayHave(raw) {
		return value, false
	}
	return c.entries.GetIfPresent(digestOf(raw))
}

// Probe is Find for one who must not wait: it does not count as a use, and so
// brings no upkeep of the cache with it.
func (c *Cache[V]) Probe(raw string) (value V, ok bool) {
	if !c.mayHave(raw) {
		return value, false
	}
	entry, ok := c.entries.GetEntryQuietly(digestOf(raw))
	return entry.Value, ok
}

// Remove forgets a token.
func (c *Cache[V]) Remove(raw string) { c.entries.Invalidate(digestOf(raw)) }

// Len returns how many tokens are known.
func (c *Cache[V]) Len() int { return c.entries.EstimatedSize() }

// Verify makes concurrent first uses of one token one call of verify, by whose
// result all of them abide; it is remembered unless it is an error. A caller whose
// ctx ends goes, with the error of ctx; if verify itself ended by the context of
// its caller, the others begin again.
func (c *Cache[V]) Verify(ctx context.Context, raw string, verify func() (V, error)) (V, error) {
	sum := digestOf(raw)
	for {
		shared := c.flights.DoChan(string(sum[:]), func() (any, error) {
			value, err := verify()
			if err == nil {
				c.add(raw, value)
			}
			return value, err
		})
		select {
		case <-ctx.Done():
			return *new(V), ctx.Err()
		case r := <-shared:
			if endedByContext(r.Err) && ctx.Err() == nil {
				continue
			}
			return r.Val.(V), r.Err
		}
	}
}

// endedByContext reports whether an error says nothing about the token but that
// somebody's patience ended.
func endedByContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// mayHave reports whether the token starts as one in the cache could.
func (c *Cache[V]) mayHave(raw string) bool {
	known := *c.headers.Load()
	for _, header := range known {
		if strings.HasPrefix(raw, header) {
			return true
		}
	}
	return len(known) >= maxHeaders
}

func (c *Cache[V]) add(raw string, value V) {
	c.learn(raw[:strings.IndexByte(raw, '.')+1])
	c.entries.Set(digestOf(raw), value)
}

func (c *Cache[V]) learn(header string) {
	for {
		known := c.headers.Load()
		if len(*known) >= maxHeaders || slices.Contains(*known, header) {
			return
		}
		// The clone keeps no part of the token alive with the header.
		more := append(slices.Clone(*known), strings.Clone(header))
		if c.headers.CompareAndSwap(known, &more) {
			return
		}
	}
}

// digestOf hashes the token where it lies: SHA-256 only reads, and a copy would
// cost more than the rest of a hit.
func digestOf(raw string) digest {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(raw), len(raw)))
}
