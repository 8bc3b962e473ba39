package keyset

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLazy(t *testing.T) {
	run(t, "New does nothing", func(b *bench) {
		b.settle()
		b.wantDiscoveries(b, 0)
		if known, loaded := b.set.Probe("a"); known || loaded {
			b.Errorf("Probe = %v, %v; want false, false", known, loaded)
		}
		if age, ok := b.set.Age(epoch); ok {
			b.Errorf("Age = %v, true; want none", age)
		}
		b.wantDiscoveries(b, 0)
	})
	run(t, "first use fetches, further ones do not", func(b *bench) {
		b.key("a")
		b.key("b")
		b.clock.Advance(freshFor - 1)
		b.key("a")
		b.settle()
		b.wantDiscoveries(b, 1)
		b.wantFetches(b, 1)
		if age, ok := b.set.Age(b.clock.Now()); age != freshFor-1 || !ok {
			b.Errorf("Age = %v, %v; want %v", age, ok, freshFor-1)
		}
	})
	run(t, "Check fetches as well", func(b *bench) {
		k := b.key("a")
		b.clock.Advance(usableFor)
		if err := b.check(k); err != nil {
			b.Fatal(err)
		}
		b.wantFetches(b, 2)
	})
	t.Run("zero Config", func(t *testing.T) {
		_, err := New(Config{}).Keys(t.Context(), time.Now(), "a", "RS256")
		wantUnavailableClose(t, err, coolDown)
	})
}

// wantUnavailableClose is wantUnavailable under the real clock.
func wantUnavailableClose(t testing.TB, err error, retryAfter time.Duration) {
	t.Helper()
	var unavailable *UnavailableError
	if !errors.As(err, &unavailable) || unavailable.RetryAfter > retryAfter ||
		unavailable.RetryAfter < retryAfter-10*time.Second {
		t.Fatalf("error = %#v, want an *UnavailableError of about %v", err, retryAfter)
	}
}

func TestProbe(t *testing.T) {
	run(t, "", func(b *bench) {
		b.key("a")
		b.down()
		b.clock.Advance(usableFor)
		for kid, want := range map[string]bool{"a": true, "b": true, "c": false, "": false} {
			if known, loaded := b.set.Probe(kid); known != want || !loaded {
				b.Errorf("Probe(%q) = %v, %v; want %v, true", kid, known, loaded, want)
			}
		}
		b.settle()
		b.wantFetches(b, 1)
	})
}

func TestLoad(t *testing.T) {
	run(t, "once is enough", func(b *bench) {
		for range 3 {
			if err := b.set.Load(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.clock.Advance(usableFor - 1)
		if err := b.set.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.wantFetches(b, 1)
		b.clock.Advance(1)
		if err := b.set.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.wantFetches(b, 2)
	})
	run(t, "is not held back by the cool-down", func(b *bench) {
		b.down()
		wantUnavailable(b, b.set.Load(b.Context()), coolDown)
		b.clock.Advance(time.Second)
		wantUnavailable(b, b.set.Load(b.Context()), coolDown)
		b.wantDiscoveries(b, 2)
		b.up()
		if err := b.set.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.key("a")
		b.wantFetches(b, 1)
	})
	run(t, "joins the flight in progress", func(b *bench) {
		release := b.hang()
		go func() { _, _ = b.set.Keys(b.Context(), b.clock.Now(), "a", "ES256") }()
		b.settle()
		loaded := make(chan error)
		go func() { loaded <- b.set.Load(b.Context()) }()
		b.settle()
		release()
		if err := <-loaded; err != nil {
			b.Fatal(err)
		}
		b.wantFetches(b, 1)
	})
	run(t, "ends with its context", func(b *bench) {
		defer b.hang()()
		ctx, cancel := context.WithCancel(b.Context())
		cancel()
		if err := b.set.Load(ctx); !errors.Is(err, context.Canceled) {
			b.Errorf("Load = %v, want context.Canceled", err)
		}
	})
}

// The bounds that the documentation states.
func TestBounds(t *testing.T) {
	for name, b := range map[string][2]any{
		"freshFor":     {freshFor, 5 * time.Minute},
		"staleAfter":   {staleAfter, 10 * time.Minute},
		"usableFor":    {usableFor, 24 * time.Hour},
		"coolDown":     {coolDown, 30 * time.Second},
		"maxCoolDown":  {maxCoolDown, 5 * time.Minute},
		"minRetry":     {minRetry, time.Second},
		"requestLimit": {requestLimit, 5 * time.Second},
		"maxBody":      {maxBody, 1 << 20},
		"maxRedirects": {maxRedirects, 3},
		"maxSearching": {maxSearching, 128},
		"maxWanted":    {maxWanted, 64},
		"maxSameID":    {maxSameID, 3},
		"maxUnused":    {maxUnused, 32},
		"maxShownID":   {maxShownID, 64},
	} {
		if b[0] != b[1] {
			t.Errorf("%s = %v, want %v", name, b[0], b[1])
		}
	}
}

// TryLoad is Load with manners: it asks a failing issuer once per cool-down.
func TestTryLoad(t *testing.T) {
	run(t, "loads once", func(b *bench) {
		if b.set.Loaded() {
			b.Error("loaded before the first fetch")
		}
		for range 3 {
			if err := b.set.TryLoad(b.Context()); err != nil {
				b.Errorf("TryLoad = %v", err)
			}
		}
		b.wantFetches(b, 1)
		if !b.set.Loaded() {
			b.Error("not loaded")
		}
		b.clock.Advance(usableFor)
		if b.set.Loaded() {
			b.Error("loaded with keys that are too old to serve")
		}
	})
	run(t, "respects the cool-down, which Load does not", func(b *bench) {
		b.down()
		for range 3 {
			wantUnavailable(b, b.set.TryLoad(b.Context()), coolDown)
		}
		b.wantDiscoveries(b, 1)
		b.clock.Advance(coolDown - 1)
		err := b.set.TryLoad(b.Context())
		wantUnavailable(b, err, minRetry)
		if want := "keyset: discovery answered status 502"; err.Error() != want {
			b.Errorf("TryLoad = %q, want %q", err, want)
		}
		b.wantDiscoveries(b, 1)
		wantUnavailable(b, b.set.Load(b.Context()), coolDown)
		b.wantDiscoveries(b, 2)
		b.clock.Advance(coolDown)
		wantUnavailable(b, b.set.TryLoad(b.Context()), coolDown)
		b.wantDiscoveries(b, 3)
	})
	run(t, "respects a Retry-After", func(b *bench) {
		b.provider.set(func(p *provider) {
			p.respond = answer(http.StatusTooManyRequests, "", map[string]string{"Retry-After": "120"})
		})
		wantUnavailable(b, b.set.TryLoad(b.Context()), 2*time.Minute)
		b.clock.Advance(2*time.Minute - time.Second)
		wantUnavailable(b, b.set.TryLoad(b.Context()), time.Second)
		b.wantDiscoveries(b, 1)
	})
}

// A load occupies its place until its fetch has ended, whether it succeeds or fails and
// whether or not the caller waits for it.
func TestLoads(t *testing.T) {
	limited := func(b *bench) {
		b.set.loads = make(chan struct{}, 1)
	}
	run(t, "a fetch keeps its place", func(b *bench) {
		limited(b)
		release := b.hang()
		ctx, cancel := context.WithCancel(b.Context())
		left := make(chan error)
		go func() { left <- b.set.Load(ctx) }()
		b.settle()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			b.Errorf("Load = %v, want context.Canceled", err)
		}
		if n := len(b.set.loads); n != 1 {
			b.Errorf("%d places are occupied during the fetch, want 1", n)
		}
		if err := b.set.Load(ctx); !errors.Is(err, context.Canceled) {
			b.Errorf("Load without a place = %v, want context.Canceled", err)
		}
		waiting := make(chan error)
		go func() { waiting <- b.set.Load(b.Context()) }()
		b.settle()
		release()
		if err := <-waiting; err != nil {
			b.Errorf("Load = %v", err)
		}
		b.settle()
		if n := len(b.set.loads); n != 0 {
			b.Errorf("%d places are occupied after the fetch", n)
		}
		b.wantFetches(b, 1)
	})
	run(t, "calls need none", func(b *bench) {
		limited(b)
		b.set.loads <- struct{}{}
		b.key("a")
		if err := b.set.Load(b.Context()); err != nil { // loaded already
			b.Errorf("Load = %v", err)
		}
	})
	run(t, "joining a fetch of a call frees the place", func(b *bench) {
		limited(b)
		release := b.hang()
		go b.set.Keys(b.Context(), b.clock.Now(), "a", "ES256")
		b.settle()
		waiting := make(chan error)
		go func() { waiting <- b.set.Load(b.Context()) }()
		b.settle()
		if n := len(b.set.loads); n != 0 {
			b.Errorf("%d places are occupied, want none", n)
		}
		release()
		if err := <-waiting; err != nil {
			b.Errorf("Load = %v", err)
		}
	})
	for name, act := range map[string]func(){"panic": func() { panic("secret") }, "exit": runtime.Goexit} {
		run(t, name, func(b *bench) {
			limited(b)
			b.provider.set(func(p *provider) {
				p.respond = func(*http.Request) (*http.Response, error) { act(); return nil, nil }
			})
			wantUnavailable(b, b.set.TryLoad(b.Context()), coolDown)
			wantUnavailable(b, b.set.TryLoad(b.Context()), coolDown) // in the cool-down
			if n := len(b.set.loads); n != 0 {
				b.Errorf("%d places are occupied after the fetch", n)
			}
		})
	}
}

// A revoked key must stop verifying, and verdicts that depend on it must lapse
// (CVE-2025-22149): the set is replaced as a whole, and Check reports it.
func TestReplacement(t *testing.T) {
	run(t, "rotation and revocation", func(b *bench) {
		kept, revoked := b.key("a"), b.key("b")
		b.publish(b.keys[0], ecJWK(b, "c"))
		b.clock.Advance(staleAfter)
		if got := b.key("a"); got != kept {
			b.Error("an unchanged key has another pointer after a refresh")
		}
		b.key("c")
		b.wantFetches(b, 2)
		if err := b.check(kept); err != nil {
			b.Errorf("Check of a kept key = %v", err)
		}
		if err := b.check(revoked); !errors.Is(err, ErrUnknownKey) {
			b.Errorf("Check of a withdrawn key = %v, want ErrUnknownKey", err)
		}
		if err := b.check(nil); !errors.Is(err, ErrUnknownKey) {
			b.Errorf("Check of no key = %v, want ErrUnknownKey", err)
		}
		b.wantUnknown("b")
	})
	run(t, "same id, other key", func(b *bench) {
		old := b.key("a")
		b.publish(ecJWK(b, "a"))
		b.clock.Advance(staleAfter)
		if b.key("a") == old {
			b.Error("a key that was replaced under its id is still the old one")
		}
		if err := b.check(old); !errors.Is(err, ErrUnknownKey) {
			b.Errorf("Check of the replaced key = %v, want ErrUnknownKey", err)
		}
	})
	run(t, "duplicates", func(b *bench) {
		dup := []string{ecJWK(b, "a"), ecJWK(b, "a"), ecJWK(b, "a"), ecJWK(b, "a")}
		b.publish(dup[0], dup[0], dup[1], dup[2], dup[3])
		got, err := b.set.Keys(b.Context(), b.clock.Now(), "a", "ES256")
		if err != nil {
			b.Fatal(err)
		}
		var want []*Key
		for _, raw := range dup[:maxSameID] {
			k, err := parseKey([]byte(raw))
			if err != nil {
				b.Fatal(err)
			}
			want = append(want, k)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer((*Key).same)); diff != "" {
			b.Errorf("candidates differ (-want +got):\n%s", diff)
		}
	})
	run(t, "a known id of the wrong type does not fetch", func(b *bench) {
		b.key("a")
		for _, alg := range []string{"RS256", "ES384", "EdDSA", "HS256", "none", ""} {
			if _, err := b.set.Keys(b.Context(), b.clock.Now(), "a", alg); !errors.Is(err, ErrUnknownKey) {
				b.Errorf("Keys(a, %q) = %v, want ErrUnknownKey", alg, err)
			}
		}
		b.settle()
		b.wantFetches(b, 1)
	})
}

func TestObserve(t *testing.T) {
	run(t, "every attempt", func(b *bench) {
		b.down()
		b.wantKeyUnavailable("a", coolDown)
		b.clock.Advance(coolDown)
		b.up()
		b.key("a")
		b.down()
		b.clock.Advance(staleAfter)
		b.key("a")
		b.clock.Advance(usableFor)
		b.wantKeyUnavailable("a", coolDown)

		want := []Refresh{
			{Issuer: testIssuer, At: epoch, Err: newFetchError("discovery", "answered status 502")},
			{Issuer: testIssuer, At: epoch.Add(coolDown), Keys: 2},
			{Issuer: testIssuer, At: epoch.Add(coolDown + staleAfter), Keys: 2, Err: newFetchError("jwks", "answered status 502")},
			{Issuer: testIssuer, At: epoch.Add(coolDown + staleAfter + usableFor), Err: newFetchError("discovery", "answered status 502")},
		}
		if diff := cmp.Diff(want, b.observed(), cmp.AllowUnexported(fetchError{})); diff != "" {
			b.Errorf("refreshes differ (-want +got):\n%s", diff)
		}
	})
	run(t, "may use the set, and may panic", func(b *bench) {
		var calls int
		b.set.observe = func(Refresh) {
			calls++
			b.key("a")
			panic("observer")
		}
		b.key("a")
		b.settle()
		b.clock.Advance(staleAfter)
		b.key("a")
		b.settle()
		if calls != 2 {
			b.Errorf("observer called %d times, want 2", calls)
		}
	})
}

func TestFreshSetIsFree(t *testing.T) {
	p := &provider{keys: []string{ecJWK(t, "a")}}
	var clockReads int
	s := New(Config{
		Issuer: testIssuer,
		Client: &http.Client{Transport: p},
		Now:    func() time.Time { clockReads++; return epoch },
	})
	ctx := t.Context()
	keys, err := s.Keys(ctx, epoch, "a", "ES256")
	if err != nil {
		t.Fatal(err)
	}
	reads := clockReads
	s.mu.Lock() // Check and Keys must not need it
	defer s.mu.Unlock()
	allocs := testing.AllocsPerRun(100, func() {
		if s.Check(ctx, epoch.Add(freshFor-1), keys[0]) != nil {
			t.Fatal("key not found")
		}
		if found, err := s.Keys(ctx, epoch.Add(freshFor-1), "a", "ES256"); err != nil || found[0] != keys[0] {
			t.Fatal("another key found")
		}
	})
	if allocs != 0 || clockReads != reads {
		t.Errorf("Check and Keys made %v allocations and %d clock reads, want none", allocs, clockReads-reads)
	}
}

func BenchmarkCheck(b *testing.B) {
	p := &provider{keys: []string{ecJWK(b, "a"), ecJWK(b, "b"), ecJWK(b, "c")}}
	s := New(Config{Issuer: testIssuer, Client: &http.Client{Transport: p}})
	keys, err := s.Keys(b.Context(), time.Now(), "c", "ES256")
	if err != nil {
		b.Fatal(err)
	}
	now, ctx := time.Now(), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if s.Check(ctx, now, keys[0]) != nil {
			b.Fatal("key not found")
		}
	}
}

// A key is in every set that was made with it, also while the next set is made.
func TestSnapshotContains(t *testing.T) {
	stays, leaves := &Key{ID: "stays"}, &Key{ID: "leaves"}
	before := newSnapshot(nil, []*Key{stays, leaves}, epoch)
	after := newSnapshot(before, []*Key{stays}, epoch)
	for _, test := range []struct {
		name string
		set  *snapshot
		key  *Key
		want bool
	}{
		{"stays, before", before, stays, true},
		{"stays, after", after, stays, true},
		{"leaves, before", before, leaves, true},
		{"leaves, after", after, leaves, false},
		{"another key with the same id", after, &Key{ID: "stays"}, false},
	} {
		if got := test.set.contains(test.key); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
