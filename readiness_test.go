package auth0grpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// An outage of one tenant of many does not make a replica unready, and a
// readiness probe does not hammer a tenant that is down.
func TestReadyAny(t *testing.T) {
	up, now := newTenant(t)
	down := auth0grpctest.NewTenant(t)
	config := configFor(up, now)
	config.Issuers = []string{down.Issuer(), up.Issuer()}
	config.HTTPClient = &http.Client{Transport: routes{
		up.Issuer(): up.HTTPClient().Transport, down.Issuer(): down.HTTPClient().Transport,
	}}
	fetches := func() [2]int { return [2]int{up.DiscoveryFetches(), down.DiscoveryFetches()} }
	wantFetches := func(want [2]int) {
		t.Helper()
		if got := fetches(); got != want {
			t.Errorf("fetches of %v, want %v", got, want)
		}
	}
	up.SetDown(true)
	down.SetDown(true)
	guard := mustNew(t, config)
	for range 10 {
		err := guard.ReadyAny(t.Context())
		if !errors.Is(err, auth0grpc.ErrKeysUnavailable) ||
			!strings.Contains(err.Error(), up.Issuer()) || !strings.Contains(err.Error(), down.Issuer()) {
			t.Fatalf("ReadyAny = %v, want ErrKeysUnavailable and both issuers", err)
		}
	}
	wantFetches([2]int{1, 1}) // no more during the cool-down
	now.Advance(30*time.Second - 1)
	if guard.ReadyAny(t.Context()) == nil {
		t.Error("ready within the cool-down")
	}
	wantFetches([2]int{1, 1})
	up.SetDown(false)
	now.Advance(1)
	if err := guard.ReadyAny(t.Context()); err != nil {
		t.Errorf("ReadyAny with one issuer up: %v", err)
	}
	before := fetches()
	for range 10 {
		if err := guard.ReadyAny(t.Context()); err != nil {
			t.Errorf("ReadyAny with keys of one issuer: %v", err)
		}
	}
	wantFetches(before)
	if err := guard.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), down.Issuer()) {
		t.Errorf("Ready = %v, want an error that names %s", err, down.Issuer())
	}
	up.SetDown(true)
	now.Advance(23 * time.Hour)
	if err := guard.ReadyAny(t.Context()); err != nil {
		t.Errorf("ReadyAny while the last good keys serve: %v", err)
	}
	now.Advance(2 * time.Hour)
	if guard.ReadyAny(t.Context()) == nil {
		t.Error("ready with keys that are too old to serve")
	}
}

// A tenant that accepts connections and sends nothing does not delay the answer
// if another one has keys.
func TestReadyAnyDoesNotWaitForEveryIssuer(t *testing.T) {
	up, now := newTenant(t)
	hanging := auth0grpctest.NewTenant(t)
	config := configFor(up, now)
	config.Issuers = []string{hanging.Issuer(), up.Issuer()}
	released := make(chan struct{})
	defer close(released)
	config.HTTPClient = &http.Client{Transport: routes{
		up.Issuer(): up.HTTPClient().Transport,
		hanging.Issuer(): roundTrip(func(*http.Request) (*http.Response, error) {
			<-released
			return nil, io.EOF
		}),
	}}
	guard := mustNew(t, config)
	if err := guard.ReadyAny(t.Context()); err != nil {
		t.Errorf("ReadyAny = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := guard.Ready(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, auth0grpc.ErrKeysUnavailable) {
		t.Errorf("Ready = %v, want context.Canceled", err)
	}
	config.Issuers = config.Issuers[:1]
	if err := mustNew(t, config).ReadyAny(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadyAny = %v, want context.Canceled", err)
	}
}

func TestReadyOfZeroInterceptor(t *testing.T) {
	var guard auth0grpc.Interceptor
	if err := guard.ReadyAny(t.Context()); !errors.Is(err, auth0grpc.ErrKeysUnavailable) {
		t.Errorf("ReadyAny = %v, want ErrKeysUnavailable", err)
	}
}

// manyIssuers serves many issuers that share one key set.
type manyIssuers struct {
	*httptest.Server
	issuers []string

	mu                       sync.Mutex
	connected, peak, dialled int // connections
}

func newManyIssuers(tb testing.TB, keys string) *manyIssuers {
	m := &manyIssuers{}
	m.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tenant, isDiscovery := strings.CutSuffix(r.URL.Path, ".well-known/openid-configuration")
		if isDiscovery {
			issuer := m.URL + tenant
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, issuer, issuer+"jwks.json")
			return
		}
		io.WriteString(w, keys)
	}))
	m.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		m.mu.Lock()
		defer m.mu.Unlock()
		switch state {
		case http.StateNew:
			m.dialled++
			m.connected++
			m.peak = max(m.peak, m.connected)
		case http.StateClosed:
			m.connected--
		}
	}
	m.Start()
	tb.Cleanup(m.Close)
	for i := range 300 {
		m.issuers = append(m.issuers, fmt.Sprintf("%s/tenant-%d/", m.URL, i))
	}
	return m
}

// Ready and ReadyAny together have at most 16 fetches in progress, also if a
// probe gives up and the next one starts.
func TestReadyBoundsFetches(t *testing.T) {
	const bound, issuers = 16, 1000
	synctest.Test(t, func(t *testing.T) {
		var inProgress, all atomic.Int64
		release := make(chan struct{})
		config := auth0grpc.Config{
			Audiences: []string{auth0grpctest.Audience},
			Methods:   map[string]auth0grpc.Rule{allMethods: auth0grpc.Authenticated()},
			HTTPClient: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				all.Add(1)
				inProgress.Add(1)
				defer inProgress.Add(-1)
				<-release
				return nil, io.EOF
			})},
		}
		for i := range issuers {
			config.Issuers = append(config.Issuers, fmt.Sprintf("https://tenant-%d.example/", i))
		}
		guard := mustNew(t, config)
		for range 3 { // probes that give up
			ctx, cancel := context.WithCancel(t.Context())
			go guard.ReadyAny(ctx)
			synctest.Wait()
			cancel()
			synctest.Wait()
			if n := inProgress.Load(); n != bound {
				t.Errorf("%d requests in progress, want %d", n, bound)
			}
		}
		ready := make(chan error)
		go func() { ready <- guard.Ready(t.Context()) }()
		synctest.Wait()
		if n := inProgress.Load(); n != bound {
			t.Errorf("%d requests in progress, want %d", n, bound)
		}
		close(release)
		if err := <-ready; !errors.Is(err, auth0grpc.ErrKeysUnavailable) {
			t.Errorf("Ready = %v, want ErrKeysUnavailable", err)
		}
		// The first ones may have failed before Ready came to them, and Ready
		// asks again.
		if n := all.Load(); n < issuers || n > issuers+bound {
			t.Errorf("%d requests, want one for each issuer", n)
		}
	})
}

// Many issuers do not open as many connections at once.
func TestReadyBoundsConnections(t *testing.T) {
	const bound = 16
	m := newManyIssuers(t, publicKeys(t))
	config := auth0grpc.Config{
		Issuers: m.issuers, Audiences: []string{auth0grpctest.Audience},
		Methods:              map[string]auth0grpc.Rule{allMethods: auth0grpc.Authenticated()},
		InsecureLoopbackHTTP: true,
	}
	guard := mustNew(t, config)
	if err := guard.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t.Logf("%d issuers: at most %d connections at once, %d in all", len(m.issuers), m.peak, m.dialled)
	if m.peak > 4*bound { // the server learns of a closed connection later than the client
		t.Errorf("%d connections at once, want about %d", m.peak, bound)
	}
	if n := len(guard.Stats().KeyAge); n != len(m.issuers) {
		t.Errorf("%d issuers have keys, want %d", n, len(m.issuers))
	}
}

// publicKeys returns the JWK Set of a tenant.
func publicKeys(t *testing.T) string {
	t.Helper()
	tenant := auth0grpctest.NewTenant(t)
	response, err := tenant.HTTPClient().Get(tenant.Issuer() + ".well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	keys, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", response.StatusCode, err)
	}
	return string(keys)
}
