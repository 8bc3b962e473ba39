// Package tokencache remembers results about tokens, by a hash of the token and never
// the token itself. It does not depend on the type of the results, on
// verification or on time: a value was true when it was added, and the caller decides
// whether it is still true.
//
// Only results of verified tokens enter the cache, so garbage cannot push good entries
// out.
package tokencache

import (
	"context"
	"errors"
	"math"
	"sync"

	"github.com/auth0grpc/auth0grpc/internal/sieve"
)

// A Cache holds a bounded number of values of bounded total weight. Values that were not
// used lately give way to new ones. It is made by [New] and is safe for concurrent
// use; readers take no lock.
type Cache[V any] struct {
	entries  *sieve.Cache[V]
	weigh    func(V) int
	digester *digester

	mu            sync.Mutex
	verifications map[digest]*verification[V] // in progress
}

// A verification is one call of verify and its result, which is set when done is
// closed.
type verification[V any] struct {
	done  chan struct{} // nil while no other caller waits
	value V
	err   error
}

// errAborted is the result of a verify that did not return: it panicked.
var errAborted = errors.New("tokencache: verification aborted")

// Weight is the weight of a value of ordinary size, in bytes. A value that weighs
// less counts as much.
const Weight = 2 << 10

// New returns a Cache for size values of ordinary size: their total weight is at
// most size times [Weight]. weigh returns the bytes of memory that a value takes.
// A value that weighs more than all together counts as all.
func New[V any](size int, weigh func(V) int) *Cache[V] {
	size = min(size, math.MaxInt/Weight)
	return &Cache[V]{
		entries:       sieve.New[V](size, uint64(size)*Weight),
		weigh:         weigh,
		digester:      newDigester(),
		verifications: make(map[digest]*verification[V]),
	}
}

// A Key names a token in one [Cache]. The cache hashes the token once, when that is
// needed. It is made by [KeyOf] and is not safe for concurrent use.
type Key struct {
	raw    string
	hashed bool
	sum    digest
}

// KeyOf returns the Key of a token.
func KeyOf(raw string) *Key { return &Key{raw: raw} }

// Token returns the token.
func (k *Key) Token() string { return k.raw }

func (c *Cache[V]) digest(k *Key) digest {
	if !k.hashed {
		k.sum, k.hashed = c.digester.digest(k.raw), true
	}
	return k.sum
}

// Get returns the value cached for a token.
func (c *Cache[V]) Get(token *Key) (value V, ok bool) {
	key := c.digest(token)
	return c.entries.Get(key)
}

// Peek is like [Cache.Get], but does not count as a use.
func (c *Cache[V]) Peek(raw string) (value V, ok bool) {
	key := c.digester.digest(raw)
	return c.entries.Peek(key)
}

// Delete forgets a token.
func (c *Cache[V]) Delete(token *Key) {
	key := c.digest(token)
	c.entries.Delete(key)
}

// Len returns how many tokens are known.
func (c *Cache[V]) Len() int { return c.entries.Len() }

// Verify calls verify and remembers the result unless it is an error. Concurrent
// calls for one token share a single verification: the first caller runs it on its
// own goroutine and the others wait for its result.
//
// A caller whose ctx ends stops waiting, with the error of ctx. A verification that
// ended by the context of its caller counts for that caller only; another caller
// then starts again. A panic in verify passes on to its caller only, too.
func (c *Cache[V]) Verify(ctx context.Context, token *Key, verify func() (V, error)) (V, error) {
	key := c.digest(token)
	for {
		v, first := c.join(key)
		if first {
			return c.run(v, key, verify)
		}
		select {
		case <-ctx.Done():
			return *new(V), ctx.Err()
		case <-v.done:
		}
		if v.err == errAborted || isContextError(v.err) {
			if err := ctx.Err(); err != nil {
				return *new(V), err
			}
			continue
		}
		return v.value, v.err
	}
}

// join returns the verification of a token in progress, or a new one. It reports
// whether the caller is the first and has to run it.
func (c *Cache[V]) join(key digest) (v *verification[V], first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v = c.verifications[key]; v != nil {
		if v.done == nil {
			v.done = make(chan struct{})
		}
		return v, false
	}
	v = &verification[V]{err: errAborted}
	c.verifications[key] = v
	return v, true
}

// run calls verify and passes its result to the callers that wait.
func (c *Cache[V]) run(v *verification[V], key digest, verify func() (V, error)) (V, error) {
	defer func() {
		c.mu.Lock()
		delete(c.verifications, key)
		done := v.done
		c.mu.Unlock()
		if done != nil {
			close(done)
		}
	}()
	value, err := verify()
	if err == nil {
		c.add(key, value)
	}
	v.value, v.err = value, err
	return value, err
}

// isContextError reports whether an error means only that a context ended, and nothing
// about the token.
func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func (c *Cache[V]) add(key digest, value V) {
	c.entries.Add(key, value, max(uint64(c.weigh(value)), Weight))
}
