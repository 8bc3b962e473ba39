package auth0grpcredis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/redis/go-redis/v9"
)

const (
	// republishDelay is the longest time before a follower publishes lost entries
	// again. Each one waits for a part of it by chance. The entries that others
	// have published meanwhile are in the stream by then.
	republishDelay = time.Second

	republishBatch = 100 // entries that a follower publishes between two reads
)

// An entryLog holds the entries of a stream in their order, without the revocation if
// an entry has none. A follower compares the stream with it, and publishes from it
// again if the stream is lost.
type entryLog []logEntry

type logEntry struct {
	id         entryID
	revocation *auth0grpc.Revocation
}

func (l *entryLog) add(id entryID, r *auth0grpc.Revocation) { *l = append(*l, logEntry{id, r}) }

func (l entryLog) find(id entryID) (int, bool) {
	return slices.BinarySearchFunc(l, id, func(e logEntry, id entryID) int { return e.id.compare(id) })
}

func (l entryLog) has(id entryID) bool {
	_, found := l.find(id)
	return found
}

// remove removes an entry and returns its revocation, or nil if there is none.
func (l *entryLog) remove(id entryID) *auth0grpc.Revocation {
	i, found := l.find(id)
	if !found {
		return nil
	}
	r := (*l)[i].revocation
	*l = slices.Delete(*l, i, i+1)
	return r
}

// cutBefore removes the entries before an id and returns them.
func (l *entryLog) cutBefore(id entryID) []logEntry {
	i, _ := l.find(id)
	cut := (*l)[:i]
	*l = (*l)[i:]
	return cut
}

// maintain does the work that a follower has beside reading, when it is due.
func (w *follower) maintain(ctx context.Context) error {
	now := time.Now() // intervals, not the time of the revocations
	if len(w.unpublished) > 0 && !now.Before(w.republishAt) {
		if err := w.republish(ctx); err != nil {
			return err
		}
	}
	if !now.Before(w.inspectAt) {
		w.inspectAt = now.Add(inspectInterval)
		if err := w.inspect(ctx); err != nil {
			return err
		}
	}
	if !now.Before(w.trimAt) {
		w.trimAt = now.Add(trimInterval/2 + rand.N(trimInterval))
		ctx, cancel := context.WithTimeout(ctx, w.timeout)
		defer cancel()
		var reply redis.Error
		if err := w.trim(ctx); errors.As(err, &reply) { // a failure of the network shows elsewhere
			w.reportOnce("trim", err)
		}
	}
	return nil
}

func (w *follower) scheduleRepublish() {
	w.republishAt = time.Now().Add(rand.N(republishDelay))
}

// republish publishes revocations that are gone from the stream. It does so in small
// parts: between two of them the follower reads the entries of others, which need not
// be published again.
func (w *follower) republish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	now := w.now()
	var part []auth0grpc.Revocation
	pipe := w.link.client.Pipeline()
	for r := range w.unpublished { // in random order
		text, err := encode(r, time.Time{})
		if err != nil || !w.alive(r, now) {
			delete(w.unpublished, r)
			continue
		}
		pipe.XAdd(ctx, &redis.XAddArgs{Stream: w.stream, Values: []any{revocationField, text}})
		if part = append(part, r); len(part) == republishBatch {
			break
		}
	}
	if len(part) == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for _, r := range part {
		delete(w.unpublished, r)
	}
	w.noteRepublished(len(part))
	return nil
}

// inspect looks for entries that were deleted before their time, by XDEL or by a trim
// by number: the stream then begins later, or is shorter, than the log of entries read.
// Entries that were added since the last read can hide that until the next time.
func (w *follower) inspect(ctx context.Context) error {
	if len(w.log) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	info, err := w.link.client.XInfoStream(ctx, w.stream).Result()
	var reply redis.Error
	switch {
	case redis.IsPermissionError(err):
		w.reportOnce("inspect", fmt.Errorf("auth0grpcredis: cannot look for deleted entries: %w", err))
		return nil
	case errors.As(err, &reply) && !repairable(err):
		return nil // no such key: the check of the known entry finds that
	case err != nil:
		return err
	}
	first := parseEntryID(info.FirstEntry.ID)
	if first == (entryID{}) {
		first = entryID{ms: ^uint64(0), seq: ^uint64(0)} // the stream is empty
	}
	now := w.now()
	lost := false
	for _, e := range w.log.cutBefore(first) {
		if e.revocation != nil && w.alive(*e.revocation, now) && e.id.time().After(w.oldest(now)) {
			w.unpublished[*e.revocation] = struct{}{}
			lost = true
		}
	}
	if lost || int64(len(w.log)) > info.Length {
		w.startOver(true)
	}
	return nil
}

// reportOnce calls gap for the first refusal of a kind.
func (w *follower) reportOnce(kind string, err error) {
	if !w.reported[kind] {
		w.reported[kind] = true
		w.gap(err)
	}
}
