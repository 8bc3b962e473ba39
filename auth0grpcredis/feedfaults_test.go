package auth0grpcredis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/redis/go-redis/v9"
)

func TestFeedDefaults(t *testing.T) {
	client := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() })
	feed, err := NewRevocationFeed(client, FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if feed.stream != defaultStream || feed.MaxTokenLifetime() != defaultTokenLifetime || feed.timeout != defaultTimeout || feed.minReplicas != 0 {
		t.Errorf("stream %q, lifetime %v, timeout %v, %d replicas", feed.stream, feed.MaxTokenLifetime(), feed.timeout, feed.minReplicas)
	}
}

// Feeds with streams of their own share no revocation.
func TestPublishToItsOwnStream(t *testing.T) {
	client := startRedis(t).client(t)
	a, b := newFeed(t, client, FeedConfig{Stream: "a"}), newFeed(t, client, FeedConfig{Stream: "b"})
	publish(t, a, bySubject("s"))
	publish(t, b, bySubject("s"))
	publish(t, a, bySubject("s"))
	for stream, want := range map[string]int64{"a": 2, "b": 1, defaultStream: 0} {
		if n := client.XLen(t.Context(), stream).Val(); n != want {
			t.Errorf("%d entries in %q, want %d", n, stream, want)
		}
	}
	other := followManually(t, b)
	step(t, other.follower)
	if len(other.applied) != 1 {
		t.Errorf("%d applied from b, want 1", len(other.applied))
	}
}

// The last moment that an IssuedBefore may be ahead.
func TestPublishAheadBound(t *testing.T) {
	feed := newFeed(t, startRedis(t).client(t), FeedConfig{Now: func() time.Time { return noon }})
	publish(t, feed, auth0grpc.Revocation{Subject: "s", IssuedBefore: noon.Add(maxAhead)})
	err := feed.Publish(t.Context(), auth0grpc.Revocation{Subject: "s", IssuedBefore: noon.Add(maxAhead + 1)})
	if !errors.Is(err, errFuture) {
		t.Errorf("Publish = %v, want %v", err, errFuture)
	}
}

// A revocation without a time covers something if any one of four fields is set.
func TestPublishWithoutATime(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{Now: func() time.Time { return noon }})
	w := followManually(t, feed)
	for _, r := range []auth0grpc.Revocation{{Subject: "a"}, {ClientID: "a"}, {OrganizationID: "a"}, {TokenID: "a"}} {
		publish(t, feed, r)
		step(t, w.follower)
		r.IssuedBefore = noon
		if got := w.applied[len(w.applied)-1]; got != r {
			t.Errorf("applied %v, want %v", got, r)
		}
	}
	if err := feed.Publish(t.Context(), auth0grpc.Revocation{Issuer: "https://a.example/"}); !errors.Is(err, errEmpty) {
		t.Errorf("Publish = %v for an issuer alone, want %v", err, errEmpty)
	}
}

// Publish does not touch an IssuedBefore that comes from another clock, such as an
// issuer's. PublishNow corrects it by the clock of this process.
func TestPublishKeepsTheTime(t *testing.T) {
	client := startRedis(t).client(t)
	behind := newFeed(t, client, FeedConfig{Now: shifted(-time.Hour)})
	w := followManually(t, newFeed(t, client, FeedConfig{}))
	given := auth0grpc.Revocation{Subject: "s", IssuedBefore: time.Now().Add(-50*time.Minute - time.Hour).UTC().Round(0)}
	publish(t, behind, given)
	if err := behind.PublishNow(t.Context(), given); err != nil {
		t.Fatal(err)
	}
	step(t, w.follower)
	if len(w.applied) != 2 || w.applied[0] != given {
		t.Fatalf("applied %v, want %v first", w.applied, given)
	}
	// An hour later, and still 50 minutes ago: it is not the time of the call.
	moved := w.applied[1].IssuedBefore.Sub(given.IssuedBefore)
	if moved < time.Hour-time.Minute || moved > time.Hour+patience {
		t.Errorf("PublishNow moved the time by %v, want an hour", moved)
	}
}

// JSON has no years before 0. Publish must not append an empty entry in place of such
// a time.
func TestPublishOfATimeBeforeYears(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	if err := feed.Publish(t.Context(), auth0grpc.Revocation{Subject: "s", IssuedBefore: noon.AddDate(-3000, 0, 0)}); err == nil {
		t.Error("Publish = nil, want an error")
	}
	if n := client.XLen(t.Context(), defaultStream).Val(); n != 0 {
		t.Errorf("%d entries, want none", n)
	}
}

// A waitHook answers WAIT for replicas that a test does not have.
type waitHook struct {
	failingHook
	confirmed int64
}

func (h *waitHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if wait, ok := cmd.(*redis.IntCmd); ok && cmd.Name() == "wait" {
			wait.SetVal(h.confirmed)
			wait.SetErr(h.err)
			return h.err
		}
		return next(ctx, cmd)
	}
}

// With MinReplicas, Publish returns nil if that many replicas confirmed, and no other
// time. It keeps no connection, and the pool has only one.
func TestPublishCountsReplicas(t *testing.T) {
	client, hook := startRedis(t).client(t, func(o *redis.Options) { o.PoolSize = 1 }), &waitHook{}
	client.AddHook(hook)
	feed := newFeed(t, client, FeedConfig{MinReplicas: 2})
	for _, test := range []struct {
		confirmed int64
		err       error
		want      string // "": no error
	}{
		{0, nil, "confirmed by 0 replicas"},
		{1, nil, "confirmed by 1 replicas in time, want 2"},
		{2, nil, ""},
		{3, nil, ""},
		{2, errHook, errHook.Error()},
		{2, nil, ""},
	} {
		hook.confirmed, hook.err = test.confirmed, test.err
		err := feed.Publish(t.Context(), bySubject("s"))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("Publish = %v for %d replicas and %v, want %q", err, test.confirmed, test.err, test.want)
		}
	}
	// XADD itself fails.
	failing := &failingHook{name: "xadd", err: errHook}
	client.AddHook(failing)
	if err := feed.Publish(t.Context(), bySubject("s")); !errors.Is(err, errHook) {
		t.Errorf("Publish = %v, want %v", err, errHook)
	}
}

// A failed Publish starts a repair of the connections, unless its caller gave up, and
// expects nothing to be read back.
func TestPublishStartsRepairs(t *testing.T) {
	failAtCommand(t, "xadd", func(t *testing.T, ctx context.Context, client *redis.Client) (bool, error) {
		feed := newFeed(t, client, FeedConfig{})
		feed.countFollower(1)
		err := feed.Publish(ctx, bySubject("s"))
		if n := len(feed.unconfirmed); n != 0 {
			t.Errorf("%d entries expected, want none", n)
		}
		return repairBegan(feed.link), err
	})
}

// The entries that wait to be read back are bounded.
func TestPublishedIsBounded(t *testing.T) {
	feed := newFeed(t, startRedis(t).client(t), FeedConfig{})
	feed.countFollower(1)
	for i := range uint64(maxUnconfirmed - 1) {
		feed.unconfirmed[entryID{ms: i}] = auth0grpc.Revocation{}
	}
	for range 2 {
		publish(t, feed, bySubject("s"))
		if n := len(feed.unconfirmed); n != maxUnconfirmed {
			t.Errorf("%d entries wait, want %d", n, maxUnconfirmed)
		}
	}
}

// A revocation that Publish expects to read back has the time that followers compute.
func TestPublishExpectsTheCorrectedTime(t *testing.T) {
	client := startRedis(t).client(t)
	behind := newFeed(t, client, FeedConfig{Now: shifted(-4 * time.Minute)})
	w := followManually(t, behind)
	if err := behind.PublishNow(t.Context(), auth0grpc.Revocation{Subject: "s"}); err != nil {
		t.Fatal(err)
	}
	var expected auth0grpc.Revocation
	for _, expected = range behind.unconfirmed {
	}
	step(t, w.follower)
	if len(w.applied) != 1 || w.applied[0] != expected || len(w.gaps) != 0 {
		t.Errorf("applied %v, gaps %v; want %v", w.applied, w.gaps, expected)
	}
}

// A trim counts from the earlier of two clocks: one that is years ahead, the server's
// or ours, trims nothing that others need.
func TestTrimByTheEarlierClock(t *testing.T) {
	client := startRedis(t).client(t)
	pipe := client.Pipeline()
	for i := range 500 {
		addAt(t, pipe, noon, i)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	later := noon.AddDate(1, 0, 0)
	for _, test := range []struct {
		ours, server time.Time
		want         int64
	}{
		{noon, later, 500}, {later, noon, 500}, {noon, noon, 500}, {later, later, 0},
	} {
		feed := newFeed(t, client, FeedConfig{Now: func() time.Time { return test.ours }})
		if err := feed.trimAt(t.Context(), test.server); err != nil {
			t.Fatal(err)
		}
		if n := client.XLen(t.Context(), defaultStream).Val(); n != test.want {
			t.Errorf("%d entries left at %v by our clock, %v by the server's; want %d", n, test.ours, test.server, test.want)
		}
	}
}

// A client of an unknown type works, except for MinReplicas.
func TestForeignClient(t *testing.T) {
	client := foreignClient{startRedis(t).client(t)}
	feed := newFeed(t, client, FeedConfig{})
	w := followManually(t, feed)
	publish(t, feed, bySubject("s"))
	step(t, w.follower)
	if err := feed.trim(t.Context()); err != nil || len(w.applied) != 1 || len(w.gaps) != 0 {
		t.Errorf("trim = %v, %d applied, gaps %v", err, len(w.applied), w.gaps)
	}
	store := newStore(t, client, ReplayConfig{})
	for _, want := range []bool{true, false} {
		if first, err := store.Use(t.Context(), "jti", time.Now().Add(time.Hour)); first != want || err != nil {
			t.Errorf("Use = %t, %v, want %t", first, err, want)
		}
	}
	places, err := store.link.places(t.Context(), "")
	if err != nil || cap(places) != defaultPoolSize-1 {
		t.Errorf("%d places, %v, want %d", cap(places), err, defaultPoolSize-1)
	}
	store.link.failed(errHook)
	eventually(t, "the repair ends", func() bool {
		store.link.mu.Lock()
		defer store.link.mu.Unlock()
		return !store.link.repairing
	})
	if _, err := store.link.primary(t.Context(), "key"); err != errClientType {
		t.Errorf("primary = %v, want %v", err, errClientType)
	}
}

// A Cluster whose nodes are all down: each command is an error.
func TestFeedWithoutAServer(t *testing.T) {
	feed := newFeed(t, clusterThatIsDown(t), FeedConfig{MinReplicas: 1})
	if err := feed.Publish(t.Context(), bySubject("s")); err == nil {
		t.Error("Publish succeeds without a server")
	}
	if err := feed.trim(t.Context()); err == nil {
		t.Error("trim succeeds without a server")
	}
}

// Stats has the error of the last trim, until one succeeds.
func TestTrimError(t *testing.T) {
	client, hook := startRedis(t).client(t), &failingHook{err: errHook}
	client.AddHook(hook)
	feed := newFeed(t, client, FeedConfig{})
	for _, name := range []string{"time", "xtrim"} {
		hook.name = name
		if err := feed.trim(t.Context()); !errors.Is(err, errHook) || !strings.HasPrefix(err.Error(), "auth0grpcredis: trim: ") {
			t.Errorf("trim = %v while %s fails", err, name)
		}
		if err := feed.Stats().TrimError; !errors.Is(err, errHook) {
			t.Errorf("TrimError = %v while %s fails", err, name)
		}
		hook.name = ""
		if err := feed.trim(t.Context()); err != nil || feed.Stats().TrimError != nil {
			t.Errorf("trim = %v, TrimError = %v", err, feed.Stats().TrimError)
		}
	}
}

// A full server that cannot be trimmed: Publish does not try again.
func TestPublishToAFullServerWithoutTrim(t *testing.T) {
	client, sent := startRedis(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction").client(t), &commands{}
	client.AddHook(sent)
	trim := &failingHook{name: "xtrim", err: errHook}
	client.AddHook(trim)
	feed := newFeed(t, client, FeedConfig{})
	for _, test := range []struct {
		trim string // the command that fails
		adds int
	}{
		{"xtrim", 1}, {"", 2},
	} {
		trim.name = test.trim
		before := len(sent.option("xadd", ""))
		if err := feed.Publish(t.Context(), bySubject("s")); !redis.IsOOMError(err) {
			t.Errorf("Publish = %v, want that the server is full", err)
		}
		if n := len(sent.option("xadd", "")) - before; n != test.adds {
			t.Errorf("%d XADD, want %d", n, test.adds)
		}
	}
}

// The moments at which an entry may be trimmed, and a revocation matches no token any
// more.
func TestLifetimeOfEntries(t *testing.T) {
	feed := newFeed(t, redis.NewClient(&redis.Options{ContextTimeoutEnabled: true}), FeedConfig{MaxTokenLifetime: time.Hour})
	if got, want := feed.oldest(noon), noon.Add(-time.Hour-2*clockMargin); !got.Equal(want) {
		t.Errorf("oldest = %v, want %v", got, want)
	}
	for _, test := range []struct {
		age  time.Duration
		want bool
	}{
		{0, true}, {time.Hour + clockMargin - 1, true}, {time.Hour + clockMargin, false}, {25 * time.Hour, false},
	} {
		if got := feed.alive(auth0grpc.Revocation{IssuedBefore: noon.Add(-test.age)}, noon); got != test.want {
			t.Errorf("alive = %t at the age of %v, want %t", got, test.age, test.want)
		}
	}
}
