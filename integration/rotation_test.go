package integration

import (
	"slices"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/integration/ordersv1"
)

// revocationBound is the library's promise: when a key is revoked, its tokens
// stop within this time. The second part is for the calls in progress: a second of
// real time is a minute here.
const revocationBound = 10*time.Minute + time.Minute

// machineTokens returns n different tokens of the provider.
func (p *provider) machineTokens(t testing.TB, n int) []string {
	t.Helper()
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = p.machineToken(t, "read:orders")
	}
	return tokens
}

// Keys are rotated and revoked under load: no good call fails, and the tokens of
// a revoked key stop in time.
func TestRotation(t *testing.T) {
	a := newAuthority(t)
	p := startProvider(t, a)
	clock := newFastClock()
	s := serve(t, a, []string{p.issuer}, clock.use)
	client := ordersv1.NewOrdersClient(s.dial(t))
	tokens := p.machineTokens(t, 10)
	l := startLoad(t, clock, client, tokens)
	clock.pass(t, time.Minute)

	var longest time.Duration
	const rounds = 3
	for range rounds {
		old := tokens
		p.rotate(t)
		tokens = p.machineTokens(t, 10)
		l.use(slices.Concat(old, tokens)) // both are good until the key is revoked
		clock.pass(t, 2*time.Minute)
		l.use(tokens)
		// The worst moment to revoke: the keys have just been fetched.
		clock.runUntil(t, "the keys are fetched", func() bool {
			return s.guard.Stats().KeyAge[p.issuer] < 10*time.Second
		})
		longest = max(longest, p.revokeAndWait(t, clock, client, old[0]))
	}
	// Two rotations in a row, which Auth0 does on request alone, lead to a key that was
	// never published before. The server fetches it with its first token, except within
	// 30 s of a search for an unknown key. The revoked key caused such a search.
	clock.pass(t, time.Minute)
	p.rotate(t)
	p.rotate(t)
	l.use(p.machineTokens(t, 10))
	clock.pass(t, 2*time.Minute)
	l.check(t)
	summarize(t, "%d rotations under %d calls/s: %v; revoked tokens stopped within %v of the library's clock (bound 10m)",
		rounds+2, perSecond, l, longest.Round(time.Second))
}

// revokeAndWait revokes the former signing keys and returns how long a token signed by
// one of them was still accepted.
func (p *provider) revokeAndWait(t *testing.T, clock *fastClock, client ordersv1.OrdersClient, token string) time.Duration {
	t.Helper()
	p.revoke(t)
	revoked := clock.now()
	var last error
	clock.runUntil(t, "a revoked token stops", func() bool {
		ctx, cancel := withToken(token)
		defer cancel()
		_, last = client.GetOrder(ctx, &ordersv1.GetOrderRequest{})
		return last != nil
	})
	took := clock.now().Sub(revoked)
	if reason, _ := auth0grpc.ReasonFromError(last); reason != auth0grpc.ReasonUnknownKey {
		t.Errorf("a token of a revoked key ended with %v, want %s", last, auth0grpc.ReasonUnknownKey)
	}
	if took > revocationBound {
		t.Errorf("a token of a revoked key was accepted for %v, want at most %v", took, revocationBound)
	}
	return took
}

// Without a load nothing refreshes the keys in the background: then the first call
// after the bound must be refused.
func TestRevocationWhileIdle(t *testing.T) {
	a := newAuthority(t)
	p := startProvider(t, a)
	clock := newFastClock()
	conn := serve(t, a, []string{p.issuer}, clock.use).dial(t)
	token := p.machineToken(t, "read:orders")
	if err := getOrder(conn, token); err != nil {
		t.Fatal(err)
	}
	p.rotate(t)
	p.revoke(t)
	clock.pass(t, 10*time.Minute)
	err := getOrder(conn, token)
	if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonUnknownKey {
		t.Errorf("the first call after ten minutes: %v, want %s", err, auth0grpc.ReasonUnknownKey)
	}
	if err := getOrder(conn, p.machineToken(t, "read:orders")); err != nil {
		t.Errorf("a token of the current key: %v", err)
	}
	summarize(t, "no call for ten minutes of the library's clock: the first one is refused")
}
