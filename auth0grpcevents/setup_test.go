package auth0grpcevents_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

const (
	issuer = "https://test-tenant.eu.auth0.com/"
	secret = "a-secret-of-the-event-stream"

	// patience only ends a test that hangs.
	patience = 2 * time.Minute
)

// A feed records the revocations that are published.
type feed struct {
	mu        sync.Mutex
	published []auth0grpc.Revocation
	failure   error
	attempts  int
	changed   chan struct{}
}

func newFeed() *feed { return &feed{changed: make(chan struct{})} }

func (f *feed) Publish(_ context.Context, r auth0grpc.Revocation) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { close(f.changed); f.changed = make(chan struct{}) }()
	f.attempts++
	if f.failure != nil {
		return f.failure
	}
	f.published = append(f.published, r)
	return nil
}

func (f *feed) Follow(ctx context.Context, _ func(auth0grpc.Revocation), _ func(error)) error {
	<-ctx.Done()
	return ctx.Err()
}

func (f *feed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failure = err
}

func (f *feed) all() []auth0grpc.Revocation {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]auth0grpc.Revocation(nil), f.published...)
}

// subjects returns the subjects that were revoked, once each.
func (f *feed) subjects() map[string]bool {
	subjects := map[string]bool{}
	for _, r := range f.all() {
		subjects[r.Subject] = true
	}
	return subjects
}

// await waits until the feed satisfies a condition.
func (f *feed) await(tb testing.TB, description string, holds func() bool) {
	tb.Helper()
	deadline := time.After(patience)
	for {
		f.mu.Lock()
		changed := f.changed
		f.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			tb.Fatalf("still not: %s", description)
		}
	}
}

func (f *feed) awaitSubject(tb testing.TB, subject string) {
	tb.Helper()
	f.await(tb, "revoked "+subject, func() bool { return f.subjects()[subject] })
}

// newGuard returns an Interceptor for tokens of issuers.
func newGuard(tb testing.TB, feed auth0grpc.RevocationFeed, issuers ...string) *auth0grpc.Interceptor {
	tb.Helper()
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: issuers, Audiences: []string{auth0grpctest.Audience}, RevocationFeed: feed,
		Methods: map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Authenticated()},
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return guard
}

// A syncBuffer is a buffer for a log.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// count returns the number of lines that contain a text.
func (b *syncBuffer) count(text string) int {
	n := 0
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (b *syncBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// A scene is a tenant whose events a Follow consumes.
type scene struct {
	tenant  *auth0grpctest.Tenant
	events  *auth0grpctest.EventLog
	feed    *feed
	guard   *auth0grpc.Interceptor
	monitor *auth0grpcevents.Monitor
	log     *syncBuffer
	config  auth0grpcevents.Config
}

func newScene(tb testing.TB) *scene {
	tb.Helper()
	tenant := auth0grpctest.NewTenant(tb)
	s := &scene{
		tenant: tenant, events: tenant.Events(), feed: newFeed(), monitor: new(auth0grpcevents.Monitor), log: new(syncBuffer),
	}
	s.guard = newGuard(tb, s.feed, tenant.Issuer())
	s.events.SetFailures(auth0grpctest.EventFailures{Retry: time.Millisecond})
	s.config = auth0grpcevents.Config{
		Tenant: auth0grpctest.EventsTenant, TokenSource: newCredentials(tb, tenant, auth0grpctest.EventsScope),
		HTTPClient: tenant.HTTPClient(), Monitor: s.monitor, Logger: s.log.logger(),
	}
	return s
}

// newCredentials returns credentials of an application with these scopes.
func newCredentials(tb testing.TB, tenant *auth0grpctest.Tenant, scopes ...string) *auth0grpcclient.Credentials {
	tb.Helper()
	tenant.AddClient("events", "client-secret", map[string][]string{tenant.EventsAudience(): scopes})
	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
		Issuer: tenant.Issuer(), ClientID: "events", ClientSecret: "client-secret",
		Audience: tenant.EventsAudience(), HTTPClient: tenant.HTTPClient(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return creds
}

// follow starts Follow, and returns a function that stops it and returns its error. The
// test stops it at the latest.
func (s *scene) follow(tb testing.TB) (stop func() error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan error, 1)
	go func() { done <- auth0grpcevents.Follow(ctx, s.guard, s.config) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			return errors.New("Follow does not return")
		}
	})
	tb.Cleanup(func() {
		if err := stop(); !errors.Is(err, context.Canceled) {
			tb.Errorf("Follow = %v, want the error of its context", err)
		}
	})
	return stop
}

// eventually waits for a condition that comes to hold without further events.
func eventually(tb testing.TB, description string, holds func() bool) {
	tb.Helper()
	deadline, tick := time.After(patience), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("still not: %s", description)
		}
	}
}
