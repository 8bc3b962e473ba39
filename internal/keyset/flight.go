package keyset

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/singleflight"
)

// errUnfinished reports a fetch whose transport panicked or ended its goroutine.
var errUnfinished = errors.New("keyset: the transport broke off the fetch")

// flight is one attempt to fetch the keys.
type flight struct {
	singleflight.Flight       // lands when the fetch has ended and is recorded
	err                 error // the failure, if any; read after the landing

	// wanted holds key ids that callers wait for, at most maxWanted of them,
	// so that a flood cannot make it grow. It is guarded by Set.mu.
	wanted map[string]struct{}
}

// maxWanted is more ids than good callers want of one flight: Auth0 publishes
// two or three keys, and up to ten more that a customer brings.
const maxWanted = 64

// want notes that a caller waits for the key id kid. The caller holds Set.mu.
func (f *flight) want(kid string) {
	if kid == "" || len(f.wanted) == maxWanted {
		return
	}
	if f.wanted == nil {
		f.wanted = make(map[string]struct{})
	}
	f.wanted[kid] = struct{}{}
}

// missed reports whether a wanted key id is not in snap. It assumes so if there
// was no room for all ids: this is a flood, or the cool-down that follows costs
// little. The caller holds Set.mu.
func (f *flight) missed(snap *snapshot) bool {
	if len(f.wanted) == maxWanted {
		return true
	}
	for kid := range f.wanted {
		if !snap.has(kid) {
			return true
		}
	}
	return false
}

// wait blocks until the flight has ended, giveUp fires or ctx ends. Only the
// last is an error.
func (f *flight) wait(ctx context.Context, giveUp <-chan time.Time) (ended bool, err error) {
	if ended, err = f.Wait(ctx, giveUp); err != nil {
		return false, fmt.Errorf("keyset: waiting for keys: %w", err)
	}
	return ended, nil
}

// halfRemaining returns a channel that fires after half of the time that ctx has
// left, and never if ctx has no deadline.
//
// It bounds the wait of a caller that can fall back on a last good set. Waiting
// for the whole time would be too long: if an issuer accepts connections and
// sends nothing, calls that the old set can serve would end in DeadlineExceeded.
// Not waiting would be wrong too: a revoked key would verify for the first calls
// after a quiet time. Half leaves the handler as long as the wait took.
func halfRemaining(ctx context.Context) <-chan time.Time {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil
	}
	return time.After(time.Until(deadline) / 2)
}

// start starts a flight. If release is not nil, the flight calls it when the
// fetch has ended. The caller holds mu and has checked that there is no flight.
func (s *Set) start(release func()) *flight {
	f := &flight{Flight: singleflight.New()}
	s.flight = f
	go s.run(f, release)
	return f
}

// run fetches the keys and finishes f, also if a transport panics. Otherwise
// every later caller would wait for f.
//
// It does not use the context of a caller: if one caller leaves, the fetch must
// not fail for the others. Each request has its own time limit instead.
func (s *Set) run(f *flight, release func()) {
	var list keyList
	var err error
	singleflight.Run(func() { list, err = s.source.fetch(context.Background()) }, func(returned bool) {
		if !returned {
			list, err = keyList{}, errUnfinished
		}
		if release != nil {
			release()
		}
		s.finish(f, list, err)
	})
}

// finish records the result of f, releases its waiters and calls the observer.
func (s *Set) finish(f *flight, list keyList, err error) {
	report := s.record(f, list, err)
	f.Land()
	if s.observe == nil {
		return
	}
	// A panic of the observer must not end the process: it runs on a goroutine
	// that is not the observer's.
	defer func() { _ = recover() }()
	s.observe(report)
}

// record stores the result of f and returns its report.
func (s *Set) record(f *flight, list keyList, err error) Refresh {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().Round(0) // without its monotonic reading, see the package documentation
	s.flight = nil
	f.err, s.failure = err, err
	if err != nil {
		s.failedAt, s.coolDownFor = now, coolDownAfter(err)
	} else {
		next := newSnapshot(s.snap.Load(), list.keys, now)
		// The cool-down starts in the critical section that stores the set.
		// After a flood of made-up ids, the next caller with one must find it
		// started.
		if f.missed(next) {
			s.searchedAt = now
		}
		s.snap.Store(next)
	}
	report := Refresh{Issuer: s.issuer, At: now, Unused: list.unused, Omitted: list.omitted, Err: err}
	if snap := s.snap.Load(); snap.stage(now) != absent {
		report.Keys = snap.size
	}
	return report
}

// coolDownAfter returns the cool-down after an attempt that failed with err.
func coolDownAfter(err error) time.Duration {
	var failed *fetchError
	if errors.As(err, &failed) {
		return max(coolDown, min(failed.retryAfter, maxCoolDown))
	}
	return coolDown
}
