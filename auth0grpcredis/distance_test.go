package auth0grpcredis

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// At a distance a new connection takes longer than a use may. The store works from a
// cold pool all the same and dials no connection in vain.
//
// The times are ten times the defaults at 33 and 100 ms, in the same proportion. So
// only a very slow machine exceeds them.
func TestUseAtADistance(t *testing.T) {
	server := startRedis(t)
	const factor = 10
	for _, roundTrip := range []time.Duration{factor * 33 * time.Millisecond, factor * 100 * time.Millisecond} {
		for _, test := range []struct{ parallel, poolSize, uses int }{
			{1, 8, 12},
			{32, 40, 320},
			{32, 8, 320}, // more than the pool can do at 100 ms
		} {
			t.Run(fmt.Sprintf("%v/%d at a time/%d connections", roundTrip, test.parallel, test.poolSize), func(t *testing.T) {
				t.Parallel()
				p := startProxy(t, server.address, roundTrip)
				client := p.client(t, withoutDeadlines, func(o *redis.Options) { o.PoolSize = test.poolSize })
				store := newStore(t, client, ReplayConfig{Prefix: t.Name(), Timeout: factor * defaultReplayTimeout})
				store.link.repairTimeout *= factor
				store.link.repairInterval *= factor
				began := time.Now()
				var refused, accepted atomic.Int32
				var firstAccepted atomic.Int64
				var wait sync.WaitGroup
				ids := make(chan string)
				for range test.parallel {
					wait.Go(func() {
						for id := range ids {
							first, err := store.Use(t.Context(), id, time.Now().Add(time.Hour))
							if err != nil {
								refused.Add(1)
								continue
							}
							if !first {
								t.Errorf("%s was used before", id)
							}
							firstAccepted.CompareAndSwap(0, int64(time.Since(began)))
							accepted.Add(1)
						}
					})
				}
				for i := range test.uses {
					ids <- fmt.Sprint("jti-", i)
				}
				close(ids)
				wait.Wait()
				t.Logf("%d of %d refused, %d connections, %v in all", refused.Load(), test.uses, p.connections(), time.Since(began).Round(time.Millisecond))
				if accepted.Load() == 0 {
					t.Error("no use was accepted")
				}
				checkFigure(t, "the first use was accepted after", time.Duration(firstAccepted.Load()), 8*roundTrip+factor*time.Second)
				// While the first connections are established, each caller is refused at
				// most once in half a timeout. Later on only the pool limits the uses.
				limit := test.parallel * 8
				if test.parallel > test.poolSize {
					limit = test.uses * 9 / 10
				}
				if n := int(refused.Load()); n > limit {
					t.Errorf("%d uses refused, want at most %d", n, limit)
				}
				// One more may be a connection whose handshake failed.
				if n := p.connections(); n > test.poolSize+1 {
					t.Errorf("%d connections, want at most the %d of the pool", n, test.poolSize)
				}
			})
		}
	}
}

// busyConnections opens n connections of a pool and leaves them idle.
func busyConnections(tb testing.TB, client *redis.Client, n int) {
	tb.Helper()
	var conns []*redis.Conn
	for range n {
		conn := client.Conn()
		if err := conn.Ping(tb.Context()).Err(); err != nil {
			tb.Fatal(err)
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		conn.Close()
	}
	if idle := client.PoolStats().IdleConns; int(idle) < n {
		tb.Fatalf("%d idle connections, want %d", idle, n)
	}
}

// A pool full of half-open connections: both sides are silent, and no error tells.
// The feed finds them at once, and not one connection after the other.
func TestFollowHalfOpen(t *testing.T) {
	server := startRedis(t)
	p := startProxy(t, server.address, 0)
	sent := &commands{}
	client := p.client(t, func(o *redis.Options) { o.PoolSize, o.MaxRetries = 2*halfOpen, -1 })
	feed, others := newFeed(t, client, FeedConfig{Timeout: defaultTimeout}), newFeed(t, server.client(t), FeedConfig{})
	followed := follow(t, feed)
	followed.wants(t, others)
	busyConnections(t, client, halfOpen)
	p.silenceOpen()
	client.AddHook(sent)
	began := time.Now()
	followed.nextGap(t)
	r := bySubject("silence")
	publish(t, others, r)
	if got := followed.next(t); got != r {
		t.Errorf("applied %v, want %v", got, r)
	}
	checkFigure(t, "a revocation was applied after all connections fell silent", time.Since(began), 4*time.Second)
	if reads := len(sent.option("xread", "count")); reads > halfOpen/2 {
		t.Errorf("%d reads until the revocation, with %d half-open connections", reads, halfOpen)
	}
}

const halfOpen = 20 // connections

// The same for the store, which few calls use.
func TestUseHalfOpen(t *testing.T) {
	server := startRedis(t)
	p := startProxy(t, server.address, 0)
	client := p.client(t, func(o *redis.Options) { o.PoolSize, o.MaxRetries = 2*halfOpen, -1 })
	store := newStore(t, client, ReplayConfig{Timeout: defaultReplayTimeout})
	busyConnections(t, client, halfOpen)
	p.silenceOpen()
	began, refused := time.Now(), 0
	eventually(t, "a use is accepted", func() bool {
		first, err := store.Use(t.Context(), fmt.Sprint("jti-", refused), time.Now().Add(time.Hour))
		if err != nil {
			refused++
		}
		return first && err == nil
	})
	checkFigure(t, "a use was accepted after all connections fell silent", time.Since(began), 2*time.Second)
	if refused > halfOpen/2 {
		t.Errorf("%d uses refused with %d half-open connections", refused, halfOpen)
	}
}

// While Redis hangs, the commands in progress are bounded by the pool, and each use
// ends in time: one after the other they would take longer than the test waits.
func TestUseBounded(t *testing.T) {
	const poolSize, uses = 5, 4000
	client := hangingServer(t).client(t, withoutDeadlines, func(o *redis.Options) { o.PoolSize = poolSize })
	store := newStore(t, client, ReplayConfig{Timeout: defaultReplayTimeout})
	if least := uses / poolSize * defaultReplayTimeout; least < patience {
		t.Fatalf("one after the other, the uses would take only %v", least)
	}
	ended := make(chan error, uses)
	for i := range uses {
		go func() {
			first, err := store.Use(t.Context(), fmt.Sprint(i), time.Now().Add(time.Hour))
			if first || err == nil {
				err = fmt.Errorf("Use = %t, %v, want an error", first, err)
			} else {
				err = nil
			}
			ended <- err
		}()
	}
	began := time.Now()
	late := time.After(patience)
	for range uses {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-late:
			t.Fatalf("not all uses have ended after %v", patience)
		}
	}
	checkFigure(t, "the uses ended", time.Since(began), 5*time.Second)
	if n := client.PoolStats().TotalConns; n > poolSize {
		t.Errorf("%d connections, want at most %d", n, poolSize)
	}
	places, err := store.link.places(t.Context(), "")
	if err != nil || cap(places) != poolSize-1 {
		t.Errorf("%d commands at once (%v), want %d", cap(places), err, poolSize-1)
	}
}
