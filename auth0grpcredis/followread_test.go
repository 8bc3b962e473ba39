package auth0grpcredis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/redis/go-redis/v9"
)

// The feed lags until it has read to the end of the stream, however many replies that
// takes.
func TestLagCountsFromTheEnd(t *testing.T) {
	client := startRedis(t).client(t)
	pipe := client.Pipeline()
	for i := range maxBatch + 1 {
		addAt(t, pipe, time.Now(), i)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	feed := newFeed(t, client, FeedConfig{})
	created := feed.stats.complete
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	applied := 0
	_ = feed.Follow(ctx, func(auth0grpc.Revocation) {
		if applied++; applied <= maxBatch {
			return
		}
		if !feed.Stats().Connected || feed.stats.complete != created {
			t.Errorf("Stats = %+v after the first of two replies, want connected and lagging", feed.Stats())
		}
		cancel()
	}, func(err error) { t.Errorf("gap: %v", err) })
	if applied != maxBatch+1 {
		t.Errorf("%d applied, want %d", applied, maxBatch+1)
	}
}

// An entry that was published here is still expected after a read that fails and after
// a reply that is not the last: if a failover loses it then, the follower publishes it
// again.
func TestFollowExpectsAcrossReads(t *testing.T) {
	client := startRedis(t).client(t)
	var failure error
	client.AddHook(readHook{fails: func() error { return failure }})
	feed := newFeed(t, client, FeedConfig{})
	w := followManually(t, feed)
	publish(t, newFeed(t, client, FeedConfig{}), bySubject("of another"))
	publish(t, feed, bySubject("lost"))
	last := client.XRevRangeN(t.Context(), defaultStream, "+", "-", 1).Val()[0].ID
	client.XDel(t.Context(), defaultStream, last)

	failure = errHook
	if err := w.step(t.Context()); !errors.Is(err, errHook) {
		t.Fatalf("step = %v, want %v", err, errHook)
	}
	if n := len(feed.unconfirmed); n != 1 {
		t.Errorf("%d entries expected after a failed read, want 1", n)
	}
	failure, w.batchSize = nil, 1
	step(t, w.follower)
	if n := len(feed.unconfirmed); n != 1 || len(w.gaps) != 0 {
		t.Errorf("%d entries expected after a full reply, gaps %v; want 1 and none", n, w.gaps)
	}
	for range 3 {
		step(t, w.follower)
	}
	if n := len(w.applied); n != 2 || len(w.gaps) != 1 || w.applied[1].Subject != "lost" {
		t.Errorf("applied %v, gaps %v; want the lost entry at last and one gap", w.applied, w.gaps)
	}
}

// A follower maintains the stream only if it knows all of it.
func TestMaintainNeedsTheEnd(t *testing.T) {
	client, sent := startRedis(t).client(t), &commands{}
	others := newFeed(t, client, FeedConfig{})
	for i := range 2 {
		publish(t, others, bySubject(fmt.Sprint(i)))
	}
	client.AddHook(sent)
	w := followManually(t, newFeed(t, client, FeedConfig{}))
	w.batchSize = 1
	w.unpublished[bySubject("waits")] = struct{}{}
	step(t, w.follower)
	counts := map[string]int{}
	for _, name := range sent.sent() {
		counts[name]++
	}
	if w.complete || counts["xinfo"] != 0 || counts["xtrim"] != 0 || len(w.unpublished) != 1 {
		t.Errorf("commands %v after a part of the stream, %d wait; want neither XINFO nor XTRIM, and 1", counts, len(w.unpublished))
	}
}

// A failed look at the known entry is an error of the step. The entry is looked for
// again.
func TestCheckKnownFails(t *testing.T) {
	client, hook := startRedis(t).client(t), &failingHook{err: errHook}
	client.AddHook(hook)
	feed := newFeed(t, client, FeedConfig{})
	w := followManually(t, feed)
	publish(t, feed, bySubject("a"))
	step(t, w.follower)
	known := w.knownID
	hook.name = "xrange"
	publish(t, feed, bySubject("b"))
	w.ready = false // so that no read waits
	if err := w.step(t.Context()); !errors.Is(err, errHook) {
		t.Errorf("step = %v, want %v", err, errHook)
	}
	if w.knownID != known || w.lastID == known {
		t.Errorf("known %v, last %v; want %v known and a later one read", w.knownID, w.lastID, known)
	}
	hook.name = ""
	step(t, w.follower)
	if w.knownID != w.lastID || len(w.applied) != 2 || len(w.gaps) != 0 {
		t.Errorf("known %v, last %v, %d applied, gaps %v", w.knownID, w.lastID, len(w.applied), w.gaps)
	}
	if stats := feed.Stats(); stats.Entries != 2 || !stats.LastEntry.Equal(w.lastID.time()) {
		t.Errorf("Stats = %+v, want 2 entries until %v", stats, w.lastID.time())
	}
}

// An entry that cannot be read counts as an entry: otherwise each of them would hide that
// another one was deleted.
func TestMalformedEntriesCount(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	w := followManually(t, feed)
	for _, subject := range []string{"first", "middle", "last"} {
		publish(t, feed, bySubject(subject))
		client.XAdd(t.Context(), &redis.XAddArgs{Stream: defaultStream, Values: []any{revocationField, "null"}})
	}
	step(t, w.follower)
	w.gaps = nil // for the entries that cannot be read
	client.XDel(t.Context(), defaultStream, client.XRange(t.Context(), defaultStream, "-", "+").Val()[2].ID)
	for range 3 {
		step(t, w.follower)
	}
	if n := feed.Stats().Republished; n != 1 || w.applied[len(w.applied)-1].Subject != "middle" {
		t.Errorf("%d published again, applied %v; want the one that was deleted", n, w.applied)
	}
}

// A readLimit is how an XREAD is limited.
type readLimit struct {
	block time.Duration // -1: does not wait
	until time.Time
}

// Reads wait for entries once the stream is known to its end, and not at the first read
// after a failure. Their deadline leaves time for the wait.
func TestReadsWait(t *testing.T) {
	client := startRedis(t).client(t)
	var reads []readLimit
	var failure error
	client.AddHook(&limitHook{reads: &reads, failure: &failure})
	const timeout = time.Hour
	feed := newFeed(t, client, FeedConfig{Timeout: timeout})
	others := newFeed(t, client, FeedConfig{})
	w := followManually(t, feed)
	for i, test := range []struct {
		failures int
		failure  error
		waits    bool
	}{
		{0, nil, false}, {0, nil, true}, {0, errHook, true}, {1, errHook, false}, {2, nil, false}, {0, nil, true},
	} {
		publish(t, others, bySubject("s")) // so that no read waits long
		failure, w.failures = test.failure, test.failures
		reads = nil
		began := time.Now()
		if err := w.step(t.Context()); !errors.Is(err, test.failure) {
			t.Errorf("read %d: step = %v, want %v", i, err, test.failure)
		}
		want, limit := time.Duration(-1), timeout
		if test.waits {
			want, limit = blockTime, timeout+blockTime
		}
		if len(reads) != 1 || reads[0].block != want {
			t.Fatalf("read %d: %v, want one that blocks for %v", i, reads, want)
		}
		if early, late := began.Add(limit), time.Now().Add(limit); reads[0].until.Before(early) || reads[0].until.After(late) {
			t.Errorf("read %d: ends at %v, want %v to %v", i, reads[0].until, early, late)
		}
	}
}

// A limitHook notes the limits of each XREAD, and makes it fail.
type limitHook struct {
	passingHook
	reads   *[]readLimit
	failure *error
}

func (h *limitHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "xread" {
			return next(ctx, cmd)
		}
		limit := readLimit{block: -1}
		for i, arg := range cmd.Args() {
			if arg == "block" {
				limit.block = time.Duration(cmd.Args()[i+1].(int64)) * time.Millisecond
			}
		}
		limit.until, _ = ctx.Deadline()
		*h.reads = append(*h.reads, limit)
		if *h.failure != nil {
			cmd.SetErr(*h.failure)
			return *h.failure
		}
		return next(ctx, cmd)
	}
}

// The batch becomes smaller after a read that timed out, not after other failures, and
// grows only with replies that fill it.
func TestBatchSize(t *testing.T) {
	client := startRedis(t).client(t)
	var failure error
	client.AddHook(readHook{fails: func() error { return failure }})
	feed := newFeed(t, client, FeedConfig{Timeout: time.Hour})
	w := followManually(t, feed)
	for i := range 3 {
		publish(t, newFeed(t, client, FeedConfig{}), bySubject(fmt.Sprint(i)))
	}
	for i, test := range []struct {
		size    int
		failure error
		want    int
	}{
		{maxBatch, errHook, maxBatch},
		{maxBatch, context.DeadlineExceeded, maxBatch / 4},
		{1, context.DeadlineExceeded, 1},
		{1, nil, 2}, // one entry
		{2, nil, 4}, // two entries
		{4, nil, 4}, // none
	} {
		w.batchSize, failure = test.size, test.failure
		w.failures = 1 // so that no read waits
		if err := w.step(t.Context()); !errors.Is(err, test.failure) {
			t.Errorf("step = %v, want %v", err, test.failure)
		}
		if w.batchSize != test.want {
			t.Errorf("read %d: the next has at most %d entries, want %d", i, w.batchSize, test.want)
		}
	}
}

// A revocation that an operator takes back is not published again, also if it waits for
// that: an equal entry was lost before.
func TestWithdrawWhatWaits(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	w := followManually(t, feed)
	publish(t, feed, bySubject("s"))
	step(t, w.follower)
	w.unpublished[w.applied[0]] = struct{}{}
	w.withdraw(entryID{ms: 1}) // an entry that the follower does not know
	if len(w.unpublished) != 1 || len(w.log) != 1 {
		t.Errorf("%d wait, %d entries known; want 1 and 1", len(w.unpublished), len(w.log))
	}
	w.withdraw(w.lastID)
	if len(w.unpublished) != 0 || len(w.log) != 0 {
		t.Errorf("%d wait, %d entries known; want none", len(w.unpublished), len(w.log))
	}
}

// A follower that starts over still expects the entries that it has not read, and
// publishes again those that can still match a token.
func TestStartOver(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	w := followManually(t, feed)
	publish(t, feed, bySubject("read"))
	read := maps.Clone(feed.unconfirmed)
	step(t, w.follower)
	feed.putUnconfirmed(read)
	publish(t, feed, bySubject("not read"))
	dead := bySubject("dead")
	dead.IssuedBefore = time.Now().Add(-feed.lifetime - clockMargin - time.Minute)
	w.log = append(entryLog{{entryID{1, 1}, &dead}, {entryID{1, 2}, nil}}, w.log...)

	w.startOver(false)
	if len(w.gaps) != 0 {
		t.Errorf("gaps %v without a loss", w.gaps)
	}
	if len(w.log) != 0 || w.lastID != (entryID{}) || w.knownID != (entryID{}) || w.complete {
		t.Errorf("%d entries known, last %v, known %v, complete %t; want the start", len(w.log), w.lastID, w.knownID, w.complete)
	}
	var waiting, expected []string
	for r := range w.unpublished {
		waiting = append(waiting, r.Subject)
	}
	for _, r := range feed.unconfirmed {
		expected = append(expected, r.Subject)
	}
	if len(waiting) != 1 || waiting[0] != "read" || len(expected) != 1 || expected[0] != "not read" {
		t.Errorf("%q wait to be published again, %q are expected", waiting, expected)
	}
	w.startOver(true)
	if len(w.gaps) != 1 {
		t.Errorf("gaps %v, want one for the loss", w.gaps)
	}
}
