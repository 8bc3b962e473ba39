package keyset

import (
	"context"
	"time"
)

// current returns the set that may be used at the time now. It fetches and
// waits as the age of the set requires. A caller that waits does so for kid,
// which may be empty.
func (s *Set) current(ctx context.Context, now time.Time, kid string) (*snapshot, error) {
	if snap := s.snap.Load(); snap.stage(now) == fresh {
		return snap, nil
	}
	snap, f, err := s.plan(now, kid)
	if err != nil || f == nil {
		return snap, err
	}
	var giveUp <-chan time.Time
	if snap != nil {
		giveUp = halfRemaining(ctx)
	}
	ended, err := f.wait(ctx, giveUp)
	switch {
	case err != nil:
		return nil, err
	case ended && f.err == nil:
		return s.snap.Load(), nil
	case snap != nil:
		return snap, nil
	}
	return nil, s.unavailable(f.err)
}

// plan returns the set to use and, if the caller must wait, the flight to wait
// for. A set that comes with a flight is the fallback. If there is no set, the
// caller depends on the flight.
func (s *Set) plan(now time.Time, kid string) (*snapshot, *flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The caller may have read its clock before a fetch that has ended since.
	// By that reading the fetch would lie in the future. That looks like a
	// clock set back and would cause another fetch.
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
		// An outage is known: waiting would only add delay. A revocation of a
		// key is not noticed during the outage, at most 24 h. That is the
		// price of surviving it, and Observe reports it.
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

// search looks for a key id that the current set does not have. It returns a set
// that has the id, or a set that was fetched after search was called.
func (s *Set) search(ctx context.Context, kid string) (*snapshot, error) {
	snap, f, err := s.beginSearch(kid)
	if err != nil || f == nil {
		return snap, err
	}
	defer s.endSearch()
	// The wait is not halved: the last good set cannot serve this call.
	if _, err := f.wait(ctx, nil); err != nil {
		return nil, err
	}
	if f.err != nil {
		return nil, s.unavailable(f.err)
	}
	return s.snap.Load(), nil
}

// beginSearch registers the caller with the flight in progress, or with a
// refetch that it starts, if the cool-downs allow one and fewer than
// maxSearching callers wait. Otherwise it answers from the current set.
func (s *Set) beginSearch(kid string) (*snapshot, *flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if snap := s.snap.Load(); snap.has(kid) {
		return snap, nil, nil // fetched a moment ago
	}
	now := s.now()
	if s.searching < maxSearching {
		f := s.flight
		if f == nil && remaining(now, s.searchedAt, coolDown) == 0 {
			if f = s.begin(now); f != nil {
				s.searchedAt = now.Round(0)
			}
		}
		if f != nil {
			s.searching++
			f.want(kid)
			return nil, f, nil
		}
	}
	// A token signed by a new key must not be called bad just because the
	// issuer is unavailable.
	if s.failure != nil {
		return nil, nil, &UnavailableError{RetryAfter: s.retryAfter(now), Err: s.failure}
	}
	return nil, nil, ErrUnknownKey
}

func (s *Set) endSearch() {
	s.mu.Lock()
	s.searching--
	s.mu.Unlock()
}

// begin returns the flight in progress or starts one. It returns nil during the
// cool-down after a failed attempt. The caller holds mu.
func (s *Set) begin(now time.Time) *flight {
	if s.flight != nil {
		return s.flight
	}
	if s.coolingDown(now) {
		return nil
	}
	return s.start(nil)
}

// coolingDown reports whether the last attempt failed and its cool-down is not
// over. The caller holds mu.
func (s *Set) coolingDown(now time.Time) bool {
	return s.failure != nil && remaining(now, s.failedAt, s.coolDownFor) > 0
}

// unavailable returns the error for a caller whose flight failed with err.
func (s *Set) unavailable(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &UnavailableError{RetryAfter: s.retryAfter(s.now()), Err: err}
}

// retryAfter returns the rest of the cool-down after a failed attempt, and at
// least minRetry. The caller holds mu.
func (s *Set) retryAfter(now time.Time) time.Duration {
	if s.failure == nil {
		return minRetry
	}
	return max(remaining(now, s.failedAt, s.coolDownFor), minRetry)
}

// remaining returns the rest at the time now of a period d that began at since,
// or 0 if it is over. A period that begins in the future is over: the clock was
// set back, and it could take for ever to catch up.
func remaining(now, since time.Time, d time.Duration) time.Duration {
	elapsed := now.Sub(since)
	if elapsed < 0 || elapsed >= d {
		return 0
	}
	return d - elapsed
}
