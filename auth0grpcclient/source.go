package auth0grpcclient

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc/internal/singleflight"
)

const (
	firstHold = time.Second      // after a fetch that failed; doubles
	maxHold   = 30 * time.Second // unless the endpoint asks for more

	// The pause between tokens that are fetched because a server refused the previous
	// one. It starts at one second: a revocation covers all tokens whose iat is in its
	// second or before, so a token fetched immediately may be refused too, and a token
	// fetched a second later is not. The pause doubles until maxRenewPause.
	firstRenewPause = time.Second
	maxRenewPause   = 10 * time.Second
	// renewMemory is the time without a renewal after which the first pause counts
	// again.
	renewMemory = time.Minute
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
	failedAt time.Time // the failure's
	renewals int       // after refusals by servers, each within renewMemory of the one before
	renewed  time.Time // when the last of them began
}

// A flight is one fetch that any number of callers wait for.
type flight struct {
	singleflight.Flight
	token   *token // these two are read after the landing
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
		return t, nil // for any result of the fetch
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
	if s.holds(now) {
		return nil, s.failure
	}
	return s.launch(subject), nil
}

func landed(t *token) *flight {
	f := &flight{Flight: singleflight.New(), token: t}
	f.Land()
	return f
}

// renew replaces a token that a server refused, unless that has happened since,
// and reports whether there is another one now: an endpoint that answers from a
// cache may give the same one again, which would be refused again. The refused token stays in use
// until then: other servers may take it, and one server's word must not leave
// the others without.
func (s *source) renew(ctx context.Context, refused *token, subject string) bool {
	f := s.relaunch(refused, subject)
	if f == nil {
		return false
	}
	t, err := f.wait(ctx)
	return err == nil && t.authorization != refused.authorization
}

// outlast reports whether there is a token that is good until then, or a newer one than
// before. It fetches one if there is none, unless the last fetch failed too recently.
func (s *source) outlast(ctx context.Context, until time.Time, subject string) bool {
	old := s.current.Load()
	if old != nil && old.deadline.After(until) {
		return true
	}
	f := s.succeed(old, subject)
	if f == nil {
		return false
	}
	t, err := f.wait(ctx)
	return err == nil && (old == nil || t.authorization != old.authorization)
}

// succeed returns the fetch of a token after old, or nil if it is too soon for one.
func (s *source) succeed(old *token, subject string) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch t := s.current.Load(); {
	case t != old:
		return landed(t)
	case s.flight != nil:
		return s.flight
	case s.holds(s.now()):
		return nil
	}
	return s.launch(subject)
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
	if s.holds(now) || s.renewals > 0 && within(now, s.renewed, renewPause(s.renewals)) {
		return nil
	}
	if !within(now, s.renewed, renewMemory) {
		s.renewals = 0
	}
	s.renewals++
	s.renewed = now
	return s.launch(subject)
}

// renewPause returns the pause after the n-th renewal in a row.
func renewPause(n int) time.Duration { return min(firstRenewPause<<min(n-1, 4), maxRenewPause) }

// holds reports whether the last fetch failed too recently for another one. The
// caller holds mu.
func (s *source) holds(now time.Time) bool {
	return s.failure != nil && within(now, s.failedAt, s.failure.retryAfter)
}

// within reports whether now is less than d after start. It is not if the clock
// was set back to before start: nothing waits for a clock to catch up.
func within(now, start time.Time, d time.Duration) bool {
	return !now.Before(start) && now.Before(start.Add(d))
}

// launch starts a fetch. The caller holds mu and has checked that there is none.
func (s *source) launch(subject string) *flight {
	f := &flight{Flight: singleflight.New()}
	s.flight = f
	go s.fly(f, subject)
	return f
}

// fly runs a fetch. It uses no caller's context, because a caller that leaves must
// not fail the others; the fetch has its own time limit. It lands even if the
// transport panics: otherwise every later call would wait for it.
func (s *source) fly(f *flight, subject string) {
	singleflight.Run(func() { f.token, f.failure = s.fetch(context.Background(), subject) }, func(returned bool) {
		if !returned {
			f.token, f.failure = nil, unreachable(errBrokeOff)
		}
		s.land(f)
	})
}

func (s *source) land(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer f.Land()
	s.flight = nil
	now := s.now()
	if f.token != nil && !now.Before(f.token.deadline) {
		// Taken as success, it would cost a request for each call.
		f.token, f.failure = nil, &TokenError{HTTPStatus: http.StatusOK, text: "the token had expired when it arrived"}
	}
	if f.token != nil {
		s.current.Store(f.token)
		s.failure, s.failures = nil, 0
		return
	}
	f.failure.retryAfter = max(f.failure.retryAfter, min(backoff(firstHold, min(s.failures, 5)), maxHold))
	s.failure, s.failedAt = f.failure, now
	s.failures++
}

// wait returns the result of the fetch, unless ctx ends before.
func (f *flight) wait(ctx context.Context) (*token, error) {
	if _, err := f.Wait(ctx, nil); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	if f.token == nil {
		return nil, f.failure
	}
	return f.token, nil
}
