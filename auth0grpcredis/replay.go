package auth0grpcredis

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/units"
	"github.com/redis/go-redis/v9"
)

const (
	defaultPrefix        = "auth0grpc:replay:"
	defaultReplayTimeout = 250 * time.Millisecond
	maxClockSkew         = 5 * time.Minute // the most that auth0grpc.Config allows

	// connectFactor is how many times ReplayConfig.Timeout a command may go on after
	// its caller has given up. A new connection takes up to seven round trips until
	// it can serve a command: TCP, TLS, HELLO and the commands of go-redis itself.
	connectFactor = 8

	maxRecordLifetime = 10 * 365 * 24 * time.Hour // so that no sum overflows
)

// ReplayConfig configures a [ReplayStore]. Every field has a default.
type ReplayConfig struct {
	// Prefix begins every key. Services that do not share a DPoP authority need not
	// share it. Default "auth0grpc:replay:".
	Prefix string

	// Timeout is how long a use may take, retries of the client included. While
	// Redis hangs, it is added to every call. It must exceed the round trip to
	// Redis. Connections are established outside of it. Default 250 milliseconds.
	Timeout time.Duration

	// ClockSkew is how far the clock of a replica may be off, in either direction.
	// A record outlives its proof by twice as much, because two replicas can be off
	// in opposite directions. [auth0grpc.New] refuses a store whose ClockSkew is
	// below its own. Default 5 minutes, the most that [auth0grpc.Config] allows.
	ClockSkew time.Duration

	// InsecureFailOpen accepts every proof while Redis is unavailable, slow, full or
	// refuses the command. An attacker who has seen a proof can then use it again
	// until it expires. By default such calls are refused.
	InsecureFailOpen bool

	// OnFailOpen is called for every use that InsecureFailOpen accepts, on the
	// goroutine of the call. Default: one warning to [slog.Default] per outage.
	OnFailOpen func(context.Context, error)

	// Now is the clock. Default [time.Now].
	Now func() time.Time
}

// A ReplayStore remembers, for all replicas that share a Redis, which DPoP proofs
// were used (RFC 9449, section 11.1). It is safe for concurrent use.
type ReplayStore struct {
	link        *link
	prefix      string
	timeout     time.Duration
	clockSkew   time.Duration
	failOpen    bool
	onFailOpen  func(context.Context, error)
	now         func() time.Time
	failingOpen atomic.Bool // the last use failed open
}

var _ auth0grpc.ReplayStore = (*ReplayStore)(nil)

// NewReplayStore returns a store, or all errors of its arguments at once. It does
// no I/O and starts no goroutine. The client remains the caller's to close. It
// must be as for [NewRevocationFeed].
func NewReplayStore(client redis.UniversalClient, config ReplayConfig) (*ReplayStore, error) {
	link, err := newLink(client)
	errs := []error{err}
	if config.Prefix == "" {
		config.Prefix = defaultPrefix
	}
	if config.Timeout == 0 {
		config.Timeout = defaultReplayTimeout
	} else if config.Timeout < 0 {
		errs = append(errs, fmt.Errorf("auth0grpcredis: ReplayConfig.Timeout: %v: want more than 0", config.Timeout))
	} else if reason := units.TooShort(config.Timeout, time.Millisecond); reason != "" {
		errs = append(errs, fmt.Errorf("auth0grpcredis: ReplayConfig.Timeout: %v: %s", config.Timeout, reason))
	}
	if config.ClockSkew == 0 {
		config.ClockSkew = maxClockSkew
	} else if config.ClockSkew < 0 || config.ClockSkew > maxClockSkew {
		errs = append(errs, fmt.Errorf("auth0grpcredis: ReplayConfig.ClockSkew: %v: want more than 0 and at most %v", config.ClockSkew, maxClockSkew))
	} else if reason := units.TooShort(config.ClockSkew, time.Millisecond); reason != "" {
		errs = append(errs, fmt.Errorf("auth0grpcredis: ReplayConfig.ClockSkew: %v: %s", config.ClockSkew, reason))
	}
	if config.OnFailOpen != nil && !config.InsecureFailOpen {
		errs = append(errs, errors.New("auth0grpcredis: ReplayConfig.OnFailOpen: would never be called; want InsecureFailOpen as well, or neither"))
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &ReplayStore{
		link: link, prefix: config.Prefix, timeout: config.Timeout, clockSkew: config.ClockSkew, now: config.Now,
		failOpen: config.InsecureFailOpen, onFailOpen: config.OnFailOpen,
	}, nil
}

// ClockSkew returns ReplayConfig.ClockSkew. [auth0grpc.New] compares it with its
// own.
func (s *ReplayStore) ClockSkew() time.Duration { return s.clockSkew }

var errSlow = errors.New("no answer in time")

// Use records id until the instant until and reports whether this is its first
// use in any replica, by one round trip. A use whose time has passed is not. Redis
// receives a hash of id alone.
//
// If Redis does not answer in time, first is false and the error is not nil. With
// InsecureFailOpen, first is true and the error nil, unless ctx ended. A use that
// Redis recorded and whose answer was lost or late counts: the next use of the
// proof is refused.
func (s *ReplayStore) Use(ctx context.Context, id string, until time.Time) (first bool, err error) {
	lifetime := until.Sub(s.now())
	if lifetime < 0 {
		return false, nil
	}
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("auth0grpcredis: replay store: %w", err)
	}
	first, err = s.record(ctx, s.key(id), min(lifetime, maxRecordLifetime)+2*s.clockSkew)
	switch {
	case err == nil:
		s.failingOpen.Store(false)
		return first, nil
	case ctx.Err() != nil || !s.failOpen:
		// The caller's deadline is the client's to choose (grpc-timeout). If the store
		// opened at that, a replayed proof would need no more than haste.
		return false, fmt.Errorf("auth0grpcredis: replay store: %w", err)
	}
	s.reportFailOpen(ctx, err)
	return true, nil
}

// record sets a key and reports whether it was new. It gives up after the timeout
// or with ctx. The command then goes on for a while: it may be establishing a
// connection, which go-redis does within the deadline of the command. If that
// ended with the call, no connection would ever be ready at a distance, and each
// call would dial another one.
//
// A command first takes a place, of which there are as many as connections. So
// commands that were given up are few, and each has all its time for its
// connection instead of waiting for one. The wait for a place takes at most half
// the timeout, so an overload leaves time for the command itself.
func (s *ReplayStore) record(ctx context.Context, key string, lifetime time.Duration) (first bool, err error) {
	timer := time.NewTimer(s.timeout)
	defer timer.Stop()
	release, err := s.takePlace(ctx, key)
	if err != nil {
		return false, err
	}
	type outcome struct {
		first bool
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		defer release()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectFactor*s.timeout)
		defer cancel()
		first, err := s.link.client.SetNX(ctx, key, 1, lifetime).Result()
		s.link.failed(err)
		done <- outcome{first, err}
	}()
	select {
	case o := <-done:
		return o.first, o.err
	case <-ctx.Done():
		return false, ctx.Err()
	case <-timer.C:
		s.link.failed(errSlow)
		return false, errSlow
	}
}

// takePlace waits for a place at the server that holds a key.
func (s *ReplayStore) takePlace(ctx context.Context, key string) (release func(), err error) {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, s.timeout/2)
	defer cancel()
	places, err := s.link.places(ctx, key)
	if err == nil {
		select {
		case places <- struct{}{}:
			return func() { <-places }, nil
		case <-ctx.Done():
			err = errSlow
		}
	}
	if caller.Err() != nil {
		return nil, caller.Err()
	}
	s.link.failed(err)
	return nil, err
}

// key hashes the id, which a client made up. So neither its length nor its bytes
// matter to Redis, and a reader of the keys learns nothing that could be used.
func (s *ReplayStore) key(id string) string {
	sum := sha256.Sum256([]byte(id))
	return s.prefix + base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s *ReplayStore) reportFailOpen(ctx context.Context, err error) {
	if s.onFailOpen != nil {
		s.onFailOpen(ctx, err)
		return
	}
	if !s.failingOpen.Swap(true) {
		slog.WarnContext(ctx, "auth0grpcredis: the replay store fails open: proofs can be used again", "error", err)
	}
}
