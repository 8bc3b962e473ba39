package auth0grpcevents_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
)

// A failingStore is a store whose first calls of Load and of Save fail.
type failingStore struct {
	auth0grpcevents.Store

	mu          sync.Mutex
	failedLoads int
	failedSaves int
	loads       int
	saves       []string
}

func (s *failingStore) Load(ctx context.Context, tenant string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loads++; s.loads <= s.failedLoads {
		return "", errDown
	}
	return s.Store.Load(ctx, tenant)
}

func (s *failingStore) Save(ctx context.Context, tenant string, term uint64, offset string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saves = append(s.saves, offset); len(s.saves) <= s.failedSaves {
		return errDown
	}
	return s.Store.Save(ctx, tenant, term, offset)
}

// While the offset cannot be read, Follow does not start at another position, and asks the
// store a bounded number of times.
func TestFollowWaitsForTheOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &failingStore{Store: auth0grpcevents.NewMemoryStore(), failedLoads: 10}
		if err := store.Store.Save(t.Context(), "test-tenant", 1, "offset-1"); err != nil {
			t.Fatal(err)
		}
		monitor := new(auth0grpcevents.Monitor)
		api := &fakeAPI{answer: func(_ int, r *http.Request) *http.Response { return stream(r, ":connected\n\n", false) }}
		failures := make(chan error, 1)
		time.AfterFunc(5*time.Second, func() { failures <- monitor.Stats().Err })
		_, log := followFor(t, api, time.Minute, auth0grpcevents.Config{Store: store, LeaseDuration: 6 * time.Second, Monitor: monitor})
		if diff := cmp.Diff([]string{"offset-1"}, positions(api, 10)); diff != "" {
			t.Errorf("positions (-want +got):\n%s", diff)
		}
		if wait := api.times[0].Sub(api.times[0].Truncate(time.Hour)); wait < 10*time.Second || store.loads != 11 {
			t.Errorf("%d calls of Load in %v, want 11 in 10s at least", store.loads, wait)
		}
		if err := <-failures; !errors.Is(err, errDown) || log.count("the store failed") != 1 || log.count("the store recovered") != 1 {
			t.Errorf("Stats.Err = %v, log:\n%s", err, log)
		}
	})
}

// Follow saves the offset of each revocation immediately, and others at most once a second
// and at the end of the connection. It leads on while the store does not save.
func TestFollowSaves(t *testing.T) {
	revoked := func(n int) string { return sse(fmt.Sprint("offset-", n), fmt.Sprint("auth0|", n)) }
	unrelated := func(n int) string { return fmt.Sprint("event: offset-only\nid: offset-", n, "\n\n") }
	messages := func(message func(int) string, n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(message(i + 1))
		}
		return b.String()
	}
	for name, test := range map[string]struct {
		text     string
		failures int
		want     []string
	}{
		"revocations":        {messages(revoked, 3), 0, []string{"offset-1", "offset-2", "offset-3"}},
		"others":             {messages(unrelated, 100), 0, []string{"offset-1", "offset-100"}},
		"a store that fails": {messages(revoked, 3), 2, []string{"offset-1", "offset-2", "offset-3"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &failingStore{Store: auth0grpcevents.NewMemoryStore(), failedSaves: test.failures}
				monitor := new(auth0grpcevents.Monitor)
				api := &fakeAPI{answer: func(n int, r *http.Request) *http.Response {
					if n == 0 {
						return stream(r, test.text, true)
					}
					return stream(r, ":connected\n\n", false)
				}}
				_, log := followFor(t, api, 10*time.Second, auth0grpcevents.Config{Store: store, Monitor: monitor})
				if diff := cmp.Diff(test.want, store.saves); diff != "" {
					t.Errorf("offsets (-want +got):\n%s", diff)
				}
				if n := log.count("this process follows the tenant"); n != 1 || log.count("has stopped following") != 1 {
					t.Errorf("this process led %d times, want once; log:\n%s", n, log)
				}
				if n := log.count("the store failed"); n != min(test.failures, 1) || log.count("the store recovered") != n || monitor.Stats().Err != nil {
					t.Errorf("Stats.Err = %v, log:\n%s", monitor.Stats().Err, log)
				}
			})
		})
	}
}

// A leader stays while its lease lasts, also if a renewal fails.
func TestFollowRenewsAgain(t *testing.T) {
	withLeader(t, func(t *testing.T, store *fleetStore, m *member) {
		store.change(func(s *fleetStore) { s.down = true })
		after(2500 * time.Millisecond) // at 3.5 s: a renewal at 2 s has failed, and the lease ends at 6 s
		if stats := m.monitor.Stats(); !stats.Leader || stats.Outages != 1 {
			t.Errorf("Stats = %+v, want a leader and an outage", stats)
		}
		store.change(func(s *fleetStore) { s.down = false })
		after(time.Minute)
		if stats := m.monitor.Stats(); !stats.Leader || stats.Err != nil || m.api.count() != 1 {
			t.Errorf("Stats = %+v with %d connections, want a leader with the first one", stats, m.api.count())
		}
		m.stop()
	})
}

// A leader that ends during a renewal resigns after it. A renewal that still arrives would
// otherwise hold up the others. It is no outage.
func TestFollowResignsAfterARenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowStore{Store: auth0grpcevents.NewMemoryStore()}
		monitor := new(auth0grpcevents.Monitor)
		api := &fakeAPI{answer: func(_ int, r *http.Request) *http.Response { return stream(r, ":connected\n\n", false) }}
		followFor(t, api, 3*time.Second, auth0grpcevents.Config{Store: store, LeaseDuration: 6 * time.Second, Monitor: monitor})
		if diff := cmp.Diff([]string{"lead", "lead", "resign"}, store.calls); diff != "" || monitor.Stats().Outages != 0 {
			t.Errorf("Stats = %+v, calls (-want +got):\n%s", monitor.Stats(), diff)
		}
	})
}

// A slowStore answers a renewal a second after its context has ended.
type slowStore struct {
	auth0grpcevents.Store

	mu    sync.Mutex
	calls []string
}

func (s *slowStore) note(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
}

func (s *slowStore) Lead(ctx context.Context, _ string, _ time.Duration) (uint64, error) {
	s.mu.Lock()
	first := len(s.calls) == 0
	s.mu.Unlock()
	if first {
		s.note("lead")
		return 1, nil
	}
	<-ctx.Done()
	<-time.After(time.Second)
	s.note("lead")
	return 0, ctx.Err()
}

func (s *slowStore) Resign(context.Context, string, uint64) error {
	s.note("resign")
	return nil
}

// An outage of the store that began while this process led ends when the store names another
// leader.
func TestFollowEndsTheOutageOfALeader(t *testing.T) {
	withLeader(t, func(t *testing.T, store *fleetStore, first *member) {
		first.stop()
		store.change(func(s *fleetStore) { s.offset = "" })
		m := joinWith(t, store, "again", func(_ int, r *http.Request) *http.Response {
			store.change(func(s *fleetStore) { s.down = true })
			return stream(r, sse("offset-1", "auth0|1"), false)
		})
		after(time.Minute)
		if stats := m.monitor.Stats(); stats.Leader || !errors.Is(stats.Err, errDown) || m.log.count("the store failed") != 2 {
			t.Errorf("Stats = %+v, want an outage of Save and one of Lead; log:\n%s", stats, m.log)
		}
		store.change(func(s *fleetStore) { s.down, s.owner, s.until = false, "other", time.Now().Add(time.Hour) })
		after(6 * time.Second)
		if stats := m.monitor.Stats(); stats.Leader || stats.Err != nil || m.log.count("the store recovered") != 2 {
			t.Errorf("Stats = %+v, want another leader and no outage; log:\n%s", stats, m.log)
		}
		m.stop()
	})
}
