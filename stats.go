package auth0grpc

import (
	"time"

	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// Stats are the sizes of what an Interceptor holds at one moment.
type Stats struct {
	CachedTokens int // entries of the verified-token cache
	OpenStreams  int // open streams that were opened with a token
	// LingeringStreams is the number of streams that the server has ended and
	// whose handler has not returned yet. The handler ignores its context or,
	// behind ServeHTTP, waits for a client that reads nothing. Such a stream counts
	// under grpc.MaxConcurrentStreams, and no message passes it.
	LingeringStreams int
	KeyAge           map[string]time.Duration // by issuer, since its keys were fetched; issuers without keys are missing

	// UsedProofs is the number of DPoP proofs that the replay store remembers, and
	// UsedProofsCapacity how many it can. When it is full, calls are refused as
	// Unavailable. Both are 0 if DPoP is disabled or the store is not one of
	// [NewReplayStore].
	UsedProofs, UsedProofsCapacity int
}

// Stats returns the sizes of this moment, for gauges. It does no I/O.
func (i *Interceptor) Stats() Stats {
	stats := Stats{KeyAge: map[string]time.Duration{}}
	if i.verifier == nil {
		return stats
	}
	if i.verifier.cache != nil {
		stats.CachedTokens = i.verifier.cache.Len()
	}
	stats.OpenStreams = i.streams.len()
	stats.LingeringStreams = int(i.streams.lingering.Load())
	stats.UsedProofs, stats.UsedProofsCapacity = i.binder.replayFill()
	now := i.clock.now()
	for name, one := range i.verifier.issuers {
		if age, ok := one.keys.Age(now); ok {
			stats.KeyAge[name] = age
		}
	}
	return stats
}

// KeyRefresh reports one attempt to fetch the keys of an issuer, see
// [Config.OnKeyRefresh].
type KeyRefresh struct {
	Issuer string
	At     time.Time // when the attempt ended
	Keys   int       // usable keys after it; a failure leaves the keys that were there
	// Unused lists the published keys that are not used, at most 32 of them.
	// Omitted counts the rest. Tokens that such a key signed are refused with
	// ReasonUnknownKey, unless another key has the same kid.
	Unused  []UnusedKey
	Omitted int
	Err     error // nil if it succeeded; its text is safe to log
}

// UnusedKey names a published key that the server does not use, and why. Both
// texts are safe to log.
type UnusedKey struct {
	// KeyID is the key's kid, or "" if it has none. It is cut after 64 bytes,
	// and "?" replaces every byte other than printable ASCII.
	KeyID string
	// Reason is a fixed text, for example "keyset: key has no kid".
	Reason string
}

// newKeyRefresh returns the public form of r.
func newKeyRefresh(r keyset.Refresh) KeyRefresh {
	refresh := KeyRefresh{Issuer: r.Issuer, At: r.At, Keys: r.Keys, Omitted: r.Omitted, Err: r.Err}
	for _, unused := range r.Unused {
		refresh.Unused = append(refresh.Unused, UnusedKey(unused))
	}
	return refresh
}
