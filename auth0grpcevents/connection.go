package auth0grpcevents

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/retryafter"
)

const (
	maxOffset = 1024 // characters of an offset

	// minSpan is the shortest time that Follow goes back without an offset.
	minSpan = time.Minute
	// settled is how long a connection lasts until it counts as a success, also if no
	// event arrives.
	settled = 10 * time.Second

	maxRefusal = 4 << 10 // bytes that are read of a refusal
)

// An APIError is a failure of the Events API. Its text contains no part of the response.
type APIError struct {
	// Status is the HTTP status of the response; 0 if there was none or the stream
	// failed later.
	Status int
	// Code is the code of an error inside the stream, such as "cursor_expired". Empty
	// if there was none, or if the code is unknown.
	Code string

	text  string
	cause error // of the transport, the token source or the store
	wait  time.Duration

	fatal      bool // a retry does not help
	closed     bool // the connection ended without an error, or was cut
	progressed bool // events or heartbeats arrived
	moved      bool // the next connection starts at another position
}

// Error describes the failure.
func (e *APIError) Error() string {
	text := "auth0grpcevents: " + e.text
	if e.Status != 0 {
		text += " (HTTP status " + strconv.Itoa(e.Status) + ")"
	}
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns the error of the transport or of the token source, or nil.
func (e *APIError) Unwrap() error { return e.cause }

// A position is where a connection starts: after an offset, at a time, or, if both are
// empty, at the newest event.
type position struct {
	offset string
	span   time.Duration // back from now
}

// start returns the position after an offset, or the first one without an offset.
func (s *session) start(offset string) position {
	if offset == "" {
		return position{span: s.config.MaxTokenLifetime}
	}
	return position{offset: offset}
}

// retreat replaces a position that Auth0 does not accept, and reports whether there is
// another one. How long Auth0 keeps events is not documented, so each further attempt
// goes back half as far. The last one starts at the newest event.
func (s *session) retreat() bool {
	old := s.position
	switch {
	case old.offset != "":
		s.position = s.start("")
	case old.span/2 >= minSpan:
		s.position.span /= 2
	default:
		s.position = position{}
	}
	return s.position != old
}

// client returns the client for the Events API. It follows no redirect: the other host
// would receive the token.
func (c *Config) client() *http.Client {
	client := &http.Client{}
	if c.HTTPClient != nil {
		*client = *c.HTTPClient
	} else {
		// HTTP/1.1 alone: a connection of HTTP/2 that is half-open would be used again.
		client.Transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout:     30 * time.Second,
		}
	}
	client.Timeout = 0 // a stream has no end; the heartbeats bound it
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

// eventTypes are the types that Follow asks for. The API refuses a type that it does not
// know.
var eventTypes = slices.Sorted(maps.Keys(mappings))

// newRequest returns the request for the stream after the position.
func (s *session) newRequest(ctx context.Context, token string) (*http.Request, error) {
	query := url.Values{"event_type": eventTypes}
	switch {
	case s.position.offset != "":
		query.Set("from", s.position.offset)
	case s.position.span > 0:
		query.Set("from_timestamp", s.now().Add(-s.position.span).UTC().Format("2006-01-02T15:04:05Z"))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.config.EventsURL+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("Cache-Control", "no-cache")
	return request, nil
}

// now returns the earlier of two clocks, ours and Auth0's: a clock that is ahead would
// leave out events.
func (s *session) now() time.Time { return s.config.Now().Add(-s.ahead) }

// noteClock notes how far our clock is ahead of Auth0's.
func (s *session) noteClock(header http.Header) {
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		s.ahead = max(0, s.config.Now().Sub(date)-time.Second) // Date has whole seconds
	}
}

var errSilent = errors.New("no heartbeat in time")

// connect opens the stream and applies its events until it ends.
func (s *session) connect(ctx context.Context) *APIError {
	token, err := s.accessToken(ctx)
	if err != nil {
		return &APIError{text: "no token for the Events API", cause: err}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(s.config.HeartbeatTimeout, func() { cancel(errSilent) })
	defer silence.Stop()
	request, err := s.newRequest(ctx, token)
	if err != nil {
		return &APIError{text: "the request cannot be made"}
	}
	response, err := s.client.Do(request)
	if err != nil {
		return unreachable(ctx, err)
	}
	defer response.Body.Close()
	before := s.ahead
	s.noteClock(response.Header)
	if response.StatusCode != http.StatusOK {
		return s.refusal(response, token)
	}
	if mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); mediaType != "text/event-stream" {
		return &APIError{Status: response.StatusCode, text: "the response is not a stream of events"}
	}
	s.refused = ""
	s.config.Monitor.update(func(stats *Stats) { stats.Connected = true; stats.Connections++ })
	if s.position.offset == "" {
		if s.position.span > 0 && s.ahead-before > maxAhead {
			return &APIError{text: "the clock of this process is ahead of Auth0's", closed: true, moved: true}
		}
		if s.position.span < s.config.MaxTokenLifetime {
			s.config.Logger.WarnContext(ctx, "auth0grpcevents: earlier events are missing, because the Events API does not have them",
				"tenant", s.config.Tenant, "before", s.now().Add(-s.position.span))
		}
	}
	return s.read(ctx, &watchedBody{body: response.Body, session: s, ctx: ctx, silence: silence, opened: time.Now()})
}

func (s *session) accessToken(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	return s.config.TokenSource.AccessToken(ctx, s.refused)
}

// unreachable returns the error of a request without a response, without the URL.
func unreachable(ctx context.Context, err error) *APIError {
	var transport *url.Error
	if errors.As(err, &transport) {
		err = transport.Err
	}
	if context.Cause(ctx) == errSilent {
		err = errSilent
	}
	return &APIError{text: "the Events API cannot be reached", cause: err}
}

// refusal returns the error of a response other than a stream, and prepares the session
// for the next request.
func (s *session) refusal(response *http.Response, token string) *APIError {
	e := &APIError{Status: response.StatusCode, wait: retryafter.Wait(response, s.config.Now())}
	switch {
	case e.Status == http.StatusUnauthorized:
		s.refused = token
		e.text = "the Events API refused the token"
	case e.Status == http.StatusForbidden:
		s.explainForbidden(e, response)
	case e.Status == http.StatusGone:
		e.text = "the Events API has no events after this position any more"
		e.moved = s.retreat()
	case e.Status == http.StatusBadRequest:
		e.text = "the Events API refused the position or a type of event"
		e.moved = s.retreat()
	case e.Status == http.StatusTooManyRequests:
		e.text = "the Events API limits the rate"
	case e.Status >= 300 && e.Status < 400:
		e.text = "the Events API answered with a redirect, which is not followed"
	default:
		e.text = "the Events API failed"
	}
	return e
}

// explainForbidden distinguishes the two meanings of 403 by the text of the response: the
// token lacks the scope, which no retry changes, or the tenant has too many connections.
func (s *session) explainForbidden(e *APIError, response *http.Response) {
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	text := strings.ToLower(string(body))
	switch {
	case strings.Contains(text, "concurrent") || strings.Contains(text, "connections"):
		e.text = "the tenant has as many connections to the Events API as its plan allows"
	case strings.Contains(text, "insufficient_scope"), strings.Contains(text, "insufficient scope"), strings.Contains(text, "read:events"):
		e.text = "the token lacks the scope read:events"
		e.fatal = true
	default:
		e.text = "the Events API refused access"
	}
}

// A watchedBody is the body of the stream. Each read postpones the end by silence.
type watchedBody struct {
	body    io.Reader
	session *session
	ctx     context.Context
	silence *time.Timer
	opened  time.Time
	settled bool // events arrived, or the connection has lasted
}

// Read reads from the body.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if n > 0 {
		b.wait()
		b.session.config.Monitor.noteSign()
		if !b.settled && time.Since(b.opened) >= settled {
			b.settled = true
			b.session.api.end(b.ctx)
		}
	}
	return n, err
}

// wait starts the time until the next read.
func (b *watchedBody) wait() { b.silence.Reset(b.session.config.HeartbeatTimeout) }

// read applies the messages of a stream until it ends.
func (s *session) read(ctx context.Context, body *watchedBody) *APIError {
	messages := newMessageReader(body)
	for {
		m, err := messages.next()
		if messages.retry > 0 {
			s.retry = min(messages.retry, maxPause)
		}
		if err != nil {
			if context.Cause(ctx) == errSilent {
				return &APIError{text: "the Events API has gone silent", cause: errSilent, progressed: body.settled}
			}
			return &APIError{text: "the stream ended", cause: err, closed: true, progressed: body.settled}
		}
		body.silence.Stop() // publishing may take long
		if m.event == "error" {
			e := s.streamError(m.data)
			e.progressed = body.settled
			return e
		}
		offset, result := s.handle(ctx, m)
		if result == outcomeFailed {
			return &APIError{text: "the stream was left", cause: ctx.Err(), closed: true}
		}
		if err := s.advance(ctx, offset, result == outcomeRevoked); err != nil {
			return &APIError{text: "another process leads", cause: err, closed: true}
		}
		body.settled = body.settled || offset != ""
		body.wait()
	}
}

// handle applies the event of a message. It returns the offset after it. The outcome is
// outcomeFailed if ctx ended before the revocation was published.
func (s *session) handle(ctx context.Context, m message) (offset string, result outcome) {
	if m.oversize {
		s.config.Monitor.count(outcomeMalformed)
		s.applier.log.warn(ctx, "auth0grpcevents: skipped an event that is too large", "oversize", "limit", maxMessage)
		return m.id, outcomeMalformed
	}
	if len(m.data) == 0 {
		return m.id, outcomeUnrelated
	}
	offset = m.id
	payload, err := parseMembers(m.data)
	if err == nil && offset == "" {
		offset, err = payload.optionalName("offset") // at most maxName bytes, as maxOffset
	}
	if err == nil && m.event == "offset-only" {
		return offset, outcomeUnrelated
	}
	return offset, s.publish(ctx, payload["event"]) // no event is malformed
}

// streamCodes are the documented codes of errors inside the stream. Any other code is
// transient.
var streamCodes = []string{
	"invalid_cursor", "cursor_expired", "timeout", "payload_too_large", "processing_error", "connection_timeout",
}

// streamError returns the error that a stream ended with, and prepares the session for
// the next request.
func (s *session) streamError(data []byte) *APIError {
	var body struct {
		Error struct{ Code, Offset string }
	}
	_ = json.Unmarshal(data, &body) // garbage is an unknown error
	e := &APIError{text: "the Events API ended the stream with an error"}
	if slices.Contains(streamCodes, body.Error.Code) {
		e.Code = body.Error.Code
	}
	offset := body.Error.Offset
	known := offset == "" || len(offset) > maxOffset || offset == s.position.offset
	switch {
	case e.Code == "invalid_cursor" || e.Code == "cursor_expired":
		e.moved = s.retreat()
	case !known:
		s.position = position{offset: offset}
	case e.Code == "payload_too_large" && s.tooLarge:
		// The same event again: it would hold up all later ones for ever.
		e.text = "the Events API cannot deliver an event, which is skipped"
		s.position, s.tooLarge = position{span: minSpan}, false
	case e.Code == "payload_too_large":
		s.tooLarge = true
	}
	return e
}
