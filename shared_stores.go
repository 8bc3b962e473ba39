package auth0grpc

import (
	"context"
	"time"
)

// A RevocationFeed or ReplayStore may have one of these methods. Module
// auth0grpcredis has all of them.
type (
	// lifetimeFeed is a feed that states how long it keeps a revocation.
	lifetimeFeed interface{ MaxTokenLifetime() time.Duration }
	// skewStore is a store that states the clock difference that it allows for.
	skewStore interface{ ClockSkew() time.Duration }
	// nowPublisher is a feed that corrects an IssuedBefore that was read from the
	// clock of this server. The clocks of the replicas may differ.
	nowPublisher interface {
		PublishNow(ctx context.Context, r Revocation) error
	}
)

// publishRevocation publishes r to the feed. untilNow reports whether its
// IssuedBefore was read from the clock of this server.
func publishRevocation(ctx context.Context, feed RevocationFeed, r Revocation, untilNow bool) error {
	if corrects, ok := feed.(nowPublisher); ok && untilNow {
		return corrects.PublishNow(ctx, r)
	}
	return feed.Publish(ctx, r)
}
