package auth0grpcevents

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A Store keeps, for each tenant, the offset of the last event and the leader of a
// fleet. Its methods are safe for concurrent use. [NewMemoryStore] returns one for a
// single process; module auth0grpcredis has one in Redis.
//
// A store that outlives the process requires an auth0grpc.RevocationFeed that does so
// too. After a restart, Follow continues after the stored offset, and the revocations
// of earlier events must come from the feed.
type Store interface {
	// Lead makes this process the leader for the duration of the lease, or renews the
	// lease of the leader. It returns the term, a number that grows with every change
	// of the leader, or 0 if another process leads.
	Lead(ctx context.Context, tenant string, lease time.Duration) (term uint64, err error)

	// Resign ends the lease of this process, so that another one can lead at once. It
	// does nothing if this process does not lead in that term.
	Resign(ctx context.Context, tenant string, term uint64) error

	// Load returns the offset that was saved last, or "" if there is none.
	Load(ctx context.Context, tenant string) (offset string, err error)

	// Save stores an offset of at most 1024 bytes. It returns an error that wraps [ErrNotLeader], and stores nothing, if this process
	// is not the leader of that term any more.
	Save(ctx context.Context, tenant string, term uint64, offset string) error
}

// ErrNotLeader is the error of [Store.Save] in a process that does not lead any more.
var ErrNotLeader = errors.New("auth0grpcevents: this process does not lead any more")

// NewMemoryStore returns a [Store] for one process, which always leads. It is empty after
// a restart, and Follow then reads the events of the last Config.MaxTokenLifetime again.
func NewMemoryStore() Store { return &memoryStore{offsets: map[string]string{}} }

type memoryStore struct {
	mu      sync.Mutex
	offsets map[string]string // by tenant
}

func (*memoryStore) Lead(context.Context, string, time.Duration) (term uint64, err error) {
	return 1, nil
}

func (*memoryStore) Resign(context.Context, string, uint64) error { return nil }

func (s *memoryStore) Load(_ context.Context, tenant string) (offset string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offsets[tenant], nil
}

func (s *memoryStore) Save(_ context.Context, tenant string, _ uint64, offset string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offsets[tenant] = offset
	return nil
}
