package auth0grpcclient_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
)

// A revoking server takes tokens whose iat is later than the second of the last
// revocation. Both are in Unix seconds on the clock of a synctest bubble.
type revoking struct {
	issued  atomic.Int64 // tokens
	revoked atomic.Int64
}

// config configures a client whose tokens are "<iat>.<n>".
func (r *revoking) config() auth0grpcclient.Config {
	return offline(func(*http.Request) (*http.Response, error) {
		return answer(200, fmt.Sprintf(`{"access_token":"%d.%d","token_type":"Bearer","expires_in":86400}`, time.Now().Unix(), r.issued.Add(1))), nil
	})
}

// caller returns a function that makes one unary call through c.
func (r *revoking) caller(ctx context.Context, c *auth0grpcclient.Credentials) func() error {
	intercept := c.UnaryClientInterceptor()
	return func() error {
		return intercept(ctx, "/a.B/C", nil, nil, nil, func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
			value, err := authorization(ctx, c)
			if err != nil {
				return err
			}
			var iat, n int64
			if _, err := fmt.Sscanf(value, "Bearer %d.%d", &iat, &n); err != nil {
				return err
			}
			if iat <= r.revoked.Load() {
				return refuse("TOKEN_REVOKED")
			}
			return nil
		})
	}
}

// A revocation covers the tokens of its own second, so it also refuses a token that the
// client fetches immediately. A token of the next second passes.
func TestRevokedClientIsBackAfterASecond(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Duration{0, 200 * time.Millisecond, 999 * time.Millisecond} {
		for _, onBehalfOf := range []bool{false, true} {
			t.Run(fmt.Sprint(at, onBehalfOf), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := &revoking{}
					c := newCredentials(t, r.config())
					if onBehalfOf {
						var err error
						if c, err = auth0grpcclient.NewOnBehalfOf(r.config(), auth0grpcclient.IncomingToken); err != nil {
							t.Fatal(err)
						}
					}
					call := r.caller(incoming(t.Context(), "Bearer user"), c)
					if err := call(); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Hour + at) // the bubble's clock: no real time passes
					for range 3 {              // again and again, each a while after the one before
						before := r.issued.Load()
						r.revoked.Store(time.Now().Unix())
						start, failed := time.Now(), 0
						for call() != nil {
							failed++
							time.Sleep(10 * time.Millisecond) // the bubble's clock: no real time passes
						}
						if took := time.Since(start); took > 1010*time.Millisecond || failed > 101 {
							t.Errorf("%d calls failed for %v, want a second at most", failed, took)
						}
						if n := r.issued.Load() - before; n > 2 {
							t.Errorf("%d tokens for one revocation, want 2 at most", n)
						}
						time.Sleep(2 * time.Minute) // the bubble's clock: no real time passes
					}
				})
			})
		}
	}
}

// A server that refuses every token costs few of them: the pauses double.
func TestRenewalPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &revoking{}
		r.revoked.Store(1 << 40)
		call := r.caller(t.Context(), newCredentials(t, r.config()))
		start := time.Now()
		var fetched []time.Duration
		for time.Since(start) < time.Minute {
			before := r.issued.Load()
			wantCode(t, call(), codes.Unauthenticated)
			for range r.issued.Load() - before {
				fetched = append(fetched, time.Since(start).Round(time.Second))
			}
			time.Sleep(100 * time.Millisecond) // the bubble's clock: no real time passes
		}
		const s = time.Second
		if want := []time.Duration{0, 0, 1 * s, 3 * s, 7 * s, 15 * s, 25 * s, 35 * s, 45 * s, 55 * s}; !slices.Equal(fetched, want) {
			t.Errorf("tokens at %v, want %v", fetched, want)
		}
	})
}

// TestRenewalWhenTheClockIsSetBack shows that neither pause waits for the clock to
// catch up: the pause between renewals and the pause after failures.
func TestRenewalWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	start := time.Now()
	f := &fake{}
	config := offline(f.roundTrip)
	config.Now = func() time.Time { return start.Add(time.Duration(now.Load())) }
	c := newCredentials(t, config)
	intercept := c.UnaryClientInterceptor()
	call := func() {
		_ = intercept(t.Context(), "/a.B/C", nil, nil, nil, func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
			if _, err := authorization(ctx, c); err != nil {
				return err
			}
			return refuse("TOKEN_REVOKED")
		})
	}
	call()
	call()
	if f.count() != 2 {
		t.Fatalf("%d requests, want 2", f.count())
	}
	now.Add(-int64(time.Hour))
	call()
	if f.count() != 3 {
		t.Errorf("%d requests after the clock was set back, want 3", f.count())
	}

	f.set(failing(401))
	failed := newCredentials(t, config)
	for range 2 {
		_, err := authorization(t.Context(), failed)
		wantCode(t, err, codes.Unauthenticated)
	}
	before := f.count()
	now.Add(-int64(time.Hour))
	_, _ = authorization(t.Context(), failed)
	if f.count() != before+1 {
		t.Errorf("%d requests after a failure and the clock was set back, want 1", f.count()-before)
	}
}
