package auth0grpcredis

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A recovery is when each part of a service worked again, after the failure.
type recovery struct{ publish, follow, ready, use time.Duration }

// An outageTest is a feed and a store with clients of their own, as in a service.
type outageTest struct {
	newClient func() redis.UniversalClient
	prefix    string
	feed      *RevocationFeed
	store     *ReplayStore
	followed  *followed
}

func newOutageTest(t *testing.T, newClient func() redis.UniversalClient, prefix string) *outageTest {
	t.Helper()
	o := &outageTest{newClient: newClient, prefix: prefix, feed: newFeed(t, newClient(), FeedConfig{Timeout: defaultTimeout})}
	store := newStore(t, newClient(), ReplayConfig{Prefix: prefix, Timeout: defaultReplayTimeout})
	o.store = store
	o.followed = follow(t, newFeed(t, newClient(), FeedConfig{Timeout: defaultTimeout}))
	eventually(t, "a revocation is published", func() bool {
		return o.feed.Publish(t.Context(), bySubject("before")) == nil
	})
	o.followed.next(t)
	uses := 0
	eventually(t, "a proof is used", func() bool {
		uses++
		first, err := store.Use(t.Context(), fmt.Sprint("before ", uses), time.Now().Add(time.Hour))
		return first && err == nil
	})
	return o
}

// measure returns when each part works, counted from began. Each of the parts
// goes on by itself: none repairs the client of another.
func (o *outageTest) measure(t *testing.T, began time.Time) (r recovery) {
	t.Helper()
	done := make(chan func(), 3)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	retry := func(work func(int) bool) time.Duration {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			if work(i) {
				break
			}
			<-tick.C
		}
		if ctx.Err() != nil {
			t.Error("a part does not work again")
		}
		return time.Since(began)
	}
	go func() {
		took := retry(func(i int) bool { return o.feed.Publish(ctx, bySubject("after")) == nil })
		done <- func() { r.publish = took }
	}()
	go func() {
		took := retry(func(i int) bool {
			first, err := o.store.Use(ctx, fmt.Sprint("after ", i), time.Now().Add(time.Hour))
			return first && err == nil
		})
		done <- func() { r.use = took }
	}()
	go func() {
		for {
			select {
			case got := <-o.followed.applied:
				if got.Subject != "after" {
					continue
				}
			case <-ctx.Done():
				t.Error("Follow does not work again")
			}
			break
		}
		took := time.Since(began)
		done <- func() { r.follow = took }
	}()
	late := newFeed(t, o.newClient(), FeedConfig{Timeout: defaultTimeout})
	follow(t, late)
	if err := late.Ready(ctx); err != nil {
		t.Errorf("a new replica is not ready: %v", err)
	}
	r.ready = time.Since(began)
	for range 3 {
		(<-done)()
	}
	return r
}

// check compares each part with the recovery of the servers by themselves.
func (r recovery) check(t *testing.T, own time.Duration) {
	t.Helper()
	t.Logf("the servers recovered after %v", own.Round(time.Millisecond))
	for name, took := range map[string]time.Duration{"Publish": r.publish, "Follow": r.follow, "Ready": r.ready, "Use": r.use} {
		checkFigure(t, name+" worked again after", took, 2*own)
	}
}

// A master of a Cluster crashes or hangs. Everything works again, though the clients
// do not reload the table of slots by themselves.
func TestClusterFailover(t *testing.T) {
	needSetups(t)
	for _, test := range []struct {
		name string
		fail func(*redisServer)
	}{
		{"crash", func(s *redisServer) { s.stop() }},
		{"hang", func(s *redisServer) { s.hang(t) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			cluster := startCluster(t)
			o := newOutageTest(t, func() redis.UniversalClient { return cluster.client(t) }, "{"+defaultStream+"}:")
			master, replica := cluster.masterOf(t, defaultStream)
			cluster.detectFailures(t)
			began := time.Now()
			own := replica.recovers(t, "{"+defaultStream+"}:probe")
			test.fail(master)
			r := o.measure(t, began)
			r.check(t, receive(t, own, "the recovery of the cluster"))
		})
	}
}

// Only the shard of the proofs fails: Follow sees no error, and Use repairs the
// client alone.
func TestClusterFailoverOfProofs(t *testing.T) {
	needSetups(t)
	cluster := startCluster(t)
	stream, _ := cluster.masterOf(t, defaultStream)
	prefix := ""
	for i := 0; prefix == ""; i++ {
		candidate := fmt.Sprintf("{%d}:", i)
		if master, _ := cluster.masterOf(t, candidate); master != stream {
			prefix = candidate
		}
	}
	o := newOutageTest(t, func() redis.UniversalClient { return cluster.client(t) }, prefix)
	master, replica := cluster.masterOf(t, prefix)
	cluster.detectFailures(t)
	began := time.Now()
	own := replica.recovers(t, prefix+"probe")
	master.stop()
	r := o.measure(t, began)
	r.check(t, receive(t, own, "the recovery of the cluster"))
}

// The same with Sentinels.
func TestSentinelFailover(t *testing.T) {
	needSetups(t)
	for _, test := range []struct {
		name string
		fail func(*redisServer)
	}{
		{"crash", func(s *redisServer) { s.stop() }},
		{"hang", func(s *redisServer) { s.hang(t) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			group := startSentinels(t)
			o := newOutageTest(t, func() redis.UniversalClient { return group.client(t) }, "")
			group.detectFailures(t)
			began := time.Now()
			own := make(chan time.Duration, 2)
			for _, replica := range group.servers[1:] {
				recovers := replica.recovers(t, "probe")
				go func() { own <- <-recovers }()
			}
			test.fail(group.servers[0])
			r := o.measure(t, began)
			r.check(t, receive(t, own, "the recovery of the group"))
		})
	}
}

// A slot moves while it is used: no error, no gap, nothing lost or repeated.
func TestClusterPlannedFailover(t *testing.T) {
	needSetups(t)
	cluster := startCluster(t)
	feed := newFeed(t, cluster.client(t), FeedConfig{})
	followed := follow(t, newFeed(t, cluster.client(t), FeedConfig{}))
	publish(t, feed, bySubject("0"))
	followed.next(t)
	_, replica := cluster.masterOf(t, defaultStream)
	if err := replica.client(t).ClusterFailover(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	for i := range 100 {
		if err := feed.Publish(t.Context(), bySubject(fmt.Sprint("s", i))); err == nil {
			acknowledged++
		}
	}
	eventually(t, "a revocation is published after the failover", func() bool {
		return feed.Publish(t.Context(), bySubject("last")) == nil
	})
	applied := map[string]int{}
	for applied["last"] == 0 {
		applied[followed.next(t).Subject]++
	}
	if n := len(applied) - 1; n < acknowledged {
		t.Errorf("%d of %d acknowledged revocations were applied", n, acknowledged)
	}
	t.Logf("%d of 100 acknowledged and %d applied during a planned failover", acknowledged, len(applied)-1)
}
