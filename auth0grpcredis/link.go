package auth0grpcredis

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	errNilClient    = errors.New("auth0grpcredis: the client is nil")
	errNoDeadlines  = errors.New("auth0grpcredis: the client ignores the deadlines of contexts; set ContextTimeoutEnabled in its options")
	errRing         = errors.New("auth0grpcredis: a redis.Ring moves keys to another shard when one fails and forgets the stored data; use redis.Client or redis.ClusterClient")
	errReplicaReads = errors.New("auth0grpcredis: the client reads from replicas, which lag behind; unset ReadOnly, RouteByLatency and RouteRandomly")
	errClientType   = errors.New("auth0grpcredis: FeedConfig.MinReplicas: want a *redis.Client or a *redis.ClusterClient, as WAIT speaks of its own connection only")
)

const (
	maxRepairs      = 60 // attempts after one failure
	defaultPoolSize = 10 // of a client whose type this package does not know
)

// A link is the connection of a feed or a store to its Redis: the client of the
// caller, and the repairs that go-redis leaves to its user.
//
// go-redis reloads the slot table of a Cluster once a minute or at a MOVED. A
// master that crashed sends none, so every command for its slots would fail for
// up to a minute after the Cluster has recovered. go-redis also keeps idle
// connections whose peer is gone without a FIN or RST (half-open), and finds
// them one command and one time-out after the other.
type link struct {
	client         redis.UniversalClient
	repairTimeout  time.Duration // of one attempt
	repairInterval time.Duration // between two attempts

	mu         sync.Mutex
	repairing  bool
	repairedAt time.Time
	byServer   map[string]chan struct{} // see places
}

// newLink returns a link, or the reason why the client cannot be used. The types
// of other packages pass unexamined.
//
// go-redis ignores the deadlines of contexts unless ContextTimeoutEnabled is set,
// and a Redis that hangs would then hold each call for some 20 seconds.
func newLink(client redis.UniversalClient) (*link, error) {
	if client == nil || reflect.ValueOf(client).Kind() == reflect.Pointer && reflect.ValueOf(client).IsNil() {
		return nil, errNilClient
	}
	switch client := client.(type) {
	case *redis.Client:
		if !client.Options().ContextTimeoutEnabled {
			return nil, errNoDeadlines
		}
	case *redis.ClusterClient:
		options := client.Options()
		if !options.ContextTimeoutEnabled {
			return nil, errNoDeadlines
		}
		if options.ReadOnly {
			return nil, errReplicaReads
		}
	case *redis.Ring:
		return nil, errRing
	}
	return &link{
		client: client, repairTimeout: time.Second, repairInterval: 500 * time.Millisecond,
		byServer: map[string]chan struct{}{},
	}, nil
}

// primary returns the client of the server that holds a key, for the commands
// that name no key or that need one connection.
func (l *link) primary(ctx context.Context, key string) (*redis.Client, error) {
	switch client := l.client.(type) {
	case *redis.Client:
		return client, nil
	case *redis.ClusterClient:
		return client.MasterForKey(ctx, key)
	}
	return nil, errClientType
}

// serverTime returns the clock of the server that holds a key.
func (l *link) serverTime(ctx context.Context, key string) (time.Time, error) {
	if !l.hasPrimary() {
		return l.client.Time(ctx).Result()
	}
	client, err := l.primary(ctx, key)
	if err != nil {
		return time.Time{}, err
	}
	return client.Time(ctx).Result()
}

// places returns a semaphore for the commands of one server, the one that holds a
// key: one place for each connection of its pool, but one that a Follow may keep
// busy. There is one for each server, so a shard that hangs does not take the
// places of the others.
func (l *link) places(ctx context.Context, key string) (chan struct{}, error) {
	address, size := "", defaultPoolSize
	if l.hasPrimary() {
		client, err := l.primary(ctx, key)
		if err != nil {
			return nil, err
		}
		address, size = client.Options().Addr, client.Options().PoolSize
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	places, ok := l.byServer[address]
	if !ok {
		places = make(chan struct{}, max(1, size-1))
		l.byServer[address] = places
	}
	return places, nil
}

// failed starts a repair if err, the outcome of a command, may call for one. It
// does not wait. There is one repair at a time.
func (l *link) failed(err error) {
	if err == nil || !repairable(err) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.repairing || time.Since(l.repairedAt) < l.repairInterval {
		return
	}
	l.repairing = true
	go func() {
		l.repair()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.repairing, l.repairedAt = false, time.Now()
	}()
}

// repairable reports whether an error is one of the network, or one by which a
// server says that another server should be asked. Other replies show that the
// connection works.
func repairable(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return true
	}
	_, moved := redis.IsMovedError(err)
	return moved || redis.IsClusterDownError(err) || redis.IsReadOnlyError(err) || redis.IsLoadingError(err) || redis.IsMasterDownError(err)
}

// repair closes the connections of a pool that are half-open. With a Cluster it
// loads the slot table as well, again and again until every master answers: the
// first table may still be from before the failover.
func (l *link) repair() {
	for range maxRepairs {
		ctx, cancel := context.WithTimeout(context.Background(), l.repairTimeout)
		var err error
		switch client := l.client.(type) {
		case *redis.Client:
			_ = pingIdle(ctx, client) // the next command dials if need be
		case *redis.ClusterClient:
			// ForEachMaster loads the table first, within ctx. ReloadState would do so
			// without a deadline, and may ask the very server that hangs.
			err = client.ForEachMaster(ctx, pingIdle)
		}
		cancel()
		if err == nil || errors.Is(err, redis.ErrClosed) {
			return
		}
		time.Sleep(l.repairInterval)
	}
}

// pingIdle sends a PING on each idle connection at once, at least on one. go-redis
// closes those that do not answer before ctx ends. A refusal is an answer.
func pingIdle(ctx context.Context, client *redis.Client) error {
	n := max(1, int(client.PoolStats().IdleConns))
	errs := make(chan error, n)
	for range n {
		go func() { errs <- client.Ping(ctx).Err() }()
	}
	var failure error
	for range n {
		if err := <-errs; err != nil && repairable(err) {
			failure = err
		}
	}
	return failure
}

// hasPrimary reports whether primary works with this type of client.
func (l *link) hasPrimary() bool {
	switch l.client.(type) {
	case *redis.Client, *redis.ClusterClient:
		return true
	}
	return false
}
