package keyset

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errUnfinished is why a fetch failed that never came to an end, because the
// transport panicked or left its goroutine.
var errUnfinished = errors.New("keyset: the transport broke off the fetch")

// flight is one attempt to fetch the keys.
type flight struct {
	done chan struct{} // closed when it has landed
	err  error         // why it failed; read after done

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

// wait blocks until the flight has landed, patience has run out or ctx has
// ended. Only the last is an error.
func (f *flight) wait(ctx context.Context, patience <-chan time.Time) (landed bool, err error) {
	select {
	case <-f.done: // an answer that is there beats a context that has ended
		return true, nil
	default:
	}
	select {
	case <-f.done:
		return true, nil
	case <-patience:
		return false, nil
	case <-ctx.Done():
		return false, fmt.Errorf("keyset: waiting for keys: %w", ctx.Err())
	}
}

// halfTime fires when half of the time that ctx has left is over, and never if
// ctx has no deadline.
//
// It bounds the wait of a caller that has a last good set to fall back on. All
// of its time would be too much: with an issuer that accepts connections and
// says nothing, calls that the old set could have served would end in
// DeadlineExceeded. None would be too little: a revoked key would go on
// verifying for the first calls after a quiet spell. Half leaves the handler
// as long as the wait took.
func halfTime(ctx context.Context) <-chan time.Time {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil
	}
	return time.After(time.Until(deadline) / 2)
}

// launch starts a flight. It calls release, if not nil, when the fetch has
// ended. The caller holds mu and has seen that there is no flight.
func (s *Set) launch(release func()) *flight {
	f := &flight{done: make(chan struct{})}
	s.flight = f
	go s.fly(f, release)
	return f
}

// fly fetches the keys and lands f, come what may: were a panic in a transport
// to leave f in the air, every later caller would wait for it.
//
// It has no context of a caller: that one's leaving must not fail the others.
// Each request has its own time limit instead.
func (s *Set) fly(f *flight, release func()) {
	var list keyList
	err := errUnfinished
	defer func() {
		if recover() != nil {
			list, err = keyList{}, errUnfinished
		}
		if release != nil {
			release()
		}
		s.land(f, list, err)
	}()
	list, err = s.source.fetch(context.Background())
}

// land records the outcome of f, lets its waiters go and tells the observer.
func (s *Set) land(f *flight, list keyList, err error) {
	report := s.settle(f, list, err)
	close(f.done)
	if s.observe == nil {
		return
	}
	// An observer's bug must not end the process from a goroutine that its
	// author has never heard of.
	defer func() { _ = recover() }()
	s.observe(report)
}

// settle records the outcome of f.
func (s *Set) settle(f *flight, list keyList, err error) Refresh {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().Round(0) // without its monotonic reading, see the package documentation
	s.flight = nil
	f.err, s.failure = err, err
	if err != nil {
		s.failedAt, s.hold = now, holdAfter(err)
	} else {
		next := newSnapshot(s.snap.Load(), list.keys, now)
		// In the same critical section in which the set appears: a caller with
		// a made-up id that comes a moment after a flood of them must find the
		// cool-down running.
		if f.missed(next) {
			s.searched = now
		}
		s.snap.Store(next)
	}
	report := Refresh{Issuer: s.issuer, At: now, Unused: list.unused, Omitted: list.omitted, Err: err}
	if snap := s.snap.Load(); snap.stage(now) != absent {
		report.Keys = snap.size
	}
	return report
}

// holdAfter returns the cool-down that follows an attempt that failed with err.
func holdAfter(err error) time.Duration {
	var fault *fetchError
	if errors.As(err, &fault) {
		return max(coolDown, min(fault.retryAfter, maxCoolDown))
	}
	return coolDown
}
