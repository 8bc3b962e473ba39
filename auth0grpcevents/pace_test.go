package auth0grpcevents_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
)

// A fakeAPI is an Events API without a network, for tests in a synctest bubble.
type fakeAPI struct {
	// answer returns the answer to the n-th request, from 0.
	answer func(n int, r *http.Request) *http.Response

	mu       sync.Mutex
	requests []*http.Request
	times    []time.Time
}

func (a *fakeAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	n := len(a.requests)
	a.requests, a.times = append(a.requests, r), append(a.times, time.Now())
	a.mu.Unlock()
	response := a.answer(n, r)
	if response == nil {
		return nil, errors.New("connection refused")
	}
	response.Request = r
	return response, nil
}

func (a *fakeAPI) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.requests)
}

// query returns a parameter of the n-th request.
func (a *fakeAPI) query(n int, name string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests[n].URL.Query().Get(name)
}

func refuse(code int, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: code, Header: header, Body: io.NopCloser(strings.NewReader(""))}
}

// stream answers with a stream that has this text and, unless it ends, then hangs until
// the request ends.
func stream(r *http.Request, text string, ends bool) *http.Response {
	reader, writer := io.Pipe()
	stop := context.AfterFunc(r.Context(), func() { writer.CloseWithError(r.Context().Err()) })
	go func() {
		_, _ = writer.Write([]byte(text))
		if ends {
			stop()
			writer.Close()
		}
	}()
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}, Body: reader}
}

// sse returns the message of a blocked user.
func sse(offset, user string) string {
	return "event: user.updated\nid: " + offset + "\ndata: {\"offset\":\"" + offset + "\",\"event\":" +
		envelope("user.updated", `{"user_id":"`+user+`","blocked":true}`) + "}\n\n"
}

// A countingSource returns a new token for each one that was refused.
type countingSource struct {
	mu       sync.Mutex
	renewals int
}

func (s *countingSource) AccessToken(_ context.Context, refused string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if refused != "" {
		s.renewals++
	}
	return fmt.Sprint("token-", s.renewals), nil
}

// followFor runs Follow against an API for a time.
func followFor(t *testing.T, api *fakeAPI, d time.Duration, config auth0grpcevents.Config) (*feed, *syncBuffer) {
	t.Helper()
	f, log := newFeed(), new(syncBuffer)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	config.HTTPClient, config.Logger = &http.Client{Transport: api}, log.logger()
	if config.TokenSource == nil {
		config.TokenSource = new(countingSource)
	}
	if err := auth0grpcevents.Follow(ctx, newGuard(t, f, issuer), config); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Follow = %v, want the error of its context", err)
	}
	return f, log
}

// A stream without heartbeats is left, and the next one continues after the last offset.
func TestFollowNoticesSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: func(n int, r *http.Request) *http.Response {
			return stream(r, ":connected\n\n"+sse("offset-1", "auth0|1"), false)
		}}
		_, log := followFor(t, api, time.Hour, auth0grpcevents.Config{HeartbeatTimeout: time.Minute})
		if n := api.count(); n < 50 || n > 61 {
			t.Errorf("%d connections in an hour, want about one a minute", n)
		}
		if from := api.query(1, "from"); from != "offset-1" {
			t.Errorf("the second connection starts after %q", from)
		}
		if !strings.Contains(log.String(), "no heartbeat in time") {
			t.Errorf("log: %s", log)
		}
	})
}

// The time for the headers of a response is bounded as well.
func TestFollowNoticesSilenceBeforeTheResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: func(n int, r *http.Request) *http.Response { <-r.Context().Done(); return nil }}
		followFor(t, api, time.Hour, auth0grpcevents.Config{HeartbeatTimeout: time.Minute})
		if n := api.count(); n < 30 || n > 61 {
			t.Errorf("%d connections in an hour, want about one a minute", n)
		}
	})
}

// An endless failure costs a bounded number of requests and tokens, and one line.
func TestFollowMakesNoStorm(t *testing.T) {
	const hours = 6
	for name, test := range map[string]struct {
		answer   func(n int, r *http.Request) *http.Response
		requests int // at most
	}{
		"500":                {func(int, *http.Request) *http.Response { return refuse(500, nil) }, hours * 60 * 4},
		"unreachable":        {func(int, *http.Request) *http.Response { return nil }, hours * 60 * 4},
		"401":                {func(int, *http.Request) *http.Response { return refuse(401, nil) }, hours*12*2 + 20},
		"410":                {func(int, *http.Request) *http.Response { return refuse(410, nil) }, hours * 60 * 4},
		"429 with a time":    {func(int, *http.Request) *http.Response { return refuse(429, http.Header{"Retry-After": {"120"}}) }, hours*30 + 5},
		"closed immediately": {func(_ int, r *http.Request) *http.Response { return stream(r, ":connected\nretry: 1\n\n", true) }, hours * 60 * 4},
		"an error each time": {func(_ int, r *http.Request) *http.Response { return stream(r, "event: error\ndata: {}\n\n", true) }, hours * 60 * 4},
		"always too large": {func(_ int, r *http.Request) *http.Response {
			return stream(r, "event: error\ndata: {\"error\":{\"code\":\"payload_too_large\"}}\n\n", true)
		}, hours * 60 * 4},
		"not a media type":   {func(int, *http.Request) *http.Response { return refuse(200, http.Header{"Content-Type": {";;"}}) }, hours * 60 * 4},
		"a retry of 23 days": {func(_ int, r *http.Request) *http.Response { return stream(r, "retry: 2000000000\n\n", true) }, hours * 60 * 4},
		"a clock that jumps": {func(n int, r *http.Request) *http.Response { return jumpingClock(n, r) }, hours * 60 * 4},
		"an expired position": {func(_ int, r *http.Request) *http.Response {
			return stream(r, "event: error\ndata: {\"error\":{\"code\":\"cursor_expired\"}}\n\n", true)
		}, hours * 60 * 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, source := &fakeAPI{answer: test.answer}, new(countingSource)
				_, log := followFor(t, api, hours*time.Hour, auth0grpcevents.Config{TokenSource: source})
				if n := api.count(); n > test.requests || n < 20 {
					t.Errorf("%d requests, want 20 to %d", n, test.requests)
				}
				if n := log.count("failed; revocations may be late"); n != 1 {
					t.Errorf("%d lines for one outage", n)
				}
				if source.renewals > hours*12*2+20 {
					t.Errorf("%d tokens", source.renewals)
				}
			})
		})
	}
}

// jumpingClock answers with a Date that is a day apart from one request to the next.
func jumpingClock(n int, r *http.Request) *http.Response {
	response := stream(r, ":connected\n\n", true)
	response.Header.Set("Date", time.Now().AddDate(0, 0, -(n%2)).UTC().Format(http.TimeFormat))
	return response
}

// Without an offset, Follow asks for the lifetime of a token. If Auth0 does not have that
// any more, it asks for half of it, and so on, and says that events are missing.
func TestFollowGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: func(n int, r *http.Request) *http.Response {
			if n < 3 {
				return refuse(410, nil)
			}
			return stream(r, sse("offset-1", "auth0|1"), false)
		}}
		began := time.Now()
		f, log := followFor(t, api, 30*time.Second, auth0grpcevents.Config{MaxTokenLifetime: 8 * time.Hour})
		for n, want := range []time.Duration{8 * time.Hour, 4 * time.Hour, 2 * time.Hour, time.Hour} {
			at, err := time.Parse("2006-01-02T15:04:05Z", api.query(n, "from_timestamp"))
			if back := began.Sub(at); err != nil || back > want+time.Second || back < want-30*time.Second {
				t.Errorf("request %d goes back %v, want %v", n, back, want)
			}
			if api.query(n, "from") != "" || len(api.requests[n].URL.Query()["event_type"]) != 5 {
				t.Errorf("request %d: %s", n, api.requests[n].URL)
			}
		}
		if len(f.all()) != 1 || log.count("earlier events are missing") != 1 {
			t.Errorf("revoked %v, log:\n%s", f.all(), log)
		}
	})
}

// A clock that is a day ahead leaves out no event: the Date of the response shows it.
func TestFollowCorrectsItsClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: func(n int, r *http.Request) *http.Response {
			response := stream(r, ":connected\n\n", false)
			response.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
			return response
		}}
		began := time.Now()
		followFor(t, api, 10*time.Second, auth0grpcevents.Config{Now: func() time.Time { return time.Now().AddDate(0, 0, 1) }})
		if n := api.count(); n != 2 {
			t.Fatalf("%d requests, want a second one with the right time", n)
		}
		at, _ := time.Parse("2006-01-02T15:04:05Z", api.query(1, "from_timestamp"))
		if back := began.Sub(at); back < 24*time.Hour-10*time.Second {
			t.Errorf("the second request goes back %v, want 24h", back)
		}
	})
}

// Only a clock that is more than five minutes ahead costs a second request.
func TestFollowToleratesItsClock(t *testing.T) {
	for ahead, want := range map[time.Duration]int{
		-time.Hour: 1, 0: 1, 5*time.Minute + time.Second: 1, 5*time.Minute + 2*time.Second: 2, // Date has whole seconds
	} {
		synctest.Test(t, func(t *testing.T) {
			api := &fakeAPI{answer: func(_ int, r *http.Request) *http.Response {
				response := stream(r, ":connected\n\n", false)
				response.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
				return response
			}}
			_, log := followFor(t, api, 10*time.Second, auth0grpcevents.Config{Now: func() time.Time { return time.Now().Add(ahead) }})
			if n := api.count(); n != want || log.count("events are missing") != 0 {
				t.Errorf("%v ahead: %d requests, want %d; log:\n%s", ahead, n, want, log)
			}
		})
	}
}

// An event that Auth0 cannot deliver does not hold up the later ones for ever.
func TestFollowPassesWhatCannotBeDelivered(t *testing.T) {
	const tooLarge = "event: error\ndata: {\"error\":{\"code\":\"payload_too_large\"}}\n\n"
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{}
		api.answer = func(n int, r *http.Request) *http.Response {
			switch {
			case n == 0:
				return stream(r, sse("offset-1", "auth0|1")+tooLarge, true)
			case r.URL.Query().Get("from") != "":
				return stream(r, tooLarge, true)
			}
			return stream(r, sse("offset-3", "auth0|3"), false)
		}
		f, _ := followFor(t, api, time.Minute, auth0grpcevents.Config{})
		if subjects := f.subjects(); !subjects["auth0|1"] || !subjects["auth0|3"] {
			t.Errorf("revoked %v", subjects)
		}
	})
}

// The position of an error in the stream is used, unless it cannot be one.
func TestFollowUsesTheOffsetOfAnError(t *testing.T) {
	for offset, want := range map[string]string{"offset-2": "offset-2", "": "offset-1", strings.Repeat("x", 1025): "offset-1"} {
		synctest.Test(t, func(t *testing.T) {
			api := &fakeAPI{answer: func(n int, r *http.Request) *http.Response {
				return stream(r, sse("offset-1", "auth0|1")+"event: error\ndata: {\"error\":{\"code\":\"timeout\",\"offset\":\""+offset+"\"}}\n\n", n == 0)
			}}
			followFor(t, api, 5*time.Second, auth0grpcevents.Config{})
			if from := api.query(1, "from"); from != want {
				t.Errorf("the second connection starts after %q, want %q", from, want)
			}
		})
	}
}

// The token goes to the events API of the issuer, or to the configured address alone.
func TestFollowAddressesTheEventsAPI(t *testing.T) {
	for configured, want := range map[string]string{
		"":                                "https://test-tenant.eu.auth0.com/api/v2/events",
		"https://other.eu.auth0.com/here": "https://other.eu.auth0.com/here",
	} {
		synctest.Test(t, func(t *testing.T) {
			api := &fakeAPI{answer: func(_ int, r *http.Request) *http.Response { return stream(r, ":connected\n\n", false) }}
			followFor(t, api, time.Second, auth0grpcevents.Config{EventsURL: configured})
			if n := api.count(); n != 1 {
				t.Fatalf("%d requests, want 1", n)
			}
			r := api.requests[0]
			if got := r.URL.Scheme + "://" + r.URL.Host + r.URL.Path; got != want || r.Method != http.MethodGet {
				t.Errorf("%s %s, want GET %s", r.Method, got, want)
			}
			header := http.Header{
				"Authorization": {"Bearer token-0"}, "Accept": {"text/event-stream"}, "Accept-Encoding": {"identity"}, "Cache-Control": {"no-cache"},
			}
			if diff := cmp.Diff(header, r.Header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
		})
	}
}

// No request, line or error contains a token or an offset, except where it belongs.
func TestFollowLogsNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: func(n int, r *http.Request) *http.Response {
			if n == 0 {
				return stream(r, sse("offset-1", "auth0|1"), true)
			}
			return nil
		}}
		_, log := followFor(t, api, time.Minute, auth0grpcevents.Config{})
		for _, text := range []string{"token-", "offset-1", "auth0|1", "/api/v2"} {
			if strings.Contains(log.String(), text) {
				t.Errorf("the log has %q:\n%s", text, log)
			}
		}
	})
}
