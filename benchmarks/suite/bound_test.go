package suite

import (
	"strings"
	"testing"
)

// BenchmarkBound runs the cases of cmd/report, part bound.
func BenchmarkBound(b *testing.B) {
	cases, err := newSuite(b).BoundCases()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range cases {
		b.Run(strings.ReplaceAll(c.Peer, " ", "_"), c.Bench)
	}
}
