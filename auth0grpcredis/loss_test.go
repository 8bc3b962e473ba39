package auth0grpcredis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/redis/go-redis/v9"
)

// step makes a follower do everything that it does at times.
func step(tb testing.TB, w *follower) {
	tb.Helper()
	w.inspectAt, w.republishAt = time.Time{}, time.Time{}
	w.ready = false // so that no read waits
	if err := w.step(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// A manualFollower is a follower whose steps a test makes.
type manualFollower struct {
	*follower
	applied []auth0grpc.Revocation
	gaps    []error
}

func followManually(tb testing.TB, feed *RevocationFeed) *manualFollower {
	tb.Helper()
	m := &manualFollower{}
	m.follower = newFollower(feed,
		func(r auth0grpc.Revocation) { m.applied = append(m.applied, r) },
		func(err error) { m.gaps = append(m.gaps, err) })
	feed.countFollower(1)
	tb.Cleanup(func() { feed.countFollower(-1) })
	return m
}

// subjects returns the subjects in the stream, in order.
func subjects(tb testing.TB, client redis.Cmdable) []string {
	tb.Helper()
	entries, err := client.XRange(tb.Context(), defaultStream, "-", "+").Result()
	if err != nil {
		tb.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		value, _ := e.Values[revocationField].(string)
		r, err := decode(value, parseEntryID(e.ID).time(), time.Now())
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, r.Subject)
	}
	return list
}

// The feed notices every early removal of entries from the stream, and publishes them
// again, once.
func TestFollowPublishesAgain(t *testing.T) {
	const n = 250 // more than two parts
	for _, test := range []struct {
		name string
		lose func(t *testing.T, client *redis.Client, ids []string)
		lost int
	}{
		{"DEL", func(t *testing.T, client *redis.Client, _ []string) {
			client.Del(t.Context(), defaultStream)
		}, n},
		{"FLUSHALL", func(t *testing.T, client *redis.Client, _ []string) {
			client.FlushAll(t.Context())
		}, n},
		{"XDEL of the first", func(t *testing.T, client *redis.Client, ids []string) {
			client.XDel(t.Context(), defaultStream, ids[0])
		}, 1},
		{"XDEL in the middle", func(t *testing.T, client *redis.Client, ids []string) {
			client.XDel(t.Context(), defaultStream, ids[100], ids[120])
		}, 2},
		{"XDEL of the last", func(t *testing.T, client *redis.Client, ids []string) {
			client.XDel(t.Context(), defaultStream, ids[n-1])
		}, 1},
		{"XTRIM MAXLEN", func(t *testing.T, client *redis.Client, _ []string) {
			client.XTrimMaxLen(t.Context(), defaultStream, 10)
		}, n - 10},
		{"XTRIM MAXLEN 0", func(t *testing.T, client *redis.Client, _ []string) {
			client.XTrimMaxLen(t.Context(), defaultStream, 0)
		}, n},
		{"the last entries, as by a failover", func(t *testing.T, client *redis.Client, ids []string) {
			tail, _ := client.XRange(t.Context(), defaultStream, ids[0], ids[n-21]).Result()
			pipe := client.TxPipeline()
			pipe.Del(t.Context(), defaultStream)
			for _, e := range tail {
				pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: defaultStream, ID: e.ID, Values: e.Values})
			}
			text, _ := encode(bySubject("new"), time.Time{})
			pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: defaultStream, Values: []any{revocationField, text}})
			if _, err := pipe.Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := startRedis(t).client(t)
			feed := newFeed(t, client, FeedConfig{})
			for i := range n {
				publish(t, newFeed(t, client, FeedConfig{}), bySubject(fmt.Sprint(i)))
			}
			w := followManually(t, feed)
			step(t, w.follower)
			if len(w.applied) != n || len(w.gaps) != 0 {
				t.Fatalf("%d applied, gaps %v", len(w.applied), w.gaps)
			}
			var ids []string
			for _, e := range client.XRange(t.Context(), defaultStream, "-", "+").Val() {
				ids = append(ids, e.ID)
			}
			test.lose(t, client, ids)
			for range 12 {
				step(t, w.follower)
			}
			if len(w.gaps) != 1 || !strings.Contains(w.gaps[0].Error(), "lost entries") {
				t.Errorf("gaps %v, want one for the loss", w.gaps)
			}
			stats := feed.Stats()
			if stats.Republished != test.lost || stats.Gaps != 1 {
				t.Errorf("published %d again, %d gaps; want %d, 1", stats.Republished, stats.Gaps, test.lost)
			}
			counts := map[string]int{}
			for _, subject := range subjects(t, client) {
				counts[subject]++
			}
			for i := range n {
				if counts[fmt.Sprint(i)] != 1 {
					t.Errorf("revocation %d is in the stream %d times, want once", i, counts[fmt.Sprint(i)])
				}
			}
			if len(w.unpublished) != 0 {
				t.Errorf("%d revocations wait to be published again", len(w.unpublished))
			}
		})
	}
}

// The entry that was lost before any follower had read it, as by a failover: the
// publisher's own follower misses it.
func TestFollowMissesWhatWasPublishedHere(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	w := followManually(t, feed)
	publish(t, feed, bySubject("kept"))
	step(t, w.follower)
	r := bySubject("lost")
	publish(t, feed, r)
	last := client.XRevRangeN(t.Context(), defaultStream, "+", "-", 1).Val()[0].ID
	client.XDel(t.Context(), defaultStream, last)
	step(t, w.follower)
	if len(w.gaps) != 1 || !strings.Contains(w.gaps[0].Error(), "1 entries that were published here") {
		t.Fatalf("gaps %v, want one for the entry", w.gaps)
	}
	if w.republishAt.IsZero() {
		t.Error("publishes the entry again at once, want a wait for others")
	}
	step(t, w.follower) // publishes it
	step(t, w.follower) // reads it
	if got := w.applied[len(w.applied)-1]; got != r || feed.Stats().Republished != 1 {
		t.Errorf("applied %v at last, want %v", got, r)
	}
	step(t, w.follower)
	if len(w.gaps) != 1 || len(feed.unconfirmed) != 0 {
		t.Errorf("gaps %v, %d unconfirmed; want nothing more", w.gaps, len(feed.unconfirmed))
	}
}

// A published entry is not kept if nothing reads it back.
func TestPublishWithoutFollow(t *testing.T) {
	feed := newFeed(t, startRedis(t).client(t), FeedConfig{})
	publish(t, feed, bySubject("s"))
	if n := len(feed.unconfirmed); n != 0 {
		t.Errorf("%d revocations kept, want none", n)
	}
}

// Several replicas publish a lost stream again together, and not each of them all.
func TestFollowersPublishAgainTogether(t *testing.T) {
	const n, replicas = 2000, 3
	client := startRedis(t).client(t)
	pipe := client.Pipeline()
	for i := range n {
		addAt(t, pipe, time.Now(), i)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	var feeds []*RevocationFeed
	for range replicas {
		feed := newFeed(t, client, FeedConfig{})
		follow(t, feed)
		if err := feed.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		feeds = append(feeds, feed)
	}
	client.Del(t.Context(), defaultStream)
	eventually(t, "every revocation is there again", func() bool {
		found := map[string]bool{}
		for _, subject := range subjects(t, client) {
			found[subject] = true
		}
		return len(found) == n
	})
	published := 0
	for _, feed := range feeds {
		published += feed.Stats().Republished
	}
	t.Logf("%d replicas published %d entries for %d that were lost", replicas, published, n)
	if published > 2*n {
		t.Errorf("%d entries published, want at most %d", published, 2*n)
	}
}

// An operator takes a revocation back: the mark, then XDEL.
func TestWithdraw(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	for i := range 3 {
		publish(t, feed, bySubject(fmt.Sprint(i)))
	}
	w := followManually(t, feed)
	step(t, w.follower)
	id := client.XRange(t.Context(), defaultStream, "-", "+").Val()[1].ID
	if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: defaultStream, Values: []any{withdrawnField, id}}).Err(); err != nil {
		t.Fatal(err)
	}
	step(t, w.follower)
	client.XDel(t.Context(), defaultStream, id)
	for range 3 {
		step(t, w.follower)
	}
	if len(w.gaps) != 0 || feed.Stats().Republished != 0 {
		t.Errorf("gaps %v, %d published again; want none", w.gaps, feed.Stats().Republished)
	}
	late := followManually(t, newFeed(t, client, FeedConfig{}))
	step(t, late.follower)
	if len(late.applied) != 2 || late.applied[0].Subject != "0" || late.applied[1].Subject != "2" || len(late.gaps) != 0 {
		t.Errorf("a late follower applied %v, gaps %v; want 0 and 2", late.applied, late.gaps)
	}
	client.Del(t.Context(), defaultStream)
	for range 4 {
		step(t, w.follower)
	}
	if n := feed.Stats().Republished; n != 2 {
		t.Errorf("%d published again after DEL, want the 2 that were not taken back", n)
	}
}

// Without the right to inspect the stream, the feed works and says so once.
func TestFollowWithoutXINFO(t *testing.T) {
	server := startRedis(t)
	admin := server.client(t)
	if err := admin.Do(t.Context(), "acl", "setuser", "service", "on", ">pw", "~*", "+@all", "-xinfo", "-xtrim").Err(); err != nil {
		t.Fatal(err)
	}
	feed := newFeed(t, server.client(t, func(o *redis.Options) { o.Username, o.Password = "service", "pw" }), FeedConfig{})
	publish(t, feed, bySubject("s"))
	if err := feed.Stats().TrimError; err == nil || !redis.IsPermissionError(err) {
		t.Errorf("Stats().TrimError = %v, want that XTRIM is not allowed", err)
	}
	w := followManually(t, feed)
	for range 3 {
		w.trimAt = time.Time{}
		step(t, w.follower)
	}
	var texts []string
	for _, err := range w.gaps {
		texts = append(texts, err.Error())
	}
	if all := strings.Join(texts, "\n"); len(texts) != 2 || !strings.Contains(all, "look for deleted entries") || !strings.Contains(all, "trim") {
		t.Errorf("gaps %q, want one for XINFO and one for XTRIM", texts)
	}
	if len(w.applied) != 1 {
		t.Errorf("%d applied, want 1", len(w.applied))
	}
}

// A full server takes no entry, but gives up those that are too old.
func TestPublishToAFullServer(t *testing.T) {
	client := startRedis(t, "--maxmemory-policy", "noeviction").client(t)
	pipe, old := client.Pipeline(), time.Now().Add(-30*time.Hour)
	for i := range 20_000 {
		addAt(t, pipe, old, i)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	used := client.InfoMap(t.Context(), "memory").Item("Memory", "used_memory")
	if err := client.ConfigSet(t.Context(), "maxmemory", used).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.Set(t.Context(), "x", strings.Repeat("x", 1000), 0).Err(); !redis.IsOOMError(err) {
		t.Fatalf("SET = %v, want that the server is full", err)
	}
	feed := newFeed(t, client, FeedConfig{})
	publish(t, feed, bySubject("s"))
	if n := client.XLen(t.Context(), defaultStream).Val(); n > 200 {
		t.Errorf("%d entries left, want those of one node", n)
	}
}

// A follower alone trims as well.
func TestFollowTrims(t *testing.T) {
	client := startRedis(t).client(t)
	pipe, old := client.Pipeline(), time.Now().Add(-30*time.Hour)
	for i := range 1000 {
		addAt(t, pipe, old, i)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	follow(t, newFeed(t, client, FeedConfig{}))
	eventually(t, "the stream is trimmed", func() bool {
		return client.XLen(t.Context(), defaultStream).Val() <= 100
	})
}

// Publish with MinReplicas fails if no replica confirms, and waits for one.
func TestPublishWaits(t *testing.T) {
	primary := startRedis(t)
	client := primary.client(t)
	feed := newFeed(t, client, FeedConfig{MinReplicas: 1, Timeout: 4 * time.Second})
	err := feed.Publish(t.Context(), bySubject("alone"))
	if err == nil || !strings.Contains(err.Error(), "confirmed by 0 replicas in time, want 1") {
		t.Errorf("Publish = %v without a replica, want that none confirmed", err)
	}
	replica := startRedis(t, "--replicaof", "127.0.0.1 "+primary.port())
	eventually(t, "the replica is linked", func() bool {
		return strings.Contains(client.Info(t.Context(), "replication").Val(), "state=online")
	})
	eventually(t, "the replica confirms", func() bool { return feed.Publish(t.Context(), bySubject("two")) == nil })
	if n := replica.client(t).XLen(t.Context(), defaultStream).Val(); n == 0 {
		t.Error("the replica has no entry")
	}
	replica.hang(t)
	hurried := newFeed(t, client, FeedConfig{MinReplicas: 1, Timeout: 100 * time.Millisecond})
	if err := hurried.Publish(t.Context(), bySubject("hanging")); err == nil {
		t.Error("Publish succeeds though the replica hangs")
	}
}

// A slow network fails few reads: those until the first reply that arrives in time,
// and none of the later ones. The time here is computed.
func TestBatchFitsTheNetwork(t *testing.T) {
	const timeout = time.Second
	for _, test := range []struct {
		name     string
		perEntry time.Duration
		failures int // of the first reads
	}{
		{"fast", 10 * time.Microsecond, 0},
		{"a full batch in most of the timeout", 900 * time.Microsecond, 0},
		{"half a batch", 1500 * time.Microsecond, 1},
		{"large entries", 100 * time.Millisecond, 4},
		{"an entry in most of the timeout", 900 * time.Millisecond, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			size, failures, reads := maxBatch, 0, 0
			rest := 5 * maxBatch
			for ; rest > 0 && reads < 10*maxBatch; reads++ {
				n := min(size, rest)
				took := time.Duration(n) * test.perEntry
				if took > timeout {
					failures++
					size = smallerBatch(size)
					continue
				}
				rest -= n
				if n == size {
					size = largerBatch(size, took, timeout)
				}
			}
			if rest != 0 || failures != test.failures {
				t.Errorf("%d of %d reads failed, %d entries left; want %d failures", failures, reads, rest, test.failures)
			}
			// The last batches have at least a quarter of the entries that would fit.
			if fits := int(timeout / test.perEntry); size < min(maxBatch, fits)/4 {
				t.Errorf("the batch has %d entries at the end, and %d would fit", size, fits)
			}
		})
	}
}

// Entries with large fields take long. The follower asks for fewer at a time.
func TestFollowLargeEntries(t *testing.T) {
	server := startRedis(t)
	admin := server.client(t)
	pipe := admin.Pipeline()
	for range 20 {
		pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: defaultStream, Values: []any{
			revocationField, `{"sub":"` + strings.Repeat("s", 1<<20) + `","issued_before":"2031-03-14T12:00:00Z"}`,
		}})
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A network of 10 MB/s, at which 20 MB take two seconds.
	p := startProxy(t, server.address, 0)
	p.bytesPerSecond = 10 << 20
	began := time.Now()
	followed := follow(t, newFeed(t, p.client(t), FeedConfig{Timeout: defaultTimeout}))
	followed.wants(t, newFeed(t, admin, FeedConfig{}))
	t.Logf("20 MB of entries were passed in %v", time.Since(began).Round(time.Millisecond))
}

// An entry with the last possible id: Publish reports the error, the follower names the
// remedy, and after DEL the stream is written again.
func TestLastID(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	w := followManually(t, feed)
	publish(t, feed, bySubject("before"))
	text, _ := encode(bySubject("last"), time.Time{})
	client.XAdd(t.Context(), &redis.XAddArgs{
		Stream: defaultStream, ID: "18446744073709551615-18446744073709551615", Values: []any{revocationField, text},
	})
	step(t, w.follower)
	if err := feed.Publish(t.Context(), bySubject("after")); err == nil {
		t.Error("Publish succeeds behind the last id")
	}
	if len(w.gaps) != 1 || !strings.Contains(w.gaps[0].Error(), "delete the stream") {
		t.Fatalf("gaps %v, want one that says what to do", w.gaps)
	}
	client.Del(t.Context(), defaultStream)
	for range 3 {
		step(t, w.follower)
	}
	if got := subjects(t, client); len(got) != 2 {
		t.Errorf("the stream has %q, want both again", got)
	}
	publish(t, feed, bySubject("after"))
}

// Publish refuses text that cannot be a claim.
func TestPublishRefusesText(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	for _, text := range []string{"\xff", "a\xc3", "\ufffd", strings.Repeat("a", maxField+1)} {
		for _, r := range []auth0grpc.Revocation{
			{Issuer: text}, {Subject: text}, {ClientID: text}, {OrganizationID: text}, {TokenID: text},
		} {
			r.IssuedBefore = time.Now()
			if err := feed.Publish(t.Context(), r); err != errText {
				t.Errorf("Publish = %v, want %v", err, errText)
			}
		}
	}
	if n := client.XLen(t.Context(), defaultStream).Val(); n != 0 {
		t.Errorf("%d entries, want none", n)
	}
	publish(t, feed, auth0grpc.Revocation{Subject: strings.Repeat("a", maxField)})
}

// One report for all entries of a reply that cannot be read, not one for each.
func TestFollowMalformedFlood(t *testing.T) {
	client := startRedis(t).client(t)
	pipe := client.Pipeline()
	for range 900 {
		pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: defaultStream, Values: []any{revocationField, "null"}})
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := followManually(t, newFeed(t, client, FeedConfig{}))
	step(t, w.follower)
	if len(w.gaps) != 2 || !strings.Contains(w.gaps[1].Error(), "899 more entries") {
		t.Errorf("gaps %v, want one and a count", w.gaps)
	}
}

// Stats follows an outage.
func TestStats(t *testing.T) {
	server, wire := startRedis(t), &line{}
	feed := newFeed(t, server.client(t, wire.use), FeedConfig{})
	if s := feed.Stats(); s.Connected || !s.LastEntry.IsZero() || s.Entries != 0 || s.Gaps != 0 {
		t.Errorf("Stats = %+v before Follow", s)
	}
	followed := follow(t, feed)
	publish(t, newFeed(t, server.client(t), FeedConfig{}), bySubject("s"))
	followed.next(t)
	eventually(t, "the feed is connected", func() bool {
		s := feed.Stats()
		return s.Connected && s.Entries == 1 && time.Since(s.LastEntry) < time.Minute && s.Lag < 2*time.Second
	})
	wire.setCut(true)
	followed.nextGap(t)
	eventually(t, "the feed lags", func() bool {
		s := feed.Stats()
		return !s.Connected && s.Lag > 2*time.Second && s.Gaps == 1
	})
	wire.setCut(false)
	eventually(t, "the feed is connected again", func() bool {
		s := feed.Stats()
		return s.Connected && s.Lag < time.Second
	})
	followed.cancel()
	followed.ended <- receive(t, followed.ended, "the end of Follow")
	if s := feed.Stats(); s.Connected {
		t.Errorf("Stats = %+v after Follow, want it not connected", s)
	}
}
