package auth0grpc_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// Every kind of revocation, for a token that was used before and for one that
// was not, and for an open stream.
func TestRevoke(t *testing.T) {
	// issuer stands for the issuer of the tenant, which differs between cases.
	const issuer, subject, client = "the issuer", auth0grpctest.Subject, auth0grpctest.ClientID
	whole := claims{"org_id": "org_1", "jti": "id-1"}
	tests := []struct {
		name    string
		what    auth0grpc.Revocation
		more    claims
		matches bool
	}{
		{"subject", auth0grpc.Revocation{Subject: subject}, nil, true},
		{"another subject", auth0grpc.Revocation{Subject: "auth0|leak"}, nil, false},
		{"subject in another case", auth0grpc.Revocation{Subject: strings.ToUpper(subject)}, nil, false},
		{"client by azp", auth0grpc.Revocation{ClientID: client}, nil, true},
		{"client by client_id", auth0grpc.Revocation{ClientID: "machine"}, claims{"azp": nil, "client_id": "machine"}, true},
		{"another client", auth0grpc.Revocation{ClientID: "leak"}, nil, false},
		{"a client, and the token has none", auth0grpc.Revocation{ClientID: client}, claims{"azp": nil}, false},
		{"organization", auth0grpc.Revocation{OrganizationID: "org_1"}, whole, true},
		{"another organization", auth0grpc.Revocation{OrganizationID: "org_2"}, whole, false},
		{"an organization, and the token has none", auth0grpc.Revocation{OrganizationID: "org_1"}, nil, false},
		{"jti", auth0grpc.Revocation{TokenID: "id-1"}, whole, true},
		{"another jti", auth0grpc.Revocation{TokenID: "id-2"}, whole, false},
		{"a jti, and the token has none", auth0grpc.Revocation{TokenID: "id-1"}, nil, false},
		{"issued before", auth0grpc.Revocation{IssuedBefore: today.Add(time.Second)}, nil, true},
		{"issued at", auth0grpc.Revocation{IssuedBefore: today}, nil, false},
		{"issued before, for good", auth0grpc.Revocation{Subject: subject, IssuedBefore: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, nil, true},
		{"subject and client", auth0grpc.Revocation{Subject: subject, ClientID: client}, nil, true},
		{"subject and another client", auth0grpc.Revocation{Subject: subject, ClientID: "leak"}, nil, false},
		{"the issuer and a time", auth0grpc.Revocation{Issuer: issuer, IssuedBefore: today.Add(time.Second)}, nil, true},
		{"any issuer", auth0grpc.Revocation{Issuer: auth0grpc.AnyIssuer, Subject: subject}, nil, true},
		{"the issuer and another subject", auth0grpc.Revocation{Issuer: issuer, Subject: "auth0|leak"}, nil, false},
		{"all six", auth0grpc.Revocation{issuer, subject, client, "org_1", "id-1", today.Add(time.Second)}, whole, true},
		{"all but the organization", auth0grpc.Revocation{issuer, subject, client, "org_2", "id-1", today.Add(time.Second)}, whole, false},
		{"all but the time", auth0grpc.Revocation{issuer, subject, client, "org_1", "id-1", today}, whole, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newFixture(t, handleStreams(drain))
			used, fresh := s.token(test.more), s.token(with(claims{"unused": true}, test.more))
			passes.check(t, s.call(t.Context(), "tcp", shapes[0], bearer(used)...))
			stream := s.open(t, "tcp", streamShapes[2], bearer(used)...)
			eventually(t, "the stream is open", func() bool { return s.guard.Stats().OpenStreams == 1 })
			s.clock.Advance(time.Minute)
			if test.what.Issuer == issuer {
				test.what.Issuer = s.tenant.Issuer()
			}
			if err := s.guard.Revoke(t.Context(), test.what); err != nil {
				t.Fatal(err)
			}
			want := passes
			if test.matches {
				want = revoked
				got := finish(stream, "tcp")
				got.outer = got.err
				eventually(t, "the outer interceptor has the stream's error", func() bool {
					s.mu.Lock()
					defer s.mu.Unlock()
					return s.outer != nil
				})
				if reason, _ := auth0grpc.ReasonFromError(got.err); reason != auth0grpc.ReasonTokenRevoked || got.trailer.Get("www-authenticate")[0] != revoked.challenge {
					t.Errorf("the stream ended with %v, %v", got.err, got.trailer)
				}
			}
			for range 2 {
				want.check(t, s.call(t.Context(), "tcp", shapes[0], bearer(used)...), used)
				want.check(t, s.call(t.Context(), "tcp", shapes[0], bearer(fresh)...), fresh)
			}
			if n := s.guard.Stats().OpenStreams; (n == 0) != test.matches {
				t.Errorf("%d open streams", n)
			}
			if test.what.IssuedBefore.IsZero() { // a token of the next second is new
				s.clock.Advance(time.Second)
				again := s.token(test.more)
				passes.check(t, s.call(t.Context(), "tcp", shapes[0], bearer(again)...))
			}
		})
	}
}

func TestRevokeRefuses(t *testing.T) {
	tenant, now := newTenant(t)
	guard := mustNew(t, configFor(tenant, now))
	east := time.FixedZone("east", 3600)
	for name, r := range map[string]auth0grpc.Revocation{
		"nothing":                      {},
		"the zero time in a zone":      {IssuedBefore: time.Time{}.In(east)},
		"the zero time from Unix":      {IssuedBefore: time.Unix(-62135596800, 0)},
		"the zero time locally":        {IssuedBefore: time.Time{}.Local()},
		"the issuer alone":             {Issuer: tenant.Issuer()},
		"any issuer alone":             {Issuer: auth0grpc.AnyIssuer},
		"1970":                         {IssuedBefore: time.Unix(0, 0)},
		"a subject, 1970":              {Subject: auth0grpctest.Subject, IssuedBefore: time.Unix(0, 0)},
		"a subject, the year 1":        {Subject: auth0grpctest.Subject, IssuedBefore: time.Date(1, 1, 1, 0, 0, 0, 0, east)},
		"a subject of another issuer":  {Issuer: "https://other.example.com/", Subject: auth0grpctest.Subject},
		"all tokens of another issuer": {Issuer: "https://other.example.com/", IssuedBefore: today},
	} {
		if err := guard.Revoke(t.Context(), r); err == nil || !strings.HasPrefix(err.Error(), "auth0grpc: ") {
			t.Errorf("%s: Revoke = %v, want an error", name, err)
		}
	}
	if n := guard.RevocationsRemembered(); n != 0 {
		t.Errorf("%d revocations were made", n)
	}
	decideOnce(t, guard, unaryCall, passes, tenant.Token(claims{"scope": "read:orders"}))
	// A subject with the zero time of any form is revoked from now on.
	if err := guard.Revoke(t.Context(), auth0grpc.Revocation{Subject: auth0grpctest.Subject, IssuedBefore: time.Time{}.In(east)}); err != nil {
		t.Error(err)
	}
	decideOnce(t, guard, unaryCall, revoked, tenant.Token(claims{"scope": "read:orders"}))
}

func TestRevokeOnTheZeroInterceptor(t *testing.T) {
	guard := new(auth0grpc.Interceptor)
	for name, err := range map[string]error{
		"Revoke":            guard.Revoke(t.Context(), auth0grpc.Revocation{Subject: "x"}),
		"FollowRevocations": guard.FollowRevocations(t.Context()),
	} {
		if err == nil || !strings.Contains(err.Error(), "New") {
			t.Errorf("%s = %v, want an error that names New", name, err)
		}
	}
}

// A revocation is forgotten when no token that it matches can still be alive, and
// not a moment sooner: with the clock at its time the token has just expired.
func TestRevocationForgetsItself(t *testing.T) {
	for _, life := range []time.Duration{0, time.Hour} {
		tenant, now := newTenant(t)
		config := configFor(tenant, now)
		config.MaxTokenLifetime, config.ClockSkew = life, time.Minute
		if life == 0 {
			life = 24 * time.Hour
		}
		guard := mustNew(t, config)
		issued := now.Now()
		long := tenant.Token(claims{"scope": "read:orders", "exp": issued.Add(1000 * time.Hour)})
		proper := tenant.Token(claims{"scope": "read:orders", "exp": issued.Add(life)})
		now.Advance(time.Second)
		if err := guard.Revoke(t.Context(), auth0grpc.Revocation{Subject: auth0grpctest.Subject}); err != nil {
			t.Fatal(err)
		}
		now.Advance(life + time.Minute - time.Second - time.Nanosecond)
		decideOnce(t, guard, unaryCall, revoked, proper)
		decideOnce(t, guard, unaryCall, revoked, long)
		now.Advance(time.Nanosecond)
		decideOnce(t, guard, unaryCall, expired, proper)
		// The revocation also covers tokens whose iat was ahead by the skew, and the
		// whole second of Revoke.
		now.Advance(2*time.Second + time.Minute - time.Nanosecond)
		decideOnce(t, guard, unaryCall, revoked, long)
		now.Advance(time.Nanosecond)
		decideOnce(t, guard, unaryCall, passes, long) // it lives longer than Config says that tokens do

		// And its memory is given back.
		for n := range 5000 {
			if err := guard.Revoke(t.Context(), auth0grpc.Revocation{TokenID: fmt.Sprint(n)}); err != nil {
				t.Fatal(err)
			}
			now.Advance(life / 50)
		}
		if n := guard.RevocationsRemembered(); n > 1100 {
			t.Errorf("%d revocations are held, of which about 50 can still match", n)
		}
	}
}

// Streams open, calls are decided and revocations are made at the same time. A
// revoked user has no stream and no call afterwards; other users keep theirs.
func TestRevokeRaces(t *testing.T) {
	tenant, now := newTenant(t)
	guard := mustNew(t, configFor(tenant, now))
	fullMethod := streamShapes[2].name
	const workers = 64
	var all sync.WaitGroup
	for n := range workers {
		subject := fmt.Sprintf("auth0|%d", n)
		token := tenant.Token(claims{"scope": "read:orders", "sub": subject})
		md := metadata.Pairs("authorization", "Bearer "+token)
		all.Go(func() {
			ended := make(chan error, 3)
			for range cap(ended) {
				go func() {
					ctx := grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(t.Context(), md), &transportStream{method: fullMethod})
					ended <- guard.StreamServerInterceptor()(nil, serverStream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: fullMethod}, func(_ any, stream grpc.ServerStream) error {
						<-stream.Context().Done()
						return context.Cause(stream.Context())
					})
				}()
			}
			what := auth0grpc.Revocation{Subject: subject, IssuedBefore: today.Add(time.Second)}
			if n%2 == 1 {
				what = auth0grpc.Revocation{Subject: subject, ClientID: auth0grpctest.ClientID, IssuedBefore: today.Add(time.Second)}
			}
			if err := guard.Revoke(t.Context(), what); err != nil {
				t.Error(err)
			}
			// Each of them is refused at the start, or ended: before or after.
			for range cap(ended) {
				if reason, _ := auth0grpc.ReasonFromError(<-ended); reason != auth0grpc.ReasonTokenRevoked {
					t.Errorf("a stream of %s ended with %q", subject, reason)
				}
			}
		})
	}
	all.Wait()
	if n := guard.Stats().OpenStreams; n != 0 {
		t.Errorf("%d open streams", n)
	}
	decideOnce(t, guard, unaryCall, passes, tenant.Token(claims{"scope": "read:orders"}))
}

// Replicas receive each other's revocations, also earlier ones.
func TestFollowRevocations(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.RevocationFeed = auth0grpc.NewRevocationFeed(0)
	one, two, late := mustNew(t, config), mustNew(t, config), mustNew(t, config)
	token := tenant.Token(claims{"scope": "read:orders"})
	for _, guard := range []*auth0grpc.Interceptor{one, two, late} {
		decideOnce(t, guard, unaryCall, passes, token)
	}
	now.Advance(time.Second)
	ctx, stop := context.WithCancel(t.Context())
	var followers sync.WaitGroup
	for _, guard := range []*auth0grpc.Interceptor{one, two} {
		followers.Go(func() {
			if err := guard.FollowRevocations(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("FollowRevocations = %v, want context.Canceled", err)
			}
		})
	}
	if err := one.Revoke(t.Context(), auth0grpc.Revocation{ClientID: auth0grpctest.ClientID}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other replica has applied it", func() bool { return two.RevocationsRemembered() == 1 })
	decideOnce(t, two, unaryCall, revoked, token)
	stop()
	followers.Wait()
	if n := one.RevocationsRemembered(); n != 1 {
		t.Errorf("%d revocations after hearing of one's own", n)
	}
	decideOnce(t, late, unaryCall, passes, token)
	_ = late.FollowRevocations(ctx) // published revocations are applied, although ctx is over
	decideOnce(t, late, unaryCall, revoked, token)

	config.RevocationFeed = nil
	if err := mustNew(t, config).FollowRevocations(t.Context()); err == nil {
		t.Error("FollowRevocations without a feed returned nil")
	}
}

// The feed of a process gives each follower everything once, in order, and forgets
// revocations that cannot match any more.
func TestRevocationFeed(t *testing.T) {
	feed := auth0grpc.NewRevocationFeed(time.Hour)
	publish := func(id string, at time.Time) {
		if err := feed.Publish(t.Context(), auth0grpc.Revocation{TokenID: id, IssuedBefore: at}); err != nil {
			t.Error(err)
		}
	}
	publish("long ago", time.Now().Add(-2*time.Hour))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	const followers, each = 4, 100
	var heard [followers]struct {
		sync.Mutex
		ids []string
	}
	var all sync.WaitGroup
	var applying [followers]atomic.Int32
	for n := range followers {
		all.Go(func() {
			_ = feed.Follow(ctx, func(r auth0grpc.Revocation) {
				if applying[n].Add(1) != 1 {
					t.Error("two calls of apply at a time")
				}
				heard[n].Lock()
				heard[n].ids = append(heard[n].ids, r.TokenID)
				heard[n].Unlock()
				applying[n].Add(-1)
			}, func(err error) { t.Errorf("a gap within a process: %v", err) })
		})
	}
	var want []string
	for n := range each {
		want = append(want, fmt.Sprint(n))
		publish(want[n], time.Now())
	}
	heardBy := func(n int) []string {
		heard[n].Lock()
		defer heard[n].Unlock()
		return slices.DeleteFunc(slices.Clone(heard[n].ids), func(id string) bool { return id == "long ago" })
	}
	for n := range followers {
		eventually(t, "all are heard", func() bool { return len(heardBy(n)) == each })
		if got := heardBy(n); !slices.Equal(got, want) {
			t.Errorf("follower %d heard %q", n, got)
		}
	}
	stop()
	all.Wait()
	var late []string
	_ = feed.Follow(ctx, func(r auth0grpc.Revocation) { late = append(late, r.TokenID) }, nil)
	if !slices.Equal(late, want) {
		t.Errorf("a late follower heard %q, want all but what is dead", late)
	}
}

// A brokenFeed is out of reach.
type brokenFeed struct{ err error }

func (f brokenFeed) Publish(context.Context, auth0grpc.Revocation) error { return f.err }
func (f brokenFeed) Follow(ctx context.Context, _ func(auth0grpc.Revocation), gap func(error)) error {
	gap(f.err)
	<-ctx.Done()
	return ctx.Err()
}

func TestFeedOutOfReach(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	down := errors.New("the feed is down")
	config.RevocationFeed = brokenFeed{down}
	var log sink
	config.Logger = log.logger()
	guard := mustNew(t, config)
	token := tenant.Token(claims{"scope": "read:orders"})
	now.Advance(time.Second)
	if err := guard.Revoke(t.Context(), auth0grpc.Revocation{Subject: auth0grpctest.Subject}); !errors.Is(err, down) {
		t.Errorf("Revoke = %v, want the error of the feed", err)
	}
	decideOnce(t, guard, unaryCall, revoked, token)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := guard.FollowRevocations(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("FollowRevocations = %v", err)
	}
	if !strings.Contains(log.String(), "may be missing") || !strings.Contains(log.String(), down.Error()) {
		t.Errorf("log: %s", log.String())
	}
}

// Report-only reports a revocation and does not enforce it.
func TestReportOnlyRevocation(t *testing.T) {
	s := newFixture(t, handleStreams(drain), func(_ *fixture, c *auth0grpc.Config) {
		c.ReportOnly, c.Logger = auth0grpc.ReportOnlyEverything, slog.New(slog.DiscardHandler)
	})
	stream := s.open(t, "tcp", streamShapes[2], bearer(s.token(nil))...)
	eventually(t, "the stream is open", func() bool { return s.guard.Stats().OpenStreams == 1 })
	s.clock.Advance(time.Second)
	if err := s.guard.Revoke(t.Context(), auth0grpc.Revocation{Subject: auth0grpctest.Subject}); err != nil {
		t.Fatal(err)
	}
	s.decisions.told(t, 2)
	_ = stream.CloseSend()
	finish(stream, "tcp")
	if got, want := outcomes(s.decisions.told(t, 3)), []string{"allowed", "reported TOKEN_REVOKED", "ended"}; !slices.Equal(got, want) {
		t.Errorf("decisions %q, want %q", got, want)
	}
}

// "From now on" covers the tokens whose iat is ahead of our clock by up to the
// clock skew, for good, and no later token.
func TestRevokeAheadOfTheClock(t *testing.T) {
	for name, shape := range map[string]int{"unary": 0, "stream": 3} {
		t.Run(name, func(t *testing.T) {
			feed := auth0grpc.NewRevocationFeed(0)
			s := newFixture(t, func(_ *fixture, c *auth0grpc.Config) { c.ClockSkew, c.RevocationFeed = time.Minute, feed })
			s.clock.Advance(300 * time.Millisecond)
			issued := func(after time.Duration) string {
				return s.token(claims{"iat": today.Add(after), "exp": today.Add(10 * time.Hour)})
			}
			ahead, furthest := issued(30*time.Second), issued(time.Minute)
			passes.check(t, s.call(t.Context(), "tcp", shapes[shape], bearer(ahead)...))
			if err := s.guard.Revoke(t.Context(), auth0grpc.Revocation{Subject: auth0grpctest.Subject}); err != nil {
				t.Fatal(err)
			}
			next := issued(time.Minute + time.Second)
			for _, wait := range []time.Duration{0, time.Second, 5 * time.Hour} {
				s.clock.Advance(wait)
				revoked.check(t, s.call(t.Context(), "tcp", shapes[shape], bearer(ahead)...), ahead)
				revoked.check(t, s.call(t.Context(), "tcp", shapes[shape], bearer(furthest)...), furthest)
			}
			passes.check(t, s.call(t.Context(), "tcp", shapes[shape], bearer(next)...))
		})
	}
}

// A revocation covers the whole second in which it is made, for every fraction of that
// second, and no token of the next one.
func TestRevokeWithinASecond(t *testing.T) {
	for _, fraction := range []time.Duration{0, 1, 300 * time.Millisecond, time.Second - 1} {
		t.Run(fraction.String(), func(t *testing.T) {
			tenant, now := newTenant(t)
			config := configFor(tenant, now)
			config.RevocationFeed = auth0grpc.NewRevocationFeed(0)
			here, there := mustNew(t, config), mustNew(t, config)
			now.Advance(fraction)
			token := tenant.Token(claims{"scope": "read:orders"})
			if err := here.Revoke(t.Context(), auth0grpc.Revocation{Subject: auth0grpctest.Subject}); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			stop()
			_ = there.FollowRevocations(ctx)
			same := tenant.Token(claims{"scope": "read:orders", "again": true})
			now.Advance(time.Second)
			next := tenant.Token(claims{"scope": "read:orders", "again": true})
			for _, guard := range []*auth0grpc.Interceptor{here, there} {
				decideOnce(t, guard, unaryCall, revoked, token)
				decideOnce(t, guard, unaryCall, revoked, same)
				decideOnce(t, guard, unaryCall, passes, next)
			}
		})
	}
}

// twoIssuers returns a guard that accepts two tenants, whose users have the same
// sub.
func twoIssuers(t *testing.T, adjust func(*auth0grpc.Config)) (guard *auth0grpc.Interceptor, a, b *auth0grpctest.Tenant) {
	t.Helper()
	a, now := newTenant(t)
	b, _ = newTenant(t)
	config := configFor(a, now)
	config.Issuers = append(config.Issuers, b.Issuer())
	config.HTTPClient = &http.Client{Transport: byHost{
		strings.TrimSuffix(a.Issuer(), "/"): a.HTTPClient().Transport, strings.TrimSuffix(b.Issuer(), "/"): b.HTTPClient().Transport,
	}}
	if adjust != nil {
		adjust(&config)
	}
	return mustNew(t, config), a, b
}

// byHost sends a request to the transport of its host.
type byHost map[string]http.RoundTripper

func (h byHost) RoundTrip(r *http.Request) (*http.Response, error) {
	return h["https://"+r.URL.Host].RoundTrip(r)
}

// A revocation concerns the tokens of its issuer, on all replicas.
func TestRevokeByIssuer(t *testing.T) {
	subject := auth0grpctest.Subject
	for _, test := range []struct {
		name       string
		revocation func(a, b string) auth0grpc.Revocation
		hitsA      bool
		hitsB      bool
	}{
		{"A", func(a, b string) auth0grpc.Revocation { return auth0grpc.Revocation{Issuer: a, Subject: subject} }, true, false},
		{"B", func(a, b string) auth0grpc.Revocation { return auth0grpc.Revocation{Issuer: b, Subject: subject} }, false, true},
		{"any", func(a, b string) auth0grpc.Revocation {
			return auth0grpc.Revocation{Issuer: auth0grpc.AnyIssuer, Subject: subject}
		}, true, true},
		{"a client of A", func(a, b string) auth0grpc.Revocation {
			return auth0grpc.Revocation{Issuer: a, ClientID: auth0grpctest.ClientID}
		}, true, false},
		{"all of B", func(a, b string) auth0grpc.Revocation {
			return auth0grpc.Revocation{Issuer: b, IssuedBefore: today.Add(time.Second)}
		}, false, true},
		{"all of any", func(a, b string) auth0grpc.Revocation {
			return auth0grpc.Revocation{Issuer: auth0grpc.AnyIssuer, IssuedBefore: today.Add(time.Second)}
		}, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			feed := auth0grpc.NewRevocationFeed(0)
			var config auth0grpc.Config
			here, a, b := twoIssuers(t, func(c *auth0grpc.Config) { c.RevocationFeed = feed; config = *c })
			there := mustNew(t, config)
			ofA, ofB := a.Token(claims{"scope": "read:orders"}), b.Token(claims{"scope": "read:orders"})
			decideOnce(t, here, unaryCall, passes, ofA)
			decideOnce(t, here, unaryCall, passes, ofB)
			if err := here.Revoke(t.Context(), test.revocation(a.Issuer(), b.Issuer())); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			stop()
			_ = there.FollowRevocations(ctx)
			for _, guard := range []*auth0grpc.Interceptor{here, there} {
				for token, hit := range map[string]bool{ofA: test.hitsA, ofB: test.hitsB} {
					want := passes
					if hit {
						want = revoked
					}
					decideOnce(t, guard, unaryCall, want, token)
				}
			}
		})
	}
}

// With several issuers a revocation names one of them, or all explicitly.
func TestRevokeRefusesIssuer(t *testing.T) {
	guard, a, b := twoIssuers(t, nil)
	for _, r := range []auth0grpc.Revocation{
		{Subject: "s"}, {ClientID: "c"}, {TokenID: "t"}, {IssuedBefore: today},
		{Issuer: "https://other.example.com/", Subject: "s"},
		{Issuer: strings.TrimSuffix(a.Issuer(), "/"), Subject: "s"},
		{Issuer: strings.ToUpper(a.Issuer()), Subject: "s"},
	} {
		err := guard.Revoke(t.Context(), r)
		if err == nil {
			t.Errorf("%v was accepted", r)
			continue
		}
		for _, choice := range []string{"AnyIssuer", a.Issuer(), b.Issuer()} {
			if !strings.Contains(err.Error(), choice) {
				t.Errorf("%q does not name %s", err, choice)
			}
		}
	}
	if n := guard.RevocationsRemembered(); n != 0 {
		t.Errorf("%d revocations were made", n)
	}
}

// A follower applies the revocations of its issuers, and limits times that are ahead of
// its clock.
func TestFollowedRevocations(t *testing.T) {
	const subject = auth0grpctest.Subject
	for _, test := range []struct {
		name    string
		r       auth0grpc.Revocation
		own     bool // with the issuer of the guard
		revoked bool
		until   time.Duration // of the last iat that is revoked
	}{
		{"own issuer", auth0grpc.Revocation{Subject: subject, IssuedBefore: today.Add(time.Second)}, true, true, 0},
		{"any issuer", auth0grpc.Revocation{Issuer: auth0grpc.AnyIssuer, Subject: subject, IssuedBefore: today.Add(time.Second)}, false, true, 0},
		{"no issuer, of an older version", auth0grpc.Revocation{Subject: subject, IssuedBefore: today.Add(time.Second)}, false, true, 0},
		{"another issuer", auth0grpc.Revocation{Issuer: "https://other.example.com/", Subject: subject, IssuedBefore: today.Add(time.Second)}, false, false, 0},
		{"a little ahead", auth0grpc.Revocation{Subject: subject, IssuedBefore: today.Add(2 * time.Minute)}, true, true, 2 * time.Minute},
		{"just not too far ahead", auth0grpc.Revocation{Subject: subject, IssuedBefore: today.Add(5*time.Minute + time.Second)}, true, true, 5*time.Minute + time.Second},
		{"too far ahead", auth0grpc.Revocation{Subject: subject, IssuedBefore: today.Add(5*time.Minute + 2*time.Second)}, true, true, 0},
		{"a year ahead", auth0grpc.Revocation{Subject: subject, IssuedBefore: today.AddDate(1, 0, 0)}, true, true, 0},
		{"all, a year ahead", auth0grpc.Revocation{IssuedBefore: today.AddDate(1, 0, 0)}, true, true, 0},
		{"no time", auth0grpc.Revocation{Subject: subject}, true, true, 0},
		{"neither time nor field", auth0grpc.Revocation{}, true, false, 0},
		{"before 1970", auth0grpc.Revocation{Subject: subject, IssuedBefore: time.Unix(-1, 0)}, true, false, 0},
		{"the year 1", auth0grpc.Revocation{Subject: subject, IssuedBefore: time.Date(1, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600))}, true, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			tenant, now := newTenant(t)
			config := configFor(tenant, now)
			config.RevocationFeed = oneEntryFeed{test.r}
			if test.own {
				config.RevocationFeed = oneEntryFeed{auth0grpc.Revocation{tenant.Issuer(), test.r.Subject, "", "", "", test.r.IssuedBefore}}
			}
			guard := mustNew(t, config)
			token := tenant.Token(claims{"scope": "read:orders"})
			if err := guard.FollowRevocations(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := passes
			if test.revoked {
				want = revoked
			}
			decideOnce(t, guard, unaryCall, want, token)
			if test.until > 0 {
				now.Advance(test.until - time.Second)
				decideOnce(t, guard, unaryCall, revoked, tenant.Token(claims{"scope": "read:orders"}))
			}
			now.Advance(time.Second)
			decideOnce(t, guard, unaryCall, passes, tenant.Token(claims{"scope": "read:orders"}))
		})
	}
}

// A oneEntryFeed has one entry, as another replica published it.
type oneEntryFeed struct{ r auth0grpc.Revocation }

func (oneEntryFeed) Publish(context.Context, auth0grpc.Revocation) error { return nil }
func (f oneEntryFeed) Follow(_ context.Context, apply func(auth0grpc.Revocation), _ func(error)) error {
	apply(f.r)
	return nil
}

// The feed receives a time in whole seconds, as tokens have it.
func TestRevokePublishesWholeSeconds(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	feed := sharedFeed{lifetime: 24 * time.Hour}
	config.RevocationFeed = &feed
	err := mustNew(t, config).Revoke(t.Context(), auth0grpc.Revocation{Subject: auth0grpctest.Subject, IssuedBefore: today.Add(time.Nanosecond)})
	if err != nil || len(feed.published) != 1 || !feed.published[0].IssuedBefore.Equal(today.Add(time.Second)) {
		t.Errorf("%v, published %+v", err, feed.published)
	}
}
