package auth0grpcevents_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
)

// paced answers with a stream of texts, one each interval, the first one immediately. It
// then ends, or lasts until the request ends.
func paced(r *http.Request, interval time.Duration, ends bool, texts ...string) *http.Response {
	reader, writer := io.Pipe()
	go func() {
		for i, text := range texts {
			if i > 0 {
				select {
				case <-time.After(interval):
				case <-r.Context().Done():
				}
			}
			if _, err := writer.Write([]byte(text)); err != nil {
				return
			}
		}
		if !ends {
			<-r.Context().Done()
		}
		writer.CloseWithError(r.Context().Err())
	}()
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: reader}
}

func repeat(text string, n int) (all []string) {
	for range n {
		all = append(all, text)
	}
	return all
}

// Heartbeats alone keep a stream, and end an outage once the stream has lasted.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		monitor := new(auth0grpcevents.Monitor)
		api := &fakeAPI{answer: func(n int, r *http.Request) *http.Response {
			if n == 0 {
				return refuse(500, nil)
			}
			return paced(r, 20*time.Second, false, repeat(": heartbeat\n\n", 40)...)
		}}
		seen := make(chan auth0grpcevents.Stats, 2)
		for _, at := range []time.Duration{15 * time.Second, 330 * time.Second} {
			time.AfterFunc(at, func() { seen <- monitor.Stats() })
		}
		_, log := followFor(t, api, 10*time.Minute, auth0grpcevents.Config{Monitor: monitor, HeartbeatTimeout: time.Minute})
		if early := <-seen; early.Err == nil || !early.Connected || !early.Leader || early.Connections != 1 {
			t.Errorf("Stats = %+v after 15s, want a connection and the outage", early)
		}
		if late := <-seen; late.Err != nil || !late.Connected || late.Lag > 20*time.Second || late.Lag < 5*time.Second {
			t.Errorf("Stats = %+v after 330s, want a connection without an outage", late)
		}
		if n := api.count(); n != 2 || log.count("the Events API recovered") != 1 {
			t.Errorf("%d requests, want 2; log:\n%s", n, log)
		}
	})
}

// A stream that has lasted for 10 seconds, or had an event, may end: Follow connects again
// immediately and reports nothing. After an error Follow reports an outage.
func TestEndsOfStreams(t *testing.T) {
	const heartbeat, failure = ": heartbeat\n\n", "event: error\ndata: {\"error\":{\"code\":\"timeout\"}}\n\n"
	for name, test := range map[string]struct {
		answer  func(n int, r *http.Request) *http.Response
		least   int // requests in 10 minutes
		most    int
		outages int // reported; -1: any number
	}{
		"after 10 seconds": {func(_ int, r *http.Request) *http.Response {
			return paced(r, 5*time.Second, true, heartbeat, heartbeat, heartbeat)
		}, 56, 60, 0},
		"once immediately": {func(n int, r *http.Request) *http.Response {
			return paced(r, 30*time.Second, n == 0, repeat(heartbeat, 1+20*n)...)
		}, 2, 2, 0},
		"after less": {func(_ int, r *http.Request) *http.Response {
			return paced(r, 4*time.Second, true, heartbeat, heartbeat, heartbeat)
		}, 16, 40, 1},
		"after an event": {func(_ int, r *http.Request) *http.Response {
			return paced(r, time.Second, true, sse("offset-1", "auth0|1"))
		}, 1200, 2400, 0},
		"after an event and a comment": {func(_ int, r *http.Request) *http.Response {
			return paced(r, time.Second, true, sse("offset-1", "auth0|1"), "event: x\n\n")
		}, 400, 480, 0},
		"an error after an event": {func(_ int, r *http.Request) *http.Response {
			return paced(r, time.Second, true, sse("offset-1", "auth0|1")+failure)
		}, 1200, 2400, -1},
		"an error after 10 seconds": {func(_ int, r *http.Request) *http.Response {
			return paced(r, 10*time.Second, true, heartbeat, heartbeat+failure)
		}, 56, 60, -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				monitor := new(auth0grpcevents.Monitor)
				api := &fakeAPI{answer: test.answer}
				followFor(t, api, 10*time.Minute, auth0grpcevents.Config{Monitor: monitor})
				if n := api.count(); n < test.least || n > test.most {
					t.Errorf("%d requests, want %d to %d", n, test.least, test.most)
				}
				if n := int(monitor.Stats().Outages); test.outages >= 0 && n != test.outages {
					t.Errorf("%d outages, want %d", n, test.outages)
				}
			})
		})
	}
}

// The time that Auth0 states for the next connection stays until it states another one.
func TestStatedRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{answer: func(n int, r *http.Request) *http.Response {
			text := sse("offset-1", "auth0|1")
			switch n {
			case 1:
				text += "retry: 8000\n\n"
			case 3:
				text += "retry: 1000\n\n"
			}
			return stream(r, text, true)
		}}
		monitor := new(auth0grpcevents.Monitor)
		connected := make(chan bool, 1)
		time.AfterFunc(3*time.Second, func() { connected <- monitor.Stats().Connected }) // in the second pause
		followFor(t, api, time.Minute, auth0grpcevents.Config{Monitor: monitor})
		if <-connected {
			t.Error("Stats.Connected is true between two connections")
		}
		for i, most := range []time.Duration{500 * time.Millisecond, 8 * time.Second, 8 * time.Second, time.Second, time.Second} {
			if wait := api.times[i+1].Sub(api.times[i]); wait > most || wait < most/2 {
				t.Errorf("pause %d is %v, want %v to %v", i, wait, most/2, most)
			}
		}
	})
}

// An event ends an outage immediately.
func TestEventEndsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		monitor := new(auth0grpcevents.Monitor)
		api := &fakeAPI{answer: func(n int, r *http.Request) *http.Response {
			if n == 0 {
				return refuse(500, nil)
			}
			return stream(r, sse("offset-1", "auth0|1"), false)
		}}
		_, log := followFor(t, api, 5*time.Second, auth0grpcevents.Config{Monitor: monitor})
		if err := monitor.Stats().Err; err != nil || log.count("the Events API recovered") != 1 {
			t.Errorf("Stats.Err = %v, log:\n%s", err, log)
		}
	})
}
