package auth0grpcevents_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
)

// A fleetStore is shared by the processes of a fleet, each with its own view.
type fleetStore struct {
	mu     sync.Mutex
	owner  string
	term   uint64
	until  time.Time
	offset string
	down   bool
	hangs  bool
	saves  []string
}

// A candidate is the view of one process.
type candidate struct {
	*fleetStore
	name string
}

var errDown = errors.New("the store is down")

func (c candidate) Lead(ctx context.Context, _ string, lease time.Duration) (uint64, error) {
	c.mu.Lock()
	hangs := c.hangs
	c.mu.Unlock()
	if hangs {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.down:
		return 0, errDown
	case c.owner != c.name && time.Now().Before(c.until):
		return 0, nil
	case c.owner != c.name:
		c.owner, c.term = c.name, c.term+1
	}
	c.until = time.Now().Add(lease)
	return c.term, nil
}

func (c candidate) Resign(_ context.Context, _ string, term uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner == c.name && c.term == term {
		c.owner, c.until = "", time.Time{}
	}
	return nil
}

func (c candidate) Load(context.Context, string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return "", errDown
	}
	return c.offset, nil
}

func (c candidate) Save(_ context.Context, _ string, term uint64, offset string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.down:
		return errDown
	case c.owner != c.name || c.term != term:
		return auth0grpcevents.ErrNotLeader
	}
	c.offset, c.saves = offset, append(c.saves, c.name+" "+offset)
	return nil
}

func (s *fleetStore) change(apply func(*fleetStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	apply(s)
}

// A member is a process of a fleet in a synctest bubble.
type member struct {
	monitor *auth0grpcevents.Monitor
	api     *fakeAPI
	log     *syncBuffer
	stop    func()
}

// join starts Follow with the view of one process.
func join(t *testing.T, store *fleetStore, name string) *member {
	t.Helper()
	return joinWith(t, store, name, func(_ int, r *http.Request) *http.Response {
		offset := "offset-of-" + name
		return stream(r, sse(offset, "auth0|"+name), false)
	})
}

// joinWith is join with the answers of the Events API.
func joinWith(t *testing.T, store *fleetStore, name string, answer func(n int, r *http.Request) *http.Response) *member {
	t.Helper()
	m := &member{monitor: new(auth0grpcevents.Monitor), log: new(syncBuffer), api: &fakeAPI{answer: answer}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	guard := newGuard(t, newFeed(), issuer)
	go func() {
		defer close(done)
		_ = auth0grpcevents.Follow(ctx, guard, auth0grpcevents.Config{
			TokenSource: new(countingSource), Store: candidate{store, name}, LeaseDuration: 6 * time.Second,
			HTTPClient: &http.Client{Transport: m.api}, Monitor: m.monitor, Logger: m.log.logger(), HeartbeatTimeout: time.Hour,
		})
	}()
	m.stop = func() { cancel(); <-done }
	return m
}

// after lets time pass and waits for its effects.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// withLeader calls test with a store and the process that leads, a second after its start.
func withLeader(t *testing.T, test func(t *testing.T, store *fleetStore, leader *member)) {
	synctest.Test(t, func(t *testing.T) {
		store := &fleetStore{}
		leader := join(t, store, "first")
		after(time.Second)
		test(t, store, leader)
	})
}

// One process of a fleet leads. Another one follows it at once after a regular end, and
// continues after its offset.
func TestFollowHandsOver(t *testing.T) {
	withLeader(t, func(t *testing.T, store *fleetStore, first *member) {
		second := join(t, store, "second")
		after(time.Minute)
		if !first.monitor.Stats().Leader || second.monitor.Stats().Leader || second.api.count() != 0 {
			t.Errorf("leaders: %+v and %+v", first.monitor.Stats(), second.monitor.Stats())
		}
		first.stop()
		after(2 * time.Second) // a third of the lease
		if first.monitor.Stats().Leader || !second.monitor.Stats().Leader {
			t.Errorf("leaders: %+v and %+v after the end of the first", first.monitor.Stats(), second.monitor.Stats())
		}
		if from := second.api.query(0, "from"); from != "offset-of-first" {
			t.Errorf("the second starts after %q", from)
		}
		second.stop()
	})
}

// A leader that cannot renew its lease gives up when the lease ends, at the latest, and
// reports the outage once.
func TestFollowGivesUpWithoutTheStore(t *testing.T) {
	withLeader(t, func(t *testing.T, store *fleetStore, m *member) {
		store.change(func(s *fleetStore) { s.down = true })
		after(6 * time.Second)
		if stats := m.monitor.Stats(); stats.Leader || stats.Connected || !errors.Is(stats.Err, errDown) {
			t.Errorf("Stats = %+v, want no leader", stats)
		}
		after(time.Hour)
		if n := m.log.count("the store failed"); n != 1 || m.monitor.Stats().Outages != 1 {
			t.Errorf("%d reports of one outage", n)
		}
		store.change(func(s *fleetStore) { s.down = false })
		after(6 * time.Second)
		if stats := m.monitor.Stats(); !stats.Leader || stats.Err != nil || m.log.count("the store recovered") != 1 {
			t.Errorf("Stats = %+v, want a leader", stats)
		}
		m.stop()
	})
}

// A store that hangs holds up no leader beyond its lease.
func TestFollowGivesUpWhileTheStoreHangs(t *testing.T) {
	withLeader(t, func(t *testing.T, store *fleetStore, m *member) {
		store.change(func(s *fleetStore) { s.hangs = true })
		after(6 * time.Second)
		if stats := m.monitor.Stats(); stats.Leader || stats.Err == nil {
			t.Errorf("Stats = %+v, want no leader", stats)
		}
		m.stop()
	})
}

// A leader whose lease another process has taken, as after a pause, stores nothing and
// follows no more.
func TestFollowLosesItsTerm(t *testing.T) {
	withLeader(t, func(t *testing.T, store *fleetStore, m *member) {
		store.change(func(s *fleetStore) { // as if this process had been stopped for a while
			s.owner, s.term, s.until, s.offset = "other", s.term+1, time.Now().Add(time.Hour), "offset-of-other"
		})
		after(2 * time.Second)
		if m.monitor.Stats().Leader {
			t.Error("the process leads beside another one")
		}
		m.stop()
		if store.offset != "offset-of-other" {
			t.Errorf("offset %q, want the one of the other process", store.offset)
		}
	})
}

// A store that is down at the start is an outage until it answers, also if another process
// leads. The end of the context is none.
func TestFollowWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fleetStore{down: true, owner: "other", until: time.Now().Add(time.Hour)}
		m := join(t, store, "first")
		after(time.Minute)
		if stats := m.monitor.Stats(); stats.Leader || !errors.Is(stats.Err, errDown) || stats.Outages != 1 || m.log.count("the store failed") != 1 {
			t.Errorf("Stats = %+v, want one outage; log:\n%s", stats, m.log)
		}
		store.change(func(s *fleetStore) { s.down = false })
		after(6 * time.Second)
		if stats := m.monitor.Stats(); stats.Leader || stats.Err != nil || m.log.count("the store recovered") != 1 {
			t.Errorf("Stats = %+v, want another leader and no outage; log:\n%s", stats, m.log)
		}
		store.change(func(s *fleetStore) { s.hangs = true })
		after(3 * time.Second)
		m.stop()
		if stats := m.monitor.Stats(); stats.Err != nil || stats.Outages != 1 {
			t.Errorf("Stats = %+v after the end, want no further outage", stats)
		}
	})
}

// A leader that cannot store an offset, because another one leads, leaves the stream at
// once. It does not wait for its next renewal.
func TestFollowLeavesWhenItCannotSave(t *testing.T) {
	withLeader(t, func(t *testing.T, store *fleetStore, m *member) {
		m.stop()
		store.change(func(s *fleetStore) { s.saves = nil })
		again := joinWith(t, store, "again", func(n int, r *http.Request) *http.Response {
			if n == 0 {
				store.change(func(s *fleetStore) { s.owner, s.term, s.until = "other", s.term+1, time.Now().Add(time.Hour) })
			}
			return stream(r, sse("offset-1", "auth0|1"), false)
		})
		after(time.Second) // the next renewal is at 2 s
		if again.monitor.Stats().Leader || len(store.saves) != 0 {
			t.Errorf("the process leads after %v was saved, want that it has left", store.saves)
		}
		again.stop()
	})
}
