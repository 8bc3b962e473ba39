// Package auth0grpcredis lets the replicas of a service share, through Redis or Valkey,
// the revoked tokens ([RevocationFeed]) and the used DPoP proofs ([ReplayStore]).
//
//	client := redis.NewClient(&redis.Options{
//		Addr:                  "redis:6379",
//		ContextTimeoutEnabled: true, // required: otherwise go-redis ignores our time-outs
//	})
//	feed, err := auth0grpcredis.NewRevocationFeed(client, auth0grpcredis.FeedConfig{})
//	…
//	guard, err := auth0grpc.New(auth0grpc.Config{
//		RevocationFeed: feed,
//		…
//	})
//	…
//	go guard.FollowRevocations(ctx)
//	err = feed.Ready(ctx) // before the server takes calls
//
// The store is set as Config.DPoP.ReplayStore.
//
// # Trust in Redis
//
// A writer to the stream can refuse every caller, and a user that can delete keys can
// have a proof accepted twice. Give the service its own Redis user, and use TLS. Tokens
// and ids of proofs are never sent to Redis. The subjects, clients, organizations and
// token ids of revocations are.
//
// Both types need Redis 6.2 or later, a maxmemory-policy of noeviction, and a client
// that reads from the primary, which is go-redis's default. An evicted proof can be
// used again, and a new replica does not know an evicted revocation. Replication is
// asynchronous, so a failover can lose entries. A RevocationFeed notices that and
// publishes them again; a ReplayStore cannot.
//
// The page docs/redis.md of the repository lists the rights that the user needs, the
// settings for a Cluster and Sentinel, sizes, alerts, and the losses in each kind of
// outage.
package auth0grpcredis
