// Package relation asks a slow service whether a subject has a relation to an object.
// It bounds the time of a check, the checks in progress, the calls that wait for one,
// and the memory. It caches only positive answers, for a short time. It does not depend
// on gRPC or on the service.
package relation

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/sieve"
	"github.com/auth0grpc/auth0grpc/internal/singleflight"
)

// The errors of a check without an answer.
var (
	// ErrTimeout reports a check that took longer than Limits.Timeout.
	ErrTimeout = errors.New("relation: the check took too long")
	// ErrBusy reports that too many checks are in progress or wait.
	ErrBusy = errors.New("relation: too many checks in progress")
	// ErrPaused reports that no check is made for a moment, because the last ones failed.
	ErrPaused = errors.New("relation: checks are paused after failures")
	// errAborted reports a check whose function did not return.
	errAborted = errors.New("relation: the check did not return")
)

// Limits bound a [Cache]. All fields except IsBadQuestion are required.
type Limits struct {
	Timeout  time.Duration // of a check
	Lifetime time.Duration // of a positive answer; negative: answers are not cached
	Entries  int           // answers in the cache
	Checks   int           // checks in progress
	// IsBadQuestion reports whether an error of a check shows that the question is wrong,
	// and not the service. Such an error does not pause the checks. It may be nil.
	IsBadQuestion func(error) bool
}

const (
	// waitersPerCheck bounds the calls that wait, for each check that may be in progress.
	waitersPerCheck = 100
	// maxFailures is the number of failures in a row that pause the checks for pause.
	maxFailures = 10
	pause       = time.Second
)

// A Cache asks, and remembers positive answers. It is made by [New] and is safe for
// concurrent use.
type Cache struct {
	limits  Limits
	now     func() time.Time
	entries *sieve.Cache[time.Time] // when the answer was asked for; nil: off

	mu       sync.Mutex
	flights  map[digest]*flight
	checks   int // in progress, including those that have timed out and not returned
	waiting  int // calls that wait for a flight
	failures int // in a row
	resume   time.Time
}

// A flight is one check. Calls with the same question share it.
type flight struct {
	singleflight.Flight      // lands when allowed and err are set
	ended               bool // under Cache.mu
	allowed             bool
	err                 error
}

// New returns a Cache. now is the clock for lifetimes and pauses.
func New(limits Limits, now func() time.Time) *Cache {
	c := &Cache{limits: limits, now: now, flights: map[digest]*flight{}}
	if limits.Lifetime > 0 {
		c.entries = sieve.New[time.Time](limits.Entries, uint64(limits.Entries))
	}
	return c
}

// Len returns the number of cached answers.
func (c *Cache) Len() int {
	if c.entries == nil {
		return 0
	}
	return c.entries.Len()
}

// Allowed returns the answer to a question: from the cache, from a check in progress, or
// from ask. It returns when ctx ends, with its error, and after Limits.Timeout at the
// latest. ask runs on a goroutine of its own. Its context has the values of ctx, but ends
// only by the timeout, since other calls may wait for the answer.
func (c *Cache) Allowed(ctx context.Context, key Key, ask func(context.Context) (bool, error)) (bool, error) {
	sum := key.digest()
	if c.cached(sum) {
		return true, nil
	}
	f, err := c.join(ctx, sum, ask)
	if f == nil {
		return err == nil, err
	}
	defer c.leave()
	if _, err := f.Wait(ctx, nil); err != nil {
		return false, err
	}
	return f.allowed, f.err
}

// cached reports whether the answer is in the cache. An answer from the future shows
// that the clock was set back, so its age is unknown.
func (c *Cache) cached(sum digest) bool {
	if c.entries == nil {
		return false
	}
	asked, ok := c.entries.Get(sum)
	if !ok {
		return false
	}
	if age := c.now().Sub(asked); age >= 0 && age < c.limits.Lifetime {
		return true
	}
	c.entries.Delete(sum)
	return false
}

// join returns the check for a question, and starts one if there is none. The caller
// must call leave. It returns nil without an error if the answer is in the cache by now.
func (c *Cache) join(ctx context.Context, sum digest, ask func(context.Context) (bool, error)) (*flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting >= c.limits.Checks*waitersPerCheck {
		return nil, ErrBusy
	}
	f := c.flights[sum]
	if f == nil {
		if c.cached(sum) { // a check has ended since the caller looked
			return nil, nil
		}
		now := c.now()
		if err := c.admit(now); err != nil {
			return nil, err
		}
		f = &flight{Flight: singleflight.New()}
		c.flights[sum] = f
		c.checks++
		go c.run(context.WithoutCancel(ctx), sum, f, now, ask)
	}
	c.waiting++
	return f, nil
}

// admit reports whether a check may begin. After failures only one check per pause
// begins, until one succeeds.
func (c *Cache) admit(now time.Time) error {
	if c.checks >= c.limits.Checks {
		return ErrBusy
	}
	if c.failures < maxFailures {
		return nil
	}
	// A time further away than the pause shows that the clock was set back.
	if wait := c.resume.Sub(now); wait > 0 && wait <= pause {
		return ErrPaused
	}
	c.resume = now.Add(pause)
	return nil
}

func (c *Cache) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting--
}

// run makes a check. The calls that wait for it get an error at the timeout, even if ask
// ignores its context; the check counts until it has returned.
func (c *Cache) run(ctx context.Context, sum digest, f *flight, asked time.Time, ask func(context.Context) (bool, error)) {
	ctx, cancel := context.WithTimeout(ctx, c.limits.Timeout)
	stop := context.AfterFunc(ctx, func() { c.end(sum, f, asked, false, ErrTimeout, false) })
	allowed, err := false, errAborted
	defer func() {
		stop()
		cancel()
		c.end(sum, f, asked, allowed && err == nil, err, true)
	}()
	allowed, err = ask(ctx)
	if ctx.Err() != nil { // too late: the callers have given up, or are about to
		err = ErrTimeout
	}
}

// end records the result of a check, unless it has one already. returned reports that ask
// has returned.
func (c *Cache) end(sum digest, f *flight, asked time.Time, allowed bool, err error, returned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if returned {
		c.checks--
	}
	if f.ended {
		return
	}
	f.ended = true
	f.allowed, f.err = allowed, err
	delete(c.flights, sum)
	switch {
	case err == nil:
		c.failures = 0
	case c.limits.IsBadQuestion == nil || !c.limits.IsBadQuestion(err):
		if c.failures++; c.failures >= maxFailures {
			c.resume = c.now().Add(pause)
		}
	}
	if allowed && c.entries != nil {
		c.entries.Add(sum, asked, 1)
	}
	f.Land()
}
