package dpop_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/dpop"
)

// clock is set by hand.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.set(now)
	return c
}

func (c *clock) set(t time.Time)     { c.nanos.Store(t.UnixNano()) }
func (c *clock) now() time.Time      { return time.Unix(0, c.nanos.Load()) }
func (c *clock) add(d time.Duration) { c.nanos.Add(int64(d)) }

// use calls Use and checks its result.
func use(t *testing.T, m *dpop.ReplayMemory, id string, until time.Time, want bool, wantErr error) {
	t.Helper()
	if first, err := m.Use(context.Background(), id, until); first != want || err != wantErr {
		t.Errorf("Use(%q, now%+v) = %t, %v; want %t, %v", id, until.Sub(now), first, err, want, wantErr)
	}
}

func TestMemory(t *testing.T) {
	c := newClock()
	m := dpop.NewReplayMemory(100, c.now)
	until := now.Add(5 * time.Minute)
	use(t, m, "a", until, true, nil)
	use(t, m, "a", until, false, nil)
	use(t, m, "a", until.Add(time.Second), false, nil) // another proof with the same jti
	use(t, m, "b", until, true, nil)
	use(t, m, "", until, true, nil)
	use(t, m, "", until, false, nil)

	c.set(until) // included
	use(t, m, "a", until, false, nil)
	use(t, m, "c", until, true, nil)
	use(t, m, "c", until, false, nil)

	c.set(until.Add(time.Microsecond))
	use(t, m, "a", until, false, nil) // too late to be first
	use(t, m, "a", until.Add(time.Second), true, nil)
	use(t, m, "a", until.Add(time.Second), false, nil)
	use(t, m, "late", until, false, nil)
}

func TestMemoryWithoutAClock(t *testing.T) {
	m := dpop.NewReplayMemory(1, nil)
	use(t, m, "a", time.Now().Add(time.Minute), true, nil)
	use(t, m, "a", time.Now().Add(time.Minute), false, nil)
}

// A full memory refuses until exactly the moment at which one of its records has ended,
// in any shard.
func TestMemoryFull(t *testing.T) {
	const capacity = 1000
	c := newClock()
	m := dpop.NewReplayMemory(capacity, c.now)
	for i := range capacity {
		use(t, m, strconv.Itoa(i), now.Add(time.Duration(i)*time.Second), true, nil)
	}
	far := now.Add(time.Hour)
	use(t, m, "more", far, false, dpop.ErrFull)
	use(t, m, "7", now.Add(7*time.Second), false, nil) // known all the same
	for i := range 20 {
		c.add(time.Second)
		use(t, m, "more"+strconv.Itoa(i), far, true, nil)
		use(t, m, "more"+strconv.Itoa(i), far, false, nil)
		use(t, m, "still more", far, false, dpop.ErrFull)
	}
	if n := m.Live(); n != capacity {
		t.Errorf("%d records, want %d", n, capacity)
	}
}

func TestMemoryWithoutCapacity(t *testing.T) {
	for _, capacity := range []int{0, -1} {
		use(t, dpop.NewReplayMemory(capacity, newClock().now), "a", now, false, dpop.ErrFull)
	}
}

// Ends in any order, ids used again after their end: against a plain map. The
// clock goes on by a second now and then, so that windows begin and end.
func TestMemoryIsExact(t *testing.T) {
	c := newClock()
	m := dpop.NewReplayMemory(1<<20, c.now)
	model := map[string]time.Time{}
	r := rand.New(rand.NewPCG(1, 2))
	for range 60_000 {
		if r.IntN(100) == 0 {
			c.add(time.Second)
		}
		id := strconv.Itoa(r.IntN(5_000))
		until := c.now().Add(time.Duration(r.IntN(330)) * time.Second)
		end, used := model[id]
		want := !used || end.Before(c.now())
		if want {
			model[id] = until
		}
		use(t, m, id, until, want, nil)
		if t.Failed() {
			return
		}
	}
	// Forgotten by themselves, all of them.
	c.add(time.Hour)
	for i := range 20_000 {
		use(t, m, "after"+strconv.Itoa(i), c.now(), true, nil)
	}
	if n := m.Live(); n != 20_000 {
		t.Errorf("%d records, want 20000", n)
	}
}

// One id with one end is first once, for any jump of the clock.
func TestMemoryClockJumps(t *testing.T) {
	c := newClock()
	m := dpop.NewReplayMemory(1<<20, c.now)
	r := rand.New(rand.NewPCG(3, 4))
	first := map[string]bool{}
	for range 60_000 {
		if r.IntN(50) == 0 {
			c.set(now.Add(time.Duration(r.IntN(7200)-3600) * time.Second))
		}
		// One end for each id, as a proof has.
		i := r.IntN(5_000)
		id, until := strconv.Itoa(i), now.Add(time.Duration(i-2_500)*time.Second)
		ok, err := m.Use(context.Background(), id, until)
		if err != nil {
			t.Fatal(err)
		}
		if ok && first[id] {
			t.Fatalf("%q is first twice", id)
		}
		if ok && until.Before(c.now()) {
			t.Fatalf("%q is first after its end", id)
		}
		first[id] = first[id] || ok
	}

	// After a jump forth and back, new proofs pass again.
	c.set(now.Add(24 * time.Hour))
	for i := range 10_000 {
		use(t, m, "there"+strconv.Itoa(i), c.now(), true, nil)
	}
	c.set(now.Add(2 * time.Hour))
	use(t, m, "back", c.now().Add(330*time.Second), true, nil)
}

// A key has at most half as many live proofs as there are free places, and gets its
// places back when its proofs have ended.
func TestMemoryShares(t *testing.T) {
	const capacity = 1000
	far := now.Add(5 * time.Minute)
	fill := func(m *dpop.ReplayMemory, key string, until time.Time) (held int) {
		for i := range capacity + 1 {
			first, err := m.Use(t.Context(), key+" "+strconv.Itoa(i), until)
			if err == dpop.ErrKeyFull {
				return held
			}
			if err != nil || !first {
				t.Fatalf("%s: proof %d: %t, %v", key, i, first, err)
			}
			held++
		}
		return held
	}
	for _, test := range []struct{ greedy, left int }{{1, 666}, {2, 444}, {3, 296}, {10, 16}} {
		m := dpop.NewReplayMemory(capacity, newClock().now)
		for k := range test.greedy {
			fill(m, "greedy"+strconv.Itoa(k), far)
		}
		if left := capacity - m.Len(); left != test.left {
			t.Errorf("%d keys leave %d places, want %d", test.greedy, left, test.left)
		}
		use(t, m, "greedy0 more", far, false, dpop.ErrKeyFull)
		use(t, m, "greedy0 1", far, false, nil) // known all the same
		use(t, m, "another 1", far, true, nil)
		use(t, m, "another 1", far, false, nil)
	}

	c := newClock()
	m := dpop.NewReplayMemory(capacity, c.now)
	for range 3 {
		if held := fill(m, "one", c.now().Add(time.Minute)); held != capacity/3+1 {
			t.Errorf("one key holds %d of %d", held, capacity)
		}
		c.add(time.Minute + time.Second)
		if m.Len() != 0 || m.Owners() != 0 {
			t.Errorf("%d proofs and %d keys after their time", m.Len(), m.Owners())
		}
	}
}

// A key's refused proofs do not count for it, and neither do replays.
func TestMemorySharesCountFirstUses(t *testing.T) {
	m := dpop.NewReplayMemory(10, newClock().now)
	until := now.Add(time.Minute)
	for range 20 {
		m.Use(t.Context(), "key same", until)
		m.Use(t.Context(), "key late", now.Add(-time.Second))
	}
	for i := range 3 {
		use(t, m, "key "+strconv.Itoa(i), until, true, nil)
	}
	use(t, m, "key 3", until, false, dpop.ErrKeyFull)
	if m.Len() != 4 || m.Capacity() != 10 {
		t.Errorf("%d of %d", m.Len(), m.Capacity())
	}
}

// An id without a space counts for no key.
func TestMemoryWithoutAKey(t *testing.T) {
	c := newClock()
	m := dpop.NewReplayMemory(10, c.now)
	for i := range 10 {
		use(t, m, strconv.Itoa(i), now.Add(time.Minute), true, nil)
	}
	if n := m.Owners(); n != 0 {
		t.Errorf("%d keys", n)
	}
	c.add(time.Hour)
	if proofs, owners := m.Len(), m.Owners(); proofs != 0 || owners != 0 {
		t.Errorf("%d proofs and %d keys after their time", proofs, owners)
	}
}

// After a flood of keys a share gives its memory back, and the proofs of a key that
// are still live count on.
func TestMemoryShrinkKeepsCounts(t *testing.T) {
	const capacity = 2000
	c := newClock()
	m := dpop.NewReplayMemory(capacity, c.now)
	far := now.Add(time.Hour)
	for i := range 300 {
		until := far
		if i == 0 {
			until = now.Add(time.Second) // the others count on when it has ended
		}
		use(t, m, "live "+strconv.Itoa(i), until, true, nil)
	}
	for i, keys := 0, 0; keys < 200; i++ {
		if id := strconv.Itoa(i) + " "; m.ShareOf(id) == m.ShareOf("live ") {
			keys++
			use(t, m, id, now.Add(10*time.Second), true, nil)
		}
	}
	if n := m.MostOwners("live "); n != 201 {
		t.Errorf("memory for %d keys, want 201", n)
	}
	c.add(11 * time.Second)
	if proofs, owners := m.Len(), m.Owners(); proofs != 299 || owners != 1 {
		t.Errorf("%d proofs of %d keys, want 299 of one", proofs, owners)
	}
	if n := m.MostOwners("live "); n > 50 {
		t.Errorf("memory for %d keys after the flood, want a quarter at most", n)
	}
	const third = capacity/3 + 1
	for i := range third - 299 {
		use(t, m, "live more"+strconv.Itoa(i), far, true, nil)
	}
	use(t, m, "live last", far, false, dpop.ErrKeyFull)
}

// Clients cannot tell which ids share a shard: it depends on a secret.
func TestMemoryHidesItsShards(t *testing.T) {
	a, b := dpop.NewReplayMemory(1, nil), dpop.NewReplayMemory(1, nil)
	for i := range 64 {
		if id := strconv.Itoa(i); a.ShardOf(id) != b.ShardOf(id) {
			return
		}
	}
	t.Error("two memories have the same shards")
}

// The capacity serves round after round.
func TestMemoryRounds(t *testing.T) {
	c := newClock()
	m := dpop.NewReplayMemory(5000, c.now)
	for round := range 5 {
		for i := range 3000 {
			use(t, m, strconv.Itoa(round)+"-"+strconv.Itoa(i), c.now().Add(time.Minute), true, nil)
		}
		c.add(2 * time.Minute)
	}
}

// After a flood a shard gives its memory back, and no proof that is still live is
// forgotten by that.
func TestMemoryShrinkKeepsLiveProofs(t *testing.T) {
	c := newClock()
	m := dpop.NewReplayMemory(1<<20, c.now)
	shard := m.ShardOf("live")
	use(t, m, "live", now.Add(20*time.Second), true, nil)
	var ids []string
	for i := 0; len(ids) < 3000; i++ {
		if id := strconv.Itoa(i); m.ShardOf(id) == shard {
			ids = append(ids, id)
			use(t, m, id, now.Add(10*time.Second), true, nil)
		}
	}
	c.add(11 * time.Second)
	use(t, m, ids[0], now.Add(15*time.Second), true, nil) // makes the shard forget the others
	use(t, m, "live", now.Add(20*time.Second), false, nil)
	if n := m.Live(); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
	c.add(5 * time.Second)
	use(t, m, "live", now.Add(20*time.Second), false, nil)
	c.add(5 * time.Second) // all have ended, and the shard drops its map
	if held := m.Held("live"); held < 3000 {
		t.Errorf("memory for %d records, want it for the flood", held)
	}
	if n := m.Len(); n != 0 {
		t.Errorf("%d proofs, want none", n)
	}
	if held := m.Held("live"); held != 0 {
		t.Errorf("memory for %d records after the flood, want none", held)
	}
	use(t, m, "live", now.Add(20*time.Second), false, nil) // late for its own record
	use(t, m, "live", now.Add(40*time.Second), true, nil)
	use(t, m, "live", now.Add(40*time.Second), false, nil)
}

// CVE-2020-15222: of 64 that race with one proof, one passes.
func TestMemoryRace(t *testing.T) {
	m := dpop.NewReplayMemory(100, newClock().now)
	for round := range 50 {
		var firsts atomic.Int32
		var group sync.WaitGroup
		start := make(chan struct{})
		for range 64 {
			group.Go(func() {
				<-start
				if first, err := m.Use(context.Background(), strconv.Itoa(round), now); first && err == nil {
					firsts.Add(1)
				}
			})
		}
		close(start)
		group.Wait()
		if n := firsts.Load(); n != 1 {
			t.Fatalf("%d of 64 are first", n)
		}
	}
}

// Racing for the last places takes exactly as many as there are.
func TestMemoryRaceForRoom(t *testing.T) {
	m := dpop.NewReplayMemory(100, newClock().now)
	var firsts, full atomic.Int32
	var group sync.WaitGroup
	for g := range 64 {
		group.Go(func() {
			for i := range 10 {
				first, err := m.Use(context.Background(), strconv.Itoa(g*10+i), now)
				switch {
				case first:
					firsts.Add(1)
				case errors.Is(err, dpop.ErrFull):
					full.Add(1)
				}
			}
		})
	}
	group.Wait()
	if firsts.Load() != 100 || full.Load() != 540 || m.Live() != 100 {
		t.Errorf("%d first, %d refused, %d live; want 100, 540, 100", firsts.Load(), full.Load(), m.Live())
	}
}

// proofID has about the length of the ids that callers use.
func proofID(i int) string {
	return "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I." + strconv.Itoa(i) + "-3fa85f64-5717-4562-b3fc"
}

const million = 1_000_000

func heap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// The bytes of a million live proofs, and none when they are over. A proof of a
// key of its own needs a count of its own.
func TestMemorySize(t *testing.T) {
	if testing.Short() {
		t.Skip("a million proofs")
	}
	for _, test := range []struct {
		name string
		id   func(int) string
		most float64
	}{
		{"no key", proofID, 100},
		{"a thousand keys", func(i int) string { return strconv.Itoa(i%1000) + " " + proofID(i) }, 100},
		{"a key for each", func(i int) string { return strconv.Itoa(i) + " " + proofID(i) }, 150},
	} {
		before := heap()
		c := newClock()
		m := dpop.NewReplayMemory(2*million, c.now)
		for i := range million {
			if first, err := m.Use(context.Background(), test.id(i), now.Add(time.Duration(i)*330*time.Second/million)); !first {
				t.Fatal(err)
			}
		}
		each := float64(heap()-before) / million
		t.Logf("%s: %.1f bytes each", test.name, each)
		if each > test.most {
			t.Errorf("%s: %.1f bytes each, want at most %.0f", test.name, each, test.most)
		}
		c.add(time.Hour)
		for i := range 10_000 {
			m.Use(context.Background(), test.id(million+i), c.now())
		}
		if rest := heap(); rest > before+million*10 {
			t.Errorf("%s: %d bytes are left", test.name, rest-before)
		}
		runtime.KeepAlive(m)
	}
}

// filled holds a million live proofs and room for more.
func filled(b *testing.B) (*dpop.ReplayMemory, *clock) {
	b.Helper()
	c := newClock()
	m := dpop.NewReplayMemory(1<<30, c.now)
	for i := range million {
		m.Use(context.Background(), proofID(i), now.Add(time.Duration(i)*330*time.Second/million))
	}
	return m, c
}

func BenchmarkMemoryReplay(b *testing.B) {
	m, _ := filled(b)
	ids := make([]string, 1<<16)
	for i := range ids {
		ids[i] = proofID(i * 15)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if first, _ := m.Use(context.Background(), ids[i&(1<<16-1)], now); first {
			b.Fatal("first")
		}
		i++
	}
}

// A steady state of a million: each new proof makes an old one end.
func BenchmarkMemoryFirst(b *testing.B) {
	m, c := filled(b)
	buffer := []byte(proofID(0))
	b.ReportAllocs()
	i := million
	for b.Loop() {
		c.add(330 * time.Second / million)
		id := string(strconv.AppendInt(buffer[:44], int64(i), 10))
		if first, err := m.Use(context.Background(), id, c.now().Add(330*time.Second)); !first {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkMemoryParallel(b *testing.B) {
	m, _ := filled(b)
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Use(context.Background(), proofID(int(next.Add(1))), now.Add(330*time.Second))
		}
	})
}

// Fails closed at a cost that a server can bear.
func BenchmarkMemoryFull(b *testing.B) {
	m := dpop.NewReplayMemory(million, newClock().now)
	for i := range million {
		m.Use(context.Background(), proofID(i), now.Add(time.Hour))
	}
	id := proofID(million)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Use(context.Background(), id, now.Add(time.Hour)); err != dpop.ErrFull {
			b.Fatal(err)
		}
	}
}
