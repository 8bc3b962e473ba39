package auth0grpc

import (
	"context"
	"time"
)

// A RevocationFeed or ReplayStore may have one of these methods. Module
// auth0grpcredis has all of them.
type (
	// lifetimeFeed says how long a feed keeps a revocation.
	lifetimeFeed interface{ MaxTokenLifetime() time.Duration }
	// skewStore says how far the clocks may be off that a store allows for.
	skewStore interface{ ClockSkew() time.Duration }
	// nowPublisher is a feed that corrects an IssuedBefore that was read from the
	// clock of this server. The clocks of the replicas may differ.
	nowPublisher interface {
		PublishNow(ctx context.Context, r Revocation) error
	}
)

// publish hands a revocation to the feed. now reports whether its IssuedBefore was
// read from the clock of this server.
func (i *Interceptor) publish(ctx context.Context, r Revocation, now bool) error {
	if feed, ok := i.feed.(nowPublisher); ok && now {
		return feed.PublishNow(ctx, r)
	}
	return i.feed.Publish(ctx, r)
}
