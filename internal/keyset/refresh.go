package keyset

import (
	"context"
	"time"
)

// current returns the set that may be used at the time now, fetching and
// waiting as its age demands. A caller that has to wait does so for kid, which
// may be empty.
func (s *Set) current(ctx context.Context, now time.Time, kid string) (*snapshot, error) {
	if snap := s.snap.Load(); snap.stage(now) == fresh {
		return snap, nil
	}
	snap, f, err := s.plan(now, kid)
	if err != nil || f == nil {
		return snap, err
	}
	var patience <-chan time.Time
	if snap != nil {
		patience = halfTime(ctx)
	}
	landed, err := f.wait(ctx, patience)
	switch {
	case err != nil:
		return nil, err
	case landed && f.err == nil:
		return s.snap.Load(), nil
	case snap != nil:
		return snap, nil
	}
	return nil, s.unavailable(f.err)
}

// plan returns the set to use and, if the caller is to wait, the flight to wait
// for. A set that comes with a flight is the one to fall back on; without one,
// the flight is the only hope.
func (s *Set) plan(now time.Time, kid string) (*snapshot, *flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The caller may have read its clock before a fetch that has landed since.
	// Taken at its word, that fetch would lie in the future, which looks like
	// a clock set back and would cause another one.
	if later := s.now(); later.After(now) {
		now = later
	}
	snap := s.snap.Load()
	switch snap.stage(now) {
	case fresh:
		return snap, nil, nil
	case aging:
		s.begin(now)
		return snap, nil, nil
	case stale:
		// An outage is on, and known to be: waiting would add nothing but
		// delay. A revocation stays unseen for as long, at most 24 h; that is
		// the price of not failing with the issuer, and Observe tells of it.
		if s.failure != nil {
			s.begin(now)
			return snap, nil, nil
		}
		f := s.begin(now)
		f.want(kid)
		return snap, f, nil
	}
	f := s.begin(now)
	if f == nil {
		return nil, nil, &UnavailableError{RetryAfter: s.retryAfter(now), Err: s.failure}
	}
	f.want(kid)
	return nil, f, nil
}

// search looks for a key id that the current set does not have, and returns the
// set that settles it: one that has the id, or one fetched after the question
// arose.
func (s *Set) search(ctx context.Context, kid string) (*snapshot, error) {
	snap, f, err := s.seek(kid)
	if err != nil || f == nil {
		return snap, err
	}
	defer s.unseek()
	// No half time here: the last good set cannot serve this call, so there is
	// nothing better to do with the rest of its time.
	if _, err := f.wait(ctx, nil); err != nil {
		return nil, err
	}
	if f.err != nil {
		return nil, s.unavailable(f.err)
	}
	return s.snap.Load(), nil
}

// seek enlists the caller with the flight in progress, or with a refetch that
// it starts, if the cool-downs allow one and there is room to wait. Otherwise
// it answers from what is known.
func (s *Set) seek(kid string) (*snapshot, *flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if snap := s.snap.Load(); snap.has(kid) {
		return snap, nil, nil // it landed a moment ago
	}
	now := s.now()
	if s.seekers < maxSeekers {
		f := s.flight
		if f == nil && remaining(now, s.searched, coolDown) == 0 {
			if f = s.begin(now); f != nil {
				s.searched = now.Round(0)
			}
		}
		if f != nil {
			s.seekers++
			f.want(kid)
			return nil, f, nil
		}
	}
	// Whoever holds a token signed by a new key must not be told that the
	// token is bad just because the issuer cannot be asked.
	if s.failure != nil {
		return nil, nil, &UnavailableError{RetryAfter: s.retryAfter(now), Err: s.failure}
	}
	return nil, nil, ErrUnknownKey
}

func (s *Set) unseek() {
	s.mu.Lock()
	s.seekers--
	s.mu.Unlock()
}

// begin returns the flight in progress or starts one, and nil if a failed
// attempt holds it back. The caller holds mu.
func (s *Set) begin(now time.Time) *flight {
	if s.flight != nil {
		return s.flight
	}
	if s.coolingDown(now) {
		return nil
	}
	return s.launch(nil)
}

// coolingDown reports whether the last attempt failed and its cool-down is not
// over. The caller holds mu.
func (s *Set) coolingDown(now time.Time) bool {
	return s.failure != nil && remaining(now, s.failedAt, s.hold) > 0
}

// unavailable is the answer to a caller whose flight failed with err.
func (s *Set) unavailable(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &UnavailableError{RetryAfter: s.retryAfter(s.now()), Err: err}
}

// retryAfter returns how long no attempt will start because the last one
// failed, but not less than minRetry. The caller holds mu.
func (s *Set) retryAfter(now time.Time) time.Duration {
	if s.failure == nil {
		return minRetry
	}
	return max(remaining(now, s.failedAt, s.hold), minRetry)
}

// remaining returns what is left at the time now of a span d that began at
// since, or 0 if it is over. A span that begins in the future is over: the
// clock was set back, and waiting for it to catch up could take for ever.
func remaining(now, since time.Time, d time.Duration) time.Duration {
	elapsed := now.Sub(since)
	if elapsed < 0 || elapsed >= d {
		return 0
	}
	return d - elapsed
}
