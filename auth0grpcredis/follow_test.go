package auth0grpcredis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/redis/go-redis/v9"
)

// A followed is a running Follow.
type followed struct {
	applied chan auth0grpc.Revocation
	gaps    chan error
	cancel  context.CancelFunc
	ended   chan error
}

// follow starts a Follow, which ends with the test.
func follow(tb testing.TB, feed auth0grpc.RevocationFeed) *followed {
	tb.Helper()
	f := &followed{
		applied: make(chan auth0grpc.Revocation, 10_000), gaps: make(chan error, 1000), ended: make(chan error, 1),
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	var busy atomic.Int32
	alone := func(what string, do func()) {
		if busy.Add(1) != 1 {
			tb.Errorf("%s called while another call was under way", what)
		}
		do()
		busy.Add(-1)
	}
	go func() {
		f.ended <- feed.Follow(ctx,
			func(r auth0grpc.Revocation) { alone("apply", func() { f.applied <- r }) },
			func(err error) { alone("gap", func() { f.gaps <- err }) })
	}()
	tb.Cleanup(func() {
		cancel()
		select {
		case err := <-f.ended:
			if !errors.Is(err, context.Canceled) {
				tb.Errorf("Follow = %v, want that its context was canceled", err)
			}
		case <-time.After(patience):
			tb.Error("Follow does not end with its context")
		}
	})
	return f
}

func (f *followed) next(tb testing.TB) auth0grpc.Revocation {
	tb.Helper()
	return receive(tb, f.applied, "a revocation")
}

func (f *followed) nextGap(tb testing.TB) error {
	tb.Helper()
	return receive(tb, f.gaps, "a gap")
}

func receive[T any](tb testing.TB, from <-chan T, what string) (v T) {
	tb.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		tb.Fatalf("no sign of %s", what)
	}
	return v
}

// noGap asserts that no gap was reported that the test has not yet seen.
func (f *followed) noGap(tb testing.TB) {
	tb.Helper()
	select {
	case err := <-f.gaps:
		tb.Errorf("gap: %v", err)
	default:
	}
}

// wants asserts which revocations are applied next, and that no others are by
// the time that one published after them is.
func (f *followed) wants(tb testing.TB, feed *RevocationFeed, want ...auth0grpc.Revocation) {
	tb.Helper()
	mark := bySubject("mark")
	publish(tb, feed, mark)
	for _, r := range append(want, mark) {
		if got := f.next(tb); got != r {
			tb.Fatalf("applied %v, want %v", got, r)
		}
	}
}

func TestFollow(t *testing.T) {
	server := startRedis(t)
	feed := newFeed(t, server.client(t), FeedConfig{})
	early, dead := bySubject("early"), auth0grpc.Revocation{Subject: "dead", IssuedBefore: time.Now().Add(-26 * time.Hour)}
	publish(t, feed, dead)
	publish(t, feed, early)
	first := follow(t, feed)
	first.wants(t, feed, early)
	later := bySubject("later")
	publish(t, feed, later)
	first.wants(t, feed, later)

	late := follow(t, newFeed(t, server.client(t), FeedConfig{}))
	for _, subject := range []string{"early", "mark", "later", "mark"} {
		if r := late.next(t); r.Subject != subject {
			t.Errorf("a late follower applied %v, want %s", r, subject)
		}
	}
	first.noGap(t)
	late.noGap(t)
}

// More entries than one reply holds.
func TestFollowInBatches(t *testing.T) {
	client := startRedis(t).client(t)
	const n = 2*maxBatch + 1
	pipe, now := client.Pipeline(), time.Now()
	for i := range n {
		addAt(t, pipe, now, i)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	followed := follow(t, newFeed(t, client, FeedConfig{}))
	for range n {
		followed.next(t)
	}
	followed.wants(t, newFeed(t, client, FeedConfig{}))
	followed.noGap(t)
}

// Ready waits for a Follow to catch up, through an outage, and then no more.
func TestReady(t *testing.T) {
	server, wire := startRedis(t), &line{}
	others := newFeed(t, server.client(t), FeedConfig{})
	const n = maxBatch + 1
	pipe := others.link.client.Pipeline()
	for i := range n {
		addAt(t, pipe, time.Now(), i)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	wire.setCut(true)
	feed := newFeed(t, server.client(t, wire.use), FeedConfig{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	followed := follow(t, feed)
	followed.nextGap(t)
	if err := feed.Ready(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Ready = %v while Redis is out of reach, want %v", err, context.Canceled)
	}
	wire.setCut(false)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := feed.Ready(ctx); err != nil || len(followed.applied) != n {
		t.Errorf("Ready = %v when %d of %d were applied", err, len(followed.applied), n)
	}
	wire.setCut(true)
	if err := feed.Ready(ctx); err != nil {
		t.Errorf("Ready = %v for the second time", err)
	}
}

// There is nothing to wait for in an empty stream: the first read does not block.
func TestReadyAtOnce(t *testing.T) {
	client, sent := startRedis(t).client(t), &commands{}
	client.AddHook(sent)
	feed := newFeed(t, client, FeedConfig{})
	follow(t, feed)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := feed.Ready(ctx); err != nil {
		t.Errorf("Ready = %v", err)
	}
	if block := sent.option("xread", "block"); block[0] != "" {
		t.Errorf("the first read blocks for %s ms, want not at all", block[0])
	}
}

// A line is the network between a client and Redis. It can be cut.
type line struct {
	mu       sync.Mutex
	cut      bool
	open     []net.Conn
	attempts int // to dial while it was cut
}

func (l *line) use(options *redis.Options) {
	options.DialerRetries = 1
	options.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.cut {
			l.attempts++
			return nil, errors.New("the line is cut")
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			l.open = append(l.open, conn)
		}
		return conn, err
	}
}

func (l *line) setCut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	for _, conn := range l.open {
		conn.Close()
	}
	l.open = nil
}

func (l *line) tried() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.attempts
}

// A replica that was cut off catches up, from where it was, and reports each
// outage once however often it tried to end it.
func TestFollowThroughOutages(t *testing.T) {
	server, wire := startRedis(t), &line{}
	others := newFeed(t, server.client(t), FeedConfig{})
	followed := follow(t, newFeed(t, server.client(t, wire.use), FeedConfig{}))
	followed.wants(t, others)
	for _, subject := range []string{"first outage", "second outage"} {
		before := wire.tried()
		wire.setCut(true)
		err := followed.nextGap(t)
		if err == nil || !strings.HasPrefix(err.Error(), "auth0grpcredis: follow: ") {
			t.Errorf("gap = %v", err)
		}
		missed := bySubject(subject)
		publish(t, others, missed)
		eventually(t, "many attempts to connect", func() bool { return wire.tried() > before+6 })
		wire.setCut(false)
		restored := time.Now()
		if r := followed.next(t); r != missed {
			t.Errorf("applied %v, want %v", r, missed)
		}
		t.Logf("caught up %v after the line was restored", time.Since(restored).Round(time.Millisecond))
		followed.wants(t, others) // nothing twice
		followed.noGap(t)
	}
}

func TestFollowFromTheStartOfAnOutage(t *testing.T) {
	server, wire := startRedis(t), &line{}
	wire.setCut(true)
	followed := follow(t, newFeed(t, server.client(t, wire.use), FeedConfig{}))
	followed.nextGap(t)
	wire.setCut(false)
	followed.wants(t, newFeed(t, server.client(t), FeedConfig{}))
	followed.noGap(t)
}

// Redis ends every connection, as by CLIENT KILL.
func TestFollowAfterClientKill(t *testing.T) {
	server := startRedis(t)
	feed := newFeed(t, server.client(t), FeedConfig{})
	followed := follow(t, newFeed(t, server.client(t), FeedConfig{}))
	for range 5 {
		followed.wants(t, feed)
		admin := server.client(t)
		if n, err := admin.ClientKillByFilter(t.Context(), "TYPE", "normal").Result(); err != nil || n == 0 {
			t.Fatalf("CLIENT KILL = %d, %v", n, err)
		}
	}
	followed.wants(t, feed) // nothing lost and nothing twice
}

// A Redis that hangs is an outage as well: the client has no deadline of its own.
func TestFollowTimesOut(t *testing.T) {
	client := hangingServer(t).client(t, withoutDeadlines)
	err := follow(t, newFeed(t, client, FeedConfig{Timeout: 50 * time.Millisecond})).nextGap(t)
	if !isTimeout(err) {
		t.Errorf("gap = %v, want that a deadline has passed", err)
	}
}

// The stream was replaced by one with smaller ids: its entries all arrive, and a
// possible loss is reported.
func TestFollowAnotherStream(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	followed := follow(t, feed)
	followed.wants(t, feed)
	text, err := encode(bySubject("in the other stream"), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	replace := client.TxPipeline()
	replace.Del(t.Context(), defaultStream)
	replace.XAdd(t.Context(), &redis.XAddArgs{Stream: defaultStream, ID: "5-1", Values: []any{revocationField, text}})
	if _, err := replace.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := followed.nextGap(t); !strings.Contains(err.Error(), "lost entries") {
		t.Errorf("gap = %v, want that entries are lost", err)
	}
	if r := followed.next(t); r.Subject != "in the other stream" {
		t.Errorf("applied %v, want what is in the other stream", r)
	}
	followed.noGap(t)
}

func TestFollowAfterFlush(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	followed := follow(t, feed)
	followed.wants(t, feed)
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	followed.nextGap(t)
	followed.wants(t, feed)
	followed.noGap(t)
}

// The loss of an expired entry is not a gap.
func TestFollowTrimmedStream(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	old := time.Now().Add(-27 * time.Hour)
	addAt(t, client, old, 0)
	w := newFollower(feed,
		func(r auth0grpc.Revocation) { t.Errorf("applied %v", r) },
		func(err error) { t.Errorf("gap: %v", err) })
	step := func() {
		t.Helper()
		if err := w.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	step()
	if !w.lastID.time().Equal(old.Truncate(time.Millisecond)) {
		t.Fatalf("lastID = %s, want the old entry", w.lastID)
	}
	if err := client.XTrimMinID(t.Context(), defaultStream, "9999999999999").Err(); err != nil {
		t.Fatal(err)
	}
	step()
	if w.lastID != (entryID{}) {
		t.Errorf("lastID = %s after the stream was trimmed, want its start", w.lastID)
	}
}

// An entry that is not a revocation is skipped and reported, and later entries are
// applied.
func TestFollowMalformed(t *testing.T) {
	client := startRedis(t).client(t)
	feed := newFeed(t, client, FeedConfig{})
	followed := follow(t, feed)
	for _, fields := range [][]any{
		{"v1", "secret"}, {"v1", `{"sub":"secret"}`}, {"v2", "{}"}, {"", ""}, {"v1", "\xff\x00"},
	} {
		if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: defaultStream, Values: fields}).Err(); err != nil {
			t.Fatal(err)
		}
		err := followed.nextGap(t)
		if !strings.Contains(err.Error(), "skipped") || strings.Contains(err.Error(), "secret") {
			t.Errorf("gap = %v, want that an entry was skipped, and nothing of it", err)
		}
		followed.wants(t, feed)
	}
	followed.noGap(t)
}

// A key that is not a stream is reported once, and followed when it is one.
func TestFollowWrongType(t *testing.T) {
	client := startRedis(t).client(t)
	if err := client.Set(t.Context(), defaultStream, "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	feed := newFeed(t, client, FeedConfig{})
	followed := follow(t, feed)
	followed.nextGap(t)
	if err := feed.Publish(t.Context(), bySubject("s")); err == nil {
		t.Error("Publish to a string succeeds")
	}
	client.Del(t.Context(), defaultStream)
	followed.wants(t, feed)
	followed.noGap(t)
}

// Follow ends with its context, once the read that waits is over. No read waits
// longer than blockTime.
func TestFollowEnds(t *testing.T) {
	client, sent := startRedis(t).client(t), &commands{}
	client.AddHook(sent)
	feed := newFeed(t, client, FeedConfig{})
	followed := follow(t, feed)
	followed.wants(t, feed)
	began := time.Now()
	followed.cancel()
	err := receive(t, followed.ended, "the end of Follow")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Follow = %v, want %v", err, context.Canceled)
	}
	checkFigure(t, "Follow ends behind its context", time.Since(began), 2*blockTime)
	for _, block := range sent.option("xread", "block") {
		if block != "" && block != fmt.Sprint(blockTime.Milliseconds()) {
			t.Errorf("a read waits for %s ms, want %v", block, blockTime)
		}
	}
	followed.noGap(t)
	followed.ended <- err // for the cleanup
}

func TestBackoff(t *testing.T) {
	for failures, most := range map[int]time.Duration{
		1: minBackoff, 2: 2 * minBackoff, 3: 4 * minBackoff, 6: maxBackoff, 1000: maxBackoff, math.MaxInt: maxBackoff,
	} {
		for range 100 {
			if wait := backoff(failures); wait <= most/2-1 || wait > most {
				t.Errorf("backoff(%d) = %v, want %v to %v", failures, wait, most/2, most)
			}
		}
	}
}
