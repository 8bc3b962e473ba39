package auth0grpcclient

import (
	"context"
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

// TestOutlastWithoutAToken covers the first fetch.
func TestOutlastWithoutAToken(t *testing.T) {
	t.Parallel()
	now := time.Unix(1700000000, 0)
	s := &source{now: func() time.Time { return now }, fetch: func(context.Context, string) (*token, *TokenError) {
		return &token{authorization: "Bearer t", refresh: now.Add(time.Minute), deadline: now.Add(time.Hour)}, nil
	}}
	if !s.outlast(t.Context(), now.Add(2*time.Hour), "") {
		t.Error("outlast does not report the token that it fetched")
	}
}
