package auth0grpcredis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/units"
	"github.com/redis/go-redis/v9"
)

const (
	defaultStream        = "auth0grpc:revocations"
	defaultTokenLifetime = 24 * time.Hour // as in auth0grpc.Config.MaxTokenLifetime
	defaultTimeout       = time.Second
)

// clockMargin is how far the clocks of the server and of all replicas may differ,
// ClockSkew included, before an entry is trimmed that could still match a token.
// It costs two hours' entries.
const clockMargin = time.Hour

// maxUnconfirmed bounds the entries that wait to be read back.
const maxUnconfirmed = 10_000

// FeedConfig configures a [RevocationFeed]. Every field has a default.
type FeedConfig struct {
	// Stream is the key of the stream, the same in all replicas. Services that do
	// not share their tokens should not share it. It may have a hash tag ("{name}"), and
	// no other closing brace. Default "auth0grpc:revocations".
	Stream string

	// MaxTokenLifetime is the longest lifetime of a token: how long the stream
	// keeps a revocation. Use the same value in all replicas, as each of them trims
	// the stream. [auth0grpc.New] refuses a feed whose MaxTokenLifetime is below
	// its own. Default 24 hours.
	MaxTokenLifetime time.Duration

	// MinReplicas is how many replicas of the Redis server must confirm a
	// revocation (WAIT) before Publish returns nil. A failover to one of them then
	// keeps it. Default 0: Publish returns when the primary has it.
	MinReplicas int

	// Timeout is how long one command may take, retries of the client included. A
	// read that waits for new entries may take half a second longer. Default 1
	// second.
	Timeout time.Duration

	// Now is the clock. Default [time.Now].
	Now func() time.Time
}

// A RevocationFeed is an [auth0grpc.RevocationFeed] on a Redis stream. Every
// replica reads the whole stream. There are no consumer groups, and Redis stores
// nothing per replica. Its methods are safe for concurrent use.
type RevocationFeed struct {
	link        *link
	stream      string
	lifetime    time.Duration
	minReplicas int
	timeout     time.Duration
	now         func() time.Time

	caughtUp     chan struct{} // closed when a Follow has caught up for the first time
	caughtUpOnce sync.Once

	mu          sync.Mutex
	followers   int                              // running calls of Follow
	unconfirmed map[entryID]auth0grpc.Revocation // published here, not yet read back by a Follow
	stats       feedStats
}

var _ auth0grpc.RevocationFeed = (*RevocationFeed)(nil)

// NewRevocationFeed returns a feed, or all errors of its arguments at once. It
// does no I/O and starts no goroutine. The client remains the caller's to close.
// It must be a *redis.Client, also of Sentinel, or a *redis.ClusterClient, with
// ContextTimeoutEnabled and without reads from replicas. A redis.Ring is refused.
// Each Follow keeps one connection of its pool busy.
func NewRevocationFeed(client redis.UniversalClient, config FeedConfig) (*RevocationFeed, error) {
	link, err := newLink(client)
	errs := []error{err}
	if config.Stream == "" {
		config.Stream = defaultStream
	} else if strings.Contains(config.Stream, "}") && !hasHashTag(config.Stream) {
		errs = append(errs, fmt.Errorf("auth0grpcredis: FeedConfig.Stream: %q: want braces only as a hash tag, such as {name}, "+
			"so that other keys can share its slot of a Cluster", config.Stream))
	}
	if config.MaxTokenLifetime == 0 {
		config.MaxTokenLifetime = defaultTokenLifetime
	} else if config.MaxTokenLifetime < 0 {
		errs = append(errs, fmt.Errorf("auth0grpcredis: FeedConfig.MaxTokenLifetime: %v: want more than 0", config.MaxTokenLifetime))
	} else if reason := units.TooShort(config.MaxTokenLifetime, time.Second); reason != "" {
		errs = append(errs, fmt.Errorf("auth0grpcredis: FeedConfig.MaxTokenLifetime: %v: %s", config.MaxTokenLifetime, reason))
	}
	if config.MinReplicas < 0 {
		errs = append(errs, fmt.Errorf("auth0grpcredis: FeedConfig.MinReplicas: %d: want 0 or more", config.MinReplicas))
	} else if config.MinReplicas > 0 && link != nil && !link.hasPrimary() {
		errs = append(errs, errClientType)
	}
	if config.Timeout == 0 {
		config.Timeout = defaultTimeout
	} else if config.Timeout < 0 {
		errs = append(errs, fmt.Errorf("auth0grpcredis: FeedConfig.Timeout: %v: want more than 0", config.Timeout))
	} else if reason := units.TooShort(config.Timeout, time.Millisecond); reason != "" {
		errs = append(errs, fmt.Errorf("auth0grpcredis: FeedConfig.Timeout: %v: %s", config.Timeout, reason))
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &RevocationFeed{
		link: link, stream: config.Stream, lifetime: config.MaxTokenLifetime, minReplicas: config.MinReplicas,
		timeout: config.Timeout, now: config.Now,
		caughtUp:    make(chan struct{}),
		unconfirmed: map[entryID]auth0grpc.Revocation{},
		stats:       feedStats{complete: time.Now()},
	}, nil
}

// MaxTokenLifetime returns FeedConfig.MaxTokenLifetime. [auth0grpc.New] compares
// it with its own.
func (f *RevocationFeed) MaxTokenLifetime() time.Duration { return f.lifetime }

var (
	errEmpty  = errors.New("auth0grpcredis: a revocation without Subject, ClientID, OrganizationID and TokenID covers every token; set IssuedBefore if that is intended")
	errFuture = fmt.Errorf("auth0grpcredis: IssuedBefore is more than %v ahead", maxAhead)
	errText   = fmt.Errorf("auth0grpcredis: a field of the revocation is not valid UTF-8 or is longer than %d bytes", maxField)
)

// Publish appends a revocation to the stream and trims entries that can match no
// token any more. With an error, Redis may have the revocation or not. Publishing
// it again is harmless.
//
// A zero IssuedBefore means now, by the clock of the server. It is an error if
// IssuedBefore is more than 10 minutes ahead, if a field is longer than 16 KiB or
// not valid UTF-8, and if the revocation would cover every token and has no
// IssuedBefore. With FeedConfig.MinReplicas, it is an error if too few replicas
// confirmed the entry in time.
func (f *RevocationFeed) Publish(ctx context.Context, r auth0grpc.Revocation) error {
	if r.IssuedBefore.IsZero() {
		return f.PublishNow(ctx, r)
	}
	return f.publish(ctx, r, time.Time{})
}

// PublishNow is Publish for a revocation whose IssuedBefore was read from the
// clock of this process, such as now plus the clock skew, or is zero. Followers
// correct it by the difference between this clock and the one of the server. So
// it covers the tokens that exist now, also if this clock is wrong.
func (f *RevocationFeed) PublishNow(ctx context.Context, r auth0grpc.Revocation) error {
	now := f.now()
	if r.IssuedBefore.IsZero() && !coversEverything(r) {
		r.IssuedBefore = now
	}
	return f.publish(ctx, r, now)
}

func coversEverything(r auth0grpc.Revocation) bool {
	return r.Subject == "" && r.ClientID == "" && r.OrganizationID == "" && r.TokenID == ""
}

func (f *RevocationFeed) publish(ctx context.Context, r auth0grpc.Revocation, publishedAt time.Time) error {
	now := f.now()
	switch {
	case r.IssuedBefore.IsZero():
		return errEmpty
	case r.IssuedBefore.After(now.Add(maxAhead)):
		return errFuture
	}
	for _, text := range []string{r.Issuer, r.Subject, r.ClientID, r.OrganizationID, r.TokenID} {
		if !validateText(text) {
			return errText
		}
	}
	text, err := encode(r, publishedAt)
	if err != nil {
		return fmt.Errorf("auth0grpcredis: publish: %w", err)
	}
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	id, err := f.add(ctx, text)
	if redis.IsOOMError(err) {
		// A full server refuses XADD and takes XTRIM: make room, and try once more.
		if f.trim(ctx) == nil {
			id, err = f.add(ctx, text)
		}
	}
	if err != nil {
		if caller.Err() == nil {
			f.link.failed(err)
		}
		return fmt.Errorf("auth0grpcredis: publish: %w", err)
	}
	f.expect(parseEntryID(id), r, publishedAt)
	f.trimAt(ctx, parseEntryID(id).time())
	return nil
}

// add appends an entry, confirmed by MinReplicas replicas.
func (f *RevocationFeed) add(ctx context.Context, text []byte) (string, error) {
	args := &redis.XAddArgs{Stream: f.stream, Values: []any{revocationField, text}}
	if f.minReplicas == 0 {
		return f.link.client.XAdd(ctx, args).Result()
	}
	client, err := f.link.primary(ctx, f.stream)
	if err != nil {
		return "", err
	}
	conn := client.Conn() // WAIT speaks of the writes of its own connection
	defer conn.Close()
	id, err := conn.XAdd(ctx, args).Result()
	if err != nil {
		return "", err
	}
	deadline, _ := ctx.Deadline()
	patience := max(time.Until(deadline)*3/4, time.Millisecond) // 0 would mean without end
	confirmed, err := conn.Wait(ctx, f.minReplicas, patience).Result()
	if err != nil {
		return "", err
	}
	if int(confirmed) < f.minReplicas {
		return "", fmt.Errorf("entry %s: confirmed by %d replicas in time, want %d", id, confirmed, f.minReplicas)
	}
	return id, nil
}

// expect notes an entry that a Follow of this feed should read. If it does not, a
// failover has lost the entry before any replica read it.
func (f *RevocationFeed) expect(id entryID, r auth0grpc.Revocation, publishedAt time.Time) {
	r.IssuedBefore = correctClock(r.IssuedBefore, publishedAt, id.time(), f.now())
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followers > 0 && len(f.unconfirmed) < maxUnconfirmed {
		f.unconfirmed[id] = r
	}
}

// trim cuts off the entries that can match no token any more. The result is also
// in Stats.
func (f *RevocationFeed) trim(ctx context.Context) error {
	serverTime, err := f.link.serverTime(ctx, f.stream)
	if err != nil {
		return f.trimmed(err)
	}
	return f.trimAt(ctx, serverTime)
}

// trimAt is trim for the given clock of the server.
//
// The age counts from the earlier of two clocks, the server's and ours: a clock
// that is a day ahead would trim all entries, of all replicas.
//
// It trims by age and not by number: a number small enough to bound anything
// could push out entries that can still match a token. It trims approximately, as
// exactness buys nothing here: the server then drops whole nodes of about 100
// entries, at next to no cost, and only those in which every entry is older.
// Readers skip the rest.
func (f *RevocationFeed) trimAt(ctx context.Context, serverTime time.Time) error {
	now := f.now()
	if serverTime.Before(now) {
		now = serverTime
	}
	oldest := strconv.FormatInt(max(0, f.oldest(now).UnixMilli()), 10)
	return f.trimmed(f.link.client.XTrimMinIDApprox(ctx, f.stream, oldest, 0).Err())
}

// trimmed notes the outcome of a trim and returns it.
func (f *RevocationFeed) trimmed(err error) error {
	if err != nil {
		err = fmt.Errorf("auth0grpcredis: trim: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.trimError = err
	return err
}

// oldest returns the time of the oldest entry that can still match a token.
//
// An entry's id is the time at the server when it was added. Its IssuedBefore was
// at most clockMargin ahead then, and the clock of the server is at most
// clockMargin behind ours.
func (f *RevocationFeed) oldest(now time.Time) time.Time {
	return now.Add(-f.lifetime - 2*clockMargin)
}

// alive reports whether a revocation can still match a token.
func (f *RevocationFeed) alive(r auth0grpc.Revocation, now time.Time) bool {
	return r.IssuedBefore.Add(f.lifetime + clockMargin).After(now)
}
