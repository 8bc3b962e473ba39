package auth0grpc

import (
	"context"
	"sync"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/revocation"
)

// memoryFeed is the [RevocationFeed] of one process: a list of revocations in the
// order in which they were published.
type memoryFeed struct {
	lifetime time.Duration
	now      func() time.Time

	mu          sync.Mutex
	first, last *feedEntry
	latest      map[feedKey]*feedEntry
	sweepNext   *feedEntry    // where sweep continues
	changed     chan struct{} // closed and replaced by each Publish
}

// A feedEntry is a link of the list. A removed entry keeps its next, which it always
// has, so that a follower at that entry finds the rest.
type feedEntry struct {
	Revocation
	prev, next *feedEntry
	removed    bool
}

// A feedKey holds the fields of a Revocation except IssuedBefore.
type feedKey struct{ issuer, subject, clientID, organizationID, tokenID string }

func (r *Revocation) feedKey() feedKey {
	return feedKey{r.Issuer, r.Subject, r.ClientID, r.OrganizationID, r.TokenID}
}

// NewRevocationFeed returns a [RevocationFeed] for several Interceptors in one
// process. maxTokenLifetime is how long it remembers a revocation: the longest
// lifetime of a token, as in Config.MaxTokenLifetime; 0 means 24 hours. Of several
// revocations that differ in IssuedBefore only, it remembers the latest.
func NewRevocationFeed(maxTokenLifetime time.Duration) RevocationFeed {
	if maxTokenLifetime <= 0 {
		maxTokenLifetime = defaultMaxTokenLifetime
	}
	return &memoryFeed{
		lifetime: maxTokenLifetime, now: time.Now,
		latest: map[feedKey]*feedEntry{}, changed: make(chan struct{}),
	}
}

// Publish passes r to every follower. A zero IssuedBefore means now.
func (f *memoryFeed) Publish(_ context.Context, r Revocation) error {
	if r.coversEverything() && r.IssuedBefore.IsZero() {
		return errEmptyRevocation
	}
	if r.IssuedBefore.IsZero() {
		r.IssuedBefore = revocation.Cutoff(f.now())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweep()
	lastSeen := f.latest[r.feedKey()]
	if lastSeen != nil && !r.IssuedBefore.After(lastSeen.IssuedBefore) {
		return nil
	}
	f.append(r)
	if lastSeen != nil {
		f.remove(lastSeen) // after append: it has a next entry now
	}
	close(f.changed)
	f.changed = make(chan struct{})
	return nil
}

func (f *memoryFeed) append(r Revocation) {
	e := &feedEntry{Revocation: r, prev: f.last}
	if f.last == nil {
		f.first = e
	} else {
		f.last.next = e
	}
	f.last = e
	f.latest[r.feedKey()] = e
}

// remove takes e, which is not the last entry, out of the list, and out of the
// index unless a later entry took its place there.
func (f *memoryFeed) remove(e *feedEntry) {
	e.removed = true
	if f.latest[e.feedKey()] == e {
		delete(f.latest, e.feedKey())
	}
	if f.sweepNext == e {
		f.sweepNext = e.next
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		f.first = e.next
	}
	e.next.prev = e.prev
	e.prev = nil
}

// sweep removes expired entries, except the last one. Each call checks a few of
// them, and the next call continues there: entries need not expire in the order of
// their publication.
func (f *memoryFeed) sweep() {
	now := f.now()
	for range 4 {
		if f.sweepNext == nil {
			f.sweepNext = f.first
		}
		e := f.sweepNext
		if e == nil || e.next == nil {
			f.sweepNext = nil
			return
		}
		f.sweepNext = e.next
		if now.After(e.IssuedBefore.Add(f.lifetime + maxClockSkew)) {
			f.remove(e)
		}
	}
}

// feedBatch is how many entries a follower takes under one lock.
const feedBatch = 256

// Follow applies every entry, and then each new one until ctx ends.
func (f *memoryFeed) Follow(ctx context.Context, apply func(Revocation), _ func(error)) error {
	var last *feedEntry
	batch := make([]Revocation, 0, feedBatch)
	for {
		var changed <-chan struct{}
		batch, last, changed = f.entriesAfter(last, batch[:0])
		for _, r := range batch {
			apply(r)
		}
		if len(batch) == feedBatch {
			continue // even if ctx has ended: published revocations are applied
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// entriesAfter returns a batch of the entries after e, or from the first if e is nil. It
// also returns the last entry that it read, and a channel that the next Publish closes.
func (f *memoryFeed) entriesAfter(e *feedEntry, batch []Revocation) ([]Revocation, *feedEntry, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := f.first
	if e != nil {
		next = e.next
	}
	for ; next != nil && len(batch) < feedBatch; next = next.next {
		if e = next; !e.removed {
			batch = append(batch, e.Revocation)
		}
	}
	return batch, e, f.changed
}
