package auth0grpc_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

// A sharedFeed is a feed that says how long it remembers, and notes how it was
// called.
type sharedFeed struct {
	auth0grpc.RevocationFeed
	lifetime       time.Duration
	published, now []auth0grpc.Revocation
}

func (f *sharedFeed) MaxTokenLifetime() time.Duration { return f.lifetime }

func (f *sharedFeed) Publish(_ context.Context, r auth0grpc.Revocation) error {
	f.published = append(f.published, r)
	return nil
}

func (f *sharedFeed) PublishNow(_ context.Context, r auth0grpc.Revocation) error {
	f.now = append(f.now, r)
	return nil
}

type sharedReplay struct {
	auth0grpc.ReplayStore
	skew time.Duration
}

func (s sharedReplay) ClockSkew() time.Duration { return s.skew }

func sharedConfig() auth0grpc.Config {
	return auth0grpc.Config{
		Issuers:   []string{"https://tenant.example/"},
		Audiences: []string{"https://api.example"},
		Methods:   map[string]auth0grpc.Rule{"/a.B/C": auth0grpc.Authenticated()},
	}
}

func TestSharedStoreFaults(t *testing.T) {
	replay := auth0grpc.NewReplayStore(1, nil)
	for _, test := range []struct {
		name   string
		change func(*auth0grpc.Config)
		field  string
	}{
		{"feed as long", func(c *auth0grpc.Config) { c.RevocationFeed = &sharedFeed{lifetime: 24 * time.Hour} }, ""},
		{"feed longer", func(c *auth0grpc.Config) { c.RevocationFeed = &sharedFeed{lifetime: 48 * time.Hour} }, ""},
		{"feed too short", func(c *auth0grpc.Config) { c.RevocationFeed = &sharedFeed{lifetime: 24*time.Hour - 1} }, "RevocationFeed"},
		{"feed that does not say", func(c *auth0grpc.Config) { c.RevocationFeed = auth0grpc.NewRevocationFeed(time.Second) }, ""},
		{"store that allows as much", func(c *auth0grpc.Config) {
			c.ClockSkew, c.DPoP.ReplayStore = time.Minute, sharedReplay{replay, time.Minute}
		}, ""},
		{"store that allows too little", func(c *auth0grpc.Config) {
			c.ClockSkew, c.DPoP.ReplayStore = time.Minute, sharedReplay{replay, time.Minute - 1}
		}, "DPoP.ReplayStore"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := sharedConfig()
			test.change(&config)
			_, err := auth0grpc.New(config)
			var fault *auth0grpc.ConfigError
			errors.As(err, &fault)
			if (err != nil) != (test.field != "") || fault != nil && fault.Field != test.field {
				t.Errorf("New = %v, want a fault of %q", err, test.field)
			}
		})
	}
}

// A feed that can correct the clock learns which times were read from it.
func TestRevokePublishesNow(t *testing.T) {
	feed := &sharedFeed{lifetime: 24 * time.Hour}
	config := sharedConfig()
	config.RevocationFeed = feed
	guard, err := auth0grpc.New(config)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-time.Hour)
	for _, r := range []auth0grpc.Revocation{{Subject: "now"}, {Subject: "then", IssuedBefore: at}} {
		if err := guard.Revoke(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if len(feed.now) != 1 || feed.now[0].Subject != "now" || feed.now[0].IssuedBefore.IsZero() {
		t.Errorf("PublishNow was called with %v, want the revocation of now", feed.now)
	}
	if len(feed.published) != 1 || feed.published[0].Subject != "then" {
		t.Errorf("Publish was called with %v, want the revocation of an hour ago", feed.published)
	}
}
