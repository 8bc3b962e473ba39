package auth0grpcredis_test

import (
	"context"
	"errors"
	"expvar"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
	"github.com/auth0grpc/auth0grpc/auth0grpcredis"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
)

// A server whose replicas share revocations and used proofs.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	client := redis.NewClient(&redis.Options{
		Addr:                  "redis:6379",
		ContextTimeoutEnabled: true, // required
	})
	defer client.Close()
	feed, err := auth0grpcredis.NewRevocationFeed(client, auth0grpcredis.FeedConfig{})
	if err != nil {
		log.Fatal(err)
	}
	store, err := auth0grpcredis.NewReplayStore(client, auth0grpcredis.ReplayConfig{})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:        []string{"https://TENANT.eu.auth0.com/"},
		Audiences:      []string{"https://api.example.com"},
		Methods:        map[string]auth0grpc.Rule{"/orders.v1.Orders/*": auth0grpc.Scopes("read:orders")},
		RevocationFeed: feed,
		DPoP: auth0grpc.DPoPConfig{
			Mode:        auth0grpc.BindingAllowed,
			Authorities: []string{"https://api.example.com"},
			ReplayStore: store,
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	// Redis down is no reason not to start; say for how long to try.
	go guard.FollowRevocations(ctx)
	patience, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := feed.Ready(patience); err != nil {
		log.Print("started without the revocations of other replicas: ", err)
	}

	server := grpc.NewServer(guard.ServerOptions()...)
	listener, err := net.Listen("tcp", ":50051")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		<-ctx.Done()
		server.GracefulStop()
	}()
	if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		log.Fatal(err)
	}
}

// Calls with DPoP go on while Redis is down, at the price of replays.
func ExampleNewReplayStore_failOpen() {
	client := redis.NewClient(&redis.Options{Addr: "redis:6379", ContextTimeoutEnabled: true})
	defer client.Close()
	store, err := auth0grpcredis.NewReplayStore(client, auth0grpcredis.ReplayConfig{
		Timeout:          50 * time.Millisecond,
		InsecureFailOpen: true,
		OnFailOpen: func(ctx context.Context, err error) {
			log.Print("a proof was not checked for replay: ", err) // better: count it
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = auth0grpc.DPoPConfig{Mode: auth0grpc.BindingRequired, Authorities: []string{"https://api.example.com"}, ReplayStore: store}
}

// The state of a feed, for metrics and an alert: while Redis is unavailable, Follow
// retries, and the server uses the revocations that it knows.
func ExampleRevocationFeed_Stats() {
	client := redis.NewClient(&redis.Options{Addr: "redis:6379", ContextTimeoutEnabled: true})
	defer client.Close()
	feed, err := auth0grpcredis.NewRevocationFeed(client, auth0grpcredis.FeedConfig{})
	if err != nil {
		log.Fatal(err)
	}
	expvar.Publish("revocations", expvar.Func(func() any {
		stats := feed.Stats()
		return map[string]any{
			"connected":   stats.Connected,
			"lag_seconds": stats.Lag.Seconds(), // alert above 30
			"last_entry":  stats.LastEntry,
			"entries":     stats.Entries,
			"gaps":        stats.Gaps, // alert if it grows
			"trim_failed": stats.TrimError != nil,
		}
	}))
}

// The replicas of a service elect one that follows the events of the tenant.
func ExampleRevocationFeed_EventStore() {
	client := redis.NewClient(&redis.Options{Addr: "redis:6379", ContextTimeoutEnabled: true})
	defer client.Close()
	feed, err := auth0grpcredis.NewRevocationFeed(client, auth0grpcredis.FeedConfig{})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:        []string{"https://example.eu.auth0.com/"},
		Audiences:      []string{"https://api.example.com"},
		Methods:        map[string]auth0grpc.Rule{"/orders.v1.Orders/*": auth0grpc.Scopes("read:orders")},
		RevocationFeed: feed,
	})
	if err != nil {
		log.Fatal(err)
	}
	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
		Issuer:       "https://example.eu.auth0.com/",
		ClientID:     os.Getenv("EVENTS_CLIENT_ID"),
		ClientSecret: os.Getenv("EVENTS_CLIENT_SECRET"),
		Audience:     "https://example.eu.auth0.com/api/v2/",
		Scopes:       []string{"read:events"},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go guard.FollowRevocations(ctx)
	err = auth0grpcevents.Follow(ctx, guard, auth0grpcevents.Config{TokenSource: creds, Store: feed.EventStore()})
	log.Print("the events of the tenant are not followed any more: ", err)
}
