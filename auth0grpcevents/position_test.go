package auth0grpcevents_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
)

// TestOffsets covers the places of an offset in a message. Follow continues after the last
// one, also if the event cannot be used.
func TestOffsets(t *testing.T) {
	event := envelope("user.deleted", `{"user_id":"auth0|1"}`)
	longest := strings.Repeat("x", 1024)
	for _, test := range []struct {
		name, message string
		want          string
		revoked       uint64
		malformed     uint64
	}{
		{"in the id", "id: offset-2\ndata: {\"event\":" + event + "}", "offset-2", 1, 0},
		{"in the data", "data: {\"offset\":\"offset-2\",\"event\":" + event + "}", "offset-2", 1, 0},
		{"in both", "id: offset-2\ndata: {\"offset\":\"offset-3\",\"event\":" + event + "}", "offset-2", 1, 0},
		{"null in the data", "data: {\"offset\":null,\"event\":" + event + "}", "offset-1", 1, 0},
		{"a number in the data", "data: {\"offset\":2,\"event\":" + event + "}", "offset-1", 1, 0},
		{"the longest in the data", "data: {\"offset\":\"" + longest + "\",\"event\":" + event + "}", longest, 1, 0},
		{"too long in the data", "data: {\"offset\":\"" + longest + "x\",\"event\":" + event + "}", "offset-1", 1, 0},
		{"without an event", "id: offset-2\ndata: {}", "offset-2", 0, 1},
		{"garbage", "id: offset-2\ndata: x", "offset-2", 0, 1},
		{"no data", "id: offset-2", "offset-2", 0, 0},
		{"alone in the id", "event: offset-only\nid: offset-2", "offset-2", 0, 0},
		{"alone in the data", "event: offset-only\ndata: {\"offset\":\"offset-2\"}", "offset-2", 0, 0},
		{"alone, and garbage", "event: offset-only\nid: offset-2\ndata: x", "offset-2", 0, 1},
		{"alone, garbage and no id", "event: offset-only\ndata: x", "offset-1", 0, 1},
		{"of a large event", "id: offset-2\ndata: " + strings.Repeat("x", 4<<20), "offset-2", 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				monitor := new(auth0grpcevents.Monitor)
				api := &fakeAPI{answer: func(n int, r *http.Request) *http.Response {
					if n > 0 {
						return stream(r, ":connected\n\n", false)
					}
					return stream(r, sse("offset-1", "auth0|0")+test.message+"\n\n", true)
				}}
				_, log := followFor(t, api, 5*time.Second, auth0grpcevents.Config{Monitor: monitor})
				stats := monitor.Stats()
				if from := api.query(1, "from"); from != test.want || stats.Revoked != 1+test.revoked || stats.Malformed != test.malformed {
					t.Errorf("after %.50q: Stats %+v", from, stats)
				}
				if n := log.count("level=WARN"); n != int(test.malformed) {
					t.Errorf("log:\n%s", log)
				}
			})
		})
	}
}

// TestErrorsOfStreams covers the position after errors in the stream. An event that is too
// large is skipped the second time, and only then.
func TestErrorsOfStreams(t *testing.T) {
	const tooLarge, same = "payload_too_large", `","offset":"offset-1`
	longest := strings.Repeat("x", 1024)
	for name, test := range map[string]struct {
		codes []string // of the connections in turn
		want  []string // the positions after the first
	}{
		"twice":                {[]string{tooLarge, tooLarge}, []string{"offset-1", "1m0s"}},
		"after another":        {[]string{"timeout", tooLarge, tooLarge}, []string{"offset-1", "offset-1", "1m0s"}},
		"around another":       {[]string{tooLarge, "timeout", tooLarge}, []string{"offset-1", "offset-1", "1m0s"}},
		"once":                 {[]string{tooLarge, "timeout", "timeout"}, []string{"offset-1", "offset-1", "offset-1"}},
		"with its offset":      {[]string{tooLarge + same, tooLarge + same}, []string{"offset-1", "1m0s"}},
		"with the next offset": {[]string{tooLarge + `","offset":"offset-2`}, []string{"offset-2"}},
		"the longest offset":   {[]string{`timeout","offset":"` + longest}, []string{longest}},
		"a longer offset":      {[]string{`timeout","offset":"x` + longest}, []string{"offset-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &fakeAPI{answer: func(n int, r *http.Request) *http.Response {
					text := ":connected\n\n"
					if n == 0 {
						text = sse("offset-1", "auth0|1")
					}
					if n >= len(test.codes) {
						return stream(r, text, false)
					}
					return stream(r, text+"event: error\ndata: {\"error\":{\"code\":\""+test.codes[n]+"\"}}\n\n", true)
				}}
				followFor(t, api, 30*time.Second, auth0grpcevents.Config{})
				if diff := cmp.Diff(append([]string{"24h0m0s"}, test.want...), positions(api, 10)); diff != "" {
					t.Errorf("positions (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// An event whose revocation is not published when Follow ends is read again: its offset is
// not stored.
func TestFollowEndsBeforeThePublication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := auth0grpcevents.NewMemoryStore()
		api := &fakeAPI{answer: func(_ int, r *http.Request) *http.Response {
			return stream(r, sse("offset-1", "auth0|1")+sse("offset-2", "auth0|2"), false)
		}}
		f := newFeed()
		f.fail(errors.New("the feed is down"))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := auth0grpcevents.Follow(ctx, newGuard(t, f, issuer), auth0grpcevents.Config{
			TokenSource: new(countingSource), Store: store, HTTPClient: &http.Client{Transport: api}, Logger: new(syncBuffer).logger(),
		})
		if offset, _ := store.Load(t.Context(), "test-tenant"); offset != "" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("offset %q is stored, %v, want none", offset, err)
		}
	})
}

// A publication that takes long does not count as silence of the Events API.
func TestFollowPublishesForALongTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: func(_ int, r *http.Request) *http.Response { return stream(r, sse("offset-1", "auth0|1"), false) }}
		f := newFeed()
		f.fail(errors.New("the feed is down"))
		time.AfterFunc(150*time.Second, func() { f.fail(nil) })
		ctx, cancel := context.WithTimeout(t.Context(), 170*time.Second)
		defer cancel()
		monitor := new(auth0grpcevents.Monitor)
		_ = auth0grpcevents.Follow(ctx, newGuard(t, f, issuer), auth0grpcevents.Config{
			TokenSource: new(countingSource), HTTPClient: &http.Client{Transport: api}, Logger: new(syncBuffer).logger(), Monitor: monitor,
		})
		if len(f.all()) != 1 || api.count() != 1 || monitor.Stats().Err != nil {
			t.Errorf("published %v with %d connections, %v, want one with one", f.all(), api.count(), monitor.Stats().Err)
		}
	})
}
