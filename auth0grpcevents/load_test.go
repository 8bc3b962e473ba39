package auth0grpcevents_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// TestFollowDelay prints the time from the event to the end of the user's stream, in one
// process.
func TestFollowDelay(t *testing.T) {
	const users = 100
	s := newScene(t)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{s.tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: s.tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Authenticated()},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.guard = guard
	s.follow(t)
	server := grpc.NewServer(guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, watcher{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	var delays []time.Duration
	for i := range users {
		subject := fmt.Sprint("auth0|", i)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.tenant.Token(map[string]any{"sub": subject}))
		stream, err := testgrpc.NewTestServiceClient(conn).FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		s.events.BlockUser(subject)
		_, err = stream.Recv()
		delays = append(delays, time.Since(began))
		if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonTokenRevoked {
			t.Errorf("the stream ended with %v, want TOKEN_REVOKED", err)
		}
		cancel()
	}
	slices.Sort(delays)
	t.Logf("from the event to the end of the stream: p50 %v, p99 %v", delays[users/2], delays[users*99/100])
}

// A quietFeed publishes into nothing.
type quietFeed struct{}

func (quietFeed) Publish(context.Context, auth0grpc.Revocation) error { return nil }

func (quietFeed) Follow(ctx context.Context, _ func(auth0grpc.Revocation), _ func(error)) error {
	<-ctx.Done()
	return ctx.Err()
}

// eventsEnv sets the number of events in TestMemoryIsFlat; the test of a release has
// 100000.
const eventsEnv = "AUTH0GRPCEVENTS_TEST_EVENTS"

// Memory does not grow with the number of events, only with the users that are blocked.
func TestMemoryIsFlat(t *testing.T) {
	const users, warm = 1000, 12_000 // duplicates are remembered among 8192
	events := 6_000
	if text, ok := os.LookupEnv(eventsEnv); ok {
		events, _ = strconv.Atoi(text)
	}
	reader, writer := io.Pipe()
	api := &fakeAPI{answer: func(int, *http.Request) *http.Response {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: reader}
	}}
	monitor := new(auth0grpcevents.Monitor)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	guard := newGuard(t, quietFeed{}, issuer)
	go func() {
		defer close(done)
		_ = auth0grpcevents.Follow(ctx, guard, auth0grpcevents.Config{
			TokenSource: new(countingSource), HTTPClient: &http.Client{Transport: api}, Monitor: monitor, Logger: new(syncBuffer).logger(),
		})
	}()
	t.Cleanup(func() { cancel(); reader.CloseWithError(io.EOF); <-done })
	send := func(from, to int) {
		for i := from; i < to; i++ {
			text := strings.Replace(sse(fmt.Sprint("offset-", i), fmt.Sprint("auth0|", i%users)), "evt_1", fmt.Sprint("evt_", i), 1)
			switch i % 10 {
			case 7: // an unknown type
				text = strings.Replace(text, `"type":"user.updated"`, fmt.Sprintf(`"type":"unknown.%d"`, i), 1)
			case 8: // malformed, each in another way
				text = strings.Replace(text, `"user_id"`, fmt.Sprintf(`"user_id_%d"`, i), 1)
			case 9: // of another tenant
				text = strings.ReplaceAll(text, "test-tenant", fmt.Sprint("tenant-", i))
			}
			if _, err := writer.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "all events are handled", func() bool {
			stats := monitor.Stats()
			return stats.Revoked+stats.Unknown+stats.Malformed+stats.OtherTenant == uint64(to)
		})
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	send(0, warm)
	before := heap()
	send(warm, warm+events)
	growth := int64(heap()) - int64(before)
	t.Logf("%d events: the heap has grown by %d KiB", events, growth>>10)
	if growth > 2<<20 {
		t.Errorf("the heap has grown by %d KiB, want less than 2 MiB", growth>>10)
	}
}
