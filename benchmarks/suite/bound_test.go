package suite

import (
	"strings"
	"testing"
)

// BenchmarkBound runs what cmd/bound takes the ratios of.
func BenchmarkBound(b *testing.B) {
	cases, err := newSuite(b).BoundCases()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range cases {
		b.Run(strings.ReplaceAll(c.Peer, " ", "_"), c.Bench)
	}
}
