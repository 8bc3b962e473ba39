package auth0grpcclient

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestRenewalIsTooSoon shows that a call is not repeated, and a stream not opened again,
// with the token that they had: while the last fetch has failed too recently, there is no
// other one.
func TestRenewalIsTooSoon(t *testing.T) {
	t.Parallel()
	now := time.Unix(1700000000, 0)
	current := &token{authorization: "Bearer t", refresh: now.Add(time.Minute), deadline: now.Add(time.Hour)}
	s := &source{
		now: func() time.Time { return now },
		fetch: func(context.Context, string) (*token, *TokenError) {
			t.Error("a fetch")
			return nil, &TokenError{}
		},
		failure: &TokenError{retryAfter: time.Hour}, failedAt: now,
	}
	s.current.Store(current)
	if s.renew(t.Context(), current, "") {
		t.Error("renew reports another token")
	}
	if s.outlast(t.Context(), now.Add(2*time.Hour), "") {
		t.Error("outlast reports a later token")
	}
	if !s.outlast(t.Context(), now.Add(time.Minute), "") {
		t.Error("outlast does not report the token that lasts")
	}
}

// TestOutlast covers the results of a fetch: only a token other than the one before helps.
func TestOutlast(t *testing.T) {
	t.Parallel()
	now := time.Unix(1700000000, 0)
	named := func(name string) *token {
		return &token{authorization: name, refresh: now.Add(time.Minute), deadline: now.Add(time.Hour)}
	}
	failed := &TokenError{text: "failed", retryAfter: time.Second}
	for name, test := range map[string]struct {
		old, fetched *token
		want         bool
	}{
		"the first token":    {nil, named("a"), true},
		"no first token":     {nil, nil, false},
		"another token":      {named("a"), named("b"), true},
		"the same token":     {named("a"), named("a"), false},
		"no other token":     {named("a"), nil, false},
		"a token that lasts": {&token{deadline: now.Add(3 * time.Hour)}, nil, true},
	} {
		s := &source{now: func() time.Time { return now }, fetch: func(context.Context, string) (*token, *TokenError) {
			return test.fetched, failed
		}}
		s.current.Store(test.old)
		if got := s.outlast(t.Context(), now.Add(2*time.Hour), ""); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}

// TestSuccessorIsFetchedOnce shows that callers share the fetch under way, and use a token
// that has arrived since they looked.
func TestSuccessorIsFetchedOnce(t *testing.T) {
	t.Parallel()
	now := time.Unix(1700000000, 0)
	s := &source{now: func() time.Time { return now }, fetch: func(context.Context, string) (*token, *TokenError) {
		t.Error("a fetch")
		return nil, &TokenError{}
	}}
	before, after := &token{authorization: "a"}, &token{authorization: "b", deadline: now.Add(time.Hour)}
	s.current.Store(after)
	for name, f := range map[string]*flight{"succeed": s.succeed(before, ""), "relaunch": s.relaunch(before, "")} {
		if got, err := f.wait(t.Context()); got != after || err != nil {
			t.Errorf("%s: %v, %v, want the token that has arrived", name, got, err)
		}
	}
	s.flight = landed(after)
	if s.succeed(after, "") != s.flight || s.relaunch(after, "") != s.flight {
		t.Error("not the fetch under way")
	}
}

// TestPausesBeginAnew shows that a token ends a row of failures: the next failure costs
// the first pause, and not the longest.
func TestPausesBeginAnew(t *testing.T) {
	t.Parallel()
	now := time.Unix(1700000000, 0)
	var next *token
	s := &source{now: func() time.Time { return now }, fetch: func(context.Context, string) (*token, *TokenError) {
		return next, &TokenError{text: "failed"}
	}}
	pause := func() time.Duration {
		_, err := s.token(t.Context(), "")
		var failure *TokenError
		if !errors.As(err, &failure) {
			t.Fatalf("%v, want a TokenError", err)
		}
		now = now.Add(failure.retryAfter)
		return failure.retryAfter
	}
	for range 6 {
		pause()
	}
	if got := pause(); got < maxHold/2 {
		t.Errorf("a pause of %v after 7 failures, want at least %v", got, maxHold/2)
	}
	next = &token{authorization: "a", refresh: now.Add(time.Minute), deadline: now.Add(time.Minute)}
	if _, err := s.token(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	next, now = nil, now.Add(time.Hour)
	if got := pause(); got > firstHold {
		t.Errorf("a pause of %v after the first failure, want %v at most", got, firstHold)
	}
}
