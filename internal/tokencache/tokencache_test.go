package tokencache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func token(i int) string { return fmt.Sprintf("header.payload%d.signature", i) }

// The cache never holds more than it may, at no moment of a run of one-off
// tokens, and those in use stay in it.
func TestBound(t *testing.T) {
	const size = 1000
	c := New[int](size)
	inUse := make([]string, 100)
	for i := range inUse {
		inUse[i] = token(-i)
		c.add(inUse[i], 1)
	}
	for i := range 50 * size {
		for range 2 { // what is in use is used more often than once
			if _, ok := c.Find(inUse[i%len(inUse)]); !ok {
				t.Fatalf("after %d one-off tokens, one in use was pushed out", i)
			}
		}
		c.add(token(i), 1)
		if n := c.Len(); n > size {
			t.Fatalf("%d entries, want at most %d", n, size)
		}
	}
}

// A token whose header belongs to none of those verified is not looked up, and
// however many headers there are, what was added is found.
func TestHeaders(t *testing.T) {
	c := New[int](10 * maxHeaders)
	for i := range 2 * maxHeaders {
		raw := fmt.Sprintf("header%d.payload.signature", i)
		if c.mayHave(raw) != (i >= maxHeaders) {
			t.Errorf("%d headers known: mayHave = %t for another", i, c.mayHave(raw))
		}
		c.add(raw, 1)
		if _, ok := c.Find(raw); !ok {
			t.Errorf("header %d: not found after it was added", i)
		}
		if _, ok := c.Probe(raw); !ok {
			t.Errorf("header %d: probe does not find it", i)
		}
	}
	if n := len(*c.headers.Load()); n != maxHeaders {
		t.Errorf("%d headers kept, want %d", n, maxHeaders)
	}
	c.Remove("header0.payload.signature")
	if _, ok := c.Find("header0.payload.signature"); ok {
		t.Error("found after it was removed")
	}
}

// Concurrent first uses of one token are one verification; a refusal is shared
// and not remembered.
func TestVerifyOnce(t *testing.T) {
	for _, refusal := range []error{nil, errors.New("refused")} {
		synctest.Test(t, func(t *testing.T) {
			c := New[int](10)
			var verifications atomic.Int64
			begin := make(chan struct{})
			var calls sync.WaitGroup
			for range 64 {
				calls.Go(func() {
					got, err := c.Verify(t.Context(), token(1), func() (int, error) {
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
			if _, ok := c.Find(token(1)); ok != (refusal == nil) {
				t.Errorf("cached = %t for %v", ok, refusal)
			}
		})
	}
}

// A caller that leaves takes only itself away, also the one whose context the
// verification ran under.
func TestVerifyWithoutItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[int](10)
		first, leave := context.WithCancel(t.Context())
		var calls sync.WaitGroup
		calls.Go(func() {
			_, err := c.Verify(first, token(1), func() (int, error) {
				<-first.Done()
				return 0, fmt.Errorf("wrapped: %w", first.Err())
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the caller that left gets %v", err)
			}
		})
		synctest.Wait()
		calls.Go(func() {
			got, err := c.Verify(t.Context(), token(1), func() (int, error) { return 2, nil })
			if err != nil || got != 2 {
				t.Errorf("the caller that stayed gets %v, %v", got, err)
			}
		})
		synctest.Wait()
		leave()
		calls.Wait()
	})
}

// No header is lost when many are learned at once.
func TestHeadersLearnedAtOnce(t *testing.T) {
	c := New[int](10 * maxHeaders)
	var calls sync.WaitGroup
	for i := range maxHeaders / 2 {
		calls.Go(func() { c.add(fmt.Sprintf("header%d.payload.signature", i), i) })
	}
	calls.Wait()
	for i := range maxHeaders / 2 {
		if got, ok := c.Find(fmt.Sprintf("header%d.payload.signature", i)); !ok || got != i {
			t.Errorf("header %d: %d, %t", i, got, ok)
		}
	}
	if n := len(*c.headers.Load()); n != maxHeaders/2 {
		t.Errorf("%d headers kept, want %d", n, maxHeaders/2)
	}
}

// What a cached token holds on to is its claims, not the token.
func TestKeepsNoToken(t *testing.T) {
	raw := strings.Repeat("x", 100) + ".payload.signature"
	c := New[int](10)
	c.add(raw, 1)
	for _, header := range *c.headers.Load() {
		if header != strings.Repeat("x", 100)+"." {
			t.Errorf("kept %q", header)
		}
	}
}
