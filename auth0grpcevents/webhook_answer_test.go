package auth0grpcevents_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
)

// TestWebhookHeaders covers the headers of each answer.
func TestWebhookHeaders(t *testing.T) {
	e := newEndpoint(t, nil)
	for _, test := range []struct {
		method, authorization, body string
		status                      int
		want                        http.Header // beside Cache-Control
	}{
		{http.MethodGet, "Bearer " + secret, "", 405, http.Header{"Allow": {"POST"}}},
		{http.MethodPost, "Bearer " + secret[1:], "", 401, http.Header{"Www-Authenticate": {"Bearer"}}},
		{http.MethodPost, "Bearer " + secret, "{}", 400, http.Header{}},
		{http.MethodPost, "Bearer " + secret, envelope("user.updated", `{}`), 204, http.Header{}},
	} {
		request := httptest.NewRequest(test.method, "/events", strings.NewReader(test.body))
		request.Header.Set("Authorization", test.authorization)
		response := httptest.NewRecorder()
		e.handler.ServeHTTP(response, request)
		got := response.Header().Clone()
		for _, name := range []string{"Content-Type", "X-Content-Type-Options"} { // of http.Error
			got.Del(name)
		}
		test.want.Set("Cache-Control", "no-store")
		if diff := cmp.Diff(test.want, got); diff != "" || response.Code != test.status {
			t.Errorf("status %d, want %d; header (-want +got):\n%s", response.Code, test.status, diff)
		}
	}
}

// TestWebhookWithoutTheWholeBody shows that a body that breaks off is not used, also if its
// JSON is complete. The status makes Auth0 send the event again.
func TestWebhookWithoutTheWholeBody(t *testing.T) {
	body := envelope("user.deleted", `{"user_id":"auth0|1"}`)
	for name, sent := range map[string]string{"nothing": "", "a part": body[:len(body)/2], "the whole": body} {
		e := newEndpoint(t, nil)
		request := httptest.NewRequest(http.MethodPost, "/events", io.MultiReader(strings.NewReader(sent), iotest.ErrReader(errors.New("broken"))))
		request.Header.Set("Authorization", "Bearer "+secret)
		response := httptest.NewRecorder()
		e.handler.ServeHTTP(response, request)
		if text := response.Body.String(); response.Code != http.StatusServiceUnavailable || text != "the body cannot be read\n" {
			t.Errorf("%s: status %d and %q, want 503", name, response.Code, text)
		}
		if len(e.feed.all()) != 0 || e.monitor.Stats().Malformed != 0 {
			t.Errorf("%s: published %v, Stats %+v", name, e.feed.all(), e.monitor.Stats())
		}
	}
}

// TestWebhookWhoseSenderLeaves shows that a sender that leaves is no outage of the feed.
func TestWebhookWhoseSenderLeaves(t *testing.T) {
	e := newEndpoint(t, nil)
	e.feed.fail(errors.New("the feed is down"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/events", strings.NewReader(envelope("user.deleted", `{"user_id":"auth0|1"}`)))
	request.Header.Set("Authorization", "Bearer "+secret)
	response := httptest.NewRecorder()
	e.handler.ServeHTTP(response, request)
	if stats := e.monitor.Stats(); response.Code != http.StatusServiceUnavailable || stats.Err != nil || stats.Outages != 0 {
		t.Errorf("status %d, Stats %+v, want 503 and no outage", response.Code, stats)
	}
}

// TestWebhookRefusesOtherSchemes covers values that become a secret only by the decoding of
// the scheme Basic.
func TestWebhookRefusesOtherSchemes(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte(secret + "--")) // without padding
	for name, value := range map[string]string{
		"Digest":         "Digest " + encoded,
		"no scheme":      encoded,
		"Bearer":         "Bearer " + encoded,
		"with a tail":    "Basic " + encoded + "!",
		"two spaces":     "Basic  " + encoded,
		"the scheme":     "Basic",
		"Bearer, spaces": "Bearer  " + secret + "--",
	} {
		e := newEndpoint(t, func(c *auth0grpcevents.Config) { c.Secrets = []string{secret + "--"} })
		if status := e.send(http.MethodPost, "{}", http.Header{"Authorization": {value}}); status != http.StatusUnauthorized {
			t.Errorf("%s: status %d, want 401", name, status)
		}
	}
}

// TestWebhookLogs covers the lines about events that the webhook does not use. The second
// event of a kind adds none.
func TestWebhookLogs(t *testing.T) {
	deleted := envelope("user.deleted", `{"user_id":"auth0|1"}`)
	for want, body := range map[string]string{
		"refused an event of another tenant":             strings.ReplaceAll(deleted, "test-tenant", "other"),
		"skipped a malformed event":                      "{}",
		"skipped an event of an unknown type or version": envelope("user.renamed", "{}"),
		"skipped an event that is too large":             strings.Repeat(" ", 4<<20+1),
	} {
		e := newEndpoint(t, nil)
		e.post(body)
		e.post(body)
		if e.log.count(want) != 1 || e.log.count("level=") != 1 {
			t.Errorf("log %q, want one line with %q", e.log, want)
		}
	}
}

// TestWebhookWithoutALogger shows that the lines go to slog.Default.
func TestWebhookWithoutALogger(t *testing.T) {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	for name, test := range map[string]struct {
		config auth0grpcevents.Config
		status int
		want   string
	}{
		"no secret":         {auth0grpcevents.Config{}, 503, "level=ERROR"},
		"a malformed event": {auth0grpcevents.Config{Secrets: []string{secret}}, 400, "level=WARN"},
	} {
		log := new(syncBuffer)
		slog.SetDefault(log.logger())
		e := &endpoint{handler: auth0grpcevents.Webhook(newGuard(t, nil, issuer), test.config)}
		if status := e.post("{}"); status != test.status || log.count(test.want) != 1 {
			t.Errorf("%s: status %d, want %d; log: %s", name, status, test.status, log)
		}
	}
}
