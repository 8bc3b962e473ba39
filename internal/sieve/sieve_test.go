package sieve

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"weak"

	"github.com/google/go-cmp/cmp"
)

// keyOf returns a key for i. Keys of numbers that differ by a multiple of 2^16 share a
// bucket in any cache.
func keyOf(i int) (key Key) {
	binary.LittleEndian.PutUint64(key[:], uint64(i)&0xffff)
	binary.LittleEndian.PutUint64(key[8:], uint64(i))
	return key
}

// spreadKey returns a key as a hash function would: its first bytes are SplitMix64's.
func spreadKey(i int) (key Key) {
	z := uint64(i+1) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	binary.LittleEndian.PutUint64(key[:], z^z>>31)
	binary.LittleEndian.PutUint64(key[8:], uint64(i))
	return key
}

func numberOf(key Key) int { return int(binary.LittleEndian.Uint64(key[8:])) }

// queue returns the numbers of the keys from the oldest entry to the newest. It fails if
// the links, the count or the weight are wrong.
func queue(t *testing.T, s *Cache[int]) []int {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var numbers []int
	var weight uint64
	var older *entry[int]
	for e := s.oldest; e != nil; older, e = e, e.newer {
		if e.older != older {
			t.Fatalf("entry %d has the wrong older one", numberOf(e.key))
		}
		if s.find(&e.key) != e {
			t.Fatalf("entry %d is not in its bucket", numberOf(e.key))
		}
		numbers = append(numbers, numberOf(e.key))
		weight += e.weight
	}
	if older != s.newest || len(numbers) != s.count || weight != s.weight || weight > s.maxWeight {
		t.Fatalf("%d entries of weight %d, counted %d of %d", len(numbers), weight, s.count, s.weight)
	}
	linked := 0
	for i := range s.buckets {
		for e := s.buckets[i].Load(); e != nil; e = e.next.Load() {
			linked++
		}
	}
	if linked != s.count {
		t.Fatalf("%d entries in buckets, want %d", linked, s.count)
	}
	return numbers
}

// A queueModel is SIEVE on a slice.
type queueModel struct {
	maxWeight uint64
	entries   []modelEntry // the oldest first
	hand      int
}

type modelEntry struct {
	number, value int
	weight        uint64
	used          bool
}

func (m *queueModel) index(number int) int {
	return slices.IndexFunc(m.entries, func(e modelEntry) bool { return e.number == number })
}

func (m *queueModel) delete(i int) {
	m.entries = slices.Delete(m.entries, i, i+1)
	if i < m.hand {
		m.hand--
	}
	if m.hand == len(m.entries) {
		m.hand = 0
	}
}

func (m *queueModel) add(e modelEntry) {
	if i := m.index(e.number); i >= 0 {
		m.delete(i)
	}
	spared := 0
	for total := m.weight(); len(m.entries) > 0 && total+e.weight > m.maxWeight; total = m.weight() {
		for ; ; spared++ {
			if !m.entries[m.hand].used || spared == maxSpared {
				break
			}
			m.entries[m.hand].used = false
			m.hand = (m.hand + 1) % len(m.entries)
		}
		m.delete(m.hand)
	}
	m.entries = append(m.entries, e)
}

func (m *queueModel) weight() (total uint64) {
	for _, e := range m.entries {
		total += e.weight
	}
	return total
}

// TestEntriesEqualAModel makes random calls with keys that share buckets.
func TestEntriesEqualAModel(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		size := 1 + random.IntN(40)
		s, m := New[int](size, uint64(size)*4), &queueModel{maxWeight: uint64(size) * 4}
		for range 500 {
			number := random.IntN(3*size)<<14 | random.IntN(2)
			key, i := keyOf(number), m.index(number)
			want, held := 0, i >= 0
			if held {
				want = m.entries[i].value
			}
			switch random.IntN(8) {
			case 0:
				s.Delete(key)
				if held {
					m.delete(i)
				}
			case 1:
				if got, ok := s.Peek(key); got != want || ok != held {
					t.Fatalf("peek(%d) = %d, %t, want %d, %t", number, got, ok, want, held)
				}
			case 2, 3, 4:
				if got, ok := s.Get(key); got != want || ok != held {
					t.Fatalf("get(%d) = %d, %t, want %d, %t", number, got, ok, want, held)
				}
				if held {
					m.entries[i].used = true
				}
			default:
				value, weight := random.Int(), 1+random.Uint64N(min(s.maxWeight, 12))
				s.Add(key, value, weight)
				m.add(modelEntry{number: number, value: value, weight: weight})
			}
			var numbers []int
			for _, e := range m.entries {
				numbers = append(numbers, e.number)
			}
			if got := queue(t, s); !slices.Equal(numbers, got) {
				t.Fatalf("seed %d: entries (-want +got):\n%s", seed, cmp.Diff(numbers, got))
			}
		}
	}
}

// Adding a value spares a bounded number of entries, even if all of them are in use and
// many must leave.
func TestSparedAreBounded(t *testing.T) {
	const size = 3 * maxSpared
	for _, weight := range []int{1, 10} {
		s := New[int](size, size)
		var want []int
		for i := range size {
			s.Add(keyOf(i), i, 1)
			s.Get(keyOf(i))
			if i < maxSpared || i >= maxSpared+weight {
				want = append(want, i)
			}
		}
		s.Add(keyOf(size), size, uint64(weight))
		if diff := cmp.Diff(append(want, size), queue(t, s)); diff != "" {
			t.Errorf("after weight %d (-want +got):\n%s", weight, diff)
		}
	}
}

// Weights and sizes at their limits neither overflow nor let the cache grow.
func TestWeightLimits(t *testing.T) {
	const most = math.MaxUint64
	for name, test := range map[string]struct {
		size      int
		maxWeight uint64
		weights   []uint64
		want      []int
	}{
		"nothing fits":            {1, 0, []uint64{0, 1, most}, nil},
		"one fits":                {1, 1, []uint64{1, 1, 1}, []int{2}},
		"weight 0 counts as 1":    {4, 2, []uint64{0, 0, 0, 0}, []int{2, 3}},
		"too heavy":               {4, 3, []uint64{1, 1, 4}, []int{2}},
		"heaviest":                {4, 3, []uint64{1, most, 1, most}, []int{3}},
		"sums near the maximum":   {4, most, []uint64{most - 1, 1, 1}, []int{1, 2}},
		"sums beyond the maximum": {4, most, []uint64{most - 1, most - 1, 2, most}, []int{3}},
		"no size":                 {0, 2, []uint64{1, 1, 1}, []int{1, 2}},
		"negative size":           {-1, 2, []uint64{1, 1, 1}, []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			s := New[int](test.size, test.maxWeight)
			for i, weight := range test.weights {
				s.Add(keyOf(i), i, weight)
			}
			if got := s.Len(); got != len(test.want) {
				t.Errorf("Len = %d, want %d", got, len(test.want))
			}
			if diff := cmp.Diff(test.want, queue(t, s)); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
		})
	}
}

// Keys that share a bucket in one cache do not share one in another, so they cannot be
// found in advance.
func TestBucketsAreSecret(t *testing.T) {
	const size = 1 << 10
	one, other := New[int](size, size), New[int](size, size)
	random := rand.New(rand.NewPCG(3, 4))
	first := one.bucket(&Key{})
	used := map[*atomic.Pointer[entry[int]]]int{}
	longest := 0
	for found := 0; found < 500; {
		key := keyOf(0)
		binary.LittleEndian.PutUint64(key[:], random.Uint64())
		if one.bucket(&key) == first {
			bucket := other.bucket(&key)
			used[bucket]++
			longest = max(longest, used[bucket])
			found++
		}
	}
	if longest > 50 {
		t.Errorf("%d of 500 keys that share a bucket share another one", longest)
	}
}

// Every bucket is used, also by keys that differ in their uppermost bit alone.
func TestBucketsAreUsed(t *testing.T) {
	for range 64 {
		s := New[int](2, 2)
		lower, upper := Key{}, Key{7: 0x80}
		if s.bucket(&lower) == s.bucket(&upper) {
			t.Error("two keys in one of two buckets")
		}
	}
	s := New[int](64, 64)
	used := map[*atomic.Pointer[entry[int]]]bool{}
	for i := range 10_000 {
		key := spreadKey(i)
		used[s.bucket(&key)] = true
	}
	if len(used) != 64 {
		t.Errorf("%d buckets in use, want 64", len(used))
	}
}

// The room for entries is bounded, for any size that a program configures.
func TestBucketsAreBounded(t *testing.T) {
	for size, want := range map[int]int{1: 1, 2: 2, 3: 4, 10_000: 1 << 14, maxBuckets: maxBuckets, maxBuckets + 1: maxBuckets, math.MaxInt: maxBuckets} {
		if got := len(New[int](size, 1).buckets); got != want {
			t.Errorf("%d buckets for %d values, want %d", got, size, want)
		}
	}
}

// A reader that holds an entry while it is removed still finds the entries behind it.
func TestReaderOfARemovedEntry(t *testing.T) {
	s := New[int](4, 4)
	behind, removed := keyOf(0), keyOf(1<<16)
	s.Add(behind, 1, 1)
	s.Add(removed, 2, 1)
	e := s.find(&removed)
	s.Delete(removed)
	if next := e.next.Load(); next == nil || next.key != behind {
		t.Error("the entry behind a removed one is lost for its reader")
	}
}

// A reader that holds an entry finds the entry behind it, also while that one is replaced.
func TestReaderOfAReplacedEntry(t *testing.T) {
	s := New[int](4, 4)
	replaced, before := keyOf(0), keyOf(1<<16)
	s.Add(replaced, 1, 1)
	s.Add(before, 2, 1)
	e := s.find(&before)
	for value := range 3 {
		s.Add(replaced, value, 1)
		if next := e.next.Load(); next == nil || next.key != replaced || next.value != value {
			t.Errorf("value %d is lost for a reader of the entry before it", value)
		}
	}
	queue(t, s)
}

// A reader that holds a removed entry keeps no values alive that were added after it. It
// keeps the entries that were behind it in its bucket.
func TestRemovedEntryHoldsNoOther(t *testing.T) {
	type value struct {
		_ [64]byte // not shared with other small allocations
	}
	s := New[*value](4, 4)
	s.Add(keyOf(-1), new(value), 1)
	s.Add(keyOf(0), new(value), 1)
	removed := keyOf(0)
	held := s.find(&removed)
	var values []weak.Pointer[value]
	for i := range 100 {
		v := new(value)
		values = append(values, weak.Make(v))
		s.Add(keyOf(i+1), v, 1)
		if i == 0 {
			s.Delete(removed)
		}
	}
	for i := range 101 {
		s.Delete(keyOf(i))
	}
	runtime.GC()
	alive := 0
	for _, v := range values {
		if v.Value() != nil {
			alive++
		}
	}
	if alive > len(values)/10 { // the stack may hold the last one
		t.Errorf("%d of %d removed values are alive", alive, len(values))
	}
	runtime.KeepAlive(held)
	runtime.KeepAlive(s)
}

// TestEntriesAtOnce reads, adds and removes from several goroutines. A reader gets the
// value of its key or none, and finds a value that nothing removes.
func TestEntriesAtOnce(t *testing.T) {
	const size, keys = 64, 200
	s := New[int](size, size)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 2))
			for range 5000 {
				number := random.IntN(keys) << 12 // at most 16 buckets
				key := keyOf(number)
				switch random.IntN(4) {
				case 0:
					s.Add(key, number, 1+random.Uint64N(3))
				case 1:
					s.Delete(key)
				default:
					if got, ok := s.Get(key); ok && got != number {
						t.Errorf("get(%d) = %d", number, got)
					}
				}
			}
		})
	}
	group.Wait()
	queue(t, s)
}

// TestKeptWhileOthersChange shows that readers find a value while others in its bucket
// are added and removed.
func TestKeptWhileOthersChange(t *testing.T) {
	s := New[int](1, 1000) // one bucket
	kept := keyOf(-1)
	s.Add(kept, -1, 1)
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		defer close(done)
		for i := range 20_000 {
			key := keyOf(i % 10)
			s.Add(key, i, 1)
			if i%3 == 0 {
				s.Delete(key)
			}
		}
	})
	readUntil(&group, done, func() bool {
		got, ok := s.Get(kept)
		if !ok || got != -1 {
			t.Errorf("get = %d, %t, want -1", got, ok)
		}
		return ok && got == -1
	})
}

// readUntil calls read from two goroutines, until done is closed or read returns false. It
// then waits for the group.
func readUntil(group *sync.WaitGroup, done <-chan struct{}, read func() bool) {
	for range 2 {
		group.Go(func() {
			for read() {
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	group.Wait()
}

// TestKeptWhileReplaced shows that readers find one of both values while one takes the
// place of the other.
func TestKeptWhileReplaced(t *testing.T) {
	const size = 1000
	s := New[int](size, size)
	key := keyOf(0)
	s.Add(key, 0, 1)
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		defer close(done)
		for range 50 {
			for i := range size - 1 {
				s.Add(keyOf(i+1), i, 1)
			}
			s.Add(key, 1, size) // evicts all others
			s.Add(key, 2, 1)
		}
	})
	readUntil(&group, done, func() bool {
		_, ok := s.Peek(key)
		if !ok {
			t.Error("the value was lost while another one took its place")
		}
		return ok
	})
	if got := queue(t, s); !slices.Equal(got, []int{0}) {
		t.Errorf("entries %v, want one", got)
	}
}

// BenchmarkAdd measures a new value in a full cache of three sizes, whose other values
// are in use or not. The only allocation is the entry.
func BenchmarkAdd(b *testing.B) {
	for _, size := range []int{1000, 10_000, 1_000_000} {
		for _, inUse := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/in use %t", size, inUse), func(b *testing.B) {
				s := New[int](size, uint64(size))
				for i := range size {
					key := spreadKey(i)
					s.Add(key, i, 1)
					if inUse {
						s.Get(key)
					}
				}
				b.ReportAllocs()
				i := size
				for b.Loop() {
					s.Add(spreadKey(i), i, 1)
					i++
				}
			})
		}
	}
}

// BenchmarkGet measures a hit from all processors.
func BenchmarkGet(b *testing.B) {
	for _, size := range []int{1000, 10_000, 1_000_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := New[int](size, uint64(size))
			for i := range size {
				s.Add(spreadKey(i), i, 1)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				i := 0
				for pb.Next() {
					key := spreadKey(i % size)
					s.Get(key)
					i += 7919
				}
			})
		})
	}
}
