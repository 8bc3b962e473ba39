package revocation

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

var sizes = []int{1_000, 100_000, 1_000_000}

// fill returns a List of n entries of one client, and how long the slowest Add
// took.
func fill(n int, lifetime time.Duration) (l *List, slowest time.Duration) {
	l = NewList(lifetime)
	for i := range n {
		c := Criteria{Issuer: "https://tenant.eu.auth0.com/", ClientID: "c", Subject: fmt.Sprintf("auth0|%024x", i)}
		start := time.Now()
		l.Add(c, later, noon)
		slowest = max(slowest, time.Since(start))
	}
	return l, slowest
}

// BenchmarkSize reports the bytes of one entry.
func BenchmarkSize(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				l, _ := fill(n, lifetime)
				b.ReportMetric((heap()-before)/float64(n), "B/entry")
				runtime.KeepAlive(l)
			}
		})
	}
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkRevoked looks up a token that is not revoked among n entries of its
// client.
func BenchmarkRevoked(b *testing.B) {
	for _, n := range sizes {
		l, _ := fill(n, lifetime)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			t := Token{Criteria{Issuer: "https://tenant.eu.auth0.com/", ClientID: "c", Subject: "auth0|64b1f0c2a9d35e7718c4e6ab"}, noon}
			for b.Loop() {
				if l.Revoked(t, noon) {
					b.Fatal("revoked")
				}
			}
		})
	}
}

// BenchmarkAdd reports the slowest Add while a List grows to n entries, and
// while as many that have expired are forgotten.
func BenchmarkAdd(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				l, slowest := fill(n, lifetime)
				b.ReportMetric(float64(slowest.Microseconds())/1000, "ms/slowest-growth")
				slowest = 0
				expired := later.Add(lifetime)
				for i := range 20_000 {
					c := Criteria{Issuer: "https://tenant.eu.auth0.com/", Subject: fmt.Sprintf("auth0|new%d", i)}
					start := time.Now()
					l.Add(c, expired, expired)
					slowest = max(slowest, time.Since(start))
				}
				b.ReportMetric(float64(slowest.Microseconds())/1000, "ms/slowest-sweep")
				if l.Len() != 20_000 {
					b.Fatalf("%d entries, want 20,000", l.Len())
				}
			}
		})
	}
}
