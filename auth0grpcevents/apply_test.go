package auth0grpcevents

import (
	"encoding/binary"
	"testing"
)

// TestRecent shows that exactly the last revocations are remembered. One that is added
// twice, by two deliveries at once, takes one place.
func TestRecent(t *testing.T) {
	key := func(n uint64) (k recentKey) {
		binary.BigEndian.PutUint64(k[:], n)
		return k
	}
	const added = 2*rememberedEvents + 100
	var r recent
	for n := range uint64(added) {
		if r.has(key(n)) {
			t.Fatalf("key %d is there before it was added", n)
		}
		r.add(key(n))
		r.add(key(n))
		if len(r.keys) > rememberedEvents || len(r.ring) > rememberedEvents {
			t.Fatalf("%d keys and a ring of %d, want %d at most", len(r.keys), len(r.ring), rememberedEvents)
		}
	}
	for n := range uint64(added) {
		if got, want := r.has(key(n)), n >= added-rememberedEvents; got != want {
			t.Fatalf("key %d of %d is remembered: %t, want %t", n, added, got, want)
		}
	}
}
