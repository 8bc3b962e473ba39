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

	// wanted holds key ids that callers wait for, guarded by Set.mu. One more
	// than a set can have is enough: then some of them are missing for sure,
	// and which ones does not matter. So a flood cannot make it grow.
	wanted map[string]struct{}
}

// want notes that a caller waits for the key id kid. The caller holds Set.mu.
func (f *flight) want(kid string) {
	if kid == "" || len(f.wanted) > maxKeys {
		return
	}
	if f.wanted == nil {
		f.wanted = make(map[string]struct{})
	}
	f.wanted[kid] = struct{}{}
}

// missed reports whether a wanted key id is not in snap. The caller holds
// Set.mu.
func (f *flight) missed(snap *snapshot) bool {
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

// launch starts a flight. The caller holds mu and has seen that there is none.
func (s *Set) launch() *flight {
	f := &flight{done: make(chan struct{})}
	s.flight = f
	go s.fly(f)
	return f
}

// fly fetches the keys and lands f, come what may: were a panic in a transport
// to leave f in the air, every later caller would wait for it.
//
// It has no context of a caller: that one's leaving must not fail the others.
// Each request has its own time limit instead.
func (s *Set) fly(f *flight) {
	var keys []*Key
	err := errUnfinished
	defer func() {
		if recover() != nil {
			keys, err = nil, errUnfinished
		}
		s.land(f, keys, err)
	}()
	keys, err = s.source.fetch(context.Background())
}

// land records the outcome of f, lets its waiters go and tells the observer.
func (s *Set) land(f *flight, keys []*Key, err error) {
	report := s.settle(f, keys, err)
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
func (s *Set) settle(f *flight, keys []*Key, err error) Refresh {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().Round(0) // without its monotonic reading, see the package documentation
	s.flight = nil
	f.err, s.failure = err, err
	if err != nil {
		s.failedAt, s.hold = now, holdAfter(err)
	} else {
		next := newSnapshot(s.snap.Load(), keys, now)
		// In the same critical section in which the set appears: a caller with
		// a made-up id that comes a moment after a flood of them must find the
		// cool-down running.
		if f.missed(next) {
			s.searched = now
		}
		s.snap.Store(next)
	}
	report := Refresh{Issuer: s.issuer, At: now, Err: err}
	if snap := s.snap.Load(); snap.stage(now) != absent {
		report.Keys = len(snap.keys)
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
