package auth0grpcredis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/redis/go-redis/v9"
)

const (
	// block is how long Redis lets a read wait for news, which arrive at once
	// however long it is. go-redis cannot break off a read that waits, so this is
	// also how late Follow may notice that its context has ended.
	block = 500 * time.Millisecond

	batch = 1000 // entries in one reply

	leastWait = 50 * time.Millisecond // after the first failure
	mostWait  = time.Second
)

// start is the id before every entry.
const start = "0-0"

// Follow applies every revocation in the stream that can still match a token,
// then each new one as it comes, until ctx ends, whose error it returns within
// half a second (and FeedConfig.Timeout, if Redis hangs). It calls apply and gap
// on its own goroutine, one at a time, and may apply a revocation more than once.
//
// It calls gap once for each outage, and not for each attempt to end it; for
// each entry that it cannot read, which it skips; and when entries are gone from
// the stream that should still be there, as after FLUSHALL, a restart without
// persistence or a failover: it then reads from the start what there is. Entries
// that nobody has any more cannot be had back, so replicas that start later do
// not hear of them.
func (f *RevocationFeed) Follow(ctx context.Context, apply func(auth0grpc.Revocation), gap func(error)) error {
	w := follower{RevocationFeed: f, apply: apply, gap: gap, last: start, known: start}
	failures := 0
	for ctx.Err() == nil {
		err := w.step(ctx)
		if err == nil {
			failures = 0
			continue
		}
		if ctx.Err() != nil {
			break
		}
		if failures == 0 {
			gap(fmt.Errorf("auth0grpcredis: follow: %w", err))
		}
		failures++
		sleep(ctx, backoff(failures))
	}
	return ctx.Err()
}

// Ready waits until a Follow of this feed has applied all that was published
// before it began, or until ctx ends, whose error it returns. A server that takes
// calls earlier accepts for a moment, or for as long as Redis is out of reach,
// tokens that were revoked while it was not running. Once true, it stays true.
func (f *RevocationFeed) Ready(ctx context.Context) error {
	select {
	case <-f.caughtUp:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A follower is one Follow.
type follower struct {
	*RevocationFeed
	apply func(auth0grpc.Revocation)
	gap   func(error)
	last  string // the id of the last entry read
	known string // the id by which the stream is known again: last, as of the last look
	ready bool   // it has caught up, and can wait for news
}

// step waits for entries after the last one and applies them. It then looks
// whether the entry that was the last before is still there. If it is, nothing was
// missed: ids only grow within a stream. If not, the stream may be another one,
// with ids that are smaller than ours (after a failover to a Redis whose clock is
// behind), or was trimmed; only the start is certain then.
func (w *follower) step(ctx context.Context) error {
	entries, err := w.read(ctx, w.last)
	if err != nil {
		return err
	}
	now := w.now()
	for _, e := range entries {
		w.take(e, now)
	}
	if len(entries) < batch && !w.ready {
		w.ready = true
		w.once.Do(func() { close(w.caughtUp) })
	}
	if w.known != start {
		there, err := w.has(ctx, w.known)
		if err != nil {
			return err
		}
		if !there {
			w.startOver(now)
		}
	}
	w.known = w.last
	return nil
}

// startOver reads the stream again from its start. That the entry by which it was
// known is gone is a gap, unless that was due to be trimmed.
func (w *follower) startOver(now time.Time) {
	w.last = start
	if timeOf(w.known).After(w.oldest(now)) {
		w.gap(fmt.Errorf("auth0grpcredis: stream %q has lost entries that are still needed; reading what is left", w.stream))
	}
}

// take applies one entry.
func (w *follower) take(e redis.XMessage, now time.Time) {
	w.last = e.ID
	r, err := decode(e.Values)
	if err != nil {
		w.gap(fmt.Errorf("auth0grpcredis: entry %s of stream %q skipped: %w", e.ID, w.stream, err))
		return
	}
	if w.alive(r, now) {
		w.apply(r)
	}
}

// read returns the entries after an id, and none if none comes for a while. Follow
// begins at the start of the stream and not at what is alive by our clock: the
// stream holds little else, and then no clock can make us miss an entry.
func (w *follower) read(ctx context.Context, after string) ([]redis.XMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, block+w.timeout)
	defer cancel()
	wait := time.Duration(-1) // not at all
	if w.ready {
		wait = block
	}
	streams, err := w.client.XRead(ctx, &redis.XReadArgs{
		Streams: []string{w.stream, after}, Count: batch, Block: wait,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil || len(streams) == 0 {
		return nil, err
	}
	return streams[0].Messages, nil
}

// has reports whether the stream has an entry.
func (w *follower) has(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	entries, err := w.client.XRangeN(ctx, w.stream, id, id, 1).Result()
	return len(entries) > 0, err
}

// timeOf returns the time at Redis when the entry was added.
func timeOf(id string) time.Time {
	milliseconds, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(milliseconds, 10, 64)
	if err != nil {
		return time.Time{} // somebody chose an id above 2^63
	}
	return time.UnixMilli(n)
}

// backoff doubles with each failure, and is up to a half shorter by chance, so
// that replicas do not come back all at once.
func backoff(failures int) time.Duration {
	wait := min(leastWait<<min(failures-1, 10), mostWait)
	return wait - rand.N(wait/2)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
