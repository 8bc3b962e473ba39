package auth0grpcevents

import (
	"log/slog"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

// TestDefaults covers the defaults of a Config, and shows that they replace no value.
func TestDefaults(t *testing.T) {
	const name = "https://example.eu.auth0.com/"
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{name}, Audiences: []string{"https://api.example.com"},
		Methods: map[string]auth0grpc.Rule{"/a.B/*": auth0grpc.Authenticated()},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Config{Secrets: []string{"a-secret-of-the-event-stream"}}.complete(guard, false, true)
	if err != nil {
		t.Fatal(err)
	}
	if c.Issuer != name || c.Tenant != "example" || c.EventsURL != name+"api/v2/events" {
		t.Errorf("issuer %q, tenant %q, URL %q", c.Issuer, c.Tenant, c.EventsURL)
	}
	if c.LeaseDuration != 5*time.Second || c.HeartbeatTimeout != time.Minute || c.MaxTokenLifetime != 24*time.Hour {
		t.Errorf("lease %v, heartbeat %v, lifetime %v", c.LeaseDuration, c.HeartbeatTimeout, c.MaxTokenLifetime)
	}
	if c.Store == nil || c.Monitor == nil || c.Logger == nil || c.Now == nil {
		t.Error("a field has no default")
	}
	again := *c
	again.Issuer, again.Tenant, again.EventsURL = auth0grpc.AnyIssuer, "other", "https://other.eu.auth0.com/events"
	again.Logger, again.Now = slog.New(slog.DiscardHandler), func() time.Time { return time.Time{} }
	again.LeaseDuration, again.HeartbeatTimeout, again.MaxTokenLifetime = time.Second, 2*time.Second, 3*time.Second
	got, err := again.complete(guard, false, true)
	if err != nil {
		t.Fatal(err)
	}
	if got.Issuer != again.Issuer || got.Tenant != again.Tenant || got.EventsURL != again.EventsURL ||
		got.LeaseDuration != time.Second || got.HeartbeatTimeout != 2*time.Second || got.MaxTokenLifetime != 3*time.Second ||
		got.Store != c.Store || got.Monitor != c.Monitor || got.Logger != again.Logger || !got.Now().IsZero() {
		t.Errorf("%+v, want the values of the Config", got)
	}
}
