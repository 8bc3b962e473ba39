package auth0grpcredis

import (
	"maps"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

// FeedStats describes a [RevocationFeed] at one moment.
type FeedStats struct {
	// Connected reports whether the last read of a Follow succeeded. It is false
	// before the first and while no Follow runs.
	Connected bool

	// Lag is how long ago a Follow last knew every entry of the stream, or since
	// when the feed exists. It is below a second on a healthy server. Revocations
	// of the time since then may be missing on this server.
	Lag time.Duration

	// LastEntry is when Redis added the last entry that was read. Zero: none.
	LastEntry time.Time

	// Entries is how many entries of the stream are kept in memory, about 300
	// bytes each.
	Entries int

	// Gaps is how often Follow called gap, and Republished how many revocations
	// it published again because they were gone from the stream.
	Gaps, Republished int

	// TrimError is the error of the last trim of the stream, by Follow or by
	// Publish. While it is not nil the stream grows.
	TrimError error
}

// feedStats is the part of the state of a feed that Stats reports.
type feedStats struct {
	connected         bool
	complete          time.Time // when the stream was last read to its end
	lastID            entryID
	entries           int
	gaps, republished int
	trimError         error
}

// Stats returns the state of the feed. It does no I/O.
func (f *RevocationFeed) Stats() FeedStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := FeedStats{
		Connected: f.stats.connected && f.followers > 0, Lag: time.Since(f.stats.complete), Entries: f.stats.entries,
		Gaps: f.stats.gaps, Republished: f.stats.republished, TrimError: f.stats.trimError,
	}
	if f.stats.lastID != (entryID{}) {
		s.LastEntry = f.stats.lastID.time()
	}
	return s
}

func (f *RevocationFeed) countFollower(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.followers += n
	if f.followers == 0 {
		clear(f.unconfirmed)
	}
}

// noteStep notes the outcome of a step.
func (f *RevocationFeed) noteStep(connected, complete bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.connected = connected
	if complete {
		f.stats.complete = time.Now()
	}
}

func (f *RevocationFeed) noteEntries(last entryID, entries int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last != (entryID{}) {
		f.stats.lastID = last
	}
	f.stats.entries = entries
}

func (f *RevocationFeed) noteRepublished(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.republished += n
}

func (f *RevocationFeed) noteGap() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.gaps++
}

// takeUnconfirmed returns the entries that a read from now on must find.
func (f *RevocationFeed) takeUnconfirmed() map[entryID]auth0grpc.Revocation {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.unconfirmed) == 0 {
		return nil
	}
	previous := f.unconfirmed
	f.unconfirmed = map[entryID]auth0grpc.Revocation{}
	return previous
}

// putUnconfirmed puts back the result of takeUnconfirmed.
func (f *RevocationFeed) putUnconfirmed(taken map[entryID]auth0grpc.Revocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.Copy(f.unconfirmed, taken)
}
