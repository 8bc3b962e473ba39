package auth0grpcredis

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

// shifted returns a clock that is off.
func shifted(by time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(by) }
}

// Two replicas with clocks up to ten minutes apart, each off by at most the ClockSkew
// of the store: a proof is accepted once, by the first replica that sees it, for as
// long as the other one could still accept it. The clocks stand still.
func TestUseAcrossClocks(t *testing.T) {
	client, sent := startRedis(t).client(t), &commands{}
	client.AddHook(sent)
	for _, skew := range []time.Duration{time.Second, 2 * time.Minute, maxClockSkew} {
		fixed := func(off time.Duration) func() time.Time { return func() time.Time { return noon.Add(off) } }
		ahead := newStore(t, client, ReplayConfig{Now: fixed(skew), ClockSkew: skew, Prefix: skew.String()})
		behind := newStore(t, client, ReplayConfig{Now: fixed(-skew), ClockSkew: skew, Prefix: skew.String()})
		// Made when the replica ahead accepts it for five minutes more.
		until := noon.Add(skew + 5*time.Minute)
		if first, err := ahead.Use(t.Context(), "jti", until); !first || err != nil {
			t.Fatalf("Use = %t, %v", first, err)
		}
		if first, err := behind.Use(t.Context(), "jti", until); first || err != nil {
			t.Errorf("%v apart: Use = %t, %v for the second time", 2*skew, first, err)
		}
		recorded := sent.option("set", "ex")
		lives, err := time.ParseDuration(recorded[len(recorded)-2] + "s")
		if acceptable := until.Sub(noon.Add(-skew)); err != nil || lives != acceptable {
			t.Errorf("%v apart: the record lives for %v (%v), and the proof for %v", 2*skew, lives, err, acceptable)
		}
	}
}

// A server of this process, and the feed behind it.
type clockReplica struct {
	guard *auth0grpc.Interceptor
	feed  *RevocationFeed
	call  func(token string) error
}

func startClockReplica(t *testing.T, server *redisServer, tenant *auth0grpctest.Tenant, off, skew time.Duration) *clockReplica {
	t.Helper()
	feed := newFeed(t, server.client(t), FeedConfig{Now: shifted(off)})
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience},
		Methods:    map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Authenticated()},
		HTTPClient: tenant.HTTPClient(), RevocationFeed: feed, Now: shifted(off), ClockSkew: skew,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- guard.FollowRevocations(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	if err := feed.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	grpcServer := grpc.NewServer(guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(grpcServer, service{})
	api := testgrpc.NewTestServiceClient(auth0grpctest.Connect(t, grpcServer, ""))
	return &clockReplica{guard, feed, func(token string) error {
		_, err := api.EmptyCall(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token), &testgrpc.Empty{})
		return err
	}}
}

// Revoke at a replica whose clock is off covers the tokens that exist, on all
// replicas, and not those that are issued later.
func TestRevokeAcrossClocks(t *testing.T) {
	for _, off := range []time.Duration{-5 * time.Minute, -2 * time.Minute, 2 * time.Minute, 5 * time.Minute, 365 * 24 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			server, tenant := startRedis(t), auth0grpctest.NewTenant(t)
			wrong := startClockReplica(t, server, tenant, off, 0)
			right := startClockReplica(t, server, tenant, 0, 0)
			token := func(age time.Duration) string {
				issued := time.Now().Add(-age).Unix()
				return tenant.Token(map[string]any{"sub": "auth0|1", "iat": issued, "exp": issued + 3600})
			}
			old, recent := token(10*time.Minute), token(30*time.Second)
			for _, token := range []string{old, recent} {
				if err := right.call(token); err != nil {
					t.Fatalf("a good token is refused: %v", err)
				}
			}
			if err := wrong.guard.Revoke(t.Context(), auth0grpc.Revocation{Subject: "auth0|1"}); err != nil {
				t.Fatalf("Revoke: %v", err)
			}
			eventually(t, "the tokens of the last minutes are refused", func() bool {
				return right.call(old) != nil && right.call(recent) != nil
			})
			// By the clock of the tenant and of the right replica: a user who logs in
			// three seconds later is let in. A time that is a little ahead may be an
			// issuer's, and refuses later tokens for that long.
			if off < 0 || off > maxAhead {
				later := token(-3 * time.Second)
				eventually(t, "a later token is accepted", func() bool { return right.call(later) == nil })
			}
			late := startClockReplica(t, server, tenant, 0, 0)
			if late.call(recent) == nil {
				t.Error("a replica that starts later accepts a revoked token")
			}
		})
	}
}

// The entry of an earlier version, or of a replica that knows no PublishNow, with
// a time a year ahead.
func TestFollowClampsTheYearAhead(t *testing.T) {
	server := startRedis(t)
	ahead := newFeed(t, server.client(t), FeedConfig{Now: shifted(365 * 24 * time.Hour)})
	for i, at := range []time.Time{time.Now().AddDate(1, 0, 0), time.Now().Add(maxAhead - time.Second)} {
		publish(t, ahead, auth0grpc.Revocation{Subject: fmt.Sprint(i), IssuedBefore: at})
	}
	followed := follow(t, newFeed(t, server.client(t), FeedConfig{}))
	if r := followed.next(t); time.Until(r.IssuedBefore) > 0 {
		t.Errorf("applied %v, want a time that has passed", r)
	}
	if r := followed.next(t); time.Until(r.IssuedBefore) < maxAhead-patience {
		t.Errorf("applied %v, want the time %v ahead", r, maxAhead)
	}
}
