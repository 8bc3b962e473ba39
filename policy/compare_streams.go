package policy

import (
	"math"
	"time"
)

// streamLimits bounds the time for which a stream continues after its token expires.
type streamLimits struct {
	stated         bool // by the row; the other fields are zero if not
	least, longest time.Duration
	unused         bool // the row looks at no token
}

const forever = time.Duration(math.MaxInt64)

// endless is the limit of a row that ends no stream for its token.
var endless = streamLimits{stated: true, least: forever, longest: forever}

// newStreamLimits reads the member "streams" of a row that Parse accepts.
func newStreamLimits(n node) streamLimits {
	switch value := n.val.(type) {
	case object:
		grace, _ := duration(value[0].value)
		return streamLimits{stated: true, least: grace, longest: grace}
	case string:
		if value == "ignoreExpiry" {
			return endless
		}
	}
	return streamLimits{stated: true}
}

// bounds returns the limits. The policy of the Config may be any.
func (l streamLimits) bounds() (shortest, longest time.Duration) {
	if !l.stated {
		return 0, forever
	}
	return l.least, l.longest
}

// compareStreams reports whether streams may continue longer or shorter than before
// after their token expires.
func compareStreams(before, after *access) (longer, shorter bool) {
	b, a := before.streams, after.streams
	if b.unused || a.unused || !b.stated && !a.stated {
		return false, false
	}
	beforeLeast, beforeLongest := b.bounds()
	afterLeast, afterLongest := a.bounds()
	return afterLongest > beforeLeast, afterLeast < beforeLongest
}
