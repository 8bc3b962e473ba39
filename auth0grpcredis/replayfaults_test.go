package auth0grpcredis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// repairBegan reports whether a link has begun a repair.
func repairBegan(l *link) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.repairing || !l.repairedAt.IsZero()
}

func TestReplayDefaults(t *testing.T) {
	client := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() })
	store, err := NewReplayStore(client, ReplayConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if store.timeout != defaultReplayTimeout || store.ClockSkew() != maxClockSkew || store.prefix != defaultPrefix || store.failOpen {
		t.Errorf("timeout %v, clock skew %v, prefix %q, fail open %t", store.timeout, store.ClockSkew(), store.prefix, store.failOpen)
	}
}

// A use gives its place back: a pool of two connections has one.
func TestUseGivesItsPlaceBack(t *testing.T) {
	client := startRedis(t).client(t, func(o *redis.Options) { o.PoolSize = 2 })
	store := newStore(t, client, ReplayConfig{Timeout: time.Hour})
	for i := range 3 {
		// A place that is gone fails the use after half an hour, or with the context.
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if first, err := store.Use(ctx, fmt.Sprint(i), time.Now().Add(time.Hour)); !first || err != nil {
			t.Fatalf("use %d = %t, %v", i, first, err)
		}
		cancel()
	}
}

// The proof of a call that has ended is not used up: the store sends nothing.
func TestUseOfAnEndedCall(t *testing.T) {
	client, sent := startRedis(t).client(t), &commands{}
	client.AddHook(sent)
	store := newStore(t, client, ReplayConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 20 {
		if first, err := store.Use(ctx, fmt.Sprint(i), time.Now().Add(time.Hour)); first || !errors.Is(err, context.Canceled) {
			t.Errorf("Use = %t, %v, want %v", first, err, context.Canceled)
		}
	}
	for i := range 20 {
		if first, err := store.Use(t.Context(), fmt.Sprint(i), time.Now().Add(time.Hour)); !first || err != nil {
			t.Errorf("Use = %t, %v of a proof that no call has used", first, err)
		}
	}
	if n := len(sent.option("set", "ex")); n != 20 {
		t.Errorf("%d commands, want 20", n)
	}
}

// Each failure of Redis starts a repair of the connections. A caller that hurries
// starts none: its deadline is the client's to choose.
func TestUseStartsRepairs(t *testing.T) {
	for _, test := range []struct {
		name    string
		err     error         // of the command
		hangs   bool          // the command has no answer
		busy    bool          // other uses have all places
		timeout time.Duration // of the store
		context time.Duration
		want    error
		repair  bool
	}{
		{name: "the command fails", err: errHook, timeout: time.Hour, context: time.Hour, want: errHook, repair: true},
		{name: "a refusal", err: replyError("NOPERM"), timeout: time.Hour, context: time.Hour, want: replyError("NOPERM")},
		{name: "no answer", hangs: true, timeout: time.Millisecond, context: time.Hour, want: errSlow, repair: true},
		{name: "no answer for the caller", hangs: true, timeout: time.Hour, context: time.Millisecond, want: context.DeadlineExceeded},
		{name: "no place", busy: true, timeout: time.Millisecond, context: time.Hour, want: errSlow, repair: true},
		{name: "no place for the caller", busy: true, timeout: time.Hour, context: time.Millisecond, want: context.DeadlineExceeded},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := hangingServer(t).client(t)
			answer := make(chan struct{})
			defer close(answer)
			hook := &failingHook{name: "set", err: test.err}
			if test.hangs {
				hook.err, hook.call = errHook, func() { <-answer }
			}
			client.AddHook(hook)
			store := newStore(t, client, ReplayConfig{Timeout: test.timeout})
			if test.busy {
				places, err := store.link.places(t.Context(), "")
				if err != nil {
					t.Fatal(err)
				}
				for range cap(places) {
					places <- struct{}{}
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), test.context)
			defer cancel()
			first, err := store.Use(ctx, "jti", time.Now().Add(time.Hour))
			if first || !errors.Is(err, test.want) {
				t.Errorf("Use = %t, %v, want %v", first, err, test.want)
			}
			if got := repairBegan(store.link); got != test.repair {
				t.Errorf("a repair began: %t, want %t", got, test.repair)
			}
		})
	}
}

func clusterThatIsDown(tb testing.TB) *redis.ClusterClient {
	tb.Helper()
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{freeAddress(tb)}, ContextTimeoutEnabled: true, DialerRetries: 1,
	})
	tb.Cleanup(func() { client.Close() })
	return client
}

// A Cluster whose nodes are all down has no server for the key. The use fails at
// once and does not wait for a place.
func TestUseWithoutAServer(t *testing.T) {
	store := newStore(t, clusterThatIsDown(t), ReplayConfig{Timeout: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if first, err := store.Use(ctx, "jti", time.Now().Add(time.Hour)); first || err == nil || errors.Is(err, errSlow) || ctx.Err() != nil {
		t.Errorf("Use = %t, %v, want an error of the network", first, err)
	}
}

// With OnFailOpen the store logs nothing.
func TestOnFailOpenReplacesTheLog(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	client := hangingServer(t).client(t)
	client.AddHook(&failingHook{name: "set", err: errHook})
	calls := 0
	store := newStore(t, client, ReplayConfig{InsecureFailOpen: true, OnFailOpen: func(_ context.Context, err error) {
		calls++
		if !errors.Is(err, errHook) {
			t.Errorf("OnFailOpen called with %v, want %v", err, errHook)
		}
	}})
	if first, err := store.Use(t.Context(), "jti", time.Now().Add(time.Hour)); !first || err != nil || calls != 1 || log.Len() != 0 {
		t.Errorf("Use = %t, %v; %d calls of OnFailOpen, log %q", first, err, calls, log.String())
	}
}
