// Package revocation remembers which tokens are not to be accepted any more,
// until the last of them has expired by itself.
package revocation

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Match says which tokens are meant: those that agree in every field that is
// not empty and were issued before IssuedBefore.
type Match struct {
	Subject, ClientID, OrganizationID, TokenID string
	IssuedBefore                               time.Time
}

// Matches reports whether a token with the given claims is meant.
func (m Match) Matches(t Token) bool {
	return t.IssuedAt.Before(m.IssuedBefore) &&
		(m.Subject == "" || m.Subject == t.Subject) &&
		(m.ClientID == "" || m.ClientID == t.ClientID) &&
		(m.OrganizationID == "" || m.OrganizationID == t.OrganizationID) &&
		(m.TokenID == "" || m.TokenID == t.TokenID)
}

// A Token is what a List needs to know of one.
type Token struct {
	Subject, ClientID, OrganizationID, TokenID string
	IssuedAt                                   time.Time
}

// A List holds Matches. It is safe for concurrent use; the zero List is empty
// and ready.
type List struct {
	generation atomic.Uint64 // grows with each addition

	mu      sync.RWMutex
	entries map[key]map[Match]time.Time // when each is forgotten
	size    int
	sweepAt int // the size at which Add looks for what can be forgotten
}

// A key is the most telling field of a Match, by which it is found.
type key struct {
	kind byte
	name string
}

func keyOf(m Match) key {
	switch {
	case m.TokenID != "":
		return key{'t', m.TokenID}
	case m.Subject != "":
		return key{'s', m.Subject}
	case m.ClientID != "":
		return key{'c', m.ClientID}
	case m.OrganizationID != "":
		return key{'o', m.OrganizationID}
	}
	return key{}
}

// leastSweep is the size below which forgetting is not worth a look.
const leastSweep = 1024

// Add remembers m until forget, at which the last token that it means has
// expired. Adding it again changes nothing but a later forget.
func (l *List) Add(m Match, now, forget time.Time) {
	// One instant has many time.Times; only one of them is a map key.
	m.IssuedBefore = m.IssuedBefore.Round(0).UTC()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries == nil {
		l.entries = map[key]map[Match]time.Time{}
		l.sweepAt = leastSweep
	}
	k := keyOf(m)
	if l.entries[k] == nil {
		l.entries[k] = map[Match]time.Time{}
	}
	if old, ok := l.entries[k][m]; !ok {
		l.size++
	} else if !forget.After(old) {
		return
	}
	l.entries[k][m] = forget
	if l.size >= l.sweepAt {
		l.sweep(now)
		l.sweepAt = max(leastSweep, 2*l.size) // so that a sweep pays for itself
	}
	l.generation.Add(1)
}

// sweep drops what no token can match any more. The caller holds mu.
func (l *List) sweep(now time.Time) {
	for k, matches := range l.entries {
		for m, forget := range matches {
			if !now.Before(forget) {
				delete(matches, m)
				l.size--
			}
		}
		if len(matches) == 0 {
			delete(l.entries, k)
		}
	}
}

// Generation returns a number that changes whenever a Match is added; 0 is that
// of an empty List. A token that was not revoked at a generation need not be
// looked up again at the same one.
func (l *List) Generation() uint64 { return l.generation.Load() }

// Revoked reports whether a Match that is still remembered means the token.
func (l *List) Revoked(t Token, now time.Time) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, k := range [...]key{{'t', t.TokenID}, {'s', t.Subject}, {'c', t.ClientID}, {'o', t.OrganizationID}, {}} {
		for m, forget := range l.entries[k] {
			if m.Matches(t) && now.Before(forget) {
				return true
			}
		}
	}
	return false
}

// Size returns the number of Matches remembered, among them some that could be
// forgotten.
func (l *List) Size() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.size
}
