package auth0grpc

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

func token(i int) string { return fmt.Sprintf("header.payload%d.signature", i) }

// The cache never holds more than it may, at no moment of a run of one-off
// tokens, and those in use stay in it.
func TestCacheBound(t *testing.T) {
	const size = 1000
	c := newCache(size)
	inUse := make([]string, 100)
	for i := range inUse {
		inUse[i] = token(-i)
		c.add(inUse[i], &claims{})
	}
	for i := range 50 * size {
		for range 2 { // what is in use is used more often than once
			if _, ok := c.find(inUse[i%len(inUse)]); !ok {
				t.Fatalf("after %d one-off tokens, one in use was pushed out", i)
			}
		}
		c.add(token(i), &claims{})
		if n := c.entries.EstimatedSize(); n > size {
			t.Fatalf("%d entries, want at most %d", n, size)
		}
	}
}

// A token whose header belongs to none of those verified is not looked up, and
// however many headers there are, what was added is found.
func TestCacheHeaders(t *testing.T) {
	c := newCache(10 * maxHeaders)
	for i := range 2 * maxHeaders {
		raw := fmt.Sprintf("header%d.payload.signature", i)
		if c.mayHave(raw) != (i >= maxHeaders) {
			t.Errorf("%d headers known: mayHave = %t for another", i, c.mayHave(raw))
		}
		c.add(raw, &claims{})
		if _, ok := c.find(raw); !ok {
			t.Errorf("header %d: not found after it was added", i)
		}
		if _, ok := c.probe(raw); !ok {
			t.Errorf("header %d: probe does not find it", i)
		}
	}
	if n := len(*c.headers.Load()); n != maxHeaders {
		t.Errorf("%d headers kept, want %d", n, maxHeaders)
	}
	c.remove("header0.payload.signature")
	if _, ok := c.find("header0.payload.signature"); ok {
		t.Error("found after it was removed")
	}
}

// Concurrent first uses of one token are one verification; a refusal is shared
// and not remembered.
func TestCacheOnce(t *testing.T) {
	for _, refused := range []*refusal{nil, refusedSignature} {
		synctest.Test(t, func(t *testing.T) {
			c := newCache(10)
			var verifications atomic.Int64
			begin := make(chan struct{})
			var calls sync.WaitGroup
			for range 64 {
				calls.Go(func() {
					got, r := c.once(t.Context(), token(1), func() (*claims, *refusal) {
						verifications.Add(1)
						<-begin
						return &claims{tokenID: "x"}, refused
					})
					if r != refused || got.tokenID != "x" {
						t.Errorf("once = %v, %v", got, r)
					}
				})
			}
			synctest.Wait() // 64 wait, one of them for the verification itself
			close(begin)
			calls.Wait()
			if n := verifications.Load(); n != 1 {
				t.Errorf("%d verifications, want 1", n)
			}
			if _, ok := c.find(token(1)); ok != (refused == nil) {
				t.Errorf("cached = %t for %v", ok, refused)
			}
		})
	}
}

// A caller that leaves takes only itself away, also the one whose context the
// verification ran under.
func TestCacheOnceWithoutItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(10)
		first, leave := context.WithCancel(t.Context())
		var calls sync.WaitGroup
		calls.Go(func() {
			_, r := c.once(first, token(1), func() (*claims, *refusal) {
				<-first.Done()
				return nil, contextEnded(first.Err())
			})
			if !r.endedByContext() {
				t.Errorf("the caller that left gets %v", r)
			}
		})
		synctest.Wait()
		calls.Go(func() {
			got, r := c.once(t.Context(), token(1), func() (*claims, *refusal) { return &claims{tokenID: "second"}, nil })
			if r != nil || got.tokenID != "second" {
				t.Errorf("the caller that stayed gets %v, %v", got, r)
			}
		})
		synctest.Wait()
		leave()
		calls.Wait()
	})
}

// Public-key operations wait for a place (GO-2023-2153: what strangers ask for is
// not done all at once), and a panic in one gives the place back.
func TestSignerGivesItsPlaceBack(t *testing.T) {
	v := &verifier{cold: make(chan struct{}, 1)}
	for range 3 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic with a nil key")
				}
			}()
			_, _ = v.signer(t.Context(), nil, []*keyset.Key{nil})
		}()
	}
	if len(v.cold) != 0 {
		t.Error("a place is lost")
	}
	v.cold <- struct{}{}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, refused := v.signer(gone, nil, nil); !refused.endedByContext() {
		t.Errorf("with all places taken, a caller that left gets %v", refused)
	}
}

// What a cached token holds on to is its claims, not the token.
func TestCacheKeepsNoToken(t *testing.T) {
	raw := strings.Repeat("x", 100) + ".payload.signature"
	c := newCache(10)
	c.add(raw, &claims{})
	for _, header := range *c.headers.Load() {
		if header != strings.Repeat("x", 100) {
			t.Errorf("kept %q", header)
		}
	}
}
