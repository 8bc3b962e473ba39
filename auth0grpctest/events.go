package auth0grpctest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	eventsPath = "/api/v2/events"

	// EventsScope is the scope that a token for [EventLog] needs.
	EventsScope = "read:events"

	// EventsTenant is the name of every tenant in its events (a0tenant).
	EventsTenant = "test-tenant"

	heartbeatInterval = 500 * time.Millisecond
)

// EventsAudience returns the audience of tokens for the Events API, "api/v2/" under the
// issuer, as in Auth0's Management API.
func (t *Tenant) EventsAudience() string { return t.issuer + "api/v2/" }

// Events returns the event log of the tenant, always the same one. The tenant serves it
// as Auth0's Events API, at "api/v2/events" under the issuer, to tokens with the
// [Tenant.EventsAudience] and the [EventsScope].
func (t *Tenant) Events() *EventLog { return t.events }

// An EventLog holds the events of a [Tenant]. It serves them as server-sent events and
// sends them to webhooks ([EventLog.Deliver]), and it plays the failures of both ends.
// Its methods are safe for concurrent use.
type EventLog struct {
	tenant *Tenant

	mu          sync.Mutex // guards all below
	changed     chan struct{}
	entries     []logEntry
	expired     int // offsets up to this one are gone
	failures    EventFailures
	generation  int    // grows when all streams end
	ending      string // how they end: cut, close, or the code of an error
	raw         []string
	connections int
	requests    int
	closed      bool // the tenant is closed
}

// A logEntry is one event.
type logEntry struct {
	id, kind string
	at       time.Time
	body     string // JSON, or garbage
}

// EventFailures are failures of the Events API. They last until the next
// [EventLog.SetFailures].
type EventFailures struct {
	// Status answers new requests, before the token is checked: 401, 403, 410, 429 or
	// 5xx. 0: requests are served.
	Status int
	// Header and Body are the header and the body of that answer.
	Header http.Header
	Body   string

	// CutAfter cuts each connection after so many events. 0: none is cut.
	CutAfter int
	// Silent sends nothing over the connections, not even heartbeats.
	Silent bool
	// Duplicate sends each event twice. Swap sends each pair of events in the wrong order.
	Duplicate, Swap bool
	// MaxConnections is how many connections are served; others are answered 403. 0: any
	// number.
	MaxConnections int
	// Retry is the time that a client waits until it connects again, in whole
	// milliseconds. 0: 2 seconds, as in Auth0.
	Retry time.Duration
}

func newEventLog(t *Tenant) *EventLog { return &EventLog{tenant: t, changed: make(chan struct{})} }

// BlockUser publishes the event of a user whom an administrator has blocked, and returns
// its id.
func (e *EventLog) BlockUser(userID string) (id string) {
	return e.Publish("user.updated", map[string]any{"user_id": userID, "blocked": true})
}

// Publish publishes an event of this type about an object, such as
// {"user_id": "auth0|1"}, and returns its id. The time is now. It panics if the object
// cannot be encoded.
func (e *EventLog) Publish(kind string, object map[string]any) (id string) {
	now := e.tenant.now()
	id = "evt_" + newKeyID()
	body, err := json.Marshal(map[string]any{
		"specversion": "1.0", "type": kind, "source": "urn:auth0:" + EventsTenant + ".auth0app.com", "id": id,
		"time": now.UTC().Format("2006-01-02T15:04:05.000Z"), "a0tenant": EventsTenant, "a0stream": "est_" + EventsTenant,
		"data": map[string]any{"object": object, "context": map[string]any{"tenant": map[string]any{"id": EventsTenant}}},
	})
	if err != nil {
		panic(fmt.Sprint("auth0grpctest: Publish: ", err))
	}
	e.add(logEntry{id: id, kind: kind, at: now, body: string(body)})
	return id
}

// PublishRaw publishes a text in place of an event: one that lacks a field, one of another
// tenant, or garbage. It must not contain a line break. It passes every filter by type.
func (e *EventLog) PublishRaw(body string) {
	e.add(logEntry{at: e.tenant.now(), body: body})
}

func (e *EventLog) add(entry logEntry) {
	e.change(func() { e.entries = append(e.entries, entry) })
}

// change changes the log under its lock and wakes the streams.
func (e *EventLog) change(apply func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	apply()
	close(e.changed)
	e.changed = make(chan struct{})
}

// SetFailures replaces the failures. They hold for new requests and for open streams. The
// zero value ends all of them.
func (e *EventLog) SetFailures(failures EventFailures) {
	failures.Header = failures.Header.Clone()
	e.change(func() { e.failures = failures })
}

// CutStreams cuts the open streams, in the middle of a line.
func (e *EventLog) CutStreams() { e.endStreams("cut") }

// CloseStreams ends the open streams regularly, as Auth0 does every few minutes.
func (e *EventLog) CloseStreams() { e.endStreams("close") }

// FailStreams ends the open streams with an error in the stream, such as
// "cursor_expired".
func (e *EventLog) FailStreams(code string) { e.endStreams(code) }

// close ends the streams for ever: a server waits for them when it closes.
func (e *EventLog) close() { e.change(func() { e.closed = true }) }

func (e *EventLog) endStreams(ending string) {
	e.change(func() { e.generation, e.ending = e.generation+1, ending })
}

// ExpireOffsets makes all offsets until now expire: a request with one is answered 410.
// Requests by time are served.
func (e *EventLog) ExpireOffsets() { e.change(func() { e.expired = len(e.entries) }) }

// Send sends a text over the open streams as it is.
func (e *EventLog) Send(text string) { e.change(func() { e.raw = append(e.raw, text) }) }

// Connections returns how many streams are open.
func (e *EventLog) Connections() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.connections
}

// Requests returns how many requests the Events API has received.
func (e *EventLog) Requests() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.requests
}

// offsetOf returns the offset after the first n events.
func offsetOf(n int) string {
	return base64.StdEncoding.EncodeToString([]byte("offset " + strconv.Itoa(n)))
}

func parseOffset(offset string) (n int, ok bool) {
	text, err := base64.StdEncoding.DecodeString(offset)
	number, found := strings.CutPrefix(string(text), "offset ")
	n, err2 := strconv.Atoi(number)
	return n, err == nil && err2 == nil && found && n >= 0
}

// refuse answers as the Management API does.
func refuse(w http.ResponseWriter, status int, message, code string) {
	writeJSON(w, status, map[string]any{
		"statusCode": status, "error": http.StatusText(status), "message": message, "errorCode": code,
	})
}

// serve answers a request to the Events API.
func (e *EventLog) serve(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.requests++
	failures := e.failures
	e.mu.Unlock()
	if failures.Status != 0 {
		for name, values := range failures.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(failures.Status)
		_, _ = w.Write([]byte(failures.Body))
		return
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims, ok := e.tenant.accessClaimsOf(token)
	scope, _ := claims["scope"].(string)
	switch {
	case !ok || claims["aud"] != e.tenant.EventsAudience():
		refuse(w, http.StatusUnauthorized, "Invalid token", "invalid_token")
		return
	case !slices.Contains(strings.Fields(scope), EventsScope):
		refuse(w, http.StatusForbidden, "Insufficient scope, expected any of: "+EventsScope, "insufficient_scope")
		return
	}
	s := &eventStream{EventLog: e, w: w, kinds: r.URL.Query()["event_type"]}
	if status, message := s.start(r); status != 0 {
		refuse(w, status, message, "")
		return
	}
	defer func() {
		e.mu.Lock()
		e.connections--
		e.mu.Unlock()
	}()
	s.run(r)
}

// An eventStream is one connection.
type eventStream struct {
	*EventLog
	w          http.ResponseWriter
	kinds      []string // none: all
	next       int      // the entry to send
	sent       int      // events sent
	rawSent    int
	generation int
}

// start finds the first event, and counts the connection. It returns the status of a
// refusal, or 0.
func (s *eventStream) start(r *http.Request) (status int, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit := s.failures.MaxConnections; limit > 0 && s.connections >= limit {
		return http.StatusForbidden, "Maximum concurrent event stream connections reached for this tenant."
	}
	offset, timestamp := r.URL.Query().Get("from"), r.URL.Query().Get("from_timestamp")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		offset = last
	}
	s.next = len(s.entries)
	switch {
	case offset != "":
		n, ok := parseOffset(offset)
		if !ok || len(offset) > 1024 || timestamp != "" {
			return http.StatusBadRequest, "Invalid offset"
		}
		if n < s.expired || n > len(s.entries) {
			return http.StatusGone, "The offset has expired"
		}
		s.next = n
	case timestamp != "":
		start, err := time.Parse("2006-01-02T15:04:05Z", timestamp)
		if err != nil || len(timestamp) > 20 { // a fraction
			return http.StatusBadRequest, "Invalid from_timestamp"
		}
		if i := slices.IndexFunc(s.entries, func(entry logEntry) bool { return !entry.at.Before(start) }); i >= 0 {
			s.next = i
		}
	}
	s.connections++
	s.generation, s.rawSent = s.EventLog.generation, len(s.raw)
	return 0, ""
}

// run sends events until the connection ends.
func (s *eventStream) run(r *http.Request) {
	s.w.Header().Set("Content-Type", "text/event-stream")
	retry := s.snapshot().failures.Retry
	if retry == 0 {
		retry = 2 * time.Second
	}
	s.write(fmt.Sprintf(":connected\nretry: %d\n\n", retry.Milliseconds()))
	heartbeat := time.NewTicker(heartbeatInterval)
	defer heartbeat.Stop()
	for {
		now := s.snapshot()
		if !now.failures.Silent {
			s.sendRaw(now)
			s.sendEvents(now)
		}
		if now.closed {
			return
		}
		if now.generation != s.generation {
			s.end(now)
			return
		}
		select {
		case <-now.changed:
		case <-heartbeat.C:
			if !now.failures.Silent {
				s.write(": heartbeat\n\n")
			}
		case <-r.Context().Done():
			return
		}
	}
}

// A logSnapshot is the state of the log at one moment.
type logSnapshot struct {
	changed    chan struct{}
	entries    []logEntry
	raw        []string
	failures   EventFailures
	generation int
	ending     string
	closed     bool
}

func (e *EventLog) snapshot() logSnapshot {
	e.mu.Lock()
	defer e.mu.Unlock()
	return logSnapshot{e.changed, e.entries, e.raw, e.failures, e.generation, e.ending, e.closed}
}

func (s *eventStream) write(text string) {
	_, _ = s.w.Write([]byte(text))
	_ = http.NewResponseController(s.w).Flush()
}

func (s *eventStream) sendRaw(now logSnapshot) {
	for ; s.rawSent < len(now.raw); s.rawSent++ {
		s.write(now.raw[s.rawSent])
	}
}

func (s *eventStream) sendEvents(now logSnapshot) {
	for s.next < len(now.entries) {
		group := []int{s.next}
		if now.failures.Swap && s.next+1 < len(now.entries) {
			group = []int{s.next + 1, s.next}
		}
		// A client that has seen half of a group has not seen the group.
		offset := s.next
		s.next += len(group)
		for i, index := range group {
			if i == len(group)-1 {
				offset = s.next
			}
			s.sendEvent(now.entries[index], offsetOf(offset), now.failures.Duplicate)
			s.sent++
			if now.failures.CutAfter > 0 && s.sent >= now.failures.CutAfter {
				panic(http.ErrAbortHandler)
			}
		}
	}
}

// sendEvent sends an event, or a progress mark in place of one that the client has not
// asked for.
func (s *eventStream) sendEvent(entry logEntry, offset string, duplicate bool) {
	if entry.kind != "" && len(s.kinds) > 0 && !slices.Contains(s.kinds, entry.kind) {
		s.write(fmt.Sprintf("event: offset-only\nid: %s\ndata: {\"offset\":%q}\n\n", offset, offset))
		return
	}
	text := fmt.Sprintf("event: %s\nid: %s\ndata: {\"offset\":%q,\"event\":%s}\n\n", entry.kind, offset, offset, entry.body)
	s.write(text)
	if duplicate {
		s.write(text)
	}
}

// end ends the connection as the last call of endStreams wants.
func (s *eventStream) end(now logSnapshot) {
	switch now.ending {
	case "close":
	case "cut":
		s.write("event: user.updated\ndata: {\"offset\":\"")
		panic(http.ErrAbortHandler)
	default:
		s.write(fmt.Sprintf("event: error\ndata: {\"error\":{\"code\":%q,\"message\":\"-\"}}\n\n", now.ending))
	}
}
