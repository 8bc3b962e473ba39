package revocation

import (
	"fmt"
	"runtime"
	"testing"
)

var sizes = []int{1_000, 100_000, 1_000_000}

// fill returns a List of n entries of one client.
func fill(n int) *List {
	l := NewList(lifetime)
	for i := range n {
		c := Criteria{Issuer: "https://tenant.eu.auth0.com/", ClientID: "c", Subject: fmt.Sprintf("auth0|%024x", i)}
		l.Add(c, later, noon)
	}
	return l
}

// BenchmarkSize reports the bytes of one entry.
func BenchmarkSize(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				l := fill(n)
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
		l := fill(n)
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
