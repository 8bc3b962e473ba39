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
	o := &outageTest{newClient: newClient, prefix: prefix, feed: newFeed(t, newClient(), FeedConfig{})}
	store, err := NewReplayStore(newClient(), ReplayConfig{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	o.store = store
	o.followed = follow(t, newFeed(t, newClient(), FeedConfig{}))
	publish(t, o.feed, bySubject("before"))
	o.followed.next(t)
	eventually(t, "a proof is used", func() bool {
		first, err := store.Use(t.Context(), "before", time.Now().Add(time.Minute))
		return first && err == nil
	})
	return o
}

// measure returns when each part works, counted from began. Each of the parts
// goes on by itself: none repairs the client of another.
func (o *outageTest) measure(t *testing.T, began time.Time) (r recovery) {
	t.Helper()
	const limit = 100 * time.Second
	done := make(chan func(), 3)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
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
		return time.Since(began)
	}
	go func() {
		took := retry(func(i int) bool { return o.feed.Publish(ctx, bySubject("after")) == nil })
		done <- func() { r.publish = took }
	}()
	go func() {
		took := retry(func(i int) bool {
			first, err := o.store.Use(ctx, fmt.Sprint("after ", i), time.Now().Add(time.Minute))
			return first && err == nil
		})
		done <- func() { r.use = took }
	}()
	go func() {
		deadline := time.After(limit)
		for {
			select {
			case got := <-o.followed.applied:
				if got.Subject != "after" {
					continue
				}
			case <-deadline:
			}
			break
		}
		took := time.Since(began)
		done <- func() { r.follow = took }
	}()
	late := newFeed(t, o.newClient(), FeedConfig{})
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

func (r recovery) check(t *testing.T, own time.Duration) {
	t.Helper()
	t.Logf("recovered by itself after %v; Publish after %v, Follow %v, Ready of a new replica %v, Use %v",
		round(own), round(r.publish), round(r.follow), round(r.ready), round(r.use))
	for name, took := range map[string]time.Duration{"Publish": r.publish, "Follow": r.follow, "Ready": r.ready, "Use": r.use} {
		if took > 2*own {
			t.Errorf("%s works after %v, want at most twice the %v of Redis itself", name, round(took), round(own))
		}
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

// A master of a Cluster crashes or hangs. Everything works again within twice the
// time that the Cluster itself takes.
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
