package auth0grpcevents_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
)

// withBody is a response of this status.
func withBody(code int, body string) *http.Response {
	response := refuse(code, nil)
	response.Body = io.NopCloser(strings.NewReader(body))
	return response
}

// TestTextsOfOutages covers the explanation of each failure. It contains no part of a
// response.
func TestTextsOfOutages(t *testing.T) {
	streamError := func(r *http.Request, data string) *http.Response {
		return stream(r, "event: error\ndata: "+data+"\n\n", true)
	}
	for want, answer := range map[string]func(*http.Request) *http.Response{
		"the Events API cannot be reached: connection refused":                                      func(*http.Request) *http.Response { return nil },
		"the Events API cannot be reached: no heartbeat in time":                                    func(r *http.Request) *http.Response { <-r.Context().Done(); return nil },
		"the Events API has gone silent: no heartbeat in time":                                      func(r *http.Request) *http.Response { return stream(r, ":connected\n\n", false) },
		"the response is not a stream of events (HTTP status 200)":                                  func(*http.Request) *http.Response { return withBody(200, "data: x\n\n") },
		"the Events API failed (HTTP status 204)":                                                   func(*http.Request) *http.Response { return withBody(204, "") },
		"the Events API answered with a redirect, which is not followed (HTTP status 300)":          func(*http.Request) *http.Response { return withBody(300, "") },
		"the Events API answered with a redirect, which is not followed (HTTP status 399)":          func(*http.Request) *http.Response { return withBody(399, "") },
		"the Events API refused the position or a type of event (HTTP status 400)":                  func(*http.Request) *http.Response { return withBody(400, "detail") },
		"the Events API refused the token (HTTP status 401)":                                        func(*http.Request) *http.Response { return withBody(401, "detail") },
		"the Events API refused access (HTTP status 403)":                                           func(*http.Request) *http.Response { return withBody(403, "detail") },
		"the tenant has as many connections to the Events API as its plan allows (HTTP status 403)": func(*http.Request) *http.Response { return withBody(403, "Too many Connections") },
		"the Events API failed (HTTP status 404)":                                                   func(*http.Request) *http.Response { return withBody(404, "detail") },
		"the Events API has no events after this position any more (HTTP status 410)":               func(*http.Request) *http.Response { return withBody(410, "detail") },
		"the Events API limits the rate (HTTP status 429)":                                          func(*http.Request) *http.Response { return withBody(429, "detail") },
		"the Events API failed (HTTP status 500)":                                                   func(*http.Request) *http.Response { return withBody(500, "detail") },
		"the stream ended: EOF":                                   func(r *http.Request) *http.Response { return stream(r, ":connected\n\n", true) },
		"the Events API ended the stream with an error (timeout)": func(r *http.Request) *http.Response { return streamError(r, `{"error":{"code":"timeout"}}`) },
		"the Events API ended the stream with an error":           func(r *http.Request) *http.Response { return streamError(r, `{"error":{"code":"detail"}}`) },
	} {
		t.Run(want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				monitor := new(auth0grpcevents.Monitor)
				api := &fakeAPI{answer: func(_ int, r *http.Request) *http.Response { return answer(r) }}
				_, log := followFor(t, api, 90*time.Second, auth0grpcevents.Config{Monitor: monitor})
				if err := monitor.Stats().Err; err == nil || err.Error() != "auth0grpcevents: "+want {
					t.Errorf("Stats.Err = %v, want %s", err, want)
				}
				if stats := monitor.Stats(); stats.Outages != 1 || stats.Connected || log.count("detail") != 0 {
					t.Errorf("Stats = %+v, log:\n%s", stats, log)
				}
			})
		})
	}
}

// A brokenSource has no token for the first calls.
type brokenSource struct {
	countingSource
	failures int
}

var errNoToken = errors.New("no token")

func (s *brokenSource) AccessToken(ctx context.Context, refused string) (string, error) {
	if s.failures > 0 {
		s.failures--
		return "", errNoToken
	}
	return s.countingSource.AccessToken(ctx, refused)
}

// Without a token there is no request.
func TestFollowWithoutAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		monitor := new(auth0grpcevents.Monitor)
		api := &fakeAPI{answer: func(_ int, r *http.Request) *http.Response { return stream(r, sse("offset-1", "auth0|1"), false) }}
		followFor(t, api, time.Second/8, auth0grpcevents.Config{TokenSource: &brokenSource{failures: 1}, Monitor: monitor})
		if err := monitor.Stats().Err; !errors.Is(err, errNoToken) || api.count() != 0 {
			t.Errorf("Stats.Err = %v after %d requests, want no request", err, api.count())
		}
		f, _ := followFor(t, api, 10*time.Second, auth0grpcevents.Config{TokenSource: &brokenSource{failures: 3}})
		if len(f.all()) != 1 || api.count() != 1 {
			t.Errorf("revoked %v with %d requests, want 1 and 1", f.all(), api.count())
		}
	})
}

// A token that the API refused is named once, until the API accepts another one. Every body
// is closed, and Stats show the connection.
func TestFollowReplacesTheTokenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := 0
		source, monitor := new(countingSource), new(auth0grpcevents.Monitor)
		var connected []bool
		api := &fakeAPI{answer: func(n int, r *http.Request) *http.Response {
			response := withBody(401, "")
			if n > 0 {
				response = stream(r, sse("offset-1", "auth0|1"), true)
			}
			open++
			response.Body = &watched{response.Body, func() { connected = append(connected, monitor.Stats().Connected) }, func() { open-- }}
			return response
		}}
		_, log := followFor(t, api, 20*time.Second, auth0grpcevents.Config{TokenSource: source, Monitor: monitor})
		stats := monitor.Stats()
		if n := api.count(); source.renewals != 1 || n < 10 || stats.Connections != uint64(n-1) {
			t.Errorf("%d tokens are replaced in %d requests, Stats %+v, want one", source.renewals, n, stats)
		}
		if open != 0 || slices.Contains(connected, false) || len(connected) == 0 || stats.Connected {
			t.Errorf("%d bodies are open, connected %v, then %t", open, connected, stats.Connected)
		}
		if log.count("events are missing") != 0 {
			t.Errorf("log:\n%s", log)
		}
	})
}

// watched is a body that reports its reads and its first end.
type watched struct {
	io.ReadCloser
	read, closed func()
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 {
		w.read()
	}
	return n, err
}

func (w *watched) Close() error {
	if w.closed != nil {
		w.closed()
		w.closed = nil
	}
	return w.ReadCloser.Close()
}

// positions returns how far back each of the first n requests starts, or its offset.
func positions(api *fakeAPI, n int) (all []string) {
	for i := range min(n, api.count()) {
		from, at := api.query(i, "from"), api.query(i, "from_timestamp")
		switch when, err := time.Parse("2006-01-02T15:04:05Z", at); {
		case from != "" && at != "":
			all = append(all, "both")
		case from != "":
			all = append(all, from)
		case err == nil:
			all = append(all, api.times[i].Truncate(time.Second).Sub(when).String())
		default:
			all = append(all, "now"+at)
		}
	}
	return all
}

// Positions that Auth0 does not accept are replaced: an offset by the lifetime of a token,
// that by its half, and so on. Follow does not wait longer for that.
func TestFollowRetreats(t *testing.T) {
	gone := func(*http.Request) *http.Response { return refuse(410, nil) }
	refused := func(*http.Request) *http.Response { return refuse(400, nil) }
	expired := func(r *http.Request) *http.Response {
		return stream(r, "event: error\ndata: {\"error\":{\"code\":\"cursor_expired\"}}\n\n", true)
	}
	invalid := func(r *http.Request) *http.Response {
		return stream(r, "event: error\ndata: {\"error\":{\"code\":\"invalid_cursor\"}}\n\n", true)
	}
	for name, test := range map[string]struct {
		stored   string
		lifetime time.Duration
		answer   func(*http.Request) *http.Response
		want     []string
	}{
		"gone":                {"", 5 * time.Minute, gone, []string{"5m0s", "2m30s", "1m15s", "now", "now"}},
		"refused":             {"", 5 * time.Minute, refused, []string{"5m0s", "2m30s", "1m15s", "now", "now"}},
		"expired":             {"", 5 * time.Minute, expired, []string{"5m0s", "2m30s", "1m15s", "now", "now"}},
		"the shortest half":   {"", 2 * time.Minute, gone, []string{"2m0s", "1m0s", "now", "now", "now"}},
		"an offset is gone":   {"offset-0", 2 * time.Minute, gone, []string{"offset-0", "2m0s", "1m0s", "now", "now"}},
		"an offset too long":  {strings.Repeat("x", 1025), 2 * time.Minute, gone, []string{"2m0s", "1m0s", "now", "now", "now"}},
		"the longest offset":  {strings.Repeat("x", 1024), 2 * time.Minute, gone, []string{strings.Repeat("x", 1024), "2m0s", "1m0s", "now", "now"}},
		"an offset is none":   {"offset-0", 2 * time.Minute, invalid, []string{"offset-0", "2m0s", "1m0s", "now", "now"}},
		"an offset expires":   {"offset-0", 2 * time.Minute, expired, []string{"offset-0", "2m0s", "1m0s", "now", "now"}},
		"an offset is faulty": {"offset-0", 2 * time.Minute, refused, []string{"offset-0", "2m0s", "1m0s", "now", "now"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := auth0grpcevents.NewMemoryStore()
				if err := store.Save(t.Context(), "test-tenant", 1, test.stored); err != nil {
					t.Fatal(err)
				}
				api := &fakeAPI{answer: func(_ int, r *http.Request) *http.Response { return test.answer(r) }}
				followFor(t, api, 20*time.Second, auth0grpcevents.Config{Store: store, MaxTokenLifetime: test.lifetime})
				if diff := cmp.Diff(test.want, positions(api, 5)); diff != "" {
					t.Errorf("positions (-want +got):\n%s", diff)
				}
				if took := api.times[2].Sub(api.times[0]); took > time.Second {
					t.Errorf("the third position after %v, want at most 1s", took)
				}
				if offset, _ := store.Load(t.Context(), "test-tenant"); offset != test.stored {
					t.Errorf("offset %q is stored, want %q", offset, test.stored)
				}
			})
		})
	}
}

// The meaning of 403 is in the text of the response. Only the missing scope ends Follow.
func TestForbidden(t *testing.T) {
	const scope, limit, other = "the token lacks the scope read:events", "the tenant has as many connections to the Events API as its plan allows", "the Events API refused access"
	for text, want := range map[string]string{
		`{"errorCode":"insufficient_scope"}`: scope, "Insufficient scope": scope, "expected read:events": scope,
		"": other, "scope": other, strings.Repeat(" ", 4<<10) + "read:events": other,
		"Too many concurrent streams": limit, "connections": limit, "insufficient_scope for more connections": limit,
	} {
		fatal := want == scope
		synctest.Test(t, func(t *testing.T) {
			monitor := new(auth0grpcevents.Monitor)
			api := &fakeAPI{answer: func(int, *http.Request) *http.Response { return withBody(403, text) }}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := auth0grpcevents.Follow(ctx, newGuard(t, newFeed(), issuer), auth0grpcevents.Config{
				TokenSource: new(countingSource), HTTPClient: &http.Client{Transport: api}, Monitor: monitor, Logger: new(syncBuffer).logger(),
			})
			var failure *auth0grpcevents.APIError
			if ended := errors.As(err, &failure); ended != fatal || (api.count() == 1) != fatal {
				t.Errorf("%.50q: Follow = %v after %d requests, want the end: %t", text, err, api.count(), fatal)
			}
			if !errors.As(monitor.Stats().Err, &failure) || failure.Error() != "auth0grpcevents: "+want+" (HTTP status 403)" {
				t.Errorf("%.50q: Stats.Err = %v, want %s", text, monitor.Stats().Err, want)
			}
		})
	}
}
