package auth0grpc

import (
	"time"
)

// Stats holds the sizes of an [Interceptor]'s data at one moment.
type Stats struct {
	// Policy is the fingerprint of the table: 16 hexadecimal digits that change with any
	// row. Servers with the same table have the same one, however it was written.
	Policy string
	// CandidatePolicy is the fingerprint of the table of [Interceptor.SetCandidate], or
	// "" without one.
	CandidatePolicy string

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
	// Unavailable. Both are 0 if DPoP is disabled or the store was not made by
	// [NewReplayStore].
	UsedProofs, UsedProofsCapacity int
}

// Stats returns the current sizes, for gauges. It does no I/O.
func (i *Interceptor) Stats() Stats {
	stats := Stats{KeyAge: map[string]time.Duration{}}
	if i.verifier == nil {
		return stats
	}
	stats.Policy = i.table.Load().fingerprint
	if candidate := i.candidate.Load(); candidate != nil {
		stats.CandidatePolicy = candidate.fingerprint
	}
	if i.verifier.cache != nil {
		stats.CachedTokens = i.verifier.cache.Len()
	}
	stats.OpenStreams = i.streams.len()
	stats.LingeringStreams = int(i.streams.lingering.Load())
	stats.UsedProofs, stats.UsedProofsCapacity = i.binder.replayFill()
	now := i.clock.now()
	for name, iss := range i.verifier.issuers {
		if age, ok := iss.keys.Age(now); ok {
			stats.KeyAge[name] = age
		}
	}
	return stats
}
