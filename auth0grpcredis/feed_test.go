package auth0grpcredis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/redis/go-redis/v9"
)

// newFeed returns a feed. Its Timeout is testTimeout if the config has none.
func newFeed(tb testing.TB, client redis.UniversalClient, config FeedConfig) *RevocationFeed {
	tb.Helper()
	if config.Timeout == 0 {
		config.Timeout = testTimeout
	}
	feed, err := NewRevocationFeed(client, config)
	if err != nil {
		tb.Fatal(err)
	}
	return feed
}

func publish(tb testing.TB, feed *RevocationFeed, r auth0grpc.Revocation) {
	tb.Helper()
	if err := feed.Publish(tb.Context(), r); err != nil {
		tb.Fatalf("Publish: %v", err)
	}
}

// bySubject revokes the tokens of a subject that were issued until now.
func bySubject(subject string) auth0grpc.Revocation {
	return auth0grpc.Revocation{Subject: subject, IssuedBefore: time.Now().UTC().Round(0)}
}

// A foreignClient is a client whose type this package does not know.
type foreignClient struct{ redis.UniversalClient }

func TestNewRevocationFeed(t *testing.T) {
	sound := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true})
	deaf := redis.NewClient(&redis.Options{})
	deafCluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	replicaCluster := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{"127.0.0.1:1"}, ContextTimeoutEnabled: true, RouteByLatency: true,
	})
	ring := redis.NewRing(&redis.RingOptions{ContextTimeoutEnabled: true})
	for _, client := range []redis.UniversalClient{sound, deaf, deafCluster, replicaCluster, ring} {
		t.Cleanup(func() { client.Close() })
	}
	for _, test := range []struct {
		name   string
		client redis.UniversalClient
		config FeedConfig
		faults []string
	}{
		{"defaults", sound, FeedConfig{}, nil},
		{"no client", nil, FeedConfig{}, []string{"client is nil"}},
		{"client without deadlines", deaf, FeedConfig{}, []string{"ContextTimeoutEnabled"}},
		{"cluster without deadlines", deafCluster, FeedConfig{}, []string{"ContextTimeoutEnabled"}},
		{"cluster with reads from replicas", replicaCluster, FeedConfig{}, []string{"reads from replicas"}},
		{"ring", ring, FeedConfig{}, []string{"redis.Ring"}},
		{"typed nil client", (*redis.Client)(nil), FeedConfig{}, []string{"client is nil"}},
		{"typed nil cluster", (*redis.ClusterClient)(nil), FeedConfig{}, []string{"client is nil"}},
		{"typed nil ring", (*redis.Ring)(nil), FeedConfig{}, []string{"client is nil"}},
		{"replicas of a foreign type", foreignClient{sound}, FeedConfig{MinReplicas: 1}, []string{"MinReplicas"}},
		{"replicas without a client", nil, FeedConfig{MinReplicas: 1}, []string{"client is nil"}},
		{"foreign type", foreignClient{sound}, FeedConfig{}, nil},
		{"hash tag", sound, FeedConfig{Stream: "a{b}c}"}, nil},
		{"open brace", sound, FeedConfig{Stream: "a{b"}, nil},
		{"closing brace", sound, FeedConfig{Stream: "a}b"}, []string{`"a}b"`}},
		{"empty hash tag", sound, FeedConfig{Stream: "{}"}, []string{"Stream"}},
		{"two hash tags, the first empty", sound, FeedConfig{Stream: "a{}{b}"}, []string{"Stream"}},
		{"all at once", nil, FeedConfig{MaxTokenLifetime: -1, MinReplicas: -1, Timeout: -1}, []string{"client is nil", "MaxTokenLifetime", "MinReplicas", "Timeout"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			feed, err := NewRevocationFeed(test.client, test.config)
			checkFaults(t, err, test.faults)
			if (feed == nil) == (err == nil) {
				t.Errorf("NewRevocationFeed = %v beside %v", feed, err)
			}
		})
	}
}

// checkFaults asserts that err has one line for each fault and no other.
func checkFaults(t *testing.T, err error, faults []string) {
	t.Helper()
	if err == nil {
		if faults != nil {
			t.Fatalf("no error, want %q", faults)
		}
		return
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(faults) {
		t.Fatalf("error = %v, want %q", err, faults)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, "auth0grpcredis: ") || !strings.Contains(line, faults[i]) {
			t.Errorf("fault %q, want one of %s", line, faults[i])
		}
	}
}

func TestPublishRefuses(t *testing.T) {
	feed := newFeed(t, startRedis(t).client(t), FeedConfig{})
	for _, test := range []struct {
		name string
		r    auth0grpc.Revocation
		want error
	}{
		{"nothing said", auth0grpc.Revocation{}, errEmpty},
		{"far ahead", auth0grpc.Revocation{Subject: "s", IssuedBefore: time.Now().Add(2 * time.Hour)}, errFuture},
		{"a little ahead", auth0grpc.Revocation{Subject: "s", IssuedBefore: time.Now().Add(time.Minute)}, nil},
		{"all until now", auth0grpc.Revocation{IssuedBefore: time.Now()}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := feed.Publish(t.Context(), test.r); !errors.Is(err, test.want) {
				t.Errorf("Publish = %v, want %v", err, test.want)
			}
		})
	}
}

func TestPublishSetsTheTime(t *testing.T) {
	feed := newFeed(t, startRedis(t).client(t), FeedConfig{Now: func() time.Time { return noon }})
	followed := follow(t, feed)
	publish(t, feed, auth0grpc.Revocation{Subject: "s"})
	if r, want := followed.next(t), (auth0grpc.Revocation{Subject: "s", IssuedBefore: noon}); r != want {
		t.Errorf("applied %v, want %v", r, want)
	}
}

// Publish trims the stream, and nothing that can still match a token.
func TestPublishTrims(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{MaxTokenLifetime: time.Hour})
	const each = 500
	old, alive := time.Now().Add(-4*time.Hour), time.Now().Add(-30*time.Minute)
	pipe := client.Pipeline()
	for i := range each {
		addAt(t, pipe, old, i)
	}
	for i := range each {
		addAt(t, pipe, alive, i)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, feed, bySubject("last"))
	// Redis drops whole nodes, of 100 entries by default.
	if n := client.XLen(t.Context(), defaultStream).Val(); n <= each || n > each+1+100 {
		t.Errorf("%d entries left, want %d to %d", n, each+1, each+101)
	}
	followed := follow(t, feed)
	for i := range each {
		if r := followed.next(t); r.Subject != fmt.Sprint(i) || !r.IssuedBefore.Equal(alive) {
			t.Fatalf("entry %d applied as %v, want the one revoked at %v", i, r, alive)
		}
	}
	if r := followed.next(t); r.Subject != "last" {
		t.Errorf("applied %v at the end, want what was published last", r)
	}
	followed.noGap(t)
}

// A replica whose clock is years ahead trims nothing that others need.
func TestPublishAheadOfTime(t *testing.T) {
	client := startRedis(t).client(t)
	sound := newFeed(t, client, FeedConfig{})
	pipe := client.Pipeline()
	for i := range 500 {
		addAt(t, pipe, time.Now().Add(-time.Hour), i)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, newFeed(t, client, FeedConfig{Now: func() time.Time { return time.Now().AddDate(9, 0, 0) }}), bySubject("s"))
	if n := client.XLen(t.Context(), defaultStream).Val(); n != 501 {
		t.Errorf("%d entries left, want 501", n)
	}
	followed := follow(t, sound)
	for range 501 {
		followed.next(t)
	}
	followed.wants(t, sound)
}

// addAt adds an entry as if it had been published at another time.
func addAt(tb testing.TB, client redis.Cmdable, at time.Time, i int) {
	tb.Helper()
	text, err := encode(auth0grpc.Revocation{Subject: fmt.Sprint(i), IssuedBefore: at}, time.Time{})
	if err != nil {
		tb.Fatal(err)
	}
	client.XAdd(tb.Context(), &redis.XAddArgs{
		Stream: defaultStream, ID: fmt.Sprintf("%d-%d", at.UnixMilli(), i+1), Values: []any{revocationField, text},
	})
}

// Publish ends by its Timeout or by its context: the client has no other deadline.
func TestPublishTimesOut(t *testing.T) {
	client := hangingServer(t).client(t, withoutDeadlines)
	for _, test := range []struct {
		name             string
		timeout, context time.Duration
	}{
		{"Timeout", 50 * time.Millisecond, time.Hour},
		{"context", time.Hour, 50 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			feed := newFeed(t, client, FeedConfig{Timeout: test.timeout})
			ctx, cancel := context.WithTimeout(t.Context(), test.context)
			defer cancel()
			published := make(chan error, 1)
			go func() { published <- feed.Publish(ctx, bySubject("s")) }()
			if err := receive(t, published, "the end of Publish"); !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
				t.Errorf("Publish = %v, want that a deadline has passed", err)
			}
		})
	}
}

// A number without a unit counts nanoseconds.
func TestNumbersWithoutUnit(t *testing.T) {
	client := startRedis(t).client(t)
	feed := func(config FeedConfig) error { _, err := NewRevocationFeed(client, config); return err }
	replay := func(config ReplayConfig) error { _, err := NewReplayStore(client, config); return err }
	for field, err := range map[string]error{
		"FeedConfig.MaxTokenLifetime": feed(FeedConfig{MaxTokenLifetime: 60}),
		"FeedConfig.Timeout":          feed(FeedConfig{Timeout: 60}),
		"ReplayConfig.Timeout":        replay(ReplayConfig{Timeout: 60}),
		"ReplayConfig.ClockSkew":      replay(ReplayConfig{ClockSkew: 60}),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "auth0grpcredis: "+field+": 60ns: ") || !strings.HasSuffix(err.Error(), "did you mean 60*time.Second?") {
			t.Errorf("%s of 60: %v", field, err)
		}
	}
}
