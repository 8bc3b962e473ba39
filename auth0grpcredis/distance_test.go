package auth0grpcredis

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// At a distance a new connection takes longer than a use may. The store works
// from a cold pool all the same, with all defaults, and dials no connection in
// vain.
func TestUseAtADistance(t *testing.T) {
	server := startRedis(t)
	for _, roundTrip := range []time.Duration{33 * time.Millisecond, 100 * time.Millisecond} {
		for _, test := range []struct{ parallel, poolSize, uses int }{
			{1, 8, 60},
			{32, 40, 960},
			{32, 8, 960}, // more than the pool can do at 100 ms
		} {
			t.Run(fmt.Sprintf("%v/%d at a time/%d connections", roundTrip, test.parallel, test.poolSize), func(t *testing.T) {
				p := startProxy(t, server.address, roundTrip)
				client := p.client(t, func(o *redis.Options) { o.PoolSize = test.poolSize })
				store, err := NewReplayStore(client, ReplayConfig{Prefix: t.Name()})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				var refused, accepted atomic.Int32
				var firstAccepted atomic.Int64
				var wait sync.WaitGroup
				ids := make(chan string)
				for range test.parallel {
					wait.Go(func() {
						for id := range ids {
							first, err := store.Use(t.Context(), id, time.Now().Add(time.Minute))
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
				cold := time.Duration(firstAccepted.Load())
				t.Logf("%d of %d refused, the first accepted after %v, %d connections, %v in all",
					refused.Load(), test.uses, cold.Round(time.Millisecond), p.connections(), time.Since(began).Round(time.Millisecond))
				if limit := 8*roundTrip + time.Second; cold == 0 || cold > limit {
					t.Errorf("the first use was accepted after %v, want within %v", cold, limit)
				}
				limit := test.parallel * 8 // while the first connections are established
				if test.parallel > test.poolSize {
					limit = test.uses * 9 / 10 // and those that the pool cannot do
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
// The feed hears again within 4 seconds, and not one connection after the other.
func TestFollowHalfOpen(t *testing.T) {
	server := startRedis(t)
	p := startProxy(t, server.address, 0)
	client := p.client(t, func(o *redis.Options) { o.PoolSize = 30 })
	feed, others := newFeed(t, client, FeedConfig{}), newFeed(t, server.client(t), FeedConfig{})
	followed := follow(t, feed)
	followed.wants(t, others)
	busyConnections(t, client, 20)
	p.silenceOpen()
	began := time.Now()
	followed.nextGap(t)
	r := bySubject("silence")
	publish(t, others, r)
	if got := followed.next(t); got != r {
		t.Errorf("applied %v, want %v", got, r)
	}
	took := time.Since(began)
	t.Logf("heard of a revocation %v after 21 connections fell silent", took.Round(time.Millisecond))
	if took > 4*time.Second {
		t.Errorf("deaf for %v, want at most 4s", took)
	}
}

// The same for the store, which few calls use.
func TestUseHalfOpen(t *testing.T) {
	server := startRedis(t)
	p := startProxy(t, server.address, 0)
	client := p.client(t, func(o *redis.Options) { o.PoolSize = 30 })
	store, err := NewReplayStore(client, ReplayConfig{})
	if err != nil {
		t.Fatal(err)
	}
	busyConnections(t, client, 20)
	p.silenceOpen()
	began, refused := time.Now(), 0
	eventually(t, "a use is accepted", func() bool {
		first, err := store.Use(t.Context(), fmt.Sprint("jti-", refused), time.Now().Add(time.Minute))
		if err != nil {
			refused++
		}
		return first && err == nil
	})
	took := time.Since(began)
	t.Logf("accepted a use %v after 20 connections fell silent; %d refused", took.Round(time.Millisecond), refused)
	if took > 2*time.Second || refused > 4 {
		t.Errorf("%d uses refused during %v, want at most 4 during 2s", refused, took)
	}
}

// While Redis hangs, the commands in progress are bounded by the pool, and each
// use ends in time.
func TestUseBounded(t *testing.T) {
	const poolSize, uses = 5, 200
	hanging := hangingServer(t)
	client := hanging.client(t, func(o *redis.Options) { o.PoolSize = poolSize })
	store, err := NewReplayStore(client, ReplayConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range uses {
		wait.Go(func() {
			began := time.Now()
			first, err := store.Use(t.Context(), fmt.Sprint(i), time.Now().Add(time.Minute))
			if took := time.Since(began); first || err == nil || took > 5*time.Second {
				t.Errorf("Use = %t, %v after %v, want an error after %v", first, err, took, defaultReplayTimeout)
			}
		})
	}
	wait.Wait()
	if n := client.PoolStats().TotalConns; n > poolSize {
		t.Errorf("%d connections, want at most %d", n, poolSize)
	}
	places, err := store.link.places(t.Context(), "")
	if err != nil || cap(places) != poolSize-1 {
		t.Errorf("%d commands at once (%v), want %d", cap(places), err, poolSize-1)
	}
}
