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

func TestEntryLog(t *testing.T) {
	id := func(ms uint64) entryID { return entryID{ms: ms, seq: 1} }
	r := auth0grpc.Revocation{Subject: "s"}
	fill := func() (l entryLog) {
		l.add(id(10), &r)
		l.add(id(20), nil)
		l.add(id(30), &r)
		return l
	}

	// An operator may take back an entry that the log does not have, or no longer.
	for _, ms := range []uint64{5, 15, 25, 35} {
		l := fill()
		if got := l.remove(id(ms)); got != nil || len(l) != 3 || l.has(id(ms)) {
			t.Errorf("remove(%d) = %v of a missing entry, %d entries left", ms, got, len(l))
		}
	}
	l := fill()
	if got := l.remove(id(30)); got != &r || len(l) != 2 || l.has(id(30)) || !l.has(id(10)) || !l.has(id(20)) {
		t.Errorf("remove = %v, %d entries left", got, len(l))
	}
	if got := l.remove(id(20)); got != nil || len(l) != 1 {
		t.Errorf("remove = %v of an entry without a revocation, %d entries left", got, len(l))
	}

	for _, test := range []struct {
		before    uint64
		cut, left int
	}{
		{5, 0, 3}, {10, 0, 3}, {11, 1, 2}, {30, 2, 1}, {31, 3, 0},
	} {
		l := fill()
		if cut := l.cutBefore(id(test.before)); len(cut) != test.cut || len(l) != test.left {
			t.Errorf("cutBefore(%d): %d cut, %d left, want %d and %d", test.before, len(cut), len(l), test.cut, test.left)
		}
	}
	if cut := new(entryLog).cutBefore(id(1)); len(cut) != 0 {
		t.Errorf("cutBefore of an empty log: %v", cut)
	}
}

// A follower looks for deleted entries and trims at intervals, not at each step.
func TestMaintainIntervals(t *testing.T) {
	client, sent := startRedis(t).client(t), &commands{}
	feed := newFeed(t, client, FeedConfig{})
	w := followManually(t, feed)
	publish(t, feed, bySubject("s"))
	client.AddHook(sent)
	begin := time.Now()
	for i := range 3 {
		w.ready = false // so that no read waits
		if err := w.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if w.inspectAt.Before(begin.Add(inspectInterval)) || w.inspectAt.After(time.Now().Add(inspectInterval)) {
				t.Errorf("inspects again at %v, want in %v", w.inspectAt, inspectInterval)
			}
			w.inspectAt = time.Now().Add(time.Hour) // however slow this machine is
		}
	}
	counts := map[string]int{}
	for _, name := range sent.sent() {
		counts[name]++
	}
	if counts["xread"] != 3 || counts["xinfo"] != 1 || counts["xtrim"] != 1 {
		t.Errorf("commands %v in three steps, want one XINFO and one XTRIM", counts)
	}
	if early, late := begin.Add(trimInterval/2), time.Now().Add(3*trimInterval/2); w.trimAt.Before(early) || w.trimAt.After(late) {
		t.Errorf("trims at %v, want between %v and %v", w.trimAt, early, late)
	}
}

// A failed republication or inspection is an error of the step. The next step tries
// again.
func TestMaintainFails(t *testing.T) {
	client, hook := startRedis(t).client(t), &failingHook{err: errHook}
	client.AddHook(hook)
	feed := newFeed(t, client, FeedConfig{})
	w := followManually(t, feed)
	publish(t, feed, bySubject("s"))
	step(t, w.follower)
	fails := func() {
		t.Helper()
		w.inspectAt, w.republishAt, w.ready = time.Time{}, time.Time{}, false
		if err := w.step(t.Context()); !errors.Is(err, hook.err) {
			t.Errorf("step = %v while %s fails, want %v", err, hook.name, hook.err)
		}
	}
	hook.name = "xinfo"
	fails()
	hook.err = replyError("LOADING Redis is loading the dataset in memory")
	fails()
	hook.err = replyError("ERR no such key") // as if it was deleted a moment ago
	step(t, w.follower)
	hook.name, hook.err = "", errHook
	if len(w.gaps) != 0 || len(w.log) != 1 {
		t.Errorf("gaps %v, %d entries known; want none and 1", w.gaps, len(w.log))
	}
	client.Del(t.Context(), defaultStream)
	step(t, w.follower)
	hook.name = "xadd"
	fails()
	if len(w.unpublished) != 1 {
		t.Errorf("%d revocations wait to be published again, want 1", len(w.unpublished))
	}
	hook.name = ""
	step(t, w.follower)
	if got := subjects(t, client); len(got) != 1 || got[0] != "s" {
		t.Errorf("the stream has %q, want the one that was lost", got)
	}
}

// A follower waits for others before it publishes again, and leaves out revocations
// that can match no token any more.
func TestRepublish(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	w := followManually(t, feed)
	publish(t, feed, bySubject("alive"))
	step(t, w.follower)
	dead := bySubject("dead")
	dead.IssuedBefore = time.Now().Add(-feed.lifetime - clockMargin - time.Minute)
	w.unpublished[dead] = struct{}{}
	client.Del(t.Context(), defaultStream)
	began := time.Now()
	w.startOver(true)
	if w.republishAt.Before(began) || w.republishAt.After(time.Now().Add(republishDelay)) {
		t.Errorf("publishes again at %v, want within %v", w.republishAt, republishDelay)
	}
	w.republishAt, w.ready = time.Now().Add(time.Hour), false
	if err := w.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := client.XLen(t.Context(), defaultStream).Val(); n != 0 {
		t.Errorf("%d entries published before their time", n)
	}
	step(t, w.follower)
	if got := subjects(t, client); len(got) != 1 || got[0] != "alive" || len(w.unpublished) != 0 {
		t.Errorf("the stream has %q, %d wait; want what is alive alone", got, len(w.unpublished))
	}
}

// A follower publishes a lost stream again in parts.
func TestRepublishInParts(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	w := followManually(t, feed)
	for i := range 2*republishBatch + 1 {
		w.unpublished[bySubject(fmt.Sprint(i))] = struct{}{}
	}
	for _, want := range []int{republishBatch, 2 * republishBatch, 2*republishBatch + 1, 2*republishBatch + 1} {
		step(t, w.follower)
		if n := feed.Stats().Republished; n != want {
			t.Fatalf("%d revocations published, want %d", n, want)
		}
	}
}

// It is no loss if entries are gone that hold no revocation, one that can match no
// token any more, or that were due to be trimmed.
func TestInspectWithoutLoss(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	now := time.Now()
	alive, dead := bySubject("s"), auth0grpc.Revocation{Subject: "s", IssuedBefore: now.Add(-26 * time.Hour)}
	var ids []string
	for i, entry := range []struct {
		age time.Duration
		r   *auth0grpc.Revocation
	}{
		{27 * time.Hour, &alive}, {3 * time.Minute, nil}, {2 * time.Minute, &dead}, {time.Minute, &alive},
	} {
		values := []any{withdrawnField, "1-1"}
		if entry.r != nil {
			text, err := encode(*entry.r, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			values = []any{revocationField, text}
		}
		id, err := client.XAdd(t.Context(), &redis.XAddArgs{
			Stream: defaultStream, ID: fmt.Sprintf("%d-%d", now.Add(-entry.age).UnixMilli(), i), Values: values,
		}).Result()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	w := followManually(t, feed)
	w.trimAt = now.Add(time.Hour)
	for i := range 3 {
		step(t, w.follower)
		if n := len(w.log); n != 4-i {
			t.Fatalf("%d entries known, want %d", n, 4-i)
		}
		client.XDel(t.Context(), defaultStream, ids[i])
	}
	step(t, w.follower)
	if len(w.gaps) != 0 || len(w.unpublished) != 0 || len(w.log) != 1 {
		t.Errorf("gaps %v, %d wait to be published again, %d entries known; want none, 0, 1", w.gaps, len(w.unpublished), len(w.log))
	}
}

// Follow waits longer after each failure. A slow machine only waits longer still.
func TestFollowBacksOff(t *testing.T) {
	client := startRedis(t).client(t)
	reads := make(chan time.Time, 1000)
	client.AddHook(&failingHook{name: "xread", err: errHook, call: func() { reads <- time.Now() }})
	followed := follow(t, newFeed(t, client, FeedConfig{}))
	last := receive(t, reads, "the first read")
	for failures := range 4 {
		next := receive(t, reads, "another read")
		if waited, least := next.Sub(last), minBackoff<<failures/2; waited < least {
			t.Errorf("waited %v after %d failures, want at least %v", waited, failures+1, least)
		}
		last = next
	}
	if err := followed.nextGap(t); !errors.Is(err, errHook) {
		t.Errorf("gap = %v", err)
	}
	followed.noGap(t)
}

// The end of its context is no gap.
func TestFollowEndsWithoutGap(t *testing.T) {
	client := startRedis(t).client(t)
	ctx, cancel := context.WithCancel(t.Context())
	client.AddHook(&failingHook{name: "xread", err: errHook, call: cancel})
	err := newFeed(t, client, FeedConfig{}).Follow(ctx,
		func(r auth0grpc.Revocation) { t.Errorf("applied %v", r) },
		func(err error) { t.Errorf("gap: %v", err) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Follow = %v, want %v", err, context.Canceled)
	}
}

// An entry whose id is years ahead, made up or by a server whose clock is wrong, does
// not move the time of its revocation into the future.
func TestFollowAnIDAhead(t *testing.T) {
	client := startRedis(t).client(t)
	text, err := encode(auth0grpc.Revocation{Subject: "s", IssuedBefore: noon}, noon)
	if err != nil {
		t.Fatal(err)
	}
	client.XAdd(t.Context(), &redis.XAddArgs{
		Stream: defaultStream, ID: fmt.Sprintf("%d-1", noon.AddDate(10, 0, 0).UnixMilli()), Values: []any{revocationField, text},
	})
	w := followManually(t, newFeed(t, client, FeedConfig{Now: func() time.Time { return noon }}))
	step(t, w.follower)
	if len(w.applied) != 1 || !w.applied[0].IssuedBefore.Equal(noon) || len(w.gaps) != 1 {
		t.Errorf("applied %v, gaps %v; want one of %v and one gap", w.applied, w.gaps, noon)
	}
}

// An entry that was read, published here during that read, and then lost with the
// stream is one loss and not two.
func TestStartOverReportsOnce(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	w := followManually(t, feed)
	publish(t, feed, bySubject("s"))
	during := maps.Clone(feed.unconfirmed)
	step(t, w.follower)
	feed.putUnconfirmed(during)
	client.Del(t.Context(), defaultStream)
	w.startOver(true)
	for range 3 {
		step(t, w.follower)
	}
	if got := subjects(t, client); len(w.gaps) != 1 || len(got) != 1 {
		t.Errorf("gaps %v, the stream has %q; want one gap and one entry", w.gaps, got)
	}
}
