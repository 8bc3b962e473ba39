package auth0grpcredis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/redis/go-redis/v9"
)

const (
	defaultStream  = "auth0grpc:revocations"
	defaultLife    = 24 * time.Hour // as in auth0grpc.Config.MaxTokenLifetime
	defaultTimeout = time.Second
)

// margin is how far ahead an IssuedBefore may be. It is also how far the clocks
// of Redis and of all replicas may differ, ClockSkew included, before an entry is
// trimmed that could still match a token. Both together cost two hours' entries.
const margin = time.Hour

// FeedConfig says where a RevocationFeed keeps what. Every field has a default.
type FeedConfig struct {
	// Stream is the key of the stream, the same in all replicas. Services that do
	// not share their tokens should not share it. Default "auth0grpc:revocations".
	Stream string

	// MaxTokenLifetime is the longest life of a token, as in auth0grpc.Config: how long
	// the stream keeps a revocation. The same in all replicas, as each of them
	// trims the stream when it publishes. Default 24 hours.
	MaxTokenLifetime time.Duration

	// Timeout is how long one command may take, retries of the client included; a
	// read that waits for news may take half a second longer. Default 1 second.
	Timeout time.Duration

	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// A RevocationFeed is an auth0grpc.RevocationFeed on a Redis stream. Every
// replica reads all of it: there are no consumer groups, and nothing is stored
// per replica. Its methods are safe for concurrent use.
type RevocationFeed struct {
	client  redis.UniversalClient
	stream  string
	life    time.Duration
	timeout time.Duration
	now     func() time.Time

	caughtUp chan struct{} // closed when a Follow has caught up for the first time
	once     sync.Once
}

var _ auth0grpc.RevocationFeed = (*RevocationFeed)(nil)

// NewRevocationFeed returns a feed, or every fault of its arguments at once. It
// does no I/O and starts no goroutine. The client remains the caller's to close;
// it must have ContextTimeoutEnabled, and each Follow keeps one connection of its
// pool busy.
func NewRevocationFeed(client redis.UniversalClient, config FeedConfig) (*RevocationFeed, error) {
	faults := []error{checkClient(client)}
	if config.Stream == "" {
		config.Stream = defaultStream
	}
	if config.MaxTokenLifetime == 0 {
		config.MaxTokenLifetime = defaultLife
	} else if config.MaxTokenLifetime < 0 {
		faults = append(faults, fmt.Errorf("auth0grpcredis: FeedConfig.MaxTokenLifetime: %v: want more than 0", config.MaxTokenLifetime))
	}
	if config.Timeout == 0 {
		config.Timeout = defaultTimeout
	} else if config.Timeout < 0 {
		faults = append(faults, fmt.Errorf("auth0grpcredis: FeedConfig.Timeout: %v: want more than 0", config.Timeout))
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &RevocationFeed{
		client: client, stream: config.Stream, life: config.MaxTokenLifetime, timeout: config.Timeout, now: config.Now,
		caughtUp: make(chan struct{}),
	}, nil
}

var (
	errEmpty  = errors.New("auth0grpcredis: a revocation without any field would match every token; set IssuedBefore if that is meant")
	errFuture = fmt.Errorf("auth0grpcredis: IssuedBefore is more than %v ahead; the stream would forget it too early", margin)
)

// Publish appends a revocation to the stream and cuts off what can match no token
// any more. With an error, Redis may have it or not; publishing it again is
// harmless. A zero IssuedBefore means now; one more than an hour ahead is an
// error, as is the zero Revocation.
func (f *RevocationFeed) Publish(ctx context.Context, r auth0grpc.Revocation) error {
	now := f.now()
	switch {
	case r == (auth0grpc.Revocation{}):
		return errEmpty
	case r.IssuedBefore.IsZero():
		r.IssuedBefore = now
	case r.IssuedBefore.After(now.Add(margin)):
		return errFuture
	}
	text, err := encode(r)
	if err != nil {
		return fmt.Errorf("auth0grpcredis: publish: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	id, err := f.client.XAdd(ctx, &redis.XAddArgs{Stream: f.stream, Values: []any{version, text}}).Result()
	if err != nil {
		return fmt.Errorf("auth0grpcredis: publish: %w", err)
	}
	f.trim(ctx, id, now)
	return nil
}

// trim cuts off what is too old to match a token when the entry id is new. Its
// error does not matter: the revocation is published, and the next one trims.
//
// The age counts from the earlier of two clocks, Redis's and ours: a clock that is
// a day ahead would trim all, and what others revoked with it. That is why this is
// not a part of XADD, before which nobody knows Redis's clock.
//
// By age and not by number: a number small enough to bound anything could push
// out what is alive. Approximate, as exactness buys nothing here: Redis then drops
// whole nodes of about 100 entries, at next to no cost, and only those in which
// every entry is older. Readers skip what is left.
func (f *RevocationFeed) trim(ctx context.Context, id string, now time.Time) {
	if there := timeOf(id); there.Before(now) {
		now = there
	}
	oldest := strconv.FormatInt(max(0, f.oldest(now).UnixMilli()), 10)
	_ = f.client.XTrimMinIDApprox(ctx, f.stream, oldest, 0).Err()
}

// oldest returns the time of the oldest entry that can still match a token.
//
// An entry's id is the time at Redis when it was added. Its IssuedBefore was at
// most margin ahead then, and Redis's clock is at most margin behind ours.
func (f *RevocationFeed) oldest(now time.Time) time.Time {
	return now.Add(-f.life - 2*margin)
}

// alive reports whether a revocation can still match a token.
func (f *RevocationFeed) alive(r auth0grpc.Revocation, now time.Time) bool {
	return r.IssuedBefore.Add(f.life + margin).After(now)
}
