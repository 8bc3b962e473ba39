package tokencache

import (
	"strings"
	"testing"
)

// BenchmarkUnknownToken measures the look-up of a token that is not in the cache. A token
// with the header of a verified token is hashed; a token with another header is not.
func BenchmarkUnknownToken(b *testing.B) {
	for name, size := range map[string]int{"900B": 900, "16KB": 16 << 10} {
		c := New(10, weightOf)
		add(c, "known.payload.signature", 1)
		for _, header := range []string{"other", "known"} {
			raw := header + "." + strings.Repeat("x", size)
			b.Run(name+"/"+header, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, ok := c.Get(KeyOf(raw)); ok {
						b.Fatal("found")
					}
				}
			})
		}
	}
}
