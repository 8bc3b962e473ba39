package auth0grpcredis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// A pingHook answers PING in place of a server.
type pingHook struct {
	passingHook
	answer func() error
}

func (h pingHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "ping" {
			return next(ctx, cmd)
		}
		err := h.answer()
		cmd.SetErr(err)
		return err
	}
}

// There is one repair at a time, and none within repairInterval after another one. A
// success and a refusal start none.
func TestRepairsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true})
		defer client.Close()
		pings, release := 0, make(chan struct{})
		client.AddHook(pingHook{answer: func() error { pings++; <-release; return nil }})
		l, err := newLink(client)
		if err != nil {
			t.Fatal(err)
		}
		failed := func(err error, want int) {
			t.Helper()
			for range 3 {
				l.failed(err)
			}
			synctest.Wait()
			if pings != want {
				t.Errorf("%d repairs, want %d", pings, want)
			}
		}
		failed(nil, 0)
		failed(replyError("NOPERM"), 0)
		failed(errHook, 1)
		time.Sleep(2 * l.repairInterval)
		failed(errHook, 1) // the repair goes on
		release <- struct{}{}
		failed(errHook, 1)
		time.Sleep(l.repairInterval - 1)
		failed(errHook, 1)
		time.Sleep(time.Nanosecond)
		failed(errHook, 2)
		close(release)
	})
}

// The repair of a Cluster tries again at intervals, for a while, and ends when the
// client is closed.
func TestRepairEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, failure := 0, errHook
		client := redis.NewClusterClient(&redis.ClusterOptions{
			ContextTimeoutEnabled: true,
			ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
				calls++
				return tableOf("127.0.0.1:1"), failure
			},
		})
		l, err := newLink(client)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		l.repair()
		if took := time.Since(began); took != maxRepairs*l.repairInterval || calls < maxRepairs {
			t.Errorf("the repair ended after %v and %d loads of the table, want %d attempts", took, calls, maxRepairs)
		}
		failure = nil
		client.Close()
		began = time.Now()
		l.repair()
		if took := time.Since(began); took != 0 {
			t.Errorf("the repair of a closed client ended after %v, want at once", took)
		}
	})
}

// tableOf returns the slot table of a Cluster with one server.
func tableOf(address string) []redis.ClusterSlot {
	return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: []redis.ClusterNode{{Addr: address}}}}
}

// The first tables may be from before the failover: the repair goes on until the
// masters of the table answer.
func TestRepairLoadsTheTable(t *testing.T) {
	server, down := startRedis(t), freeAddress(t)
	var loads atomic.Int32
	client := redis.NewClusterClient(&redis.ClusterOptions{
		ContextTimeoutEnabled: true, DialerRetries: 1, MaxRetries: -1,
		ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
			if loads.Add(1) <= 4 {
				return tableOf(down), nil
			}
			return tableOf(server.address), nil
		},
	})
	t.Cleanup(func() { client.Close() })
	l, err := newLink(client)
	if err != nil {
		t.Fatal(err)
	}
	l.repairTimeout, l.repairInterval = patience, time.Millisecond
	l.repair()
	if n := loads.Load(); n < 5 {
		t.Fatalf("the repair ended after %d loads of the table, want 5", n)
	}
	primary, err := l.primary(t.Context(), "key")
	if err != nil || !strings.HasSuffix(server.address, primary.Options().Addr) { // go-redis drops a loopback host
		t.Fatalf("primary = %v, %v, want %s", primary, err, server.address)
	}
	if err := client.Set(t.Context(), "key", 1, 0).Err(); err != nil {
		t.Errorf("SET = %v after the repair", err)
	}
}

// The clock is the clock of the server that holds the key, and each server has places
// of its own.
func TestServersOfACluster(t *testing.T) {
	first, second := startRedis(t), startRedis(t)
	client := redis.NewClusterClient(&redis.ClusterOptions{
		ContextTimeoutEnabled: true, PoolSize: 3,
		ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
			slots := append(tableOf(first.address), tableOf(second.address)...)
			slots[0].End, slots[1].Start = 8191, 8192
			return slots, nil
		},
	})
	t.Cleanup(func() { client.Close() })
	l, err := newLink(client)
	if err != nil {
		t.Fatal(err)
	}
	const low, high = "b", "a" // their slots are 3300 and 15495
	for range 20 {
		if _, err := l.serverTime(t.Context(), low); err != nil {
			t.Fatal(err)
		}
	}
	for server, want := range map[*redisServer]bool{first: true, second: false} {
		stats := server.client(t).Info(t.Context(), "commandstats").Val()
		if got := strings.Contains(stats, "cmdstat_time:calls=20,"); got != want || strings.Contains(stats, "cmdstat_time:") != want {
			t.Errorf("all TIME at one server: %t, want %t\n%s", got, want, stats)
		}
	}
	places := map[string]chan struct{}{}
	for _, key := range []string{low, high} {
		if places[key], err = l.places(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	again, err := l.places(t.Context(), low)
	if err != nil || again != places[low] || places[low] == places[high] || cap(places[low]) != 2 || cap(places[high]) != 2 {
		t.Errorf("places %v and %v (%d and %d), again %v, %v", places[low], places[high], cap(places[low]), cap(places[high]), again, err)
	}
}

// A pool of one connection has a place.
func TestPlaceOfASmallPool(t *testing.T) {
	client := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true, PoolSize: 1})
	t.Cleanup(func() { client.Close() })
	l, err := newLink(client)
	if err != nil {
		t.Fatal(err)
	}
	if places, err := l.places(t.Context(), "key"); err != nil || cap(places) != 1 {
		t.Errorf("%d places, %v, want 1", cap(places), err)
	}
}

// pingIdle fails if any one of the connections does not answer. A refusal is an
// answer.
func TestPingIdle(t *testing.T) {
	const n = 5
	client := startRedis(t).client(t)
	busyConnections(t, client, n)
	var mu sync.Mutex
	var answers []error
	client.AddHook(pingHook{answer: func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(answers) == 0 {
			return errors.New("too many PINGs")
		}
		err := answers[0]
		answers = answers[1:]
		return err
	}})
	for range 20 {
		for position := range n {
			for _, answer := range []error{nil, errHook, replyError("NOPERM")} {
				answers = make([]error, n)
				answers[position] = answer
				err := pingIdle(t.Context(), client)
				if want := answer == errHook; (err != nil) != want || len(answers) != 0 {
					t.Fatalf("pingIdle = %v beside %v, %d PINGs too few", err, answer, len(answers))
				}
			}
		}
	}
}

func TestRepairable(t *testing.T) {
	client := startRedis(t).client(t, func(o *redis.Options) { o.MaxRetries = -1 })
	for _, test := range []struct {
		reply string
		want  bool
	}{
		{"MOVED 3999 127.0.0.1:1", true}, {"CLUSTERDOWN The cluster is down", true},
		{"READONLY You can't write against a read only replica.", true},
		{"LOADING Redis is loading the dataset in memory", true},
		{"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", true},
		{"NOPERM this user has no permissions", false}, {"OOM command not allowed", false},
		{"WRONGTYPE Operation against a key", false}, {"ERR something else", false},
		{"ASK 3999 127.0.0.1:1", false}, {"TRYAGAIN Multiple keys request", false},
	} {
		// A server that runs this script replies with the error.
		err := client.Eval(t.Context(), "return redis.error_reply(ARGV[1])", nil, test.reply).Err()
		if err == nil || !strings.HasPrefix(err.Error(), strings.Fields(test.reply)[0]) {
			t.Fatalf("EVAL = %v, want %s", err, test.reply)
		}
		for _, err := range []error{err, fmt.Errorf("wrapped: %w", err)} {
			if got := repairable(err); got != test.want {
				t.Errorf("repairable(%v) = %t, want %t", err, got, test.want)
			}
		}
	}
	for _, err := range []error{errHook, errSlow, context.DeadlineExceeded} {
		if !repairable(err) {
			t.Errorf("repairable(%v) = false", err)
		}
	}
}
