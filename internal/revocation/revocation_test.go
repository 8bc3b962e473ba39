package revocation

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const lifetime = time.Hour

var (
	noon  = time.Date(2031, time.March, 14, 12, 0, 0, 0, time.UTC)
	later = noon.Add(time.Minute)
	token = Token{Criteria{"i", "s", "c", "o", "t"}, noon}
)

// Every combination of fields covers the tokens that agree in all of them, and
// no others.
func TestRevoked(t *testing.T) {
	values := func(set int, c Criteria) Criteria { return c.only(uint32(set)) }
	for set := range fieldSets {
		c := values(set, token.Criteria)
		l := NewList(lifetime)
		if l.Revoked(token, noon) || l.Generation() != 0 || l.Len() != 0 {
			t.Fatal("a new List is not empty")
		}
		if !l.Add(c, later, noon) || l.Generation() != 1 || l.Len() != 1 {
			t.Fatalf("%v: generation %d, %d entries", c, l.Generation(), l.Len())
		}
		if !c.Matches(token) || !l.Revoked(token, noon) {
			t.Errorf("%v does not cover the token", c)
		}
		for other := range fieldSets {
			// The token differs in one set of fields, or lacks it.
			for _, differs := range []Criteria{{"I", "S", "C", "O", "T"}, {"s", "c", "o", "t", "i"}, {}} {
				differing := merge(token.Criteria, differs, other)
				got, want := l.Revoked(Token{differing, noon}, noon), set&other == 0
				if got != want || c.Matches(Token{differing, noon}) != want {
					t.Errorf("%v covers %v: %t, want %t", c, differing, got, want)
				}
			}
		}
	}
}

// merge returns a with the fields of set taken from b.
func merge(a, b Criteria, set int) Criteria {
	kept, taken := a.only(^uint32(set)), b.only(uint32(set))
	return Criteria{
		kept.Issuer + taken.Issuer, kept.Subject + taken.Subject, kept.ClientID + taken.ClientID,
		kept.OrganizationID + taken.OrganizationID, kept.TokenID + taken.TokenID,
	}
}

// A revocation covers whole seconds of iat.
func TestCutoff(t *testing.T) {
	for _, test := range []struct {
		name      string
		before    time.Time
		issued    time.Time
		revoked   bool
		wantNever bool // no token can match
	}{
		{name: "whole second, the second before", before: later, issued: later.Add(-time.Second), revoked: true},
		{name: "whole second, a fraction before", before: later, issued: later.Add(-1), revoked: true},
		{name: "whole second, that second", before: later, issued: later},
		{name: "fraction, its second", before: later.Add(1), issued: later, revoked: true},
		{name: "fraction, later in its second", before: later.Add(1), issued: later.Add(900 * time.Millisecond), revoked: true},
		{name: "fraction, the next second", before: later.Add(999999999), issued: later.Add(time.Second)},
		{name: "another zone", before: later.In(time.FixedZone("", 3600)), issued: later.Add(-time.Second), revoked: true},
		{name: "year 9999", before: time.Date(9999, 12, 31, 23, 59, 59, 1, time.UTC), issued: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), revoked: true},
		{name: "beyond years", before: time.Unix(1<<55, 0), issued: noon, revoked: true},
		{name: "the zero time", before: time.Time{}, issued: noon, wantNever: true},
		{name: "1970", before: time.Unix(0, 0), issued: time.Unix(0, 0), wantNever: true},
		{name: "expired", before: noon.Add(-lifetime), issued: noon.Add(-lifetime - time.Second), wantNever: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := NewList(lifetime)
			if added := l.Add(Criteria{Subject: "s"}, test.before, noon); added == test.wantNever {
				t.Errorf("Add = %t", added)
			}
			if got := l.Revoked(Token{Criteria{Subject: "s"}, test.issued}, noon); got != test.revoked {
				t.Errorf("Revoked = %t, want %t", got, test.revoked)
			}
		})
	}
}

// An entry is forgotten when the last token that it covers has expired, and not
// a moment sooner.
func TestForgets(t *testing.T) {
	l := NewList(lifetime)
	l.Add(Criteria{Subject: "s"}, later, noon)
	end := later.Add(lifetime)
	if !l.Revoked(token, end.Add(-1)) || l.Revoked(token, end) {
		t.Error("the entry does not end with its last token")
	}
}

// Add ignores a revocation that a known one covers: an echo, an earlier one, or a
// narrower one.
func TestAddCovered(t *testing.T) {
	l := NewList(lifetime)
	subject := Criteria{Issuer: "i", Subject: "s"}
	if !l.Add(subject, later, noon) {
		t.Fatal("the first is no news")
	}
	for name, c := range map[string]struct {
		Criteria
		cutoff time.Time
	}{
		"an echo":                 {subject, later},
		"an echo of another zone": {subject, later.In(time.FixedZone("", 3600))},
		"a fraction earlier":      {subject, later.Add(-1)},
		"earlier":                 {subject, noon},
		"narrower":                {Criteria{Issuer: "i", Subject: "s", ClientID: "c"}, later},
		"all fields":              {token.Criteria, noon},
	} {
		if l.Add(c.Criteria, c.cutoff, noon) {
			t.Errorf("%s is news", name)
		}
	}
	if l.Len() != 1 || l.Generation() != 1 {
		t.Errorf("%d entries, generation %d, want 1 and 1", l.Len(), l.Generation())
	}
	for _, c := range []Criteria{ // none covers a later one
		{Issuer: "x", Subject: "s"}, {Issuer: "i", Subject: "x"}, {Issuer: "i"}, {Subject: "s"},
	} {
		if !l.Add(c, later, noon) {
			t.Errorf("%v is no news", c)
		}
	}
	if n := l.Len(); !l.Add(subject, later.Add(1), noon) || l.Len() != n {
		t.Errorf("a later one: %d entries, want %d", l.Len(), n)
	}
}

// An Add that another one overtakes between its two looks at the list takes nothing
// back: the latest cutoff stays.
func TestOvertakenAdd(t *testing.T) {
	c := Criteria{Subject: "s"}
	for name, test := range map[string]struct {
		other time.Time
		news  bool
	}{
		"by a later one":    {later.Add(time.Minute), false},
		"by the same":       {later, false},
		"by an earlier one": {noon, true},
	} {
		l := NewList(lifetime)
		k := l.key(c)
		s := l.shard(k)
		s.mu.RLock() // Add has looked once when it waits for the lock
		news := make(chan bool)
		go func() { news <- l.Add(c, later, noon) }()
		for s.mu.TryRLock() {
			s.mu.RUnlock()
			runtime.Gosched()
		}
		s.cutoffs = map[key]int64{k: test.other.Unix()} // as the other Add sets it
		s.mu.RUnlock()
		if got := <-news; got != test.news {
			t.Errorf("overtaken %s: Add = %t, want %t", name, got, test.news)
		}
		if got, want := s.cutoffs[k], max(test.other.Unix(), later.Unix()); got != want {
			t.Errorf("overtaken %s: cutoff %d, want %d", name, got, want)
		}
	}
}

// Memory follows the revocations that can still match a token.
func TestSweep(t *testing.T) {
	l := NewList(10 * time.Second)
	for n := range 20 * 1024 {
		now := noon.Add(time.Duration(n) * time.Second)
		l.Add(Criteria{TokenID: fmt.Sprint(n)}, now.Add(time.Second), now)
		if l.Len() > 1024 {
			t.Fatalf("%d entries, of which 11 are alive", l.Len())
		}
	}
	// Entries that are alive stay, however many, when their shards are swept.
	const many = 20 * 1024
	l = NewList(lifetime)
	for n := range many {
		l.Add(Criteria{Subject: fmt.Sprint(n)}, later, noon.Add(time.Duration(n)*100*time.Millisecond))
	}
	for n := range many {
		if !l.Revoked(Token{Criteria{Subject: fmt.Sprint(n)}, noon}, noon) {
			t.Fatalf("entry %d is lost", n)
		}
	}
}

// The check of a token allocates nothing.
func TestRevokedAllocates(t *testing.T) {
	l := NewList(lifetime)
	for set := range fieldSets {
		l.Add(Criteria{"x", "x", "x", "x", "x"}.only(uint32(set)|tokenField), later, noon)
	}
	if n := testing.AllocsPerRun(100, func() { l.Revoked(token, noon) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A reader that sees the generation of an addition sees the addition, and so
// does the caller of a second Add of the same.
func TestGenerationRaces(t *testing.T) {
	const writers, each = 16, 60
	l := NewList(lifetime)
	var added [writers]atomic.Int64 // how many are in
	var all, watch sync.WaitGroup
	stop := make(chan struct{})
	criteria := func(w int, n int64) Criteria { return Criteria{Subject: fmt.Sprint(w), TokenID: fmt.Sprint(n)} }
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
					if n := added[w].Load(); n > 0 && !l.Revoked(Token{criteria(w, n), noon}, noon) {
						t.Errorf("writer %d: %d is not in", w, n)
					}
				}
			}
		})
	}
	for w := range 2 * writers {
		all.Go(func() {
			for n := range int64(each) {
				before := l.Generation()
				news := l.Add(criteria(w%writers, n+1), later, noon) // two writers add each
				if news && l.Generation() == before || !news && l.Generation() == 0 {
					t.Error("an addition did not change the generation")
				}
				if !l.Revoked(Token{criteria(w%writers, n+1), noon}, noon) {
					t.Error("Add returned, and the token is not revoked")
				}
				added[w%writers].Store(n + 1)
			}
		})
	}
	all.Wait()
	close(stop)
	watch.Wait()
	if l.Len() != writers*each || l.Generation() != writers*each {
		t.Errorf("%d entries, generation %d, want %d", l.Len(), l.Generation(), writers*each)
	}
}
