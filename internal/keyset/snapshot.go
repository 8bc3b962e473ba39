package keyset

import "time"

// snapshot is the outcome of one good fetch. It is immutable; a nil snapshot is
// one that has no keys.
type snapshot struct {
	keys []*Key // in the order of the document
	at   time.Time
}

// stage says what the age of a snapshot means for its use.
type stage int

const (
	absent stage = iota // not usable: none was loaded, or it is too old
	fresh               // to be used as it is
	aging               // to be used, and refreshed in the background
	stale               // to be used only if a refresh fails
)

// newSnapshot returns the set of keys fetched at the time at. Keys that prev
// has as well are taken from there.
//
// It takes over nothing else: what the issuer no longer publishes is gone
// (CVE-2025-22149 was a set that kept it).
func newSnapshot(prev *snapshot, keys []*Key, at time.Time) *snapshot {
	next := &snapshot{keys: make([]*Key, len(keys)), at: at}
	for i, k := range keys {
		next.keys[i] = k
		if prev == nil {
			continue
		}
		for _, old := range prev.keys {
			if old.same(k) {
				next.keys[i] = old
				break
			}
		}
	}
	return next
}

// stage returns the stage of the snapshot at the time now.
func (sn *snapshot) stage(now time.Time) stage {
	if sn == nil {
		return absent
	}
	switch age := now.Sub(sn.at); {
	case age < 0: // the clock was set back: the true age is not known
		return aging
	case age < freshFor:
		return fresh
	case age < staleAfter:
		return aging
	case age < usableFor:
		return stale
	}
	return absent
}

// has reports whether a key with the id kid is in the set.
func (sn *snapshot) has(kid string) bool {
	for _, k := range sn.keys {
		if k.ID == kid {
			return true
		}
	}
	return false
}

// find returns the keys with the id kid that fit alg.
func (sn *snapshot) find(kid, alg string) []*Key {
	var keys []*Key
	for _, k := range sn.keys {
		if k.ID == kid && k.Fits(alg) {
			keys = append(keys, k)
		}
	}
	return keys
}
