package keyset

import (
	"slices"
	"time"
)

// snapshot is the result of one successful fetch. It is immutable; a nil
// snapshot has no keys.
type snapshot struct {
	byID map[string][]*Key // in the order of the document
	size int               // the number of keys
	at   time.Time
}

// stage is the use that the age of a snapshot allows.
type stage int

const (
	absent stage = iota // not usable: none was loaded, or it is too old
	fresh               // used as it is
	aging               // used, and refreshed in the background
	stale               // used only if a refresh fails
)

// newSnapshot returns the set of keys fetched at the time at. A key that prev
// has as well keeps the pointer that it has there.
//
// Nothing else is carried over: a key that the issuer no longer publishes is
// dropped (CVE-2025-22149 was a set that kept it).
func newSnapshot(prev *snapshot, keys []*Key, at time.Time) *snapshot {
	next := &snapshot{byID: make(map[string][]*Key, len(keys)), size: len(keys), at: at}
	for _, k := range keys {
		if prev != nil {
			if i := slices.IndexFunc(prev.byID[k.ID], k.same); i >= 0 {
				k = prev.byID[k.ID][i]
			}
		}
		k.last.Store(next)
		next.byID[k.ID] = append(next.byID[k.ID], k)
	}
	return next
}

// stage returns the stage of the snapshot at the time now.
func (sn *snapshot) stage(now time.Time) stage {
	if sn == nil {
		return absent
	}
	switch age := time.Duration(now.UnixNano() - sn.at.UnixNano()); {
	case age < 0: // the clock was set back: the true age is unknown
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
func (sn *snapshot) has(kid string) bool { return len(sn.byID[kid]) > 0 }

// contains reports whether k itself is in the set. Usually the set is the last one that
// was made with k. It is not while a newer one is about to replace it.
func (sn *snapshot) contains(k *Key) bool {
	return k.last.Load() == sn || slices.Contains(sn.byID[k.ID], k)
}

// find returns the keys with the id kid that fit alg. The caller must not change them.
func (sn *snapshot) find(kid, alg string) []*Key {
	keys := sn.byID[kid]
	unfit := func(k *Key) bool { return !k.Fits(alg) }
	if !slices.ContainsFunc(keys, unfit) {
		return keys
	}
	return slices.DeleteFunc(slices.Clone(keys), unfit)
}
