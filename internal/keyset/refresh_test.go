package keyset

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAgeing(t *testing.T) {
	run(t, "background refresh, exactly once", func(b *bench) {
		k := b.key("a")
		release := b.hang()
		b.clock.Advance(freshFor)
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				if err := b.check(k); err != nil {
					b.Errorf("Check = %v", err)
				}
				b.key("b")
			})
		}
		wg.Wait() // none of them waits for the provider, which hangs
		b.settle()
		b.wantFetches(b, 2)
		release()
		b.settle()
		b.clock.Advance(freshFor - 1)
		b.key("a")
		b.settle()
		b.wantFetches(b, 2)
		b.wantDiscoveries(b, 1) // remembered while it leads to keys
	})
	run(t, "ten minutes wait", func(b *bench) {
		k := b.key("a")
		b.publish(b.keys[1])
		b.clock.Advance(staleAfter - 1)
		if err := b.check(k); err != nil {
			b.Errorf("Check just before ten minutes = %v", err)
		}
		b.settle()
		b.publish(b.keys[0], ecJWK(b, "c"))
		b.clock.Advance(staleAfter)
		b.key("c")
		b.wantFetches(b, 3)
	})
	run(t, "a failed background refresh is not repeated at once", func(b *bench) {
		k := b.key("a")
		b.down()
		b.clock.Advance(freshFor)
		for range 5 {
			if err := b.check(k); err != nil {
				b.Errorf("Check = %v", err)
			}
			b.settle()
		}
		b.wantFetches(b, 2)
		b.clock.Advance(coolDown)
		b.key("a")
		b.settle()
		b.wantFetches(b, 2)
		b.wantDiscoveries(b, 2) // which the failed fetch made doubtful
	})
	run(t, "a caller's clock read before the landing is no clock set back", func(b *bench) {
		before := b.clock.Now()
		b.clock.Advance(time.Second)
		k := b.key("a")
		if err := b.set.Check(b.Context(), before, k); err != nil {
			b.Errorf("Check = %v", err)
		}
		b.settle()
		b.wantFetches(b, 1)
	})
}

func TestOutage(t *testing.T) {
	run(t, "down at start, then up", func(b *bench) {
		b.down()
		b.wantKeyUnavailable("a", coolDown)
		b.clock.Advance(10 * time.Second)
		b.wantKeyUnavailable("a", coolDown-10*time.Second)
		if _, err := b.set.Keys(b.Context(), b.clock.Now(), "a", "ES256"); err.Error() != "keyset: discovery answered status 502" {
			b.Errorf("Keys = %v, want the last failure", err)
		}
		b.up()
		b.clock.Advance(coolDown - 10*time.Second - 1)
		b.wantKeyUnavailable("a", time.Second) // never less, lest clients hammer
		b.wantDiscoveries(b, 1)
		b.clock.Advance(1)
		b.key("a")
		b.wantDiscoveries(b, 2)
		b.wantFetches(b, 1)
	})
	run(t, "23 h go unnoticed", func(b *bench) {
		k := b.key("a")
		b.down()
		b.clock.Advance(staleAfter)
		b.key("a") // waits for an attempt, which fails
		b.wantFetches(b, 2)
		b.provider.set(func(p *provider) { p.respond = stall })
		start := time.Now() // of the bubble: from here on no caller waits
		for range 23 {
			b.clock.Advance(time.Hour)
			if err := b.check(k); err != nil {
				b.Fatalf("Check = %v", err)
			}
			b.key("b")
			if waited := time.Since(start); waited != 0 {
				b.Fatalf("waited for %v", waited)
			}
			b.landed()
			start = time.Now()
		}
		if got := len(b.observed()); got != 2+23 {
			b.Errorf("%d attempts, want 25", got)
		}
		b.wantKeyUnavailable("c", coolDown)
		b.up()
		b.clock.Advance(coolDown)
		b.key("a")
		b.settle()
		b.wantUnknown("c")
	})
	run(t, "attempts go on, one per cool-down", func(b *bench) {
		b.key("a")
		b.down()
		b.clock.Advance(staleAfter)
		for range 100 {
			b.key("a")
			b.settle()
			b.clock.Advance(coolDown / 10)
		}
		if got := len(b.observed()); got != 1+10 {
			b.Errorf("%d attempts, want 11", got)
		}
	})
	run(t, "25 h do not", func(b *bench) {
		k := b.key("a")
		b.down()
		b.clock.Advance(25 * time.Hour)
		b.wantKeyUnavailable("a", coolDown)
		wantUnavailable(b, b.check(k), coolDown)
		b.up()
		b.clock.Advance(coolDown)
		if err := b.check(k); err != nil {
			b.Errorf("Check after the outage = %v", err)
		}
		if b.key("a") != k {
			b.Error("an unchanged key has another pointer after the outage")
		}
	})
	run(t, "an empty set is a failure, the last good one stays", func(b *bench) {
		k := b.key("a")
		b.publish()
		b.clock.Advance(staleAfter)
		if err := b.check(k); err != nil {
			b.Errorf("Check = %v", err)
		}
		b.wantKeyUnavailable("c", coolDown)
		if got := b.observed()[1]; got.Err != errNoKeys || got.Keys != 2 {
			b.Errorf("refresh = %+v, want %v with 2 keys", got, errNoKeys)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	tests := []struct {
		name   string
		status int
		value  string
		want   time.Duration
	}{
		{"429 without", http.StatusTooManyRequests, "", coolDown},
		{"429 shorter than the cool-down", http.StatusTooManyRequests, "1", coolDown},
		{"429 seconds", http.StatusTooManyRequests, " 90 ", 90 * time.Second},
		{"503 seconds", http.StatusServiceUnavailable, "90", 90 * time.Second},
		{"too long", http.StatusTooManyRequests, "86400", maxCoolDown},
		{"an hour", http.StatusTooManyRequests, "3600", 5 * time.Minute},
		{"past any integer", http.StatusTooManyRequests, "99999999999999999999999", maxCoolDown},
		{"past any duration", http.StatusTooManyRequests, "18446744073709551615", maxCoolDown},
		{"negative", http.StatusTooManyRequests, "-5", coolDown},
		{"nonsense", http.StatusTooManyRequests, "soon", coolDown},
		{"date", http.StatusServiceUnavailable, epoch.Add(2 * time.Minute).Format(http.TimeFormat), 2 * time.Minute},
		{"date gone by", http.StatusServiceUnavailable, epoch.Add(-time.Hour).Format(http.TimeFormat), coolDown},
		{"date far off", http.StatusServiceUnavailable, epoch.AddDate(9, 0, 0).Format(http.TimeFormat), maxCoolDown},
		{"500 has no say", http.StatusInternalServerError, "90", coolDown},
	}
	for _, tt := range tests {
		run(t, tt.name, func(b *bench) {
			b.provider.set(func(p *provider) {
				p.respond = answer(tt.status, "", map[string]string{"Retry-After": tt.value})
			})
			b.wantKeyUnavailable("a", tt.want)
			b.up()
			b.clock.Advance(tt.want - time.Second)
			b.wantKeyUnavailable("a", time.Second)
			b.clock.Advance(time.Second)
			b.key("a")
		})
	}
}

// Made-up ids cost an attacker nothing, so the fetches that they cause are bounded. The
// go-oidc key set leaves this gap open.
func TestUnknownID(t *testing.T) {
	run(t, "one refetch per cool-down", func(b *bench) {
		b.key("a")
		for i := range 100 {
			b.wantUnknown(fmt.Sprint("made-up-", i))
		}
		b.wantFetches(b, 2)
		b.clock.Advance(coolDown - 1)
		b.wantUnknown("made-up")
		b.wantFetches(b, 2)
		b.clock.Advance(1)
		b.wantUnknown("made-up")
		b.wantUnknown("made-up")
		b.wantFetches(b, 3)
	})
	run(t, "a cold flood costs one fetch", func(b *bench) {
		release := b.hang()
		var wg sync.WaitGroup
		for i := range 3 * maxWanted {
			wg.Go(func() { b.wantUnknown(fmt.Sprint("made-up-", i)) })
		}
		b.settle()
		release()
		wg.Wait()
		b.wantUnknown("made-up")
		b.wantFetches(b, 1)
		b.clock.Advance(coolDown)
		b.wantUnknown("made-up")
		b.wantFetches(b, 2)
	})
	run(t, "so does a flood at a stale set", func(b *bench) {
		b.key("a")
		b.clock.Advance(staleAfter)
		var wg sync.WaitGroup
		for i := range 3 * maxWanted {
			wg.Go(func() { b.wantUnknown(fmt.Sprint("made-up-", i)) })
		}
		wg.Wait()
		b.wantFetches(b, 2)
	})
	run(t, "a first load by a good token leaves room for a rotation", func(b *bench) {
		b.key("a")
		b.publish(b.keys[0], ecJWK(b, "c"))
		b.key("c")
		b.wantFetches(b, 2)
		b.publish(b.keys[0], ecJWK(b, "d"))
		b.wantUnknown("d") // the price of the cool-down
		b.clock.Advance(coolDown)
		b.key("d")
		b.wantFetches(b, 3)
	})
	run(t, "outage: no verdict on the token", func(b *bench) {
		b.key("a")
		b.down()
		b.wantKeyUnavailable("c", coolDown)
		b.wantFetches(b, 2)
		b.clock.Advance(10 * time.Second)
		b.wantKeyUnavailable("c", coolDown-10*time.Second)
		b.wantFetches(b, 2)
		if _, err := b.set.Keys(b.Context(), b.clock.Now(), "c", "ES256"); err.Error() != "keyset: jwks answered status 502" {
			b.Errorf("Keys = %v, want the last failure", err)
		}
		b.key("a")
		b.up()
		b.clock.Advance(coolDown - 10*time.Second)
		b.wantUnknown("c")
		b.wantFetches(b, 3)
		b.wantUnknown("d")
		b.wantFetches(b, 3)
	})
	run(t, "outage that a refresh has found", func(b *bench) {
		b.key("a")
		b.down()
		b.clock.Advance(freshFor)
		b.key("a") // starts the refresh
		b.settle()
		b.wantKeyUnavailable("c", coolDown)
		b.wantFetches(b, 2)
	})
	run(t, "empty id", func(b *bench) {
		b.wantUnknown("")
		b.settle()
		b.wantFetches(b, 0)
		b.key("a")
		b.wantUnknown("")
		b.wantFetches(b, 1)
		b.publish(b.keys[0], ecJWK(b, "c"))
		b.key("c") // it did not use up the refetch
		b.wantFetches(b, 2)
	})
	run(t, "the waiters are bounded", func(b *bench) {
		b.key("a")
		release := b.hang()
		b.publish(b.keys[0], ecJWK(b, "c"))
		var wg sync.WaitGroup
		for range maxSearching {
			wg.Go(func() { b.key("c") })
		}
		b.settle()
		b.wantUnknown("c") // immediately, from the loaded set
		b.key("a")
		release()
		wg.Wait()
		b.key("c")
		b.wantFetches(b, 2)
		if b.set.searching != 0 {
			b.Errorf("%d searching are left", b.set.searching)
		}
	})
	run(t, "they join a background refresh", func(b *bench) {
		b.key("a")
		release := b.hang()
		b.clock.Advance(freshFor)
		b.key("a")
		b.settle()
		var wg sync.WaitGroup
		wg.Go(func() { b.wantUnknown("made-up") })
		b.settle()
		release()
		wg.Wait()
		b.wantUnknown("made-up") // the load they waited for was their refetch
		b.wantFetches(b, 2)
	})
	run(t, "joining a refresh that finds the key starts no cool-down", func(b *bench) {
		b.key("a")
		release := b.hang()
		b.publish(b.keys[0], ecJWK(b, "c"))
		b.clock.Advance(freshFor)
		b.key("a") // starts the refresh
		b.settle()
		var wg sync.WaitGroup
		wg.Go(func() { b.key("c") })
		b.settle()
		release()
		wg.Wait()
		b.publish(b.keys[0], ecJWK(b, "d"))
		b.key("d")
		b.wantFetches(b, 3)
	})
	run(t, "the cool-down of a failure ends with a success", func(b *bench) {
		b.down()
		b.wantKeyUnavailable("a", coolDown)
		b.up()
		if err := b.set.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.publish(b.keys[0], ecJWK(b, "c"))
		b.key("c")
		b.wantFetches(b, 2)
	})
	run(t, "it has landed meanwhile", func(b *bench) {
		b.key("a")
		snap, f, err := b.set.beginSearch("b")
		if snap != b.set.snap.Load() || f != nil || err != nil {
			b.Errorf("beginSearch of a known id = %v, %v, %v; want the set", snap, f, err)
		}
		snap, err = b.set.search(b.Context(), "b")
		if snap != b.set.snap.Load() || err != nil {
			b.Errorf("search of a known id = %v, %v; want the set", snap, err)
		}
	})
}

func TestClockJumps(t *testing.T) {
	run(t, "back: usable, and refreshed in the background", func(b *bench) {
		k := b.key("a")
		b.clock.Advance(-time.Hour)
		if age, ok := b.set.Age(b.clock.Now()); age != -time.Hour || !ok {
			b.Errorf("Age = %v, %v; want -1h", age, ok)
		}
		if err := b.check(k); err != nil {
			b.Errorf("Check = %v", err)
		}
		b.settle()
		b.key("a")
		b.settle()
		b.wantFetches(b, 2)
	})
	run(t, "back during an outage: still usable, no spinning", func(b *bench) {
		b.key("a")
		b.down()
		b.clock.Advance(-time.Hour)
		for range 10 {
			b.key("a")
			b.settle()
		}
		if got := len(b.observed()); got != 2 {
			b.Errorf("%d attempts, want 2", got)
		}
	})
	run(t, "back: cool-downs are over", func(b *bench) {
		b.down()
		b.wantKeyUnavailable("a", coolDown)
		b.clock.Advance(-time.Second)
		b.up()
		b.key("a")
		b.wantUnknown("made-up")
		b.wantFetches(b, 2)
	})
	run(t, "forward: refetched before use", func(b *bench) {
		revoked := b.key("b")
		b.publish(b.keys[0])
		b.clock.Advance(1000 * time.Hour)
		if err := b.check(revoked); !errors.Is(err, ErrUnknownKey) {
			b.Errorf("Check of a withdrawn key = %v, want ErrUnknownKey", err)
		}
		b.wantFetches(b, 2)
	})
	t.Run("remaining", func(t *testing.T) {
		got := map[time.Duration]time.Duration{}
		for _, elapsed := range []time.Duration{-1, 0, 1, 29, 30, 31} {
			got[elapsed] = remaining(epoch.Add(elapsed), epoch, 30)
		}
		want := map[time.Duration]time.Duration{-1: 0, 0: 30, 1: 29, 29: 1, 30: 0, 31: 0}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("remaining differs (-want +got):\n%s", diff)
		}
	})
}
