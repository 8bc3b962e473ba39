package auth0grpc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

var update = flag.Bool("update", false, "rewrite the generated pages in docs/")

// A provider is a tenant behind a transport that can be made to misbehave.
type provider struct {
	inner    http.RoundTripper
	busy     atomic.Int64  // requests under way
	landed   atomic.Int64  // attempts that are over
	patience time.Duration // the deadline of each call, in real time
	good     claims        // of a token that outlives the failures

	mu         sync.Mutex
	respond    func(*http.Request) (*http.Response, error) // nil: behaves
	attempts   int                                         // at fetching keys: discovery and keys, or one of them
	discovered bool                                        // the attempt has begun with discovery
}

// count tells attempts by their requests, which one issuer makes one by one.
func (p *provider) count(r *http.Request) {
	if !isKeys(r) || !p.discovered {
		p.attempts++
	}
	p.discovered = !isKeys(r)
}

// take returns how many attempts there were since the last take.
func (p *provider) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.attempts
	p.attempts = 0
	return fmt.Sprint(n)
}

func (p *provider) set(respond func(*http.Request) (*http.Response, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.respond = respond
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.busy.Add(1)
	defer p.busy.Add(-1)
	p.mu.Lock()
	p.count(r)
	respond := p.respond
	p.mu.Unlock()
	if respond != nil {
		if response, err := respond(r); response != nil || err != nil {
			return response, err
		}
	}
	return p.inner.RoundTrip(r)
}

func isKeys(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "jwks.json") }

func answer(code int, body string, header ...string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		response := &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
		for i := 0; i < len(header); i += 2 {
			response.Header.Set(header[i], header[i+1])
		}
		return response, nil
	}
}

// onKeys confines an answer to the key set.
func onKeys(respond func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		if !isKeys(r) {
			return nil, nil
		}
		return respond(r)
	}
}

// neverEnding is a body that gives nothing until the request is given up.
type neverEnding struct{ ctx context.Context }

func (b neverEnding) Read([]byte) (int, error) { <-b.ctx.Done(); return 0, b.ctx.Err() }
func (neverEnding) Close() error               { return nil }

// A failure is an answer, or none, that some tenant or network has given.
type failure struct {
	name    string
	respond func(f *fixture) func(*http.Request) (*http.Response, error)
	hangs   bool // calls wait until their deadline or until the fetch gives up
}

// failingProvider puts a provider before the tenant, and serves no transport.
func failingProvider(f *fixture, config *auth0grpc.Config) {
	failingProviderOver(f.tenant.HTTPClient().Transport)(f, config)
}

// failingProviderOver is failingProvider for a tenant that is reached by inner.
func failingProviderOver(inner http.RoundTripper) option {
	return func(f *fixture, config *auth0grpc.Config) {
		good := claims{"scope": "read:orders", "iat": today.Add(-2 * time.Hour).Unix(), "exp": today.Add(72 * time.Hour).Unix()}
		f.provider, f.transports = &provider{inner: inner, patience: time.Minute, good: good}, nil
		config.HTTPClient = &http.Client{Transport: f.provider}
		config.OnKeyRefresh = func(auth0grpc.KeyRefresh) { f.provider.landed.Add(1) }
	}
}

// settle waits for the refresh in the background that a call has started, if its
// keys were due for one.
func (f *fixture) settle(t *testing.T, before int64) {
	t.Helper()
	age := f.guard.Stats().KeyAge[f.tenant.Issuer()]
	if (age < 0 || age >= 5*time.Minute) && !f.lands(before) {
		t.Fatal("no refresh, though the keys are due for one")
	}
}

// lands reports whether an attempt lands when there were so many before.
func (f *fixture) lands(before int64) bool {
	tick, deadline := time.NewTicker(time.Millisecond), time.After(2*time.Minute)
	defer tick.Stop()
	for f.provider.landed.Load() == before {
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
	return true
}

// memoryPages serves the documents of a tenant from memory, by path. Code in a
// synctest bubble uses it: a network connection there would stop the time.
type memoryPages map[string]string

func fetchPages(t *testing.T, tenant *auth0grpctest.Tenant) memoryPages {
	t.Helper()
	pages := memoryPages{}
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/jwks.json"} {
		response, err := tenant.HTTPClient().Get(strings.TrimSuffix(tenant.Issuer(), "/") + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		page, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d, %v", path, response.StatusCode, err)
		}
		pages[path] = string(page)
	}
	return pages
}

func (r memoryPages) RoundTrip(request *http.Request) (*http.Response, error) {
	page, ok := r[request.URL.Path]
	if !ok {
		return answer(http.StatusNotFound, "")(request)
	}
	return answer(http.StatusOK, page)(request)
}

// newToken returns a good token that was not seen before.
func (f *fixture) newToken(id string) string {
	return f.tenant.Token(with(f.provider.good, claims{"marker": id}))
}

func (f *fixture) unknownKey() string {
	return f.tenant.Sign(map[string]any{"kid": "made-up"}, f.claimsOf("unknown"))
}

func (f *fixture) badSignature() string {
	token := f.newToken("forged")
	return token[:len(token)-6] + "AAAAAA"[:5] + "A"
}

func (f *fixture) claimsOf(id string) claims {
	return with(f.provider.good, claims{"iss": f.tenant.Issuer(), "sub": "auth0|x", "aud": auth0grpctest.Audience, "marker": id})
}

// verdict makes a unary call and opens a stream, which must agree, and says how they
// ended. Where they do not, because a refresh in the background landed between
// them, it makes both again.
func (f *fixture) verdict(t *testing.T, token string) string {
	t.Helper()
	before := f.provider.landed.Load()
	unary := f.within(t, token, func(ctx context.Context) error {
		_, err := f.guard.UnaryServerInterceptor()(ctx, nil, &grpc.UnaryServerInfo{FullMethod: unaryCall},
			func(context.Context, any) (any, error) { return nil, nil })
		return err
	})
	stream := f.within(t, token, func(ctx context.Context) error {
		return f.guard.StreamServerInterceptor()(nil, serverStream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: unaryCall},
			func(any, grpc.ServerStream) error { return nil })
	})
	if unary == stream {
		return unary
	}
	if !f.lands(before) {
		t.Fatalf("unary: %s, stream: %s", unary, stream)
	}
	return f.verdict(t, token)
}

// within makes one call that has f.provider.patience for all of its time.
func (f *fixture) within(t *testing.T, token string, call func(context.Context) error) string {
	ctx, cancel := context.WithTimeout(t.Context(), f.provider.patience)
	defer cancel()
	return worded(call(metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "Bearer "+token))))
}

func worded(err error) string {
	if err == nil {
		return "OK"
	}
	if reason, ok := auth0grpc.ReasonFromError(err); ok {
		return string(reason)
	}
	return status.Code(err).String()
}

// many makes the call again twenty times, which must not change the answer.
func (f *fixture) many(t *testing.T, token, want string) {
	t.Helper()
	for range 20 {
		if got := f.verdict(t, token); got != want {
			t.Errorf("again: %s, want %s", got, want)
		}
	}
}

var failures = []failure{
	{name: "none", respond: func(*fixture) func(*http.Request) (*http.Response, error) { return nil }},
	{name: "keys answer 500", respond: func(*fixture) func(*http.Request) (*http.Response, error) { return onKeys(answer(500, "oops")) }},
	{name: "keys answer 429", respond: func(*fixture) func(*http.Request) (*http.Response, error) { return onKeys(answer(429, "")) }},
	{name: "keys answer 429, Retry-After 120", respond: func(*fixture) func(*http.Request) (*http.Response, error) {
		return onKeys(answer(429, "", "Retry-After", "120"))
	}},
	{name: "connection refused", respond: func(*fixture) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }
	}},
	{name: "keys never arrive (slow loris)", respond: func(f *fixture) func(*http.Request) (*http.Response, error) {
		// Every call of the row ends while the fetch hangs, which gives up after
		// five seconds.
		f.provider.patience = 400 * time.Millisecond
		return onKeys(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: neverEnding{r.Context()}, Request: r}, nil
		})
	}, hangs: true},
	{name: "keys are cut off", respond: func(f *fixture) func(*http.Request) (*http.Response, error) {
		return f.rewrite(func(doc []byte) []byte { return doc[:len(doc)/2] })
	}},
	{name: "keys are not JSON", respond: func(*fixture) func(*http.Request) (*http.Response, error) {
		return onKeys(answer(200, "<html>maintenance</html>"))
	}},
	{name: "keys are an empty set", respond: func(*fixture) func(*http.Request) (*http.Response, error) {
		return onKeys(answer(200, `{"keys":[]}`))
	}},
	{name: "keys are 5 MB", respond: func(f *fixture) func(*http.Request) (*http.Response, error) {
		return f.rewrite(func(doc []byte) []byte { return append(doc, bytes.Repeat([]byte(" "), 5<<20)...) })
	}},
	{name: "keys redirect to another host", respond: func(*fixture) func(*http.Request) (*http.Response, error) {
		return onKeys(answer(302, "", "Location", "https://evil.example/jwks.json"))
	}},
	{name: "discovery names another issuer", respond: func(*fixture) func(*http.Request) (*http.Response, error) {
		return func(r *http.Request) (*http.Response, error) {
			return answer(200, `{"issuer":"https://evil.example/","jwks_uri":"https://evil.example/jwks.json"}`)(r)
		}
	}},
	{name: "one malformed key among good ones", respond: func(f *fixture) func(*http.Request) (*http.Response, error) {
		return f.addKey(func() any { return map[string]any{"kty": "RSA", "kid": "broken", "n": "!", "e": 65537} })
	}},
	{name: "a malformed certificate (x5c) with each key", respond: func(f *fixture) func(*http.Request) (*http.Response, error) {
		return f.editKeys(func(keys []claims) []claims {
			for _, key := range keys {
				key["x5c"] = []string{"!"}
			}
			return keys
		})
	}},
	{name: "99 other keys before the good ones", respond: func(f *fixture) func(*http.Request) (*http.Response, error) {
		return f.editKeys(func(keys []claims) []claims {
			var others []claims
			for i := range 99 {
				others = append(others, with(keys[0], claims{"kid": fmt.Sprint(i)}))
			}
			return append(others, keys...)
		})
	}},
	{name: "keys without kid", respond: func(f *fixture) func(*http.Request) (*http.Response, error) {
		return f.editKeys(func(keys []claims) []claims {
			for _, key := range keys {
				delete(key, "kid")
			}
			return keys
		})
	}},
	{name: "a second key under the same kid", respond: func(f *fixture) func(*http.Request) (*http.Response, error) {
		return f.addKeyLikeTheFirst(newRSA(2048))
	}},
	{name: "an RSA-1024 key in the set", respond: func(f *fixture) func(*http.Request) (*http.Response, error) {
		key := newRSA(1024)
		return f.addKey(func() any {
			return jose.JSONWebKey{Key: &key.PublicKey, KeyID: "small", Algorithm: "RS256", Use: "sig"}
		})
	}},
	{name: "an EC key in the set", respond: func(f *fixture) func(*http.Request) (*http.Response, error) {
		f.tenant.PublishES256()
		return nil
	}},
}

// newRSA makes a key of any size, for one that is too small above all.
func newRSA(bits int) *rsa.PrivateKey {
	// crypto/rsa refuses to make small keys, unless a test asks it to.
	os.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

// rewrite lets the tenant answer and changes the key set on its way.
func (f *fixture) rewrite(change func([]byte) []byte) func(*http.Request) (*http.Response, error) {
	return onKeys(func(r *http.Request) (*http.Response, error) {
		response, err := f.provider.inner.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		doc, err := io.ReadAll(response.Body)
		if err != nil {
			return nil, err
		}
		return answer(200, string(change(doc)))(r)
	})
}

func (f *fixture) addKey(key func() any) func(*http.Request) (*http.Response, error) {
	return f.rewrite(func(doc []byte) []byte {
		var set struct{ Keys []any }
		if err := json.Unmarshal(doc, &set); err != nil {
			panic(err)
		}
		changed, err := json.Marshal(map[string]any{"keys": append([]any{key()}, set.Keys...)})
		if err != nil {
			panic(err)
		}
		return changed
	})
}

// editKeys changes the keys of the set.
func (f *fixture) editKeys(edit func(keys []claims) []claims) func(*http.Request) (*http.Response, error) {
	return f.rewrite(func(doc []byte) []byte {
		var set struct{ Keys []claims }
		if err := json.Unmarshal(doc, &set); err != nil {
			panic(err)
		}
		changed, err := json.Marshal(map[string]any{"keys": edit(set.Keys)})
		if err != nil {
			panic(err)
		}
		return changed
	})
}

func (f *fixture) addKeyLikeTheFirst(key *rsa.PrivateKey) func(*http.Request) (*http.Response, error) {
	return f.rewrite(func(doc []byte) []byte {
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(doc, &set); err != nil {
			panic(err)
		}
		twin := set.Keys[0]
		twin.Key = &key.PublicKey
		changed, err := json.Marshal(jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey{twin}, set.Keys...)})
		if err != nil {
			panic(err)
		}
		return changed
	})
}

// TestProviderFailures makes a tenant misbehave in every way of the list, once before it was ever
// reached and once with loaded keys. It records the results of good and bad tokens and
// the fetches from the tenant. The table is docs/failures.md.
func TestProviderFailures(t *testing.T) {
	var page strings.Builder
	page.WriteString(failuresHead)
	for _, a := range failures {
		t.Run(a.name, func(t *testing.T) {
			tenant, clock := newTenant(t)
			row := []string{a.name}
			if a.hangs {
				pages := fetchPages(t, tenant)
				synctest.Test(t, func(t *testing.T) {
					row = append(row, atStart(t, newFixtureOf(t, tenant, clock, failingProviderOver(pages)), a)...)
					row = append(row, withKeys(t, newFixtureOf(t, tenant, clock, failingProviderOver(pages)), a)...)
				})
			} else {
				row = append(row, atStart(t, newFixtureOf(t, tenant, clock, failingProvider), a)...)
				row = append(row, withKeys(t, newFixture(t, failingProvider), a)...)
			}
			fmt.Fprintf(&page, "| %s |\n", strings.Join(row, " | "))
		})
	}
	page.WriteString(eventsHead)
	for _, e := range events {
		t.Run(e.name, func(t *testing.T) {
			f := newFixture(t, failingProvider)
			known := f.newToken("known")
			if got := f.verdict(t, known); got != "OK" {
				t.Fatalf("before: %s", got)
			}
			f.provider.take()
			row := append([]string{e.name}, e.run(t, f, known)...)
			fetches := f.provider.take()
			if e.atMost > 0 {
				if n, err := strconv.Atoi(fetches); err != nil || n > e.atMost {
					t.Errorf("%s fetches, want at most %d", fetches, e.atMost)
				}
				fetches = fmt.Sprintf("at most %d", e.atMost)
			}
			fmt.Fprintf(&page, "| %s | %s |\n", strings.Join(row, " | "), fetches)
		})
	}
	compareWithPage(t, "docs/failures.md", page.String())
}

// atStart is a failure before the keys were ever fetched.
func atStart(t *testing.T, f *fixture, a failure) []string {
	f.provider.set(a.respond(f))
	good, unknown := f.newToken("a"), f.unknownKey()
	first := f.verdict(t, good)
	second := f.verdict(t, unknown)
	if a.hangs {
		f.lands(0)
		return []string{first, second, f.provider.take(), "when the fetch gives up (5 s)"}
	}
	f.many(t, good, first)
	f.many(t, unknown, second)
	fetches := f.provider.take()
	return []string{first, second, fetches, f.recovery(t, good)}
}

// recovery ends the failure and says how long good calls still fail.
func (f *fixture) recovery(t *testing.T, good string) string {
	if f.verdict(t, good) == "OK" {
		return "-"
	}
	if f.guard.Ready(t.Context()) == nil {
		t.Error("Ready during the respond: nil")
	}
	f.provider.set(nil)
	for _, wait := range []time.Duration{30 * time.Second, 90 * time.Second} {
		f.clock.Advance(wait)
		if f.verdict(t, good) == "OK" {
			return fmt.Sprintf("within %v", map[time.Duration]time.Duration{30 * time.Second: 30 * time.Second, 90 * time.Second: 2 * time.Minute}[wait])
		}
	}
	t.Error("no recovery after two minutes")
	return "never"
}

// withKeys is a failure that begins when the keys are there, on a server that
// has had no call for 11 minutes, so that the next one has to wait for a refresh.
func withKeys(t *testing.T, f *fixture, a failure) []string {
	known := f.newToken("known")
	if got := f.verdict(t, known); got != "OK" {
		t.Fatalf("before the respond: %s", got)
	}
	f.provider.take()
	f.provider.set(a.respond(f))
	f.clock.Advance(11 * time.Minute)
	tokens := []string{known, f.newToken("new"), f.unknownKey(), f.badSignature()}
	var row []string
	for i, token := range tokens {
		got := f.verdict(t, token)
		row = append(row, got)
		if want := "OK"; i < 2 && got != want {
			t.Errorf("with keys, a good token gets %s", got)
		}
		if !a.hangs {
			f.many(t, token, got)
		}
	}
	if a.hangs {
		f.settle(t, 1)
	}
	return append(row, f.provider.take())
}

// events are changes of keys, tenants and clocks over time.
//
// If fetches run in the background of many calls, atMost bounds them: their number
// depends on when each ends.
var events = []struct {
	name   string
	atMost int // 0: the count is exact
	run    func(t *testing.T, f *fixture, known string) []string
}{
	{"keys rotated", 0, func(t *testing.T, f *fixture, known string) []string {
		f.tenant.RotateKeys()
		return []string{"token of the old key: " + f.verdict(t, known), "token of the new key: " + f.verdict(t, f.newToken("new"))}
	}},
	{"keys rotated twice within the refresh time", 0, func(t *testing.T, f *fixture, known string) []string {
		f.tenant.RotateKeys()
		f.tenant.RotateKeys()
		return []string{"token of the old key: " + f.verdict(t, known), "token of a key never seen: " + f.verdict(t, f.newToken("new"))}
	}},
	{"key revoked, 11 minutes without a call", 0, func(t *testing.T, f *fixture, known string) []string {
		f.tenant.RotateKeys()
		f.tenant.RevokePreviousKey()
		f.clock.Advance(11 * time.Minute)
		return []string{"cached token of that key: " + f.verdict(t, known), "token of the new key: " + f.verdict(t, f.newToken("new"))}
	}},
	{"key revoked, cached calls all the time", 11, func(t *testing.T, f *fixture, known string) []string {
		f.tenant.RotateKeys()
		f.tenant.RevokePreviousKey()
		last := 0
		for minute := 1; minute <= 11; minute++ {
			f.clock.Advance(time.Minute)
			before := f.provider.landed.Load()
			if f.verdict(t, known) == "OK" {
				last = minute
			}
			f.settle(t, before)
		}
		if last >= 10 {
			t.Errorf("the cached token of a revoked key was accepted for %d minutes", last)
		}
		return []string{"cached token of that key: accepted for less than 10 minutes", "after that: " + f.verdict(t, known)}
	}},
	{"tenant down for 23 hours", 24, func(t *testing.T, f *fixture, known string) []string {
		f.tenant.SetDown(true)
		for range 23 {
			f.clock.Advance(time.Hour)
			before := f.provider.landed.Load()
			if got := f.verdict(t, known); got != "OK" {
				t.Errorf("during the outage: %s", got)
			}
			f.settle(t, before)
		}
		return []string{"cached token: " + f.verdict(t, known), "new token: " + f.verdict(t, f.newToken("new"))}
	}},
	{"tenant down for 25 hours, then up", 0, func(t *testing.T, f *fixture, known string) []string {
		f.tenant.SetDown(true)
		f.clock.Advance(25 * time.Hour)
		down := f.verdict(t, known)
		f.tenant.SetDown(false)
		f.clock.Advance(30 * time.Second)
		return []string{"while down: " + down, "30 s after: " + f.verdict(t, known)}
	}},
	{"clock jumps an hour ahead", 0, func(t *testing.T, f *fixture, known string) []string {
		f.clock.Advance(time.Hour)
		return []string{"cached token: " + f.verdict(t, known), "new token: " + f.verdict(t, f.newToken("new"))}
	}},
	{"clock jumps an hour back", 2, func(t *testing.T, f *fixture, known string) []string {
		f.clock.Advance(-time.Hour)
		before := f.provider.landed.Load()
		first := f.verdict(t, known)
		f.settle(t, before)
		return []string{"cached token: " + first, "new token: " + f.verdict(t, f.newToken("new"))}
	}},
}

const failuresHead = "# Failures of the identity provider\n\n" +
	"Generated by `go test -run TestProviderFailures -update .`, with a clock that stands still unless the table says otherwise.\n" +
	"A good token was signed by the tenant with a key that is not revoked. Each call was made 42 times, unary and streaming,\n" +
	"and always got the same result. *Fetches* counts the attempts to fetch the tenant's keys in all those calls.\n\n" +
	"| failure | at the start: good token | unknown key | fetches | good again after the failure | with keys 11 minutes old: good, cached | good, new | unknown key | bad signature | fetches |\n" +
	"|---|---|---|---|---|---|---|---|---|---|\n"

const eventsHead = "\nChanges of keys, tenant or clock, with loaded keys:\n\n" +
	"| event | | | fetches |\n|---|---|---|---|\n"

// compareWithPage fails unless the page in docs/ equals the test's result.
func compareWithPage(t *testing.T, path, content string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(committed), content); diff != "" {
		t.Errorf("%s is out of date, run go test -run %s -update . (-committed +found):\n%s", path, t.Name(), diff)
	}
}

// One issuer's outage is not another's (CVE-2026-49998's row: keys per issuer).
func TestFailuresStayWithTheirIssuer(t *testing.T) {
	f, healthy := newFixture(t, failingProvider), auth0grpctest.NewTenant(t)
	healthy.SetNow(f.clock.Now)
	config := configFor(f.tenant, f.clock)
	config.Issuers = append(config.Issuers, healthy.Issuer())
	config.HTTPClient = &http.Client{Transport: routes{f.tenant.Issuer(): f.provider, healthy.Issuer(): healthy.HTTPClient().Transport}}
	f.guard = mustNew(t, config)
	f.provider.set(func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED })
	got := []string{f.verdict(t, f.newToken("a")), f.verdict(t, healthy.Token(claims{"scope": "read:orders"}))}
	if want := []string{"KEYS_UNAVAILABLE", "OK"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// routes is a transport for several tenants, each with a certificate of its own.
type routes map[string]http.RoundTripper

func (r routes) RoundTrip(request *http.Request) (*http.Response, error) {
	return r["https://"+request.URL.Host+"/"].RoundTrip(request)
}
