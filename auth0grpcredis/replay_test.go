package auth0grpcredis

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func newStore(tb testing.TB, client redis.UniversalClient, config ReplayConfig) *ReplayStore {
	tb.Helper()
	if config.Timeout == 0 {
		config.Timeout = testTimeout
	}
	store, err := NewReplayStore(client, config)
	if err != nil {
		tb.Fatal(err)
	}
	return store
}

func TestNewReplayStore(t *testing.T) {
	sound := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true})
	deaf := redis.NewClient(&redis.Options{})
	ring := redis.NewRing(&redis.RingOptions{ContextTimeoutEnabled: true})
	t.Cleanup(func() { sound.Close(); deaf.Close(); ring.Close() })
	told := func(context.Context, error) {}
	for _, test := range []struct {
		name   string
		client redis.UniversalClient
		config ReplayConfig
		faults []string
	}{
		{"defaults", sound, ReplayConfig{}, nil},
		{"open by choice", sound, ReplayConfig{InsecureFailOpen: true, OnFailOpen: told}, nil},
		{"no client", nil, ReplayConfig{}, []string{"client is nil"}},
		{"client without deadlines", deaf, ReplayConfig{}, []string{"ContextTimeoutEnabled"}},
		{"ring", ring, ReplayConfig{}, []string{"redis.Ring"}},
		{"typed nil client", (*redis.Client)(nil), ReplayConfig{}, []string{"client is nil"}},
		{"clocks too far apart", sound, ReplayConfig{ClockSkew: maxClockSkew + 1}, []string{"ClockSkew"}},
		{"open by half", sound, ReplayConfig{OnFailOpen: told}, []string{"InsecureFailOpen"}},
		{"all at once", nil, ReplayConfig{Timeout: -1, ClockSkew: -1, OnFailOpen: told}, []string{"client is nil", "Timeout", "ClockSkew", "InsecureFailOpen"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			store, err := NewReplayStore(test.client, test.config)
			checkFaults(t, err, test.faults)
			if (store == nil) == (err == nil) {
				t.Errorf("NewReplayStore = %v beside %v", store, err)
			}
		})
	}
}

func TestUse(t *testing.T) {
	client := startRedis(t).client(t)
	store := newStore(t, client, ReplayConfig{Now: func() time.Time { return noon }})
	other := newStore(t, client, ReplayConfig{Now: func() time.Time { return noon }, Prefix: "other:"})
	until := noon.Add(5 * time.Minute)
	for _, test := range []struct {
		name  string
		store *ReplayStore
		id    string
		until time.Time
		want  bool
	}{
		{"first", store, "thumbprint jti-1", until, true},
		{"again", store, "thumbprint jti-1", until, false},
		{"again, for longer", store, "thumbprint jti-1", until.Add(time.Hour), false},
		{"another", store, "thumbprint jti-2", until, true},
		{"another, near to it", store, "thumbprint jti-2 ", until, true},
		{"under another prefix", other, "thumbprint jti-1", until, true},
		{"empty", store, "", until, true},
		{"any bytes, any length", store, strings.Repeat("\x00\xff\r\n", 1<<16), until, true},
		{"in its last moment", store, "jti-3", noon, true},
		{"in its last moment, again", store, "jti-3", noon, false},
		{"too late", store, "jti-4", noon.Add(-1), false},
		{"in 200 years", store, "jti-5", noon.AddDate(200, 0, 0), true},
	} {
		if first, err := test.store.Use(t.Context(), test.id, test.until); err != nil || first != test.want {
			t.Errorf("%s: Use = %t, %v, want %t", test.name, first, err, test.want)
		}
	}
}

// Redis receives only a hash, and it forgets that by itself.
func TestUseKeys(t *testing.T) {
	client := startRedis(t).client(t)
	store := newStore(t, client, ReplayConfig{Now: func() time.Time { return noon }})
	if _, err := store.Use(t.Context(), "jti-1", noon.Add(1500*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	keys := client.Keys(t.Context(), "*").Val()
	const want = "auth0grpc:replay:WWTaBVrjHPjrcjDhkKUEiZxvYPB_nxzTyt6fvyJujCg" // of SHA-256("jti-1")
	if len(keys) != 1 || keys[0] != want {
		t.Fatalf("keys %q, want %s", keys, want)
	}
	ttl, most := client.PTTL(t.Context(), want).Val(), 2*maxClockSkew+1500*time.Millisecond
	if ttl > most || ttl < most-patience {
		t.Errorf("the key lives %v, want %v", ttl, most)
	}
}

// Of 64 racing uses of one id, through two clients, exactly one is the first.
func TestUseRace(t *testing.T) {
	server := startRedis(t)
	stores := []*ReplayStore{newStore(t, server.client(t), ReplayConfig{}), newStore(t, server.client(t), ReplayConfig{})}
	for round := range 50 {
		id, until := string(rune('A'+round)), time.Now().Add(time.Hour)
		begin, firsts := make(chan struct{}), make(chan bool, 64)
		for i := range 64 {
			go func() {
				<-begin
				first, err := stores[i%2].Use(t.Context(), id, until)
				if err != nil {
					t.Errorf("Use: %v", err)
				}
				firsts <- first
			}()
		}
		close(begin)
		n := 0
		for range 64 {
			if receive(t, firsts, "an answer") {
				n++
			}
		}
		if n != 1 {
			t.Fatalf("round %d: %d uses were the first, want 1", round, n)
		}
	}
}

// One use is one command.
func TestUseOneRoundTrip(t *testing.T) {
	client := startRedis(t).client(t)
	store := newStore(t, client, ReplayConfig{})
	if err := client.Ping(t.Context()).Err(); err != nil { // it says hello first
		t.Fatal(err)
	}
	count := &commands{}
	client.AddHook(count)
	for _, id := range []string{"a", "a", "b"} {
		if _, err := store.Use(t.Context(), id, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(count.sent(), " "); got != "set set set" {
		t.Errorf("commands %q, want one set for each use", got)
	}
}

// commands notes the commands that a client sends.
type commands struct {
	passingHook
	mu   sync.Mutex
	args [][]any
}

// sent returns the names of the commands.
func (c *commands) sent() (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, args := range c.args {
		names = append(names, fmt.Sprint(args[0]))
	}
	return names
}

// option returns the value behind an option, for each command of a name: "" if the
// command has no such option.
func (c *commands) option(name, option string) (values []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, args := range c.args {
		if args[0] != name {
			continue
		}
		value := ""
		if i := slices.Index(args, any(option)); i > 0 && i+1 < len(args) {
			value = fmt.Sprint(args[i+1])
		}
		values = append(values, value)
	}
	return values
}

func (c *commands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.mu.Lock()
		c.args = append(c.args, slices.Clone(cmd.Args()))
		c.mu.Unlock()
		return next(ctx, cmd)
	}
}

// outages are the ways in which Redis fails to do its part.
func outages(tb testing.TB) map[string]*redis.Client {
	tb.Helper()
	down := &redisServer{address: freeAddress(tb)}
	closed, full := startRedis(tb, "--requirepass", "secret"), startRedis(tb, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	return map[string]*redis.Client{
		"down": down.client(tb), "hanging": hangingServer(tb).client(tb, withoutDeadlines),
		"closed to us": closed.client(tb), "full": full.client(tb),
	}
}

func TestUseFails(t *testing.T) {
	for name, client := range outages(t) {
		t.Run(name, func(t *testing.T) {
			const timeout = 200 * time.Millisecond
			store := newStore(t, client, ReplayConfig{Timeout: timeout})
			first, err := store.Use(t.Context(), "jti", time.Now().Add(time.Hour))
			if first || err == nil || !strings.HasPrefix(err.Error(), "auth0grpcredis: ") {
				t.Errorf("Use = %t, %v, want false and an error of ours", first, err)
			}

			var told []error
			store = newStore(t, client, ReplayConfig{
				Timeout: timeout, InsecureFailOpen: true,
				OnFailOpen: func(_ context.Context, err error) { told = append(told, err) },
			})
			for range 2 {
				if first, err := store.Use(t.Context(), "jti", time.Now().Add(time.Hour)); !first || err != nil {
					t.Errorf("Use = %t, %v of a store that fails open, want true", first, err)
				}
			}
			if len(told) != 2 || told[0] == nil || told[1] == nil {
				t.Errorf("OnFailOpen was told of %v, want two errors", told)
			}
			if first, err := store.Use(t.Context(), "jti", time.Now().Add(-time.Minute)); first || err != nil {
				t.Errorf("Use = %t, %v of a proof that is too old, want false", first, err)
			}
		})
	}
}

// A caller that hurries does not open the store.
func TestUseFailsClosedForTheCaller(t *testing.T) {
	store := newStore(t, hangingServer(t).client(t), ReplayConfig{
		Timeout: time.Hour, InsecureFailOpen: true,
		OnFailOpen: func(_ context.Context, err error) { t.Errorf("opened: %v", err) },
	})
	for i := range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
		if first, err := store.Use(ctx, "jti", time.Now().Add(time.Hour)); first || err == nil {
			t.Errorf("Use = %t, %v with %d ms of time, want an error", first, err, i)
		}
		cancel()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if first, err := store.Use(ctx, "jti", time.Now().Add(time.Hour)); first || err == nil {
		t.Errorf("Use = %t, %v of a call that was canceled, want an error", first, err)
	}
}

// Without OnFailOpen, the feed logs once for each outage, and logs no id.
func TestUseFailOpenLog(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	wire := &line{}
	store := newStore(t, startRedis(t).client(t, wire.use), ReplayConfig{InsecureFailOpen: true})
	for range 2 {
		wire.setCut(true)
		for range 3 {
			if first, err := store.Use(t.Context(), "secret", time.Now().Add(time.Hour)); !first || err != nil {
				t.Fatalf("Use = %t, %v of a store that fails open, want true", first, err)
			}
		}
		wire.setCut(false)
		if _, err := store.Use(t.Context(), "another", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 2 || strings.Contains(log.String(), "secret") {
		t.Errorf("%d warnings, want 2 without the id:\n%s", n, log.String())
	}
}

// A store that was out of reach answers again.
func TestUseAfterAnOutage(t *testing.T) {
	wire := &line{}
	store := newStore(t, startRedis(t).client(t, wire.use), ReplayConfig{})
	until := time.Now().Add(time.Hour)
	if first, err := store.Use(t.Context(), "jti", until); !first || err != nil {
		t.Fatalf("Use = %t, %v", first, err)
	}
	wire.setCut(true)
	if _, err := store.Use(t.Context(), "jti", until); err == nil {
		t.Error("Use succeeds without Redis")
	}
	wire.setCut(false)
	eventually(t, "an answer", func() bool {
		first, err := store.Use(t.Context(), "jti", until)
		if first {
			t.Fatal("Use = true for the second time")
		}
		return err == nil
	})
}

func BenchmarkUse(b *testing.B) {
	store := newStore(b, startRedis(b).client(b), ReplayConfig{})
	until := time.Now().Add(time.Hour)
	id := make([]byte, 64)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		id[0], id[1], id[2], id[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
		if first, err := store.Use(b.Context(), string(id), until); err != nil || !first {
			b.Fatal(first, err)
		}
	}
}
