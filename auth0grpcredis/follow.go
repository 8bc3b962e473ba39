package auth0grpcredis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/redis/go-redis/v9"
)

const (
	// blockTime is how long the server lets a read wait for new entries, which
	// arrive at once however long it is. go-redis cannot break off a read that
	// waits, so this is also how late Follow may notice that its context has ended.
	blockTime = 500 * time.Millisecond

	maxBatch = 1000 // entries in one reply

	minBackoff = 50 * time.Millisecond // after the first failure
	maxBackoff = time.Second

	inspectInterval = 5 * time.Second  // between two looks for deleted entries
	trimInterval    = 10 * time.Minute // between two trims by one Follow
)

// Follow applies every revocation in the stream that can still match a token,
// then each new one as it comes, until ctx ends, whose error it returns within
// half a second (and FeedConfig.Timeout, if the server hangs). It calls apply and
// gap on its own goroutine, one at a time, and may apply a revocation more than
// once.
//
// It calls gap once for each outage, and not for each attempt to end it; once for
// the entries of a reply that it cannot read, which it skips; and if entries are
// gone from the stream that should still be there, as after FLUSHALL, XDEL, a
// restart without persistence or a failover. It then reads the stream from the
// start and publishes again those revocations that it has seen, or has published
// itself, and that are no longer in the stream. An entry that no running process
// has seen is lost.
//
// Follow also trims the stream, about every ten minutes.
func (f *RevocationFeed) Follow(ctx context.Context, apply func(auth0grpc.Revocation), gap func(error)) error {
	f.countFollower(1)
	defer f.countFollower(-1)
	w := newFollower(f, apply, gap)
	for ctx.Err() == nil {
		err := w.step(ctx)
		if ctx.Err() != nil {
			break
		}
		f.noteStep(err == nil, err == nil && w.complete)
		if err == nil {
			w.failures = 0
			continue
		}
		f.link.failed(err)
		if w.failures++; w.failures == 1 {
			w.gap(fmt.Errorf("auth0grpcredis: follow: %w", err))
		}
		sleep(ctx, backoff(w.failures))
	}
	return ctx.Err()
}

// Ready waits until a Follow of this feed has applied all entries that were
// published before it began, or until ctx ends, whose error it returns. A server
// that takes calls earlier accepts tokens that were revoked while it was not
// running, for a moment or for as long as Redis is unavailable. Once Ready has
// returned nil it always does; see [RevocationFeed.Stats] for the state of now.
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

	lastID    entryID  // the last entry read; zero is the start of the stream
	knownID   entryID  // lastID as of the last check that the stream is the same
	log       entryLog // the entries of the stream
	batchSize int
	complete  bool // the last read was the end of the stream
	ready     bool // a read was complete once: the next can wait for new entries
	failures  int  // in a row

	// unpublished holds the revocations that were in the stream and may be gone.
	unpublished map[auth0grpc.Revocation]struct{}
	republishAt time.Time

	inspectAt, trimAt time.Time
	reported          map[string]bool // the refusals that gap was called with
}

func newFollower(f *RevocationFeed, apply func(auth0grpc.Revocation), gap func(error)) *follower {
	return &follower{
		RevocationFeed: f, apply: apply, batchSize: maxBatch,
		gap: func(err error) {
			f.noteGap()
			gap(err)
		},
		unpublished: map[auth0grpc.Revocation]struct{}{},
		reported:    map[string]bool{},
	}
}

// step waits for entries after the last one and applies them. It then checks that
// the entry that was the last before is still in the stream. If it is, none was
// missed: ids only grow within a stream. If not, the stream may be another one,
// with ids that are smaller than ours (after a failover to a server whose clock is
// behind), or was trimmed. Only its start is certain then.
func (w *follower) step(ctx context.Context) error {
	expected := w.takeUnconfirmed()
	batchSize := w.batchSize
	entries, err := w.read(ctx)
	if err != nil {
		w.putUnconfirmed(expected)
		return err
	}
	w.applyEntries(entries)
	w.complete = len(entries) < batchSize
	if !w.complete {
		w.putUnconfirmed(expected)
	} else {
		w.checkExpected(expected)
		if !w.ready {
			w.ready = true
			w.caughtUpOnce.Do(func() { close(w.caughtUp) })
		}
	}
	if err := w.checkKnown(ctx); err != nil || !w.complete {
		return err
	}
	return w.maintain(ctx)
}

// read returns the entries after the last one, and none if none comes for a while.
// Follow begins at the start of the stream and not at the oldest entry that is
// alive by our clock: the stream holds little else, and then no clock can make us
// miss an entry.
//
// The size of the batch follows the time that a reply takes: entries can be large,
// and the network slow.
func (w *follower) read(ctx context.Context) ([]redis.XMessage, error) {
	timeout, wait := w.timeout, time.Duration(-1) // not at all
	if w.ready && w.failures == 0 {
		timeout, wait = timeout+blockTime, blockTime
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	streams, err := w.link.client.XRead(ctx, &redis.XReadArgs{
		Streams: []string{w.stream, w.lastID.String()}, Count: int64(w.batchSize), Block: wait,
	}).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		if isTimeout(err) {
			w.batchSize = smallerBatch(w.batchSize)
		}
		return nil, err
	case len(streams) == 0:
		return nil, nil
	}
	entries := streams[0].Messages
	if len(entries) == w.batchSize {
		w.batchSize = largerBatch(w.batchSize, time.Since(began), w.timeout)
	}
	return entries, nil
}

// smallerBatch returns the size of the next batch after a read that timed out.
func smallerBatch(size int) int { return max(1, size/4) }

// largerBatch returns the size of the next batch after a full one. It doubles the
// size only if the reply took less than half the timeout. A larger batch would not
// arrive in time: half of all reads would fail, and each of them for a whole timeout.
func largerBatch(size int, took, timeout time.Duration) int {
	if took >= timeout/2 {
		return size
	}
	return min(maxBatch, 2*size)
}

// applyEntries applies the entries of one reply.
func (w *follower) applyEntries(entries []redis.XMessage) {
	now := w.now()
	skipped, ahead := 0, 0
	for _, e := range entries {
		id := parseEntryID(e.ID)
		w.lastID = id
		added := id.time()
		if added.After(now.Add(clockMargin)) {
			// The clock of the server is far ahead or an id was made up. Ids only grow,
			// so later ones do not tell the time either.
			added = now
			ahead++
		}
		if withdrawn, ok := e.Values[withdrawnField].(string); ok {
			w.withdraw(parseEntryID(withdrawn))
			w.log.add(id, nil)
			continue
		}
		value, ok := e.Values[revocationField].(string)
		r, err := decode(value, added, now)
		if !ok || err != nil {
			if skipped++; skipped == 1 {
				w.gap(fmt.Errorf("auth0grpcredis: entry %s of stream %q skipped: %w", id, w.stream, errMalformed))
			}
			w.log.add(id, nil)
			continue
		}
		w.log.add(id, &r)
		delete(w.unpublished, r)
		if w.alive(r, now) {
			w.apply(r)
		}
	}
	if skipped > 1 {
		w.gap(fmt.Errorf("auth0grpcredis: %d more entries of stream %q skipped: %w", skipped-1, w.stream, errMalformed))
	}
	if ahead > 0 {
		w.reportOnce("ids", fmt.Errorf("auth0grpcredis: the ids of stream %q are ahead of our clock by more than %v; "+
			"delete the stream once the clocks are right, and it is written again", w.stream, clockMargin))
	}
	w.noteEntries(w.lastID, len(w.log))
}

// withdraw forgets an entry that an operator took back, so it is not published
// again when it is deleted from the stream.
func (w *follower) withdraw(id entryID) {
	if r := w.log.remove(id); r != nil {
		delete(w.unpublished, *r)
	}
}

// checkExpected looks for entries that this process published, that the server
// acknowledged, and that are not in the stream.
func (w *follower) checkExpected(expected map[entryID]auth0grpc.Revocation) {
	lost := 0
	for id, r := range expected {
		if !w.log.has(id) {
			w.unpublished[r] = struct{}{}
			lost++
		}
	}
	if lost > 0 {
		w.gap(fmt.Errorf("auth0grpcredis: stream %q has lost %d entries that were published here; publishing them again", w.stream, lost))
		w.scheduleRepublish()
	}
}

// checkKnown checks that the stream is the one that was read before.
func (w *follower) checkKnown(ctx context.Context) error {
	if w.knownID != (entryID{}) {
		ctx, cancel := context.WithTimeout(ctx, w.timeout)
		defer cancel()
		id := w.knownID.String()
		entries, err := w.link.client.XRangeN(ctx, w.stream, id, id, 1).Result()
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			// That the entry is gone is a gap, unless it was due to be trimmed.
			w.startOver(w.knownID.time().After(w.oldest(w.now())))
		}
	}
	w.knownID = w.lastID
	return nil
}

// startOver reads the stream again from its start.
func (w *follower) startOver(lost bool) {
	now := w.now()
	for _, e := range w.log {
		if e.revocation != nil && w.alive(*e.revocation, now) {
			w.unpublished[*e.revocation] = struct{}{}
		}
	}
	expected := w.takeUnconfirmed()
	maps.DeleteFunc(expected, func(id entryID, _ auth0grpc.Revocation) bool { return w.log.has(id) })
	w.putUnconfirmed(expected)
	w.log, w.lastID, w.knownID, w.complete = nil, entryID{}, entryID{}, false
	if lost {
		w.gap(fmt.Errorf("auth0grpcredis: stream %q has lost entries that are still needed; reading it again", w.stream))
	}
	w.scheduleRepublish()
}

// backoff doubles with each failure, and is up to a half shorter by chance, so
// that replicas do not come back all at once.
func backoff(failures int) time.Duration {
	wait := min(minBackoff<<min(failures-1, 10), maxBackoff)
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

// isTimeout reports whether a deadline was the cause, of a context or of a
// connection.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
