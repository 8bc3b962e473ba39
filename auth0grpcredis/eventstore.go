package auth0grpcredis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
	"github.com/redis/go-redis/v9"
)

// EventStore returns a store for auth0grpcevents.Config.Store: the offset of the last
// event of each tenant, and the leader among the processes that share the stream of the
// feed. Each call returns another candidate for the leadership: use one per process. It
// does no I/O. The errors and time-outs are as for [RevocationFeed.Publish].
//
// The store is a hash beside the stream, in the same slot of a Cluster. So a server that
// has an offset has the revocations of the earlier events as well, also after a failover.
// It needs the additional rights in docs/redis.md.
func (f *RevocationFeed) EventStore() auth0grpcevents.Store {
	return &eventStore{link: f.link, stream: f.stream, timeout: f.timeout, owner: rand.Text()}
}

// An eventStore is the store of one process.
type eventStore struct {
	link    *link
	stream  string
	timeout time.Duration
	owner   string // this store, random
}

// The scripts use the clock of the server. The owner of a lease is compared as well as
// the term: a failover can lose the last terms, and one number could then stand for two
// leaders.
var (
	// leadScript takes or renews a lease and returns the term, or 0. A lease that ends
	// far ahead is from before a clock was set back, and does not count.
	leadScript = redis.NewScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = tonumber(ARGV[2])
local held = redis.call('HMGET', KEYS[1], 'owner', 'until', 'term')
local left = (tonumber(held[2] or '0') or 0) - now
local term = tonumber(held[3] or '0') or 0
if held[1] ~= ARGV[1] then
  if left > 0 and left <= 2 * lease then return 0 end
  term = term + 1
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', string.format('%.0f', now + lease), 'term', string.format('%.0f', term))
return term`)

	resignScript = redis.NewScript(`
local held = redis.call('HMGET', KEYS[1], 'owner', 'term')
if held[1] == ARGV[1] and held[2] == ARGV[2] then redis.call('HSET', KEYS[1], 'owner', '', 'until', '0') end
return 1`)

	// saveScript returns 0 to a process that does not lead any more.
	saveScript = redis.NewScript(`
local held = redis.call('HMGET', KEYS[1], 'owner', 'term')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'offset', ARGV[3])
return 1`)
)

// Lead makes this process the leader for the duration of the lease, renews its lease, or
// returns 0 if another process leads.
func (s *eventStore) Lead(ctx context.Context, tenant string, lease time.Duration) (term uint64, err error) {
	n, err := s.run(ctx, leadScript, tenant, s.owner, max(1, lease.Milliseconds()))
	if err != nil {
		return 0, fmt.Errorf("auth0grpcredis: event store: lead: %w", err)
	}
	return uint64(n), nil
}

// Resign ends the lease of this process in that term.
func (s *eventStore) Resign(ctx context.Context, tenant string, term uint64) error {
	if _, err := s.run(ctx, resignScript, tenant, s.owner, term); err != nil {
		return fmt.Errorf("auth0grpcredis: event store: resign: %w", err)
	}
	return nil
}

// Load returns the offset that was saved last, or "".
func (s *eventStore) Load(ctx context.Context, tenant string) (offset string, err error) {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	offset, err = s.link.client.HGet(ctx, s.key(tenant), "offset").Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		if caller.Err() == nil {
			s.link.failed(err)
		}
		return "", fmt.Errorf("auth0grpcredis: event store: load: %w", err)
	}
	return offset, nil
}

// Save stores an offset for the leader of that term. The error wraps
// [auth0grpcevents.ErrNotLeader] if this process does not lead any more.
func (s *eventStore) Save(ctx context.Context, tenant string, term uint64, offset string) error {
	saved, err := s.run(ctx, saveScript, tenant, s.owner, term, offset)
	if err != nil {
		return fmt.Errorf("auth0grpcredis: event store: save: %w", err)
	}
	if saved == 0 {
		return fmt.Errorf("auth0grpcredis: event store: save: %w", auth0grpcevents.ErrNotLeader)
	}
	return nil
}

// run runs a script on the hash of a tenant.
func (s *eventStore) run(ctx context.Context, script *redis.Script, tenant string, args ...any) (int64, error) {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	n, err := script.Run(ctx, s.link.client, []string{s.key(tenant)}, args...).Int64()
	if err != nil && caller.Err() == nil {
		s.link.failed(err)
	}
	return n, err
}

// key returns the key of a tenant, in the slot of the stream: the hash tag of the key is
// the key of the stream, or the hash tag that this has.
func (s *eventStore) key(tenant string) string {
	if hasHashTag(s.stream) {
		return s.stream + ":events:" + tenant
	}
	return "{" + s.stream + "}:events:" + tenant
}

// hasHashTag reports whether a Cluster finds the slot of a key by a part of it (Redis
// Cluster specification, "Hash tags"). No key has a closing brace in its hash tag, so
// none shares the slot of another name with one.
func hasHashTag(key string) bool {
	_, after, found := strings.Cut(key, "{")
	return found && strings.Index(after, "}") > 0
}
