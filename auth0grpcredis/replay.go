package auth0grpcredis

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/redis/go-redis/v9"
)

const (
	defaultPrefix        = "auth0grpc:replay:"
	defaultReplayTimeout = 100 * time.Millisecond
)

// replayMargin is how far the clocks of two replicas may differ: by so much a
// record outlives the proof by the clock of whoever made the record.
const replayMargin = time.Minute

// ReplayConfig says how a ReplayStore goes about it. Every field has a default.
type ReplayConfig struct {
	// Prefix begins every key. Services that do not share a DPoP authority need not
	// share it. Default "auth0grpc:replay:".
	Prefix string

	// Timeout is how long a use may take, retries of the client included; it is
	// added to every call while Redis hangs. Default 100 milliseconds.
	Timeout time.Duration

	// InsecureFailOpen takes every proof for its first use while Redis does not do
	// its part, be it out of reach, slow, full or closed to this client: whoever
	// has seen a proof can then use it again until it expires. By default such
	// calls are refused.
	InsecureFailOpen bool

	// OnFailOpen is told of every use that InsecureFailOpen let pass, on the
	// goroutine of the call. Default: slog.Default() is warned once per outage.
	OnFailOpen func(context.Context, error)

	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// A ReplayStore remembers, for all replicas that share a Redis, which DPoP proofs
// were used (RFC 9449, section 11.1). It is safe for concurrent use.
type ReplayStore struct {
	client     redis.UniversalClient
	prefix     string
	timeout    time.Duration
	failOpen   bool
	onFailOpen func(context.Context, error)
	now        func() time.Time
	open       atomic.Bool // the last use failed open
}

var _ auth0grpc.ReplayStore = (*ReplayStore)(nil)

// NewReplayStore returns a store, or every fault of its arguments at once. It
// does no I/O and starts no goroutine. The client remains the caller's to close
// and must have ContextTimeoutEnabled.
func NewReplayStore(client redis.UniversalClient, config ReplayConfig) (*ReplayStore, error) {
	faults := []error{checkClient(client)}
	if config.Prefix == "" {
		config.Prefix = defaultPrefix
	}
	if config.Timeout == 0 {
		config.Timeout = defaultReplayTimeout
	} else if config.Timeout < 0 {
		faults = append(faults, fmt.Errorf("auth0grpcredis: ReplayConfig.Timeout: %v: want more than 0", config.Timeout))
	}
	if config.OnFailOpen != nil && !config.InsecureFailOpen {
		faults = append(faults, errors.New("auth0grpcredis: ReplayConfig.OnFailOpen: would never be called; want InsecureFailOpen as well, or neither"))
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &ReplayStore{
		client: client, prefix: config.Prefix, timeout: config.Timeout, now: config.Now,
		failOpen: config.InsecureFailOpen, onFailOpen: config.OnFailOpen,
	}, nil
}

// Use records id until the instant until and reports whether this is its first
// use in any replica, by one round trip. A use whose time has passed is not. Redis
// sees a hash of id alone.
//
// When Redis does not do that in time, first is false and the error says why; with
// InsecureFailOpen, first is true and the error nil, unless it was ctx that ended.
// A use that Redis recorded and whose answer was lost counts: the proof is refused
// when the client of Redis, or the caller, tries again.
func (s *ReplayStore) Use(ctx context.Context, id string, until time.Time) (first bool, err error) {
	life := until.Sub(s.now())
	if life < 0 {
		return false, nil
	}
	mine := time.Now().Add(s.timeout)
	bounded, cancel := context.WithDeadline(ctx, mine)
	defer cancel()
	first, err = s.client.SetNX(bounded, s.key(id), 1, life+replayMargin).Result()
	if err == nil {
		s.open.Store(false)
		return first, nil
	}
	deadline, _ := bounded.Deadline()
	if !s.failOpen || ctx.Err() != nil || deadline.Before(mine) && isTimeout(err) {
		// The caller's deadline is the client's to choose (grpc-timeout): were the
		// store to open at that, a replayed proof would need no more than haste.
		return false, fmt.Errorf("auth0grpcredis: replay store: %w", err)
	}
	s.reportOpen(ctx, err)
	return true, nil
}

// key hashes the id, which a client made up: neither its length nor its bytes
// matter to Redis then, and what can read keys learns nothing that could be used.
func (s *ReplayStore) key(id string) string {
	sum := sha256.Sum256([]byte(id))
	return s.prefix + base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s *ReplayStore) reportOpen(ctx context.Context, err error) {
	if s.onFailOpen != nil {
		s.onFailOpen(ctx, err)
		return
	}
	if !s.open.Swap(true) {
		slog.WarnContext(ctx, "auth0grpcredis: the replay store fails open: proofs can be used again", "error", err)
	}
}

// isTimeout reports whether a deadline was the cause, that of a context or of a
// connection.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
