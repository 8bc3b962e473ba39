package keyset

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

const testIssuer = "https://tenant.example/"

// epoch is when tests begin. It is not the bubble's own time, so that nothing
// can pass by mixing up the injected clock and the real one.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// provider is an issuer behind a RoundTripper: no network, no TLS.
type provider struct {
	mu        sync.Mutex
	keys      []string // JWKs
	respond   func(*http.Request) (*http.Response, error)
	gate      chan struct{} // if set, JWKS requests wait for it to be closed
	discovery int           // requests
	jwks      int
}

func (p *provider) RoundTrip(req *http.Request) (*http.Response, error) {
	p.mu.Lock()
	isJWKS := strings.HasSuffix(req.URL.Path, "/jwks.json")
	body := `{"issuer":"` + testIssuer + `","jwks_uri":"` + testIssuer + `.well-known/jwks.json"}`
	if isJWKS {
		p.jwks++
		body = `{"keys":[` + strings.Join(p.keys, ",") + `]}`
	} else {
		p.discovery++
	}
	respond, gate := p.respond, p.gate
	p.mu.Unlock()

	if gate != nil && isJWKS {
		select {
		case <-gate:
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	if respond != nil {
		return respond(req)
	}
	return response(http.StatusOK, body), nil
}

// set changes the provider under its lock.
func (p *provider) set(change func(*provider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *provider) publish(keys ...string) { p.set(func(p *provider) { p.keys = keys }) }
func (p *provider) down() {
	p.set(func(p *provider) { p.respond = answer(http.StatusBadGateway, "", nil) })
}
func (p *provider) up() { p.set(func(p *provider) { p.respond, p.gate = nil, nil }) }

// hang makes JWKS requests wait and returns the function that releases them.
func (p *provider) hang() (release func()) {
	gate := make(chan struct{})
	p.set(func(p *provider) { p.gate = gate })
	return sync.OnceFunc(func() {
		p.set(func(p *provider) { p.gate = nil })
		close(gate)
	})
}

// wantFetches asserts the number of JWKS requests so far.
func (p *provider) wantFetches(t testing.TB, want int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.jwks != want {
		t.Errorf("JWKS requests = %d, want %d", p.jwks, want)
	}
}

// wantDiscoveries asserts the number of discovery requests so far.
func (p *provider) wantDiscoveries(t testing.TB, want int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.discovery != want {
		t.Errorf("discovery requests = %d, want %d", p.discovery, want)
	}
}

func response(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

func answer(status int, body string, header map[string]string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		resp := response(status, body)
		for name, value := range header {
			resp.Header.Set(name, value)
		}
		return resp, nil
	}
}

// ecJWK returns a new P-256 key as a JWK.
func ecJWK(t testing.TB, kid string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return toJWK(t, kid, "ES256", key.Public())
}

func toJWK(t testing.TB, kid, alg string, pub crypto.PublicKey) string {
	t.Helper()
	raw, err := json.Marshal(jose.JSONWebKey{Key: pub, KeyID: kid, Algorithm: alg, Use: "sig"})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// stall is a provider that says nothing.
func stall(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

// bench is a Set with its surroundings.
type bench struct {
	*testing.T
	*provider
	clock *clock
	set   *Set

	mu        sync.Mutex
	refreshes []Refresh
}

// run runs f in its own bubble, with a provider that publishes the keys with the ids
// "a" and "b". In the bubble, settle waits for all background work and no real time
// passes.
func run(t *testing.T, name string, f func(b *bench)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		keys := []string{ecJWK(t, "a"), ecJWK(t, "b")}
		synctest.Test(t, func(t *testing.T) {
			b := &bench{T: t, provider: &provider{keys: keys}, clock: &clock{t: epoch}}
			b.set = New(Config{
				Issuer: testIssuer,
				Client: &http.Client{Transport: b.provider},
				Now:    b.clock.Now,
				Observe: func(r Refresh) {
					b.mu.Lock()
					defer b.mu.Unlock()
					b.refreshes = append(b.refreshes, r)
				},
			})
			f(b)
		})
	})
}

// settle waits until every goroutine of the test is done or blocked.
func (b *bench) settle() { synctest.Wait() }

// landed waits until the flight in progress, which it asserts, has landed.
func (b *bench) landed() {
	b.Helper()
	b.set.mu.Lock()
	f := b.set.flight
	b.set.mu.Unlock()
	if f == nil {
		b.Fatal("no flight is in progress")
	}
	if _, err := f.Wait(context.Background(), nil); err != nil {
		b.Fatal(err)
	}
}

// observed returns the refreshes reported so far, sorted by time. Each is reported on
// the goroutine of its flight, so two in quick succession may be reported in either
// order.
func (b *bench) observed() []Refresh {
	b.settle()
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedStableFunc(slices.Values(b.refreshes), func(x, y Refresh) int { return x.At.Compare(y.At) })
}

// key returns the one key with the id kid, which it asserts to be there.
func (b *bench) key(kid string) *Key {
	b.Helper()
	keys, err := b.set.Keys(context.Background(), b.clock.Now(), kid, "ES256")
	if err != nil || len(keys) != 1 {
		b.Fatalf("Keys(%q) = %d keys, %v; want one", kid, len(keys), err)
	}
	return keys[0]
}

// wantUnknown asserts that kid is not known.
func (b *bench) wantUnknown(kid string) {
	b.Helper()
	keys, err := b.set.Keys(context.Background(), b.clock.Now(), kid, "ES256")
	if !errors.Is(err, ErrUnknownKey) || keys != nil {
		b.Fatalf("Keys(%q) = %d keys, %v; want ErrUnknownKey", kid, len(keys), err)
	}
}

// wantUnavailable asserts that err is an *UnavailableError with the given wait.
func wantUnavailable(t testing.TB, err error, retryAfter time.Duration) {
	t.Helper()
	var unavailable *UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("error = %v, want an *UnavailableError", err)
	}
	if unavailable.RetryAfter != retryAfter {
		t.Errorf("RetryAfter = %v, want %v", unavailable.RetryAfter, retryAfter)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		t.Errorf("error %v looks like the end of the caller's context", err)
	}
}

// wantKeyUnavailable asserts that it cannot be told whether kid is known.
func (b *bench) wantKeyUnavailable(kid string, retryAfter time.Duration) {
	b.Helper()
	_, err := b.set.Keys(context.Background(), b.clock.Now(), kid, "ES256")
	wantUnavailable(b, err, retryAfter)
}

// check is Check at the clock's time.
func (b *bench) check(k *Key) error {
	return b.set.Check(context.Background(), b.clock.Now(), k)
}
