package revocation

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	noon  = time.Date(2031, time.March, 14, 12, 0, 0, 0, time.UTC)
	later = noon.Add(time.Hour)
	token = Token{Subject: "s", ClientID: "c", OrganizationID: "o", TokenID: "t", IssuedAt: noon}
)

func TestRevoked(t *testing.T) {
	tests := []struct {
		name string
		m    Match
		want bool
	}{
		{"subject", Match{Subject: "s", IssuedBefore: later}, true},
		{"client", Match{ClientID: "c", IssuedBefore: later}, true},
		{"organization", Match{OrganizationID: "o", IssuedBefore: later}, true},
		{"token", Match{TokenID: "t", IssuedBefore: later}, true},
		{"all", Match{"s", "c", "o", "t", later}, true},
		{"everything before", Match{IssuedBefore: later}, true},
		{"a moment before", Match{Subject: "s", IssuedBefore: noon.Add(1)}, true},
		{"issued then", Match{Subject: "s", IssuedBefore: noon}, false},
		{"everything, issued then", Match{IssuedBefore: noon}, false},
		{"no time", Match{Subject: "s"}, false},
		{"another subject", Match{"x", "c", "o", "t", later}, false},
		{"another client", Match{"s", "x", "o", "t", later}, false},
		{"another organization", Match{"s", "c", "x", "t", later}, false},
		{"another token", Match{"s", "c", "o", "x", later}, false},
		{"a subject by the client's name", Match{Subject: "c", IssuedBefore: later}, false},
		{"for good", Match{Subject: "s", IssuedBefore: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, true},
		{"long ago", Match{Subject: "s", IssuedBefore: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var l List
			if l.Revoked(token, noon) || l.Generation() != 0 || l.Size() != 0 {
				t.Fatal("the zero List is not empty")
			}
			l.Add(test.m, noon, later)
			if got := l.Revoked(token, noon); got != test.want {
				t.Errorf("Revoked = %t, want %t", got, test.want)
			}
			if got := test.m.Matches(token); got != test.want {
				t.Errorf("Matches = %t, want %t", got, test.want)
			}
			if l.Generation() == 0 || l.Size() != 1 {
				t.Errorf("generation %d, size %d", l.Generation(), l.Size())
			}
			if l.Revoked(Token{}, noon) && test.m != (Match{IssuedBefore: test.m.IssuedBefore}) {
				t.Error("a token without claims is revoked")
			}
			if l.Revoked(token, later) {
				t.Error("not forgotten")
			}
		})
	}
}

// A token without a claim is not found under the key of the empty one.
func TestEmptyClaims(t *testing.T) {
	var l List
	l.Add(Match{Subject: "s", IssuedBefore: later}, noon, later)
	if l.Revoked(Token{IssuedAt: noon}, noon) {
		t.Error("a token without a subject is revoked")
	}
	l.Add(Match{IssuedBefore: noon.Add(time.Minute)}, noon, later)
	if !l.Revoked(Token{IssuedAt: noon}, noon) || l.Revoked(Token{IssuedAt: noon.Add(time.Minute)}, noon) {
		t.Error("a match without fields does not go by the time alone")
	}
}

// The same again is one Match, whatever the clock that its time comes from; it is
// remembered for the longer of the two times.
func TestAddAgain(t *testing.T) {
	var l List
	east := time.FixedZone("east", 3600)
	l.Add(Match{Subject: "s", IssuedBefore: later}, noon, later)
	first := l.Generation()
	l.Add(Match{Subject: "s", IssuedBefore: later.In(east)}, noon, later)
	l.Add(Match{Subject: "s", IssuedBefore: later}, noon, later.Add(-time.Minute))
	if l.Size() != 1 || l.Generation() != first {
		t.Errorf("size %d, generation %d, want 1 and %d", l.Size(), l.Generation(), first)
	}
	l.Add(Match{Subject: "s", IssuedBefore: later}, noon, later.Add(time.Minute))
	if l.Size() != 1 || l.Generation() == first {
		t.Errorf("size %d, generation %d", l.Size(), l.Generation())
	}
	if at := later.Add(time.Minute - 1); !l.Revoked(token, at) || l.Revoked(token, at.Add(1)) {
		t.Error("it does not end with the later time")
	}
	now := time.Now() // has a monotonic reading
	l.Add(Match{Subject: "m", IssuedBefore: now}, noon, later)
	l.Add(Match{Subject: "m", IssuedBefore: now.Round(0)}, noon, later)
	if l.Size() != 2 {
		t.Errorf("size %d, want 2", l.Size())
	}
}

// Memory follows what can still match, with some slack.
func TestSweep(t *testing.T) {
	var l List
	for n := range 20 * leastSweep {
		now := noon.Add(time.Duration(n) * time.Second)
		l.Add(Match{TokenID: fmt.Sprint(n), IssuedBefore: now}, now, now.Add(10*time.Second))
		if l.Size() > leastSweep {
			t.Fatalf("%d are held, of which 10 are alive", l.Size())
		}
	}
	if n := len(l.entries); n > leastSweep {
		t.Errorf("%d keys", n)
	}
	// Those alive stay, however many, and sweeps get rare.
	l = List{}
	for n := range 5 * leastSweep {
		l.Add(Match{Subject: fmt.Sprint(n), IssuedBefore: later}, noon, later)
	}
	if l.Size() != 5*leastSweep || l.sweepAt < 5*leastSweep {
		t.Errorf("size %d, next sweep at %d", l.Size(), l.sweepAt)
	}
	for n := range 5 * leastSweep {
		if !l.Revoked(Token{Subject: fmt.Sprint(n), IssuedAt: noon}, noon) {
			t.Fatalf("%d was lost", n)
		}
	}
}

// Who sees the generation of an addition sees the addition.
func TestGenerationRaces(t *testing.T) {
	const writers, each = 32, 30
	var l List
	var added [writers]atomic.Int64 // the last that is in
	var all, watch sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		watch.Go(func() {
			again := time.NewTicker(50 * time.Microsecond)
			defer again.Stop()
			for {
				select {
				case <-stop:
					return
				case <-again.C:
				}
				for w := range writers {
					n := added[w].Load()
					if n == 0 {
						continue
					}
					before := l.Generation()
					if !l.Revoked(Token{Subject: fmt.Sprint(w), TokenID: fmt.Sprint(n), IssuedAt: noon}, noon) {
						t.Errorf("writer %d: %d is not in at generation %d", w, n, before)
					}
				}
			}
		})
	}
	for w := range writers {
		all.Go(func() {
			for n := range int64(each) {
				before := l.Generation()
				l.Add(Match{Subject: fmt.Sprint(w), TokenID: fmt.Sprint(n + 1), IssuedBefore: later}, noon, later)
				if l.Generation() == before {
					t.Error("an addition did not change the generation")
				}
				added[w].Store(n + 1)
			}
		})
	}
	all.Wait()
	close(stop)
	watch.Wait()
	if l.Size() != writers*each || l.Generation() != writers*each {
		t.Errorf("size %d, generation %d, want %d", l.Size(), l.Generation(), writers*each)
	}
}
