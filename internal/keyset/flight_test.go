package keyset

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestSingleFlight(t *testing.T) {
	run(t, "64 callers, one fetch", func(b *bench) {
		release := b.hang()
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() { b.key("a") })
		}
		b.settle()
		release()
		wg.Wait()
		b.wantDiscoveries(b, 1)
		b.wantFetches(b, 1)
	})
	run(t, "64 callers, one failure", func(b *bench) {
		release := b.hang()
		b.publish()
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() { b.wantKeyUnavailable("a", coolDown) })
		}
		b.settle()
		release()
		wg.Wait()
		b.wantFetches(b, 1)
	})
}

func TestCallersContext(t *testing.T) {
	run(t, "leaving stops nobody else", func(b *bench) {
		release := b.hang()
		ctx, cancel := context.WithCancel(b.Context())
		left := make(chan error)
		go func() {
			_, err := b.set.Keys(ctx, b.clock.Now(), "a", "ES256")
			left <- err
		}()
		b.settle()
		var wg sync.WaitGroup
		wg.Go(func() { b.key("a") })
		b.settle()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			b.Errorf("Keys = %v, want context.Canceled", err)
		}
		release()
		wg.Wait()
		b.wantFetches(b, 1)
	})
	run(t, "deadline with nothing at hand", func(b *bench) {
		defer b.hang()()
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		if _, err := b.set.Keys(ctx, b.clock.Now(), "a", "ES256"); !errors.Is(err, context.DeadlineExceeded) {
			b.Errorf("Keys = %v, want context.DeadlineExceeded", err)
		}
	})
	run(t, "leaving a search", func(b *bench) {
		b.key("a")
		defer b.hang()()
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		if _, err := b.set.Keys(ctx, b.clock.Now(), "c", "ES256"); !errors.Is(err, context.DeadlineExceeded) {
			b.Errorf("Keys = %v, want context.DeadlineExceeded", err)
		}
		if b.set.searching != 0 {
			b.Errorf("%d searching are left", b.set.searching)
		}
	})
	run(t, "leaving a stale set", func(b *bench) {
		k := b.key("a")
		defer b.hang()()
		b.clock.Advance(staleAfter)
		ctx, cancel := context.WithCancel(b.Context())
		cancel()
		if err := b.set.Check(ctx, b.clock.Now(), k); !errors.Is(err, context.Canceled) {
			b.Errorf("Check = %v, want context.Canceled", err)
		}
	})
}

// A provider that takes connections and says nothing fails no call that the
// last good set can serve.
func TestHalfTime(t *testing.T) {
	run(t, "half of the time left", func(b *bench) {
		k := b.key("a")
		defer b.hang()()
		b.clock.Advance(staleAfter)
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		start := time.Now() // of the bubble
		if err := b.set.Check(ctx, b.clock.Now(), k); err != nil {
			b.Errorf("Check = %v", err)
		}
		if got := time.Since(start); got != time.Second/2 {
			b.Errorf("waited for %v, want half a second", got)
		}
		if _, err := b.set.Keys(ctx, b.clock.Now(), "b", "ES256"); err != nil {
			b.Errorf("Keys = %v", err)
		}
		if got := time.Since(start); got != time.Second*3/4 {
			b.Errorf("waited for %v, want half of the half second left", got)
		}
		b.wantFetches(b, 2)
	})
	run(t, "no deadline: as long as the fetch takes", func(b *bench) {
		k := b.key("a")
		defer b.hang()()
		b.clock.Advance(staleAfter)
		start := time.Now()
		if err := b.check(k); err != nil {
			b.Errorf("Check = %v", err)
		}
		if got := time.Since(start); got != requestLimit {
			b.Errorf("waited for %v, want %v", got, requestLimit)
		}
		if err := b.check(k); err != nil {
			b.Errorf("Check = %v", err)
		}
		if got := time.Since(start); got != requestLimit {
			b.Error("waited again, although the outage is known")
		}
	})
	run(t, "a search goes on", func(b *bench) {
		b.key("a")
		release := b.hang()
		b.publish(b.keys[0], ecJWK(b, "c"))
		b.clock.Advance(staleAfter)
		time.AfterFunc(900*time.Millisecond, release)
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		if _, err := b.set.Keys(ctx, b.clock.Now(), "c", "ES256"); err != nil {
			b.Errorf("Keys = %v; the old set cannot serve this call, the new one can", err)
		}
	})
}

// A flight ends in every case, also if the transport panics (CVE-2024-28180 and
// similar: a panic must not end the process or block the callers).
func TestWildTransport(t *testing.T) {
	tests := []struct {
		name string
		act  func()
	}{
		{"panics", func() { panic("https://user:secret@tenant.example/") }},
		{"leaves its goroutine", runtime.Goexit},
	}
	for _, tt := range tests {
		run(t, tt.name, func(b *bench) {
			b.provider.set(func(p *provider) {
				p.respond = func(*http.Request) (*http.Response, error) { tt.act(); return nil, nil }
			})
			_, err := b.set.Keys(b.Context(), b.clock.Now(), "a", "ES256")
			wantUnavailable(b, err, coolDown)
			if got, want := err.Error(), errUnfinished.Error(); got != want {
				b.Errorf("error = %q, want %q", got, want)
			}
			b.up()
			b.clock.Advance(coolDown)
			b.key("a")
		})
	}
}

// A caller whose flight failed may read the cool-down only after the next flight has
// succeeded. The cool-down of the failure is over then.
func TestRetryAfterASuccess(t *testing.T) {
	run(t, "", func(b *bench) {
		b.publish()
		b.wantKeyUnavailable("a", coolDown)
		failure := b.set.failure
		b.publish(ecJWK(b, "a"))
		if err := b.set.Load(b.Context()); err != nil { // is not held back by the cool-down
			b.Fatal(err)
		}
		wantUnavailable(b, b.set.unavailable(failure), time.Second)
	})
}

func TestWanted(t *testing.T) {
	f := &flight{}
	f.want("")
	if f.missed(&snapshot{}) {
		t.Error("an empty id counts as wanted")
	}
	all := newSnapshot(nil, nil, epoch)
	for i := range 10 * maxWanted {
		id := fmt.Sprint(i)
		all.byID[id] = []*Key{{ID: id}}
		f.want(id)
		if got, want := f.missed(all), i+1 >= maxWanted; got != want {
			t.Errorf("missed after %d ids, all of them in the set: %v, want %v", i+1, got, want)
		}
	}
	if got := len(f.wanted); got != maxWanted {
		t.Errorf("%d ids are kept, want %d", got, maxWanted)
	}
}

func TestUnavailableError(t *testing.T) {
	cause := newFetchError("jwks", "answered status 503")
	if err := (&UnavailableError{Err: cause}); err.Error() != cause.Error() || !errors.Is(err, cause) {
		t.Errorf("error = %v, want the text of its cause, which it wraps", err)
	}
	if got := (&UnavailableError{}).Error(); got != "keyset: keys unavailable" {
		t.Errorf("error without a cause = %q", got)
	}
}
