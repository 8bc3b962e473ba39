package auth0grpcclient

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/status"
)

const (
	firstHold = time.Second      // after a fetch that failed; doubles
	maxHold   = 30 * time.Second // unless the endpoint asks for more
	// renewPause is between tokens that are fetched on a server's word.
	renewPause = 10 * time.Second
)

// A source keeps one token in date: the client's own, or one on behalf of one
// subject. At most one fetch is under way.
type source struct {
	fetch func(ctx context.Context, subject string) (*token, *TokenError)
	now   func() time.Time

	current atomic.Pointer[token] // nil until there is one; set under mu

	mu       sync.Mutex // guards all below
	flight   *flight    // nil while none is under way
	failure  *TokenError
	failures int       // in a row
	retryAt  time.Time // no fetch before, while there is a failure
	renewed  time.Time // when a server's word last made us fetch
}

// A flight is one fetch that any number of callers wait for.
type flight struct {
	done    chan struct{} // closed when it has landed
	token   *token        // these two are read after done
	failure *TokenError
}

// token returns a token that can be used now. It waits only if there is none.
func (s *source) token(ctx context.Context, subject string) (*token, error) {
	now := s.now()
	t := s.current.Load()
	if t != nil && now.Before(t.refresh) {
		return t, nil
	}
	f, failure := s.ensure(now, subject)
	if t != nil && now.Before(t.deadline) {
		return t, nil // whatever becomes of the fetch
	}
	if failure != nil {
		return nil, failure
	}
	return f.wait(ctx)
}

// ensure returns the fetch under way, or starts one. While the last failure is
// fresh it returns that instead: an endpoint in trouble is not asked by every
// call.
func (s *source) ensure(now time.Time, subject string) (*flight, *TokenError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight, nil
	}
	if t := s.current.Load(); t != nil && now.Before(t.refresh) { // it has just landed
		return landed(t), nil
	}
	if s.failure != nil && now.Before(s.retryAt) {
		return nil, s.failure
	}
	return s.launch(subject), nil
}

func landed(t *token) *flight {
	f := &flight{done: make(chan struct{}), token: t}
	close(f.done)
	return f
}

// renew replaces a token that a server refused, unless that has happened since,
// and reports whether there is another one now. The refused token stays in use
// until then: other servers may take it, and one server's word must not leave
// the others without.
func (s *source) renew(ctx context.Context, refused *token, subject string) bool {
	f := s.relaunch(refused, subject)
	if f == nil {
		return false
	}
	t, err := f.wait(ctx)
	return err == nil && t != refused
}

// relaunch returns the fetch of a successor, or nil if it is too soon for one.
func (s *source) relaunch(refused *token, subject string) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.current.Load(); t != refused {
		return landed(t)
	}
	if s.flight != nil {
		return s.flight
	}
	now := s.now()
	if s.failure != nil && now.Before(s.retryAt) || !s.renewed.IsZero() && now.Before(s.renewed.Add(renewPause)) {
		return nil
	}
	s.renewed = now
	return s.launch(subject)
}

// launch starts a fetch. The caller holds mu and has seen that there is none.
func (s *source) launch(subject string) *flight {
	f := &flight{done: make(chan struct{})}
	s.flight = f
	go s.fly(f, subject)
	return f
}

// fly has no caller's context: that one's leaving must not fail the others. The
// fetch has a time limit of its own. It lands come what may: were a panic in a
// transport to leave it in the air, every later call would wait for it.
func (s *source) fly(f *flight, subject string) {
	f.failure = &TokenError{text: "the token endpoint cannot be reached", cause: errBrokeOff}
	defer func() {
		if recover() != nil {
			f.token = nil
		}
		s.land(f)
	}()
	f.token, f.failure = s.fetch(context.Background(), subject)
}

func (s *source) land(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(f.done)
	s.flight = nil
	if f.token != nil {
		s.current.Store(f.token)
		s.failure, s.failures = nil, 0
		return
	}
	hold := max(f.failure.after, min(backoff(firstHold, min(s.failures, 5)), maxHold))
	f.failure.after = hold
	s.failure, s.retryAt = f.failure, s.now().Add(hold)
	s.failures++
}

// wait returns what the fetch brought, unless ctx ends before.
func (f *flight) wait(ctx context.Context) (*token, error) {
	select {
	case <-f.done: // an answer that is there beats a context that has ended
	default:
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	if f.token == nil {
		return nil, f.failure
	}
	return f.token, nil
}
