package auth0grpcredis

import (
	"testing"

	"github.com/auth0grpc/auth0grpc"
)

func TestEntryLog(t *testing.T) {
	id := func(ms uint64) entryID { return entryID{ms: ms, seq: 1} }
	r := auth0grpc.Revocation{Subject: "s"}
	fill := func() (l entryLog) {
		l.add(id(10), &r)
		l.add(id(20), nil)
		l.add(id(30), &r)
		return l
	}

	// An operator may take back an entry that the log does not have, or no longer.
	for _, ms := range []uint64{5, 15, 25, 35} {
		l := fill()
		if got := l.remove(id(ms)); got != nil || len(l) != 3 || l.has(id(ms)) {
			t.Errorf("remove(%d) = %v of a missing entry, %d entries left", ms, got, len(l))
		}
	}
	l := fill()
	if got := l.remove(id(30)); got != &r || len(l) != 2 || l.has(id(30)) || !l.has(id(10)) || !l.has(id(20)) {
		t.Errorf("remove = %v, %d entries left", got, len(l))
	}
	if got := l.remove(id(20)); got != nil || len(l) != 1 {
		t.Errorf("remove = %v of an entry without a revocation, %d entries left", got, len(l))
	}

	for _, test := range []struct {
		before    uint64
		cut, left int
	}{
		{5, 0, 3}, {10, 0, 3}, {11, 1, 2}, {30, 2, 1}, {31, 3, 0},
	} {
		l := fill()
		if cut := l.cutBefore(id(test.before)); len(cut) != test.cut || len(l) != test.left {
			t.Errorf("cutBefore(%d): %d cut, %d left, want %d and %d", test.before, len(cut), len(l), test.cut, test.left)
		}
	}
	if cut := new(entryLog).cutBefore(id(1)); len(cut) != 0 {
		t.Errorf("cutBefore of an empty log: %v", cut)
	}
}
