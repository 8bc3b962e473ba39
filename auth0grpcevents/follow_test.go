package auth0grpcevents_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A blocked user is revoked, with the issuer of the tenant and the end of the second.
func TestFollowRevokesBlockedUsers(t *testing.T) {
	s := newScene(t)
	s.follow(t)
	began := time.Now()
	s.events.BlockUser("auth0|1")
	s.feed.awaitSubject(t, "auth0|1")
	r := s.feed.all()[0]
	if r.Issuer != s.tenant.Issuer() || r.OrganizationID != "" || r.ClientID != "" || r.TokenID != "" {
		t.Errorf("revoked %+v, want the subject of one issuer alone", r)
	}
	if r.IssuedBefore.Nanosecond() != 0 || !r.IssuedBefore.After(began) {
		t.Errorf("IssuedBefore = %v, want the end of the second of the event", r.IssuedBefore)
	}
	stats := s.monitor.Stats()
	eventually(t, "the event is counted", func() bool { stats = s.monitor.Stats(); return stats.Revoked == 1 })
	if !stats.Leader || !stats.Connected || stats.Err != nil || stats.LastEvent.IsZero() || stats.Connections == 0 {
		t.Errorf("Stats = %+v, want a connected leader", stats)
	}
}

// Events that happened before Follow started, and between two of them, are not lost.
func TestFollowResumes(t *testing.T) {
	s := newScene(t)
	s.config.Store = auth0grpcevents.NewMemoryStore()
	s.events.BlockUser("before")
	stop := s.follow(t)
	s.feed.awaitSubject(t, "before")
	_ = stop()
	if stats := s.monitor.Stats(); stats.Leader || stats.Connected || stats.Lag != 0 {
		t.Errorf("Stats = %+v after the end, want no leader", stats)
	}
	s.events.BlockUser("between")
	s.follow(t)
	s.feed.awaitSubject(t, "between")
	for _, r := range s.feed.all()[1:] {
		if r.Subject == "before" {
			t.Error("an event is applied again, although its offset was stored")
		}
	}
}

// Every cut, in the middle of an event or between two, and every regular end is followed
// by a connection at the same place.
func TestFollowSurvivesCuts(t *testing.T) {
	for name, failures := range map[string]auth0grpctest.EventFailures{
		"cut after each event":      {CutAfter: 1},
		"cut, duplicates":           {CutAfter: 3, Duplicate: true},
		"cut, disorder":             {CutAfter: 3, Swap: true},
		"cut, both":                 {CutAfter: 5, Swap: true, Duplicate: true},
		"duplicates and disorder":   {Swap: true, Duplicate: true},
		"one connection at a time":  {CutAfter: 2, MaxConnections: 1},
		"the server sends no retry": {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			failures.Retry = time.Millisecond
			s.events.SetFailures(failures)
			s.follow(t)
			const users = 30
			for i := range users {
				s.events.BlockUser(fmt.Sprint("auth0|", i))
				s.events.Publish("user.updated", map[string]any{"user_id": fmt.Sprint("other|", i), "blocked": false})
			}
			for i := range users {
				s.feed.awaitSubject(t, fmt.Sprint("auth0|", i))
			}
			if n := len(s.feed.subjects()); n != users {
				t.Errorf("%d subjects are revoked, want the %d blocked ones", n, users)
			}
		})
	}
}

func TestFollowSurvivesEnds(t *testing.T) {
	s := newScene(t)
	s.follow(t)
	s.events.BlockUser("first")
	s.feed.awaitSubject(t, "first")
	for i, end := range []func(){
		s.events.CutStreams, s.events.CloseStreams,
		func() { s.events.FailStreams("timeout") },
		func() { s.events.FailStreams("cursor_expired") },
		func() { s.events.FailStreams("invalid_cursor") },
		func() { s.events.FailStreams("a code of the future") },
		func() { s.events.FailStreams("payload_too_large") },
		func() { s.events.Send("event: error\ndata: garbage\n\n") },
		func() { s.events.Send("garbage\n\n\x00:\r\rdata\n\n") },
	} {
		end()
		subject := fmt.Sprint("auth0|", i)
		s.events.BlockUser(subject)
		s.feed.awaitSubject(t, subject)
	}
}

// An offset that has expired is replaced by the lifetime of a token: all events that can
// still matter are read again.
func TestFollowReplacesExpiredOffset(t *testing.T) {
	s := newScene(t)
	s.config.Store = auth0grpcevents.NewMemoryStore()
	stop := s.follow(t)
	s.events.BlockUser("first")
	s.feed.awaitSubject(t, "first")
	_ = stop()
	s.events.BlockUser("second")
	s.events.ExpireOffsets()
	s.events.BlockUser("third")
	s.follow(t)
	s.feed.awaitSubject(t, "second")
	s.feed.awaitSubject(t, "third")
	if n := s.log.count("the Events API failed"); n != 1 {
		t.Errorf("the outage is reported %d times, want once:\n%s", n, s.log)
	}
}

// Each refusal is reported once, however long it lasts, and everything is caught up.
func TestFollowOutlastsRefusals(t *testing.T) {
	for _, test := range []struct {
		name     string
		failures auth0grpctest.EventFailures
		want     string // in the log
	}{
		{"401", auth0grpctest.EventFailures{Status: 401, Body: "secret-of-the-response"}, "HTTP status 401"},
		{"403, connections", auth0grpctest.EventFailures{Status: 403, Body: "Maximum concurrent event stream connections reached"}, "plan allows"},
		{"403, another", auth0grpctest.EventFailures{Status: 403, Body: "<html>secret-of-the-response is out of scope"}, "refused access"},
		{"404", auth0grpctest.EventFailures{Status: 404}, "HTTP status 404"},
		{"410", auth0grpctest.EventFailures{Status: 410}, "HTTP status 410"},
		{"400", auth0grpctest.EventFailures{Status: 400}, "HTTP status 400"},
		{"429", auth0grpctest.EventFailures{Status: 429, Header: http.Header{"Retry-After": {"1"}}}, "HTTP status 429"},
		{"500", auth0grpctest.EventFailures{Status: 500}, "HTTP status 500"},
		{"503", auth0grpctest.EventFailures{Status: 503, Body: "secret-of-the-response"}, "HTTP status 503"},
		{"not a stream", auth0grpctest.EventFailures{Status: 200, Body: "<html>"}, "not a stream"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.follow(t)
			s.events.BlockUser("before")
			s.feed.awaitSubject(t, "before")
			requests := s.events.Requests()
			s.events.SetFailures(test.failures)
			s.events.CutStreams()
			eventually(t, "three requests are refused", func() bool { return s.events.Requests() >= requests+3 })
			s.events.BlockUser("during")
			eventually(t, "Stats have the failure", func() bool {
				err := s.monitor.Stats().Err
				var failure *auth0grpcevents.APIError
				return errors.As(err, &failure) && failure.Status == test.failures.Status
			})
			s.events.SetFailures(auth0grpctest.EventFailures{Retry: time.Millisecond})
			s.feed.awaitSubject(t, "during")
			eventually(t, "the end is reported", func() bool { return s.log.count("the Events API recovered") == 1 })
			if n := s.log.count("the Events API failed"); n != 1 || s.log.count(test.want) != 1 {
				t.Errorf("%d reports of one outage, want one with %q:\n%s", n, test.want, s.log)
			}
			if strings.Contains(s.log.String(), "secret") {
				t.Errorf("the log quotes the response:\n%s", s.log)
			}
			if err := s.monitor.Stats().Err; err != nil {
				t.Errorf("Stats.Err = %v after the outage", err)
			}
		})
	}
}

// A token without the scope is an error that no retry changes.
func TestFollowNeedsTheScope(t *testing.T) {
	s := newScene(t)
	s.config.TokenSource = newCredentials(t, s.tenant, "read:users")
	err := auth0grpcevents.Follow(t.Context(), s.guard, s.config)
	var failure *auth0grpcevents.APIError
	if !errors.As(err, &failure) || failure.Status != http.StatusForbidden || !strings.Contains(err.Error(), "read:events") {
		t.Errorf("Follow = %v, want that the token lacks the scope", err)
	}
	if n := s.events.Requests(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// A redirect would carry the token to another host.
func TestFollowFollowsNoRedirect(t *testing.T) {
	other := auth0grpctest.NewTenant(t)
	s := newScene(t)
	s.events.SetFailures(auth0grpctest.EventFailures{Status: 307, Header: http.Header{"Location": {other.Issuer() + "api/v2/events"}}})
	s.follow(t)
	eventually(t, "two requests are redirected", func() bool { return s.events.Requests() >= 2 })
	if n := other.Events().Requests(); n != 0 {
		t.Errorf("the other host has received %d requests", n)
	}
	if s.log.count("redirect, which is not followed") != 1 {
		t.Errorf("log:\n%s", s.log)
	}
}

// While a revocation cannot be published, the event is not passed over, and the failure is
// reported once.
func TestFollowWaitsForTheFeed(t *testing.T) {
	s := newScene(t)
	store := auth0grpcevents.NewMemoryStore()
	s.config.Store = store
	s.follow(t)
	s.events.BlockUser("first")
	s.feed.awaitSubject(t, "first")
	eventually(t, "the offset is stored", func() bool { offset, _ := store.Load(t.Context(), auth0grpctest.EventsTenant); return offset != "" })
	before, _ := store.Load(t.Context(), auth0grpctest.EventsTenant)
	s.feed.fail(errors.New("the feed is down"))
	s.events.BlockUser("second")
	s.events.BlockUser("third")
	s.feed.mu.Lock()
	attempts := s.feed.attempts
	s.feed.mu.Unlock()
	s.feed.await(t, "three attempts", func() bool {
		s.feed.mu.Lock()
		defer s.feed.mu.Unlock()
		return s.feed.attempts >= attempts+3
	})
	if offset, _ := store.Load(t.Context(), auth0grpctest.EventsTenant); offset != before {
		t.Errorf("offset %q is stored before the revocation is published, want %q", offset, before)
	}
	if err := s.monitor.Stats().Err; err == nil {
		t.Error("Stats.Err is nil while the feed is down")
	}
	s.feed.fail(nil)
	s.feed.awaitSubject(t, "second")
	s.feed.awaitSubject(t, "third")
	if n := s.log.count("the revocation feed failed"); n != 1 {
		t.Errorf("the outage is reported %d times, want once:\n%s", n, s.log)
	}
}

// A token that Auth0 refuses is replaced.
func TestFollowReplacesRefusedToken(t *testing.T) {
	s := newScene(t)
	stop := s.follow(t)
	s.events.BlockUser("first")
	s.feed.awaitSubject(t, "first")
	s.tenant.RotateKeys()
	s.tenant.RevokePreviousKey()
	s.events.CutStreams()
	s.events.BlockUser("second")
	s.feed.awaitSubject(t, "second")
	_ = stop()
}

// A token source that fails is an outage.
func TestFollowOutlastsTheTokenEndpoint(t *testing.T) {
	s := newScene(t)
	s.tenant.SetDown(true)
	s.follow(t)
	s.events.BlockUser("first")
	eventually(t, "the outage is reported", func() bool { return s.log.count("no token for the Events API") == 1 })
	s.tenant.SetDown(false)
	s.feed.awaitSubject(t, "first")
}
