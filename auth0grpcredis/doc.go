// Package auth0grpcredis lets the replicas of a service share, through Redis or
// Valkey, what package auth0grpc otherwise keeps in one process: which tokens
// were revoked ([RevocationFeed]) and which DPoP proofs were used
// ([ReplayStore]).
//
//	client := redis.NewClient(&redis.Options{
//		Addr:                  "redis:6379",
//		ContextTimeoutEnabled: true, // without it, no time-out of ours would be kept
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
// The store is Config.DPoP.ReplayStore.
//
// # What Redis is trusted with
//
// Whoever can write to the stream can refuse anybody, and whoever can delete
// keys can have a proof accepted twice: give the service a Redis user of its own
// and TLS. The commands are XADD, XTRIM, XREAD and XRANGE on the stream, and SET on
// keys with the prefix. Neither tokens nor ids of proofs get there; subjects, clients,
// organizations and token ids of revocations do.
//
// Both need Redis 6.2 or later, a maxmemory-policy of noeviction (an evicted key
// is a proof that can be replayed, an evicted stream a revocation that no new
// replica hears of) and a client that reads from the primary, which is go-redis's
// default. What a failover loses, as replication is asynchronous, is lost here
// as well: RevocationFeed reports it, ReplayStore cannot.
package auth0grpcredis
