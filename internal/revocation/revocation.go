// Package revocation remembers which tokens are revoked, until the last of
// them has expired.
package revocation

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Criteria says which tokens a revocation covers: the tokens that agree in
// every field that is not empty. The zero Criteria covers every token.
type Criteria struct {
	Issuer, Subject, ClientID, OrganizationID, TokenID string
}

// A Token holds the claims of one token that a [List] compares. A claim that
// the token does not have is empty.
type Token struct {
	Criteria
	IssuedAt time.Time
}

// Matches reports whether t agrees in every field that c names.
func (c Criteria) Matches(t Token) bool {
	return c.only(c.fields()) == t.only(c.fields())
}

// The bits of a set of fields.
const (
	issuerField = 1 << iota
	subjectField
	clientField
	organizationField
	tokenField

	fieldSets = 1 << iota // how many sets there are
)

// fields returns the set of fields that are not empty.
func (c Criteria) fields() (set uint32) {
	for i, value := range [...]string{c.Issuer, c.Subject, c.ClientID, c.OrganizationID, c.TokenID} {
		if value != "" {
			set |= 1 << i
		}
	}
	return set
}

// only returns c without the fields that are not in set.
func (c Criteria) only(set uint32) Criteria {
	if set&issuerField == 0 {
		c.Issuer = ""
	}
	if set&subjectField == 0 {
		c.Subject = ""
	}
	if set&clientField == 0 {
		c.ClientID = ""
	}
	if set&organizationField == 0 {
		c.OrganizationID = ""
	}
	if set&tokenField == 0 {
		c.TokenID = ""
	}
	return c
}

// Cutoff returns the first whole second of iat that a revocation up to t
// spares: t, rounded up. Tokens say when they were issued in whole seconds, so
// a revocation cannot tell the tokens of one second apart.
func Cutoff(t time.Time) time.Time {
	if whole := time.Unix(t.Unix(), 0); whole.Before(t) {
		return whole.Add(time.Second).UTC()
	}
	return time.Unix(t.Unix(), 0).UTC()
}

// maxCutoff is the start of the year 10000: no iat lies at or after it.
const maxCutoff = 253402300800

// A List remembers revocations. It is safe for concurrent use.
//
// It keeps one number for each [Criteria]: the latest cutoff, in Unix seconds. The key
// is a hash of the Criteria, so an entry has the same size for strings of any length,
// holds no memory of a token, and costs the garbage collector nothing. The hash has 128
// bits and two secret seeds. If two Criteria ever had the same hash, each would cover
// the tokens of both: an equal hash can refuse a token, and can never pass one.
type List struct {
	lifetime   time.Duration
	seeds      [2]maphash.Seed
	generation atomic.Uint64 // grows with each addition
	used       atomic.Uint32 // bit n: an entry was added whose fields are set n
	shards     [256]shard
}

// A shard is a part of a List with its own lock. Shards bound how long one call
// can take: a sweep, or the growth of a map, concerns one of them.
type shard struct {
	mu      sync.RWMutex
	cutoffs map[key]int64
	sweepAt int64 // in Unix seconds: when add looks for entries to forget
}

type key [2]uint64

// NewList returns an empty List. lifetime is how long a token can be accepted
// after its iat, clock skew included: the List forgets a revocation this long
// after its cutoff.
func NewList(lifetime time.Duration) *List {
	return &List{lifetime: lifetime, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

// Add revokes the tokens that c covers and whose iat lies before cutoff, see [Cutoff].
// It reports whether the revocation adds anything: false means that a known entry
// covers all these tokens, or that all of them have expired at now.
func (l *List) Add(c Criteria, cutoff, now time.Time) bool {
	before := min(Cutoff(cutoff).Unix(), maxCutoff)
	if l.expired(before, now) || l.cutoff(c) >= before {
		return false
	}
	k := l.key(c)
	s := l.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cutoffs[k] >= before { // added since
		return false
	}
	if now.Unix() >= s.sweepAt {
		for k, before := range s.cutoffs {
			if l.expired(before, now) {
				delete(s.cutoffs, k)
			}
		}
		s.sweepAt = now.Add(l.lifetime / 16).Unix()
	}
	if s.cutoffs == nil {
		s.cutoffs = map[key]int64{}
	}
	s.cutoffs[k] = before
	// Under the lock, so that a second Add of the same returns after these.
	l.used.Or(1 << c.fields())
	l.generation.Add(1)
	return true
}

// Generation returns a number that changes with each addition, and is 0 while
// the List is empty. A token that was not revoked at a generation need not be
// looked up again at the same one.
func (l *List) Generation() uint64 { return l.generation.Load() }

// Revoked reports whether an entry that is still remembered covers the token.
func (l *List) Revoked(t Token, now time.Time) bool {
	before := l.cutoff(t.Criteria)
	return t.IssuedAt.Unix() < before && !l.expired(before, now)
}

// cutoff returns the latest cutoff of the entries that cover all tokens of c. It
// looks up once each set of fields that is in use and that c has.
func (l *List) cutoff(c Criteria) (latest int64) {
	fields := c.fields()
	for used := l.used.Load(); used != 0; used &= used - 1 {
		set := uint32(bits.TrailingZeros32(used))
		if set&^fields != 0 {
			continue
		}
		k := l.key(c.only(set))
		s := l.shard(k)
		s.mu.RLock()
		latest = max(latest, s.cutoffs[k])
		s.mu.RUnlock()
	}
	return latest
}

// Expired reports whether every token with an iat before cutoff has expired at
// now, so that Add would ignore it.
func (l *List) Expired(cutoff, now time.Time) bool { return l.expired(Cutoff(cutoff).Unix(), now) }

func (l *List) expired(before int64, now time.Time) bool {
	return !now.Before(time.Unix(before, 0).Add(l.lifetime))
}

func (l *List) key(c Criteria) key {
	return key{maphash.Comparable(l.seeds[0], c), maphash.Comparable(l.seeds[1], c)}
}

func (l *List) shard(k key) *shard { return &l.shards[k[0]%uint64(len(l.shards))] }

// Len returns the number of entries, among them some that have expired.
func (l *List) Len() (n int) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.RLock()
		n += len(s.cutoffs)
		s.mu.RUnlock()
	}
	return n
}
