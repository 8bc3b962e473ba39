package auth0grpcevents_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// An endpoint is a webhook without a server.
type endpoint struct {
	handler http.Handler
	feed    *feed
	monitor *auth0grpcevents.Monitor
	log     *syncBuffer
}

func newEndpoint(tb testing.TB, change func(*auth0grpcevents.Config)) *endpoint {
	tb.Helper()
	e := &endpoint{feed: newFeed(), monitor: new(auth0grpcevents.Monitor), log: new(syncBuffer)}
	config := auth0grpcevents.Config{
		Secrets: []string{secret}, Monitor: e.monitor, Logger: e.log.logger(),
		Now: func() time.Time { return noon.Add(time.Second) },
	}
	if change != nil {
		change(&config)
	}
	guard := newGuard(tb, e.feed, issuer)
	if err := config.Check(guard); err != nil {
		tb.Fatal(err)
	}
	e.handler = auth0grpcevents.Webhook(guard, config)
	return e
}

// post sends a body with the secret, and returns the status.
func (e *endpoint) post(body string) int {
	return e.send(http.MethodPost, body, http.Header{"Authorization": {"Bearer " + secret}})
}

func (e *endpoint) send(method, body string, header http.Header) int {
	request := httptest.NewRequest(method, "/events", strings.NewReader(body))
	request.Header = header
	response := httptest.NewRecorder()
	e.handler.ServeHTTP(response, request)
	return response.Code
}

// envelope returns an event of this type about an object.
func envelope(kind, object string) string {
	return `{"specversion":"1.0","type":"` + kind + `","source":"urn:auth0:test-tenant.auth0app.com","id":"evt_1","time":"2026-03-01T11:59:58.573Z",` +
		`"a0tenant":"test-tenant","a0stream":"est_1","data":{"object":` + object + `,"context":{"tenant":{"id":"test-tenant"}}}}`
}

// revocation completes a revocation of the events of envelope.
func revocation(r auth0grpc.Revocation) []auth0grpc.Revocation {
	r.Issuer, r.IssuedBefore = issuer, noon.Add(-time.Second)
	return []auth0grpc.Revocation{r}
}

// Each type of event revokes exactly the tokens that it names.
func TestMapping(t *testing.T) {
	const member = `{"organization":{"id":"org_1"},"user":{"user_id":"auth0|1"}}`
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	user := revocation(auth0grpc.Revocation{Subject: "auth0|1"})
	inOrganization := revocation(auth0grpc.Revocation{Subject: "auth0|1", OrganizationID: "org_1"})
	for _, test := range []struct {
		name, kind, object string
		want               []auth0grpc.Revocation
	}{
		{"blocked", "user.updated", `{"user_id":"auth0|1","blocked":true}`, user},
		{"not blocked", "user.updated", `{"user_id":"auth0|1","blocked":false}`, nil},
		{"no word of blocked", "user.updated", `{"user_id":"auth0|1"}`, nil},
		{"null", "user.updated", `{"user_id":"auth0|1","blocked":null}`, nil},
		{"another case", "user.updated", `{"user_id":"auth0|1","Blocked":true}`, nil},
		{"blocked in the metadata", "user.updated", `{"user_id":"auth0|1","user_metadata":{"blocked":true,"user_id":"auth0|2"}}`, nil},
		{"deep metadata", "user.updated", `{"user_metadata":` + deep + `,"user_id":"auth0|1","blocked":true}`, user},
		{"large metadata", "user.updated", `{"user_metadata":"` + strings.Repeat("x", 1<<20) + `","user_id":"auth0|1","blocked":true}`, user},
		{"the same name twice in the metadata", "user.updated", `{"user_metadata":{"a":1,"a":2},"user_id":"auth0|1","blocked":true}`, user},
		{"identities", "user.updated", `{"user_id":"auth0|1","blocked":true,"identities":[{"user_id":1},{"user_id":"x"}]}`, user},
		{"escapes", "user.updated", `{"user_id":"auth0\u007c1","blocked":true}`, user},
		{"deleted", "user.deleted", `{"user_id":"auth0|1","deleted_at":"2026-03-01T11:59:58.566Z"}`, user},
		{"member", "organization.member.deleted", member, inOrganization},
		{"role", "organization.member.role.deleted", member, inOrganization},
		{"organization", "organization.deleted", `{"id":"org_1","name":"acme"}`, revocation(auth0grpc.Revocation{OrganizationID: "org_1"})},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			if status := e.post(envelope(test.kind, test.object)); status != http.StatusNoContent {
				t.Errorf("status %d, want 204", status)
			}
			if diff := cmp.Diff(test.want, e.feed.all()); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
			want := auth0grpcevents.Stats{Unrelated: 1}
			if test.want != nil {
				want = auth0grpcevents.Stats{Revoked: 1, LastEvent: noon.Add(-1427 * time.Millisecond), Delay: 2427 * time.Millisecond}
			}
			if diff := cmp.Diff(want, e.monitor.Stats()); diff != "" {
				t.Errorf("Stats (-want +got):\n%s", diff)
			}
			if e.log.String() != "" {
				t.Errorf("log: %s", e.log)
			}
		})
	}
}

// An event that lacks a field, or has one of another type, revokes nothing and
// is reported once.
func TestMalformedEvents(t *testing.T) {
	long := strings.Repeat("x", 1025)
	blocked := envelope("user.updated", `{"user_id":"auth0|1","blocked":true}`)
	replace := func(old, replacement string) string {
		if !strings.Contains(blocked, old) {
			t.Fatalf("no %s in the event", old)
		}
		return strings.Replace(blocked, old, replacement, 1)
	}
	for name, body := range map[string]string{
		"empty": "", "garbage": "garbage", "null": "null", "a list": "[]", "a string": `"x"`, "two objects": blocked + blocked,
		"cut off": blocked[:len(blocked)-1], "not UTF-8": replace("auth0|1", "auth0|\xff"),
		"no version": replace(`"specversion":"1.0",`, ""), "no type": replace(`"type":"user.updated",`, ""),
		"type is a number": replace(`"user.updated"`, "1"), "no id": replace(`"id":"evt_1",`, ""), "id is empty": replace("evt_1", ""),
		"no time": replace(`"time":"2026-03-01T11:59:58.573Z",`, ""), "time is null": replace(`"2026-03-01T11:59:58.573Z"`, "null"),
		"time is a number": replace(`"2026-03-01T11:59:58.573Z"`, "1772366398"), "time without a zone": replace(".573Z", ""),
		"time before 1970": replace("2026-03-01", "0001-01-01"), "time is a date": replace("T11:59:58.573Z", ""),
		"no tenant":      replace(`"a0tenant":"test-tenant",`, "")[:0] + strings.Replace(replace(`"a0tenant":"test-tenant",`, ""), `,"context":{"tenant":{"id":"test-tenant"}}`, "", 1),
		"tenant is null": strings.Replace(replace(`"a0tenant":"test-tenant"`, `"a0tenant":null`), `,"context":{"tenant":{"id":"test-tenant"}}`, "", 1),
		"no data":        `{"specversion":"1.0","type":"user.deleted","id":"evt_1","time":"2026-03-01T11:59:58Z","a0tenant":"test-tenant"}`,
		"data is a list": `{"specversion":"1.0","type":"user.deleted","id":"evt_1","time":"2026-03-01T11:59:58Z","a0tenant":"test-tenant","data":[]}`,
		"no object":      replace(`"object":{"user_id":"auth0|1","blocked":true},`, ""), "object is null": replace(`{"user_id":"auth0|1","blocked":true}`, "null"),
		"no user": replace(`"user_id":"auth0|1",`, ""), "user is empty": replace("auth0|1", ""), "user is blank": replace("auth0|1", " "),
		"user is null": replace(`"auth0|1"`, "null"), "user is a number": replace(`"auth0|1"`, "1"), "user is too long": replace("auth0|1", long),
		"half a surrogate": replace("auth0|1", `\ud800`), "user twice": replace(`"user_id":"auth0|1"`, `"user_id":"auth0|1","user_id":"auth0|2"`),
		"user in another case": replace("user_id", "User_ID"), "blocked is a string": replace("true", `"true"`), "blocked is a number": replace("true", "1"),
		"deleted without user":        envelope("user.deleted", `{"user":"auth0|1"}`),
		"member without organization": envelope("organization.member.deleted", `{"user":{"user_id":"auth0|1"}}`),
		"member without user":         envelope("organization.member.deleted", `{"organization":{"id":"org_1"}}`),
		"member, empty organization":  envelope("organization.member.deleted", `{"organization":{"id":""},"user":{"user_id":"auth0|1"}}`),
		"member, empty user":          envelope("organization.member.deleted", `{"organization":{"id":"org_1"},"user":{"user_id":""}}`),
		"member, flat":                envelope("organization.member.deleted", `{"organization":"org_1","user":"auth0|1"}`),
		"role without organization":   envelope("organization.member.role.deleted", `{"user":{"user_id":"auth0|1"},"role":{"id":"rol_1"}}`),
		"organization without id":     envelope("organization.deleted", `{"name":"acme"}`),
		"organization with empty id":  envelope("organization.deleted", `{"id":""}`),
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			if status := e.post(body); status != http.StatusBadRequest {
				t.Errorf("status %d, want 400", status)
			}
			e.post(body)
			if published := e.feed.all(); len(published) > 0 {
				t.Errorf("published %v", published)
			}
			if stats := e.monitor.Stats(); stats.Malformed != 2 {
				t.Errorf("%d malformed events are counted, want 2", stats.Malformed)
			}
			if e.log.count("skipped a malformed event") != 1 || strings.Contains(e.log.String(), "auth0|") || strings.Contains(e.log.String(), "org_") {
				t.Errorf("log: %s", e.log)
			}
		})
	}
}

func TestSkippedEvents(t *testing.T) {
	blocked := envelope("user.updated", `{"user_id":"auth0|1","blocked":true}`)
	for _, test := range []struct {
		name, body string
		status     int
		want       auth0grpcevents.Stats
	}{
		{"unknown type", envelope("user.renamed", `{}`), http.StatusNoContent, auth0grpcevents.Stats{Unknown: 1}},
		{"unknown type without data", `{"specversion":"1.0","type":"x.y"}`, http.StatusNoContent, auth0grpcevents.Stats{Unknown: 1}},
		{"a type in another case", envelope("User.Deleted", `{"user_id":"auth0|1"}`), http.StatusNoContent, auth0grpcevents.Stats{Unknown: 1}},
		{"unknown version", strings.Replace(blocked, `"1.0"`, `"2.0"`, 1), http.StatusNoContent, auth0grpcevents.Stats{Unknown: 1}},
		{"test", strings.Replace(blocked, `"a0stream"`, `"a0purpose":"test","a0stream"`, 1), http.StatusNoContent, auth0grpcevents.Stats{Tests: 1}},
		{"another tenant", strings.ReplaceAll(blocked, "test-tenant", "other"), http.StatusForbidden, auth0grpcevents.Stats{OtherTenant: 1}},
		{"another tenant inside", strings.Replace(blocked, `{"id":"test-tenant"}`, `{"id":"other"}`, 1), http.StatusForbidden, auth0grpcevents.Stats{OtherTenant: 1}},
		{"another tenant outside", strings.Replace(blocked, `"a0tenant":"test-tenant"`, `"a0tenant":"other"`, 1), http.StatusForbidden, auth0grpcevents.Stats{OtherTenant: 1}},
		{"the tenant in another case", strings.ReplaceAll(blocked, `"test-tenant"`, `"Test-Tenant"`), http.StatusForbidden, auth0grpcevents.Stats{OtherTenant: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			if status := e.post(test.body); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if published := e.feed.all(); len(published) > 0 {
				t.Errorf("published %v", published)
			}
			if diff := cmp.Diff(test.want, e.monitor.Stats()); diff != "" {
				t.Errorf("Stats (-want +got):\n%s", diff)
			}
		})
	}
}

// The time of an event is rounded up to the next second, and one far ahead of our clock
// covers the tokens issued until now.
func TestIssuedBefore(t *testing.T) {
	now := noon.Add(time.Second)
	for text, want := range map[string]time.Time{
		"2026-03-01T12:00:00Z":           noon.Add(time.Second),
		"2026-03-01T12:00:00.001Z":       noon.Add(time.Second),
		"2026-03-01T12:00:00.999999999Z": noon.Add(time.Second),
		"2026-03-01T13:00:00+01:00":      noon.Add(time.Second),
		"2020-01-01T00:00:00Z":           time.Date(2020, 1, 1, 0, 0, 1, 0, time.UTC),
		"2026-03-01T12:05:01Z":           noon.Add(5*time.Minute + 2*time.Second),
		"2026-03-01T12:05:02Z":           {}, // by the clock of the guard
		"9999-12-31T23:59:59Z":           {},
	} {
		t.Run(text, func(t *testing.T) {
			e := newEndpoint(t, func(c *auth0grpcevents.Config) { c.Now = func() time.Time { return now } })
			body := strings.Replace(envelope("user.deleted", `{"user_id":"auth0|1"}`), "2026-03-01T11:59:58.573Z", text, 1)
			before := time.Now()
			if status := e.post(body); status != http.StatusNoContent {
				t.Fatalf("status %d, want 204", status)
			}
			got := e.feed.all()[0].IssuedBefore
			if want.IsZero() {
				if got.Before(before) || got.After(time.Now().Add(time.Second)) {
					t.Errorf("IssuedBefore = %v, want the end of this second", got)
				}
			} else if !got.Equal(want) {
				t.Errorf("IssuedBefore = %v, want %v", got, want)
			}
		})
	}
}

func TestWebhookAuthenticates(t *testing.T) {
	const old = "the-secret-before-this-one"
	body := envelope("user.deleted", `{"user_id":"auth0|1"}`)
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, test := range []struct {
		name   string
		header string // SecretHeader
		sent   http.Header
		want   int
	}{
		{"bearer", "", http.Header{"Authorization": {"Bearer " + secret}}, 204},
		{"bearer in another case", "", http.Header{"Authorization": {"bearer " + secret}}, 204},
		{"the second secret", "", http.Header{"Authorization": {"Bearer " + old}}, 204},
		{"basic", "", http.Header{"Authorization": {basic("user:" + secret)}}, 204},
		{"basic, another user", "", http.Header{"Authorization": {basic("root:" + secret)}}, 401},
		{"basic, malformed", "", http.Header{"Authorization": {"Basic !"}}, 401},
		{"nothing", "", http.Header{}, 401},
		{"empty", "", http.Header{"Authorization": {""}}, 401},
		{"no secret", "", http.Header{"Authorization": {"Bearer "}}, 401},
		{"the secret alone", "", http.Header{"Authorization": {secret}}, 401},
		{"wrong", "", http.Header{"Authorization": {"Bearer " + secret + "x"}}, 401},
		{"a part", "", http.Header{"Authorization": {"Bearer " + secret[1:]}}, 401},
		{"another scheme", "", http.Header{"Authorization": {"Digest " + secret}}, 401},
		{"two values", "", http.Header{"Authorization": {"Bearer " + secret, "Bearer " + secret}}, 401},
		{"custom header", "X-Events-Key", http.Header{"X-Events-Key": {secret}}, 204},
		{"custom header, wrong", "X-Events-Key", http.Header{"X-Events-Key": {secret + "x"}}, 401},
		{"custom header, but bearer", "X-Events-Key", http.Header{"Authorization": {"Bearer " + secret}}, 401},
		{"custom header twice", "X-Events-Key", http.Header{"X-Events-Key": {secret, secret}}, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newEndpoint(t, func(c *auth0grpcevents.Config) {
				c.Secrets, c.SecretHeader = []string{secret, old, "user:" + secret}, test.header
			})
			if status := e.send(http.MethodPost, body, test.sent); status != test.want {
				t.Errorf("status %d, want %d", status, test.want)
			}
			if revoked := len(e.feed.all()) == 1; revoked != (test.want == 204) {
				t.Errorf("revoked: %t", revoked)
			}
			if refused := e.monitor.Stats().Refused == 1; refused != (test.want == 401) {
				t.Errorf("counted as refused: %t", refused)
			}
		})
	}
}

func TestWebhookMethodAndSize(t *testing.T) {
	e := newEndpoint(t, nil)
	header := http.Header{"Authorization": {"Bearer " + secret}}
	if status := e.send(http.MethodGet, "", header); status != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d, want 405", status)
	}
	if status := e.post(strings.Repeat(" ", 5<<20)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("5 MiB: status %d, want 413", status)
	}
	if stats := e.monitor.Stats(); stats.Malformed != 1 {
		t.Errorf("Stats = %+v, want one malformed event", stats)
	}
}

// The body of a sender without the secret is not read.
func TestWebhookReadsNoStrangersBody(t *testing.T) {
	e := newEndpoint(t, nil)
	request := httptest.NewRequest(http.MethodPost, "/", failingReader{t})
	response := httptest.NewRecorder()
	e.handler.ServeHTTP(response, request)
	if response.Code != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", response.Code)
	}
}

type failingReader struct{ t *testing.T }

func (r failingReader) Read([]byte) (int, error) {
	r.t.Error("the body is read")
	return 0, errors.New("read")
}

// The answer is 503 until the revocation is published; the same event then succeeds.
func TestWebhookAnswersWhenPublished(t *testing.T) {
	e := newEndpoint(t, nil)
	body := envelope("user.deleted", `{"user_id":"auth0|1"}`)
	e.feed.fail(errors.New("the feed is down"))
	for range 3 {
		if status := e.post(body); status != http.StatusServiceUnavailable {
			t.Errorf("status %d without the feed, want 503", status)
		}
	}
	if n := e.log.count("the revocation feed failed"); n != 1 || e.monitor.Stats().Err == nil {
		t.Errorf("%d reports, Stats.Err = %v, want one and an error", n, e.monitor.Stats().Err)
	}
	e.feed.fail(nil)
	if status := e.post(body); status != http.StatusNoContent || len(e.feed.all()) != 1 {
		t.Errorf("status %d, published %v, want 204 and one revocation", status, e.feed.all())
	}
	if n := e.log.count("the revocation feed recovered"); n != 1 || e.monitor.Stats().Err != nil {
		t.Errorf("%d reports of the end, Stats.Err = %v", n, e.monitor.Stats().Err)
	}
}

// An event that comes again is published once, also among many others. An id that is used
// for another revocation suppresses nothing.
func TestWebhookDropsDuplicates(t *testing.T) {
	e := newEndpoint(t, nil)
	event := func(id, user string) string {
		return strings.Replace(envelope("user.deleted", `{"user_id":"`+user+`"}`), "evt_1", id, 1)
	}
	for range 3 {
		if status := e.post(event("evt_1", "auth0|1")); status != http.StatusNoContent {
			t.Errorf("status %d, want 204", status)
		}
	}
	e.post(event("evt_1", "auth0|2"))
	e.post(event("evt_2", "auth0|1"))
	if n, stats := len(e.feed.all()), e.monitor.Stats(); n != 3 || stats.Duplicates != 2 || stats.Revoked != 3 {
		t.Errorf("published %d, Stats = %+v, want 3 revocations and 2 duplicates", n, stats)
	}
}

// Deliveries of one event at once end in one revocation or several, and never in an answer
// before the first.
func TestWebhookRace(t *testing.T) {
	e := newEndpoint(t, nil)
	body := envelope("user.deleted", `{"user_id":"auth0|1"}`)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if status := e.post(body); status != http.StatusNoContent || len(e.feed.all()) == 0 {
				t.Errorf("status %d with %d revocations", status, len(e.feed.all()))
			}
		})
	}
	group.Wait()
}

// A handler without a sound Config refuses every event, loudly.
func TestWebhookWithFaults(t *testing.T) {
	log := new(syncBuffer)
	handler := auth0grpcevents.Webhook(newGuard(t, nil, issuer), auth0grpcevents.Config{Logger: log.logger(), Secrets: []string{"short"}})
	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
	request.Header.Set("Authorization", "Bearer short")
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	if response.Code != http.StatusServiceUnavailable || log.count("level=ERROR") != 1 || strings.Contains(log.String(), "short") {
		t.Errorf("status %d, want 503; log: %s", response.Code, log)
	}
}

// A sender that never ends its headers or its body does not keep a connection: the server
// has a deadline for the former, and the handler sets one for the latter.
func TestWebhookBoundsSlowBodies(t *testing.T) {
	e := newEndpoint(t, nil)
	deadlines := make(chan time.Time, 1)
	request := httptest.NewRequest(http.MethodPost, "/", nil)
	e.handler.ServeHTTP(&deadlineRecorder{httptest.NewRecorder(), deadlines}, request)
	select {
	case at := <-deadlines:
		if wait := time.Until(at); wait > 10*time.Second {
			t.Errorf("the deadline is in %v, want at most 10s", wait)
		}
	default:
		t.Error("the handler sets no deadline")
	}
}

type deadlineRecorder struct {
	*httptest.ResponseRecorder
	deadlines chan time.Time
}

func (r *deadlineRecorder) SetReadDeadline(at time.Time) error {
	r.deadlines <- at
	return nil
}

// The sender of the tenant repeats a delivery that failed.
func TestWebhookByTheTenant(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	e := newEndpoint(t, nil)
	server := httptest.NewServer(e.handler)
	t.Cleanup(server.Close)
	id := tenant.Events().BlockUser("auth0|1")
	e.feed.fail(errors.New("the feed is down"))
	deliver := func(authorization string) (int, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return tenant.Events().Deliver(ctx, nil, server.URL, authorization, id)
	}
	go func() {
		e.feed.await(t, "an attempt", func() bool { e.feed.mu.Lock(); defer e.feed.mu.Unlock(); return e.feed.attempts > 0 })
		e.feed.fail(nil)
	}()
	if status, err := deliver("Bearer " + secret); status != http.StatusNoContent || err != nil {
		t.Errorf("Deliver = %d, %v, want 204", status, err)
	}
	if status, err := deliver("Bearer guess"); status != http.StatusUnauthorized || err != nil {
		t.Errorf("Deliver with a wrong secret = %d, %v, want 401", status, err)
	}
	if subjects := e.feed.subjects(); !subjects["auth0|1"] || len(subjects) != 1 {
		t.Errorf("revoked %v", subjects)
	}
}

// A Config prints without its secrets, in every form.
func TestConfigPrintsNoSecrets(t *testing.T) {
	config := auth0grpcevents.Config{Tenant: "test-tenant", Secrets: []string{secret}}
	log := new(syncBuffer)
	slog.New(slog.NewJSONHandler(log, nil)).Info("config", "value", config, "inside", map[string]any{"c": config})
	for _, text := range []string{fmt.Sprint(config), fmt.Sprintf("%+v %#v", config, &config), log.String()} {
		if strings.Contains(text, secret) || !strings.Contains(text, "test-tenant") {
			t.Errorf("printed %s", text)
		}
	}
}
