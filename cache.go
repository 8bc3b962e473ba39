package auth0grpc

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"
)

// NoCache as Config.CacheSize turns the verified-token cache off: each call then
// costs a public-key operation.
const NoCache = -1

// defaultCacheSize is the number of tokens kept unless Config.CacheSize says
// otherwise: about 20 MB when full.
const defaultCacheSize = 10_000

// A digest names a token in the cache. SHA-256 has no known collisions, so no
// second token can be found for a cached one.
type digest [sha256.Size]byte

// A cache remembers the claims of tokens whose signature was verified: never a
// token, never a refusal, and never a decision, which is made anew from the
// claims at each call (CVE-2021-32701). It belongs to one verifier, and so does
// everything in it: a token that one interceptor accepted is unknown to another
// (GHSA-h6c8-cww8-35hf).
//
// Its entries end with their tokens: verifier.recheck judges exp at each hit
// with the clock of the Config, and what has expired is removed or pushed out.
type cache struct {
	entries *otter.Cache[digest, *claims]
	flights singleflight.Group

	// headers are the encoded JOSE headers of tokens that were verified; there are
	// as many as the issuers have keys. A token that starts with none of them is
	// not in the cache, and is not hashed to find that out.
	headers atomic.Pointer[[]string]
	learn   sync.Mutex // taken to replace headers
}

// maxHeaders bounds cache.headers. It fills up only if tokens that the issuer
// signed have more different headers; then every token is hashed.
const maxHeaders = 32

func newCache(size int) *cache {
	c := &cache{entries: otter.Must(&otter.Options[digest, *claims]{
		MaximumSize: size,
		// On the goroutine that caused it: there is none to leak, and the bound
		// holds when a call returns.
		Executor: func(task func()) { task() },
	})}
	c.headers.Store(&[]string{})
	return c
}

// find returns the claims of a token that was verified before.
func (c *cache) find(raw string) (*claims, bool) {
	if !c.mayHave(raw) {
		return nil, false
	}
	return c.entries.GetIfPresent(digestOf(raw))
}

// probe is find for one who must not wait: it does not count as a use, and so
// brings no upkeep of the cache with it.
func (c *cache) probe(raw string) (*claims, bool) {
	if !c.mayHave(raw) {
		return nil, false
	}
	entry, ok := c.entries.GetEntryQuietly(digestOf(raw))
	return entry.Value, ok
}

// mayHave reports whether the token starts as one in the cache could.
func (c *cache) mayHave(raw string) bool {
	known := *c.headers.Load()
	header, _, _ := strings.Cut(raw, ".")
	return slices.Contains(known, header) || len(known) >= maxHeaders
}

// add remembers the claims of a token that has just been verified.
func (c *cache) add(raw string, verified *claims) {
	header, _, _ := strings.Cut(raw, ".")
	c.learnHeader(header)
	c.entries.Set(digestOf(raw), verified)
}

func (c *cache) learnHeader(header string) {
	if slices.Contains(*c.headers.Load(), header) {
		return
	}
	c.learn.Lock()
	defer c.learn.Unlock()
	known := *c.headers.Load()
	if len(known) >= maxHeaders || slices.Contains(known, header) {
		return
	}
	// The clone keeps no part of the token alive with the header.
	more := append(slices.Clone(known), strings.Clone(header))
	c.headers.Store(&more)
}

func (c *cache) remove(raw string) { c.entries.Invalidate(digestOf(raw)) }

// digestOf hashes the token where it lies: SHA-256 only reads, and a copy would
// cost more than the rest of a cache hit.
func digestOf(raw string) digest {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(raw), len(raw)))
}

// once makes concurrent first uses of one token one verification, by which all
// of them abide. A caller whose context ends goes; if it was the one whose
// context the verification ran under, the others begin again.
func (c *cache) once(ctx context.Context, raw string, verify func() (*claims, *refusal)) (*claims, *refusal) {
	type result struct {
		verified *claims
		refused  *refusal
	}
	sum := digestOf(raw)
	for {
		shared := c.flights.DoChan(string(sum[:]), func() (any, error) {
			verified, refused := verify()
			if refused == nil {
				c.add(raw, verified)
			}
			return result{verified, refused}, nil
		})
		select {
		case <-ctx.Done():
			return nil, contextEnded(ctx.Err())
		case r := <-shared:
			got := r.Val.(result)
			if got.refused.endedByContext() && ctx.Err() == nil {
				continue
			}
			return got.verified, got.refused
		}
	}
}

// endedByContext reports whether the refusal says nothing about the token but
// that somebody's patience ended.
func (r *refusal) endedByContext() bool {
	return r != nil && (errors.Is(r, context.Canceled) || errors.Is(r, context.DeadlineExceeded))
}
