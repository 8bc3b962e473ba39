package auth0grpcredis

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/redis/go-redis/v9"
)

// A readHook decides before each XREAD whether it fails.
type readHook struct {
	passingHook
	fails func() error
}

func (h readHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "xread" {
			if err := h.fails(); err != nil {
				cmd.SetErr(err)
				return err
			}
		}
		return next(ctx, cmd)
	}
}

// Follow notes the outcome of each step before it reports it, starts a repair at a
// failure, and reports an outage once. Everything here happens on its goroutine.
func TestFollowNotesItsSteps(t *testing.T) {
	server := startRedis(t)
	client, others := server.client(t), newFeed(t, server.client(t), FeedConfig{})
	toFail := 0 // reads
	client.AddHook(readHook{fails: func() error {
		if toFail == 0 {
			return nil
		}
		if toFail--; toFail == 0 {
			publish(t, others, bySubject("after an outage"))
		}
		return errHook
	}})
	feed := newFeed(t, client, FeedConfig{})
	created := feed.stats.complete
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	applied, gaps := 0, 0
	var atOutage time.Time // the end of the last complete step before the reads that fail
	publish(t, others, bySubject("first"))
	err := feed.Follow(ctx, func(auth0grpc.Revocation) {
		applied++
		stats := feed.Stats()
		if feed.followers != 1 {
			t.Errorf("%d followers, want 1", feed.followers)
		}
		switch applied {
		case 1:
			if stats.Connected || feed.stats.complete != created {
				t.Errorf("Stats = %+v in the first step", stats)
			}
			publish(t, others, bySubject("second"))
		case 2:
			if !stats.Connected || !feed.stats.complete.After(created) {
				t.Errorf("Stats = %+v after a step, want it connected", stats)
			}
			toFail = 2
		case 3:
			if stats.Connected || feed.stats.complete != atOutage || gaps != 1 || toFail != 0 {
				t.Errorf("Stats = %+v after an outage, %d gaps, %d failures to come", stats, gaps, toFail)
			}
			publish(t, others, bySubject("third"))
		case 4:
			if !stats.Connected {
				t.Errorf("Stats = %+v after the outage, want it connected", stats)
			}
			toFail = 2
		case 5:
			cancel()
		}
	}, func(err error) {
		gaps++
		if gaps == 1 {
			atOutage = feed.stats.complete
		}
		if stats := feed.Stats(); stats.Connected || feed.stats.complete == created || stats.Gaps != gaps || !errors.Is(err, errHook) || !repairBegan(feed.link) {
			t.Errorf("gap(%v), Stats = %+v, a repair began: %t", err, stats, repairBegan(feed.link))
		}
	})
	if !errors.Is(err, context.Canceled) || applied != 5 || gaps != 2 || feed.followers != 0 {
		t.Errorf("Follow = %v, %d applied, %d gaps, %d followers", err, applied, gaps, feed.followers)
	}
}

func TestFeedNotes(t *testing.T) {
	client := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() })
	feed := newFeed(t, client, FeedConfig{})
	feed.stats.complete = time.Now().Add(-time.Hour)
	complete := feed.stats.complete
	if s := feed.Stats(); s.Lag < time.Hour || s.Lag > time.Hour+patience || !s.LastEntry.IsZero() {
		t.Errorf("Stats = %+v, want an hour's lag", s)
	}

	feed.noteStep(true, false)
	if s := feed.Stats(); s.Connected || feed.stats.complete != complete {
		t.Errorf("Stats = %+v without a Follow", s)
	}
	feed.countFollower(1)
	if !feed.Stats().Connected {
		t.Error("not connected with a Follow")
	}
	feed.noteStep(true, true)
	if s := feed.Stats(); s.Lag > patience {
		t.Errorf("Stats = %+v after a read to the end of the stream", s)
	}
	feed.noteStep(false, false)
	if feed.Stats().Connected {
		t.Error("connected after a failed step")
	}

	id := parseEntryID("1700000000000-1")
	feed.noteEntries(id, 3)
	if s := feed.Stats(); s.Entries != 3 || !s.LastEntry.Equal(id.time()) {
		t.Errorf("Stats = %+v, want 3 entries until %v", s, id.time())
	}
	feed.noteEntries(entryID{}, 0) // as after the stream was deleted
	if s := feed.Stats(); s.Entries != 0 || !s.LastEntry.Equal(id.time()) {
		t.Errorf("Stats = %+v, want no entries, and the last one at %v", s, id.time())
	}
	feed.noteGap()
	feed.noteRepublished(2)
	feed.noteGap()
	feed.noteRepublished(3)
	if s := feed.Stats(); s.Gaps != 2 || s.Republished != 5 {
		t.Errorf("Stats = %+v, want 2 gaps, 5 republished", s)
	}
}

// The entries that were published here are kept while any Follow runs, and each is
// given to one reader.
func TestUnconfirmedEntries(t *testing.T) {
	client := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() })
	feed := newFeed(t, client, FeedConfig{})
	feed.countFollower(1)
	feed.countFollower(1)
	if taken := feed.takeUnconfirmed(); len(taken) != 0 {
		t.Errorf("took %v, want nothing", taken)
	}
	now := time.Now()
	expect := func(seq uint64) { feed.expect(entryID{ms: 1, seq: seq}, bySubject("s"), now) }
	expect(1)
	expect(2)
	taken := feed.takeUnconfirmed()
	expect(3)
	if len(taken) != 2 || len(feed.unconfirmed) != 1 {
		t.Fatalf("took %d, %d left; want 2 and 1", len(taken), len(feed.unconfirmed))
	}
	feed.putUnconfirmed(taken)
	feed.countFollower(-1)
	if n := len(feed.unconfirmed); n != 3 {
		t.Errorf("%d wait, want 3", n)
	}
	feed.countFollower(-1)
	if n := len(feed.unconfirmed); n != 0 {
		t.Errorf("%d wait without a Follow, want none", n)
	}
}
