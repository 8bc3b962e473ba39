package auth0grpcclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
)

// A fake is a token endpoint on the clock of a synctest bubble. Its answers are
// given in turn, the last one again and again; nil issues a token "t<n>".
type fake struct {
	latency time.Duration
	life    int // seconds; 0: a day

	mu       sync.Mutex
	requests int
	issued   int
	answers  []func() (*http.Response, error)
}

func (f *fake) roundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(f.latency):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if len(f.answers) > 0 {
		next := f.answers[0]
		if len(f.answers) > 1 {
			f.answers = f.answers[1:]
		}
		if next != nil {
			return next()
		}
	}
	f.issued++
	life := f.life
	if life == 0 {
		life = 86400
	}
	return answer(200, fmt.Sprintf(`{"access_token":"t%d","token_type":"Bearer","expires_in":%d}`, f.issued, life)), nil
}

func (f *fake) set(answers ...func() (*http.Response, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers = answers
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

func failing(code int, pairs ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		return answer(code, `{"error":"server_error","error_description":"s3cret detail"}`, pairs...), nil
	}
}

func unreachable() (*http.Response, error) { return nil, errors.New("connection refused") }

// want asks for a token and compares.
func want(tb testing.TB, c *auth0grpcclient.Credentials, token string) {
	tb.Helper()
	got, err := authorization(tb.Context(), c)
	if got != "Bearer "+token || err != nil {
		tb.Errorf("authorization %q, %v, want the token %s", got, err, token)
	}
}

func wantCode(tb testing.TB, err error, code codes.Code) {
	tb.Helper()
	if status.Code(err) != code {
		tb.Errorf("%v (%v), want %v", err, status.Code(err), code)
	}
}

func retryDelay(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

func TestOneFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: time.Second}
		c := newCredentials(t, offline(f.roundTrip))
		var group sync.WaitGroup
		for range 64 {
			group.Go(func() { want(t, c, "t1") })
		}
		group.Wait()
		if f.count() != 1 {
			t.Errorf("%d requests, want 1", f.count())
		}
	})
}

func TestRefreshAhead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		life  int
		ahead time.Duration // before the token expires
	}{{86400, 8640 * time.Second}, {300, time.Minute}, {60, 30 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{latency: time.Second, life: test.life}
			c := newCredentials(t, offline(f.roundTrip))
			start := time.Now() // before the request: a token is never younger
			want(t, c, "t1")
			life := time.Duration(test.life) * time.Second
			time.Sleep(time.Until(start.Add(life - test.ahead - time.Second))) // the bubble's clock: no real time passes
			want(t, c, "t1")
			synctest.Wait()
			if f.count() != 1 {
				t.Errorf("life %v: %d requests before it is time, want 1", life, f.count())
			}
			time.Sleep(2 * time.Second) // the bubble's clock: no real time passes
			before := time.Now()
			want(t, c, "t1") // the old one, immediately
			if waited := time.Since(before); waited != 0 {
				t.Errorf("life %v: a call waited %v for a refresh ahead", life, waited)
			}
			time.Sleep(2 * time.Second) // the bubble's clock: no real time passes
			want(t, c, "t2")
			if f.count() != 2 {
				t.Errorf("life %v: %d requests, want 2", life, f.count())
			}
		})
	}
}

func TestOutageWithAValidToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := newCredentials(t, offline(f.roundTrip))
		start := time.Now()
		want(t, c, "t1")
		f.set(failing(503))
		time.Sleep(22 * time.Hour) // the bubble's clock: no real time passes
		for time.Since(start) < 24*time.Hour-time.Minute {
			want(t, c, "t1")
			time.Sleep(time.Second) // the bubble's clock: no real time passes
		}
		// 2 hours of calls each second: 4 requests, then a pause of up to 30 s.
		if n := f.count(); n < 400 || n > 4*7200/15+100 {
			t.Errorf("%d requests in two hours of outage", n)
		}
		time.Sleep(2 * time.Minute) // the bubble's clock: no real time passes
		_, err := authorization(t.Context(), c)
		wantCode(t, err, codes.Unavailable)
		f.set(nil)
		time.Sleep(time.Minute) // the bubble's clock: no real time passes
		want(t, c, "t2")
	})
}

func TestRetries(t *testing.T) {
	t.Parallel()
	day := time.Now().Add(24 * time.Hour).UTC().Format(http.TimeFormat)
	tests := []struct {
		name         string
		answers      []func() (*http.Response, error)
		wantRequests int
		wantCode     codes.Code
		atLeast      time.Duration // how long the call takes
		atMost       time.Duration
		retryAtLeast time.Duration
	}{
		{name: "500 twice", answers: []func() (*http.Response, error){failing(500), failing(500), nil}, wantRequests: 3, atLeast: 375 * time.Millisecond, atMost: time.Second},
		{name: "unreachable once", answers: []func() (*http.Response, error){unreachable, nil}, wantRequests: 2, atLeast: 125 * time.Millisecond, atMost: time.Second},
		{name: "500 always", answers: []func() (*http.Response, error){failing(500)}, wantRequests: 4, wantCode: codes.Unavailable, atMost: 2 * time.Second, retryAtLeast: time.Second / 2},
		{name: "429 for 3 s", answers: []func() (*http.Response, error){failing(429, "Retry-After", "3"), nil}, wantRequests: 2, atLeast: 3 * time.Second, atMost: 4 * time.Second},
		{name: "429 for longer than a fetch lasts", answers: []func() (*http.Response, error){failing(429, "Retry-After", "60")}, wantRequests: 1, wantCode: codes.Unavailable, retryAtLeast: time.Minute},
		{name: "503 until a date", answers: []func() (*http.Response, error){failing(503, "Retry-After", day)}, wantRequests: 1, wantCode: codes.Unavailable, retryAtLeast: 5 * time.Minute},
		{name: "401", answers: []func() (*http.Response, error){failing(401)}, wantRequests: 1, wantCode: codes.Unauthenticated},
		{name: "redirect", answers: []func() (*http.Response, error){failing(307, "Location", "https://elsewhere.example/")}, wantRequests: 1, wantCode: codes.Unauthenticated},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				f.set(test.answers...)
				c := newCredentials(t, offline(f.roundTrip))
				start := time.Now()
				_, err := authorization(t.Context(), c)
				wantCode(t, err, test.wantCode)
				if took := time.Since(start); took < test.atLeast || took > test.atMost {
					t.Errorf("took %v, want %v to %v", took, test.atLeast, test.atMost)
				}
				if delay := retryDelay(err); delay < test.retryAtLeast {
					t.Errorf("RetryInfo %v, want at least %v", delay, test.retryAtLeast)
				}
				if f.count() != test.wantRequests {
					t.Errorf("%d requests, want %d", f.count(), test.wantRequests)
				}
				if err == nil {
					return
				}
				// While the failure is fresh, a call costs no request.
				_, again := authorization(t.Context(), c)
				wantCode(t, again, test.wantCode)
				if f.count() != test.wantRequests {
					t.Errorf("%d requests after a second call, want %d", f.count(), test.wantRequests)
				}
				if text := fmt.Sprint(err, status.Convert(err).Message()); strings.Contains(text, "s3cret") {
					t.Errorf("the body is in the text: %s", text)
				}
			})
		})
	}
}

func TestTokenError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.set(func() (*http.Response, error) {
			return answer(401, `{"error":"invalid_client","error_description":"s3cret"}`), nil
		})
		_, err := authorization(t.Context(), newCredentials(t, offline(f.roundTrip)))
		var failure *auth0grpcclient.TokenError
		if !errors.As(err, &failure) || failure.HTTPStatus != 401 || failure.Code != "invalid_client" {
			t.Errorf("%#v, want a TokenError of 401 invalid_client", err)
		}
		const text = "auth0grpcclient: the token endpoint refused (HTTP status 401, invalid_client)"
		if err.Error() != text || status.Convert(err).Message() != text {
			t.Errorf("%q, want %q", err, text)
		}

		f.set(unreachable)
		_, err = authorization(t.Context(), newCredentials(t, offline(f.roundTrip)))
		if got := err.Error(); got != "auth0grpcclient: the token endpoint cannot be reached: connection refused" {
			t.Errorf("text %q", got)
		}
		if got := status.Convert(err).Message(); got != "auth0grpcclient: the token endpoint cannot be reached" {
			t.Errorf("the status tells of the network: %q", got)
		}
	})
}

func TestUnusableAnswers(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no lifetime":     `{"access_token":"t","token_type":"Bearer"}`,
		"no token":        `{"token_type":"Bearer","expires_in":60}`,
		"a line break":    `{"access_token":"t\nx: y","token_type":"Bearer","expires_in":60}`,
		"no ASCII":        `{"access_token":"t\u00e4","token_type":"Bearer","expires_in":60}`,
		"not JSON":        `<html>`,
		"a wrong type":    `{"access_token":"t","token_type":1,"expires_in":60}`,
		"an odd error":    `{"error":"<s3cret>"}`,
		"a long error":    `{"error":"` + strings.Repeat("a", 100) + `"}`,
		"not even a type": ``,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				f.set(func() (*http.Response, error) { return answer(200, body), nil })
				got, err := authorization(t.Context(), newCredentials(t, offline(f.roundTrip)))
				if code := status.Code(err); got != "" || (code != codes.Unavailable && code != codes.Unauthenticated) {
					t.Errorf("%q, %v, want no token", got, err)
				}
				if strings.Contains(fmt.Sprint(err), "s3cret") || len(fmt.Sprint(err)) > 120 {
					t.Errorf("the answer is in the text: %v", err)
				}
			})
		})
	}
}

func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: 5 * time.Second}
		c := newCredentials(t, offline(f.roundTrip))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := authorization(ctx, c)
		wantCode(t, err, codes.DeadlineExceeded)
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v, want its second", took)
		}
		time.Sleep(10 * time.Second) // the bubble's clock: no real time passes
		want(t, c, "t1")             // the token has arrived for others
		if f.count() != 1 {
			t.Errorf("%d requests, want 1", f.count())
		}
	})
}

func TestSilentEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: time.Hour}
		start := time.Now()
		_, err := authorization(t.Context(), newCredentials(t, offline(f.roundTrip)))
		wantCode(t, err, codes.Unavailable)
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("took %v, want at most 30 s", took)
		}
	})
}

func TestPanickingTransport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.set(func() (*http.Response, error) { panic("bug") })
		c := newCredentials(t, offline(f.roundTrip))
		_, err := authorization(t.Context(), c)
		wantCode(t, err, codes.Unavailable)
		f.set(nil)
		time.Sleep(time.Minute) // the bubble's clock: no real time passes
		want(t, c, "t1")
	})
}

func TestReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := newCredentials(t, offline(f.roundTrip))
		if f.count() != 0 {
			t.Error("New did I/O")
		}
		for range 2 {
			if err := c.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		}
		want(t, c, "t1")
		if f.count() != 1 {
			t.Errorf("%d requests, want 1", f.count())
		}
	})
}

// TestClock shows that the client uses Now and not the wall clock.
func TestClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now atomic.Int64
		now.Store(1_000_000)
		f := &fake{}
		config := offline(f.roundTrip)
		config.Now = func() time.Time { return time.Unix(now.Load(), 0) }
		c := newCredentials(t, config)
		want(t, c, "t1")
		time.Sleep(48 * time.Hour) // the bubble's clock: no real time passes
		want(t, c, "t1")
		now.Add(86400)
		want(t, c, "t2")
	})
}
