package auth0grpcredis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
	"github.com/redis/go-redis/v9"
)

const tenantName = "test-tenant"

func newStoreOf(feed *RevocationFeed) *eventStore { return feed.EventStore().(*eventStore) }

func lead(tb testing.TB, s *eventStore, lease time.Duration) uint64 {
	tb.Helper()
	term, err := s.Lead(tb.Context(), tenantName, lease)
	if err != nil {
		tb.Fatal(err)
	}
	return term
}

func loaded(tb testing.TB, s *eventStore) string {
	tb.Helper()
	offset, err := s.Load(tb.Context(), tenantName)
	if err != nil {
		tb.Fatal(err)
	}
	return offset
}

// One of two candidates leads. The other one follows after a resignation, in a later term,
// and the first one can then store nothing any more.
func TestEventStoreElectsOne(t *testing.T) {
	feed := newFeed(t, startRedis(t).client(t), FeedConfig{})
	first, second := newStoreOf(feed), newStoreOf(feed)
	if offset := loaded(t, first); offset != "" {
		t.Errorf("offset %q at the start", offset)
	}
	if term := lead(t, first, time.Hour); term != 1 {
		t.Fatalf("term %d, want 1", term)
	}
	if term := lead(t, second, time.Hour); term != 0 {
		t.Fatalf("a second leader in term %d", term)
	}
	if term := lead(t, first, time.Hour); term != 1 {
		t.Errorf("term %d after a renewal, want 1", term)
	}
	if err := second.Save(t.Context(), tenantName, 1, "stolen"); !errors.Is(err, auth0grpcevents.ErrNotLeader) {
		t.Errorf("Save = %v by another process, want ErrNotLeader", err)
	}
	if err := first.Save(t.Context(), tenantName, 1, "offset"); err != nil {
		t.Error(err)
	}
	if err := second.Resign(t.Context(), tenantName, 1); err != nil || lead(t, second, time.Hour) != 0 {
		t.Errorf("another process can end the lease, %v", err)
	}
	if err := first.Resign(t.Context(), tenantName, 1); err != nil {
		t.Error(err)
	}
	if term := lead(t, second, time.Hour); term != 2 {
		t.Errorf("term %d of the successor, want 2", term)
	}
	if err := first.Save(t.Context(), tenantName, 1, "late"); !errors.Is(err, auth0grpcevents.ErrNotLeader) {
		t.Errorf("Save = %v by the leader before, want ErrNotLeader", err)
	}
	if offset := loaded(t, second); offset != "offset" {
		t.Errorf("offset %q, want the one of the first leader", offset)
	}
	if term, err := second.Lead(t.Context(), "other-tenant", time.Hour); term != 1 || err != nil {
		t.Errorf("term %d, %v of another tenant, want 1", term, err)
	}
}

// A leader that wakes up after its lease has ended cannot store an offset, also if both
// leaders have one term because a failover lost the other.
func TestEventStoreFences(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	paused, successor := newStoreOf(feed), newStoreOf(feed)
	lead(t, paused, time.Millisecond)
	eventually(t, "the lease ends", func() bool { return lead(t, successor, time.Hour) == 2 })
	if err := paused.Save(t.Context(), tenantName, 1, "late"); !errors.Is(err, auth0grpcevents.ErrNotLeader) {
		t.Errorf("Save = %v after a pause, want ErrNotLeader", err)
	}
	client.HSet(t.Context(), paused.key(tenantName), "term", 1)
	if err := paused.Save(t.Context(), tenantName, 1, "late"); !errors.Is(err, auth0grpcevents.ErrNotLeader) {
		t.Errorf("Save = %v in the same term, want ErrNotLeader", err)
	}
	client.Del(t.Context(), paused.key(tenantName))
	if err := successor.Save(t.Context(), tenantName, 2, "offset"); !errors.Is(err, auth0grpcevents.ErrNotLeader) {
		t.Errorf("Save = %v after FLUSHALL, want ErrNotLeader", err)
	}
}

// A lease from before the clock of the server was set back does not last.
func TestEventStoreAfterClockJump(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	first, second := newStoreOf(feed), newStoreOf(feed)
	lead(t, first, time.Second)
	client.HSet(t.Context(), first.key(tenantName), "until", time.Now().Add(time.Hour).UnixMilli())
	if term := lead(t, second, time.Second); term != 2 {
		t.Errorf("term %d, want 2", term)
	}
}

// The hash is in the slot of the stream.
func TestEventStoreKeys(t *testing.T) {
	for stream, want := range map[string]string{
		"auth0grpc:revocations": "{auth0grpc:revocations}:events:t", "{orders}:revocations": "{orders}:revocations:events:t",
		"a{b": "{a{b}:events:t", "x{a}y{b}": "x{a}y{b}:events:t",
	} {
		if key := (&eventStore{stream: stream}).key("t"); key != want {
			t.Errorf("key %q of %q, want %q", key, stream, want)
		}
	}
}

// The server of the stream has the offset too: a Cluster gives both keys one slot.
func TestEventStoreSlot(t *testing.T) {
	client := startServer(t, func() []string {
		return []string{"--cluster-enabled", "yes", "--cluster-port", freePort(t)}
	}).client(t)
	for _, stream := range []string{defaultStream, "a", "{a}b", "a{b", "x{a}y{b}"} {
		slots := map[int64]bool{}
		for _, key := range []string{stream, (&eventStore{stream: stream}).key("one"), (&eventStore{stream: stream}).key("two")} {
			slot, err := client.ClusterKeySlot(t.Context(), key).Result()
			if err != nil {
				t.Fatal(err)
			}
			slots[slot] = true
		}
		if len(slots) != 1 {
			t.Errorf("the keys of %q have the slots %v, want one", stream, slots)
		}
	}
}

// A failed command starts a repair of the connections, unless the caller gave up.
func TestEventStoreStartsRepairs(t *testing.T) {
	for command, call := range map[string]func(ctx context.Context, s *eventStore) error{
		"hget": func(ctx context.Context, s *eventStore) error {
			_, err := s.Load(ctx, tenantName)
			return err
		},
		"evalsha": func(ctx context.Context, s *eventStore) error {
			return s.Save(ctx, tenantName, 1, "offset")
		},
	} {
		failAtCommand(t, command, func(t *testing.T, ctx context.Context, client *redis.Client) (bool, error) {
			s := newStoreOf(newFeed(t, client, FeedConfig{}))
			err := call(ctx, s)
			return repairBegan(s.link), err
		})
	}
	client := startRedis(t).client(t)
	s := newStoreOf(newFeed(t, client, FeedConfig{}))
	term := lead(t, s, time.Hour)
	if err := s.Save(t.Context(), tenantName, term, "offset"); err != nil || loaded(t, s) != "offset" || repairBegan(s.link) {
		t.Errorf("Save = %v, a repair began: %t", err, repairBegan(s.link))
	}
}

func TestEventStoreErrors(t *testing.T) {
	s := newStoreOf(newFeed(t, hangingServer(t).client(t), FeedConfig{Timeout: 20 * time.Millisecond}))
	_, leadErr := s.Lead(t.Context(), tenantName, time.Second)
	_, loadErr := s.Load(t.Context(), tenantName)
	for name, err := range map[string]error{
		"Lead": leadErr, "Load": loadErr, "Save": s.Save(t.Context(), tenantName, 1, "x"), "Resign": s.Resign(t.Context(), tenantName, 1),
	} {
		if err == nil || errors.Is(err, auth0grpcevents.ErrNotLeader) || !strings.HasPrefix(err.Error(), "auth0grpcredis: event store: ") {
			t.Errorf("%s = %v without an answer", name, err)
		}
	}
}

// The documented rights suffice.
func TestEventStoreRights(t *testing.T) {
	server := startRedis(t)
	admin := server.client(t)
	if err := admin.Do(t.Context(), documentedRights(t)...).Err(); err != nil {
		t.Fatal(err)
	}
	user := server.client(t, func(o *redis.Options) { o.Username, o.Password = "orders", "PASSWORD" })
	s := newStoreOf(newFeed(t, user, FeedConfig{}))
	term := lead(t, s, time.Second)
	if err := errors.Join(s.Save(t.Context(), tenantName, term, "offset"), s.Resign(t.Context(), tenantName, term)); err != nil {
		t.Error(err)
	}
	if offset := loaded(t, s); offset != "offset" {
		t.Errorf("offset %q", offset)
	}
}

// auth0grpcotel.FeedStats has these fields, in this order, so that FeedStats converts to it.
func TestFeedStatsConverts(t *testing.T) {
	_ = struct {
		Connected         bool
		Lag               time.Duration
		LastEntry         time.Time
		Entries           int
		Gaps, Republished int
		TrimError         error
	}(FeedStats{})
}
