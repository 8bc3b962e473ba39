package auth0grpcredis

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

// A replica with 2,000 open streams reads a backlog of 100,000 revocations. Calls
// go on meanwhile, and the streams that are not concerned stay open.
func TestLoadBacklog(t *testing.T) {
	needSetups(t)
	const backlog, openStreams = 100_000, 2_000
	server, tenant := startRedis(t), auth0grpctest.NewTenant(t)
	client := server.client(t)
	pipe, issued := client.Pipeline(), time.Now().Add(-time.Minute)
	for i := range backlog {
		addAt(t, pipe, issued, i)
		if i%1000 == 999 {
			if _, err := pipe.Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	memory, _ := client.MemoryUsage(t.Context(), defaultStream, 0).Result()

	feed := newFeed(t, client, FeedConfig{})
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience},
		Methods:    map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Authenticated()},
		HTTPClient: tenant.HTTPClient(), RevocationFeed: feed,
	})
	if err != nil {
		t.Fatal(err)
	}
	grpcServer := grpc.NewServer(guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(grpcServer, service{})
	api := testgrpc.NewTestServiceClient(auth0grpctest.Connect(t, grpcServer, ""))
	with := func(token string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	}
	// The token is older than the backlog, so that an entry of its subject ends it.
	at := issued.Add(-time.Minute).Unix()
	tokenOf := func(subject string) string {
		return tenant.Token(map[string]any{"sub": subject, "iat": at, "exp": at + 3600})
	}
	kept, revoked := tokenOf("kept"), tokenOf("99999") // the last of the backlog
	ended := make(chan error, openStreams)
	for i := range openStreams {
		token := kept
		if i%2 == 1 {
			token = revoked
		}
		stream, err := api.FullDuplexCall(with(token))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := stream.Recv()
			ended <- err
		}()
	}

	var slowest atomic.Int64
	calls, stop := 0, make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			began := time.Now()
			if _, err := api.EmptyCall(with(kept), &testgrpc.Empty{}); err != nil {
				t.Errorf("a good call: %v", err)
				return
			}
			calls++
			slowest.Store(max(slowest.Load(), int64(time.Since(began))))
		}
	})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	followed := make(chan error, 1)
	go func() { followed <- guard.FollowRevocations(ctx) }()
	if err := feed.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	caughtUp := time.Since(began)
	for range openStreams / 2 {
		checkRevoked(t, receive(t, ended, "the end of a stream"))
	}
	streamsEnded := time.Since(began)
	close(stop)
	wait.Wait()
	runtime.GC()
	runtime.ReadMemStats(&after)
	select {
	case err := <-ended:
		t.Errorf("a stream that is not concerned ended: %v", err)
	default:
	}
	stats := feed.Stats()
	t.Logf("%d entries (%d B each in Redis, %d B each in the replica) applied in %v, 1,000 of 2,000 streams ended after %v; %d calls meanwhile, the slowest %v",
		stats.Entries, memory/backlog, (int64(after.HeapAlloc)-int64(before.HeapAlloc))/backlog, caughtUp.Round(time.Millisecond),
		streamsEnded.Round(time.Millisecond), calls, time.Duration(slowest.Load()).Round(100*time.Microsecond))
	if stats.Entries != backlog {
		t.Errorf("%d entries, want %d", stats.Entries, backlog)
	}
	checkFigure(t, "the backlog was applied", caughtUp, 30*time.Second)
	cancel()
	<-followed
}

// 5,000 proofs in each second, for three seconds. One in ten is used twice.
func TestLoadProofs(t *testing.T) {
	needSetups(t)
	const rate, seconds = 5000, 3
	server := startRedis(t)
	client := server.client(t)
	store := newStore(t, client, ReplayConfig{Timeout: 2 * patience}) // a slow machine works off the queue
	before := usedMemory(t, server)
	until := time.Now().Add(time.Hour)
	times := make([]time.Duration, rate*seconds)
	var wrong, failed atomic.Int32
	var wait sync.WaitGroup
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for next := 0; next < len(times); {
		<-tick.C
		due := min(len(times), int(time.Since(began)*rate/time.Second))
		for i := next; i < due; i++ {
			wait.Go(func() {
				id, start := fmt.Sprint("thumbprint jti-", i), time.Now()
				first, err := store.Use(t.Context(), id, until)
				times[i] = time.Since(start)
				if err != nil {
					failed.Add(1)
					return
				}
				if !first {
					wrong.Add(1)
				}
				if i%10 == 0 {
					if again, err := store.Use(t.Context(), id, until); again && err == nil {
						wrong.Add(1)
					}
				}
			})
		}
		next = due
	}
	wait.Wait()
	took := time.Since(began)
	slices.Sort(times)
	t.Logf("%d proofs in %v: median %v, 99 of 100 within %v; %d failed; %d B each in Redis; %d connections",
		len(times), took.Round(time.Millisecond), times[len(times)/2].Round(10*time.Microsecond), times[len(times)*99/100].Round(10*time.Microsecond),
		failed.Load(), (usedMemory(t, server)-before)/len(times), client.PoolStats().TotalConns)
	if wrong.Load() != 0 {
		t.Errorf("%d proofs were accepted twice or not at all", wrong.Load())
	}
	if failed.Load() != 0 {
		t.Errorf("%d of %d uses failed", failed.Load(), len(times))
	}
}

func usedMemory(tb testing.TB, server *redisServer) (bytes int) {
	tb.Helper()
	text := server.client(tb).InfoMap(tb.Context(), "memory").Item("Memory", "used_memory")
	if _, err := fmt.Sscan(text, &bytes); err != nil {
		tb.Fatal(err)
	}
	return bytes
}
