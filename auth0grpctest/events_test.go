package auth0grpctest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// openEvents requests the events of a tenant and returns the response.
func openEvents(ctx context.Context, tenant *auth0grpctest.Tenant, scope string, query url.Values) *http.Response {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, tenant.Issuer()+"api/v2/events?"+query.Encode(), nil)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+tenant.Token(map[string]any{"aud": tenant.EventsAudience(), "scope": scope}))
	response, err := tenant.HTTPClient().Do(request)
	if err != nil {
		log.Fatal(err)
	}
	return response
}

// eventName returns the name of the next event of a stream.
func eventName(in *bufio.Reader) string {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err.Error()
		}
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			return strings.TrimSpace(name)
		}
	}
}

// The tenant serves events as Auth0 does, and fails on request.
func ExampleEventLog() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	events := tenant.Events()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	fmt.Println(strings.TrimPrefix(tenant.EventsAudience(), tenant.Issuer())) // of the token
	response := openEvents(ctx, tenant, auth0grpctest.EventsScope, nil)
	defer response.Body.Close()
	in := bufio.NewReader(response.Body)

	events.BlockUser("auth0|alice")
	fmt.Println(eventName(in))
	events.Publish("user.deleted", map[string]any{"user_id": "auth0|bob"})
	fmt.Println(eventName(in))
	events.PublishRaw("garbage")
	fmt.Printf("%q\n", eventName(in))
	events.Send("event: sent as it is\n\n")
	fmt.Println(eventName(in))
	fmt.Println(events.Connections(), "connection,", events.Requests(), "request")
	events.FailStreams("timeout")
	fmt.Println(eventName(in), eventName(in))

	events.CutStreams()    // streams that are open: none
	events.CloseStreams()  // the same, regularly
	events.ExpireOffsets() // requests with one are answered 410
	events.SetFailures(auth0grpctest.EventFailures{Status: http.StatusTooManyRequests})
	fmt.Println(openEvents(ctx, tenant, auth0grpctest.EventsScope, nil).StatusCode)
	// Output:
	// api/v2/
	// user.updated
	// user.deleted
	// ""
	// sent as it is
	// 1 connection, 1 request
	// error EOF
	// 429
}

// An event stream of Auth0 sends events to a webhook.
func ExampleEventLog_Deliver() {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		log.Fatal(err)
	}
	defer tenant.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Header.Get("Authorization"))
	}))
	defer server.Close()
	id := tenant.Events().BlockUser("auth0|alice")
	status, err := tenant.Events().Deliver(context.Background(), nil, server.URL, "Bearer secret", id)
	fmt.Println(status, err)
	// Output:
	// Bearer secret
	// 200 <nil>
}

func TestEventsAPIRefuses(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	events := tenant.Events()
	events.BlockUser("auth0|1")
	events.ExpireOffsets()
	events.BlockUser("auth0|2")
	for _, test := range []struct {
		name, scope string
		query       url.Values
		want        int
		text        string
	}{
		{"no scope", "read:users", nil, 403, "Insufficient scope"},
		{"a malformed offset", "read:events", url.Values{"from": {"x"}}, 400, ""},
		{"both positions", "read:events", url.Values{"from": {"b2Zmc2V0IDE="}, "from_timestamp": {"2026-03-01T12:00:00Z"}}, 400, ""},
		{"a time with a fraction", "read:events", url.Values{"from_timestamp": {"2026-03-01T12:00:00.5Z"}}, 400, ""},
		{"an expired offset", "read:events", url.Values{"from": {"b2Zmc2V0IDA="}}, 410, ""},
		{"an offset of another log", "read:events", url.Values{"from": {"b2Zmc2V0IDk="}}, 410, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			response := openEvents(t.Context(), tenant, test.scope, test.query)
			defer response.Body.Close()
			if response.StatusCode == http.StatusOK {
				t.Fatal("a stream opens")
			}
			body, _ := io.ReadAll(response.Body)
			if response.StatusCode != test.want || !strings.Contains(string(body), test.text) {
				t.Errorf("%d %s, want %d", response.StatusCode, body, test.want)
			}
		})
	}
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, tenant.Issuer()+"api/v2/events", nil)
	response, err := tenant.HTTPClient().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d without a token, want 401", response.StatusCode)
	}
}

// A stream starts after an offset or at a time, and has progress marks in place of other
// types.
func TestEventsAPIPositions(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	events := tenant.Events()
	now := time.Now()
	tenant.SetNow(func() time.Time { return now.Add(-time.Hour) })
	events.Publish("user.deleted", map[string]any{"user_id": "1"})
	tenant.SetNow(nil)
	events.Publish("organization.deleted", map[string]any{"id": "org_1"})
	for _, test := range []struct {
		name  string
		query url.Values
		want  string
	}{
		{"from the start", url.Values{"from": {"b2Zmc2V0IDA="}}, "user.deleted"},
		{"after the first", url.Values{"from": {"b2Zmc2V0IDE="}}, "organization.deleted"},
		{"by time", url.Values{"from_timestamp": {now.Add(-time.Minute).UTC().Format("2006-01-02T15:04:05Z")}}, "organization.deleted"},
		{"by type", url.Values{"from": {"b2Zmc2V0IDE="}, "event_type": {"user.deleted"}}, "offset-only"},
	} {
		t.Run(test.name, func(t *testing.T) {
			response := openEvents(t.Context(), tenant, "read:events", test.query)
			defer response.Body.Close()
			if got := eventName(bufio.NewReader(response.Body)); got != test.want {
				t.Errorf("the first event is %s, want %s", got, test.want)
			}
		})
	}
}
