package auth0grpcevents_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
)

type noTokens struct{ auth0grpcevents.TokenSource }

// faultsOf returns the fields of the faults in an error.
func faultsOf(tb testing.TB, err error) (fields []string) {
	tb.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		tb.Fatalf("%v, want joined errors", err)
	}
	for _, err := range joined.Unwrap() {
		var fault *auth0grpcevents.ConfigError
		if !errors.As(err, &fault) {
			tb.Fatalf("%v, want a ConfigError", err)
		}
		fields = append(fields, fault.Field)
	}
	return fields
}

func TestConfigFaults(t *testing.T) {
	one := []string{issuer}
	custom := []string{"https://login.example.com/"}
	two := []string{issuer, "https://login.example.com/"}
	sound := auth0grpcevents.Config{TokenSource: noTokens{}, Secrets: []string{secret}}
	for _, test := range []struct {
		name    string
		issuers []string
		edit    func(*auth0grpcevents.Config)
		want    []string
	}{
		{"sound", one, func(*auth0grpcevents.Config) {}, nil},
		{"follow alone", one, func(c *auth0grpcevents.Config) { c.Secrets = nil }, nil},
		{"webhook alone", one, func(c *auth0grpcevents.Config) { c.TokenSource = nil }, nil},
		{"neither", one, func(c *auth0grpcevents.Config) { *c = auth0grpcevents.Config{} }, []string{"TokenSource"}},
		{"several issuers", two, func(*auth0grpcevents.Config) {}, []string{"Issuer"}},
		{"one of several issuers", two, func(c *auth0grpcevents.Config) { c.Issuer = issuer }, nil},
		{"custom domain", custom, func(*auth0grpcevents.Config) {}, []string{"Tenant"}},
		{"custom domain with tenant", custom, func(c *auth0grpcevents.Config) { c.Tenant = "test-tenant" }, nil},
		{"every issuer", two, func(c *auth0grpcevents.Config) { c.Issuer = auth0grpc.AnyIssuer }, []string{"EventsURL", "Tenant"}},
		{"every issuer, complete", two, func(c *auth0grpcevents.Config) {
			c.Issuer, c.Tenant, c.EventsURL = auth0grpc.AnyIssuer, "test-tenant", issuer+"api/v2/events"
		}, nil},
		{"unknown issuer", one, func(c *auth0grpcevents.Config) { c.Issuer = "https://test-tenant.us.auth0.com/" }, []string{"Issuer"}},
		{"issuer without slash", one, func(c *auth0grpcevents.Config) { c.Issuer = strings.TrimSuffix(issuer, "/") }, []string{"Issuer"}},
		{"spaces", one, func(c *auth0grpcevents.Config) { c.Tenant = "test-tenant\n" }, []string{"Tenant"}},
		{"http", one, func(c *auth0grpcevents.Config) { c.EventsURL = "http://localhost/api/v2/events" }, []string{"EventsURL"}},
		{"query", one, func(c *auth0grpcevents.Config) { c.EventsURL = issuer + "api/v2/events?from=1" }, []string{"EventsURL"}},
		{"empty query", one, func(c *auth0grpcevents.Config) { c.EventsURL = issuer + "api/v2/events?" }, []string{"EventsURL"}},
		{"empty fragment", one, func(c *auth0grpcevents.Config) { c.EventsURL = issuer + "api/v2/events#" }, []string{"EventsURL"}},
		{"no host", one, func(c *auth0grpcevents.Config) { c.EventsURL = "https:///api/v2/events" }, []string{"EventsURL"}},
		{"no URL", one, func(c *auth0grpcevents.Config) { c.EventsURL = "https://host/%zz" }, []string{"EventsURL"}},
		{"the longest names", one, func(c *auth0grpcevents.Config) {
			c.Tenant, c.SecretHeader = strings.Repeat("x", 1024), strings.Repeat("x", 1024)
		}, nil},
		{"longer names", one, func(c *auth0grpcevents.Config) {
			c.Tenant, c.SecretHeader = strings.Repeat("x", 1025), strings.Repeat("x", 1025)
		}, []string{"SecretHeader", "Tenant"}},
		{"the shortest secret", one, func(c *auth0grpcevents.Config) { c.Secrets = []string{strings.Repeat("x", 16)} }, nil},
		{"a shorter secret", one, func(c *auth0grpcevents.Config) { c.Secrets = []string{strings.Repeat("x", 15)} }, []string{"Secrets[0]"}},
		{"the longest time", one, func(c *auth0grpcevents.Config) { c.MaxTokenLifetime = 10 * 365 * 24 * time.Hour }, nil},
		{"a longer time", one, func(c *auth0grpcevents.Config) { c.MaxTokenLifetime = 10*365*24*time.Hour + 1 }, []string{"MaxTokenLifetime"}},
		{"password", one, func(c *auth0grpcevents.Config) { c.EventsURL = "https://user:s3cret@host/" }, []string{"EventsURL"}},
		{"short secrets", one, func(c *auth0grpcevents.Config) { c.Secrets = []string{secret, "", "s3cret", secret + "\n"} }, []string{"Secrets[1]", "Secrets[2]", "Secrets[3]"}},
		{"header with a value", one, func(c *auth0grpcevents.Config) { c.SecretHeader = "X-Key: x" }, []string{"SecretHeader"}},
		{"negative and endless durations", one, func(c *auth0grpcevents.Config) {
			c.HeartbeatTimeout, c.LeaseDuration, c.MaxTokenLifetime = -1, -time.Hour, 1<<63-1
		}, []string{"HeartbeatTimeout", "LeaseDuration", "MaxTokenLifetime"}},
		{"all at once", two, func(c *auth0grpcevents.Config) {
			c.SecretHeader, c.EventsURL, c.LeaseDuration, c.Secrets = " ", "x", -1, []string{"s3cret"}
		}, []string{"EventsURL", "Issuer", "LeaseDuration", "SecretHeader", "Secrets[0]"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := sound
			test.edit(&config)
			err := config.Check(newGuard(t, nil, test.issuers...))
			if diff := cmp.Diff(test.want, faultsOf(t, err)); diff != "" {
				t.Errorf("faults (-want +got):\n%s\n%v", diff, err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error has a secret: %v", err)
			}
		})
	}
}

// Follow returns the faults of its Config, and an Interceptor that New did not create is
// one.
func TestFollowReturnsFaults(t *testing.T) {
	for name, guard := range map[string]*auth0grpc.Interceptor{"nil": nil, "zero": new(auth0grpc.Interceptor)} {
		err := auth0grpcevents.Follow(t.Context(), guard, auth0grpcevents.Config{})
		if diff := cmp.Diff([]string{"Issuer", "TokenSource"}, faultsOf(t, err)); diff != "" {
			t.Errorf("%s: faults (-want +got):\n%s", name, diff)
		}
	}
}

// A number without a unit counts nanoseconds.
func TestNumbersWithoutUnit(t *testing.T) {
	for field, config := range map[string]auth0grpcevents.Config{
		"Config.LeaseDuration":    {LeaseDuration: 60},
		"Config.HeartbeatTimeout": {HeartbeatTimeout: 60},
		"Config.MaxTokenLifetime": {MaxTokenLifetime: 60},
	} {
		config.TokenSource = noTokens{}
		err := config.Check(newGuard(t, nil, issuer))
		if err == nil || !strings.HasPrefix(err.Error(), "auth0grpcevents: "+field) || !strings.HasSuffix(err.Error(), "did you mean 60*time.Second?") {
			t.Errorf("%s of 60: %v", field, err)
		}
	}
}
