package tokencache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func token(i int) string { return fmt.Sprintf("header.payload%d.signature", i) }

// weightOf is the weight of values that stand for tokens of ordinary size.
func weightOf(int) int { return 1 }

func add(c *Cache[int], raw string, value int) { c.add(c.digester.digest(raw), value) }

// The total weight is bounded too, and a value that is heavier than all together
// is still remembered.
func TestWeight(t *testing.T) {
	const size = 100
	c := New(size, func(bytes int) int { return bytes })
	for i := range 10 * size {
		add(c, token(i), 7*Weight)
		if n := c.Len(); n > size/7 {
			t.Fatalf("%d entries of weight 7, want at most %d", n, size/7)
		}
	}
	if n := c.Len(); n < size/7-1 {
		t.Errorf("%d entries of weight 7, want %d", n, size/7)
	}
	one := New(1, func(bytes int) int { return bytes })
	for _, weight := range []int{0, 100, 100 * Weight, math.MaxInt} {
		add(one, token(weight), weight)
		if _, ok := one.Get(KeyOf(token(weight))); !ok || one.Len() != 1 {
			t.Errorf("a value of %d bytes: found %t among %d", weight, ok, one.Len())
		}
		one.Delete(KeyOf(token(weight)))
	}
}

// Get, Peek, Delete and Len agree about the content of the cache.
func TestProbe(t *testing.T) {
	c := New(10, weightOf)
	if _, ok := c.Peek(token(1)); ok || c.Len() != 0 {
		t.Error("an empty cache has a value")
	}
	add(c, token(1), 5)
	for name, get := range map[string]func(string) (int, bool){"Find": func(raw string) (int, bool) { return c.Get(KeyOf(raw)) }, "Probe": c.Peek} {
		if got, ok := get(token(1)); !ok || got != 5 {
			t.Errorf("%s = %d, %t; want 5", name, got, ok)
		}
		if got, ok := get(token(2)); ok {
			t.Errorf("%s = %d for another token", name, got)
		}
	}
	if c.Len() != 1 {
		t.Errorf("Len = %d, want 1", c.Len())
	}
	c.Delete(KeyOf(token(1)))
	if _, ok := c.Peek(token(1)); ok || c.Len() != 0 {
		t.Error("a removed value is still there")
	}
}

// The cache never holds more than it may, at no moment of a run of one-off
// tokens, and those in use stay in it.
func TestBound(t *testing.T) {
	const size = 1000
	c := New(size, weightOf)
	inUse := make([]string, 100)
	for i := range inUse {
		inUse[i] = token(-i)
		add(c, inUse[i], 1)
	}
	for i := range 50 * size {
		for range 2 { // entries in use are used more than once
			if _, ok := c.Get(KeyOf(inUse[i%len(inUse)])); !ok {
				t.Fatalf("after %d one-off tokens, one in use was pushed out", i)
			}
		}
		add(c, token(i), 1)
		if n := c.Len(); n > size {
			t.Fatalf("%d entries, want at most %d", n, size)
		}
	}
}

// Concurrent first uses of one token share one verification; a refusal is shared and
// not remembered.
func TestVerifyOnce(t *testing.T) {
	for _, refusal := range []error{nil, errors.New("refused")} {
		synctest.Test(t, func(t *testing.T) {
			c := New(10, weightOf)
			var verifications atomic.Int64
			begin := make(chan struct{})
			var calls sync.WaitGroup
			for range 64 {
				calls.Go(func() {
					got, err := c.Verify(t.Context(), KeyOf(token(1)), func() (int, error) {
						verifications.Add(1)
						<-begin
						return 7, refusal
					})
					if err != refusal || got != 7 {
						t.Errorf("Verify = %v, %v", got, err)
					}
				})
			}
			synctest.Wait() // 64 wait, one of them for the verification itself
			close(begin)
			calls.Wait()
			if n := verifications.Load(); n != 1 {
				t.Errorf("%d verifications, want 1", n)
			}
			if _, ok := c.Get(KeyOf(token(1))); ok != (refusal == nil) {
				t.Errorf("cached = %t for %v", ok, refusal)
			}
		})
	}
}

// A caller that leaves takes only itself away, also the one whose context the
// verification ran under. The same holds for one whose verification panics.
func TestVerifyWithoutItsFirstCaller(t *testing.T) {
	for name, end := range map[string]func() error{
		"canceled": func() error { return fmt.Errorf("wrapped: %w", context.Canceled) },
		"deadline": func() error { return fmt.Errorf("wrapped: %w", context.DeadlineExceeded) },
		"panic":    func() error { panic("hostile") },
		"exit":     func() error { runtime.Goexit(); return nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			c := New(10, weightOf)
			leave := make(chan struct{})
			var calls sync.WaitGroup
			calls.Go(func() {
				defer func() { _ = recover() }()
				_, err := c.Verify(t.Context(), KeyOf(token(1)), func() (int, error) {
					<-leave
					return 0, end()
				})
				if !isContextError(err) {
					t.Errorf("%s: the caller that left gets %v", name, err)
				}
			})
			synctest.Wait()
			var verifications atomic.Int64
			for range 8 {
				calls.Go(func() {
					got, err := c.Verify(t.Context(), KeyOf(token(1)), func() (int, error) { verifications.Add(1); return 2, nil })
					if err != nil || got != 2 {
						t.Errorf("%s: a caller that stayed gets %v, %v", name, got, err)
					}
				})
			}
			gone, cancel := context.WithCancel(t.Context())
			calls.Go(func() {
				if _, err := c.Verify(gone, KeyOf(token(1)), nil); err != context.Canceled {
					t.Errorf("%s: a caller that stopped waiting gets %v", name, err)
				}
			})
			synctest.Wait()
			cancel()
			synctest.Wait()
			close(leave)
			calls.Wait()
			if n := verifications.Load(); n < 1 || len(c.verifications) != 0 {
				t.Errorf("%s: %d verifications, %d in progress", name, n, len(c.verifications))
			}
		})
	}
}
