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

// sharedStoreFaults are the values of the feed and the replay store that do not go
// with those of the Config: a feed that forgets a revocation while a token that it
// covers can still be accepted, and a store that forgets a proof likewise.
func (c *Config) sharedStoreFaults() (faults []*ConfigError) {
	if feed, ok := c.RevocationFeed.(lifetimeFeed); ok && feed.MaxTokenLifetime() < c.MaxTokenLifetime {
		faults = append(faults, &ConfigError{"RevocationFeed", feed.MaxTokenLifetime().String(),
			"its MaxTokenLifetime is below the Config's " + c.MaxTokenLifetime.String()})
	}
	if store, ok := c.DPoP.ReplayStore.(skewStore); ok && store.ClockSkew() < c.ClockSkew {
		faults = append(faults, &ConfigError{"DPoP.ReplayStore", store.ClockSkew().String(),
			"its ClockSkew is below the Config's " + c.ClockSkew.String()})
	}
	return faults
}

// publish hands a revocation to the feed. now reports whether its IssuedBefore was
// read from the clock of this server.
func (i *Interceptor) publish(ctx context.Context, r Revocation, now bool) error {
	if feed, ok := i.feed.(nowPublisher); ok && now {
		return feed.PublishNow(ctx, r)
	}
	return i.feed.Publish(ctx, r)
}
