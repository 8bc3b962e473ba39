package auth0grpc_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/auth0grpc/auth0grpc"
)

func TestStreamPolicies(t *testing.T) {
	const life = 90*time.Second + 300*time.Millisecond
	policy := func(p auth0grpc.StreamPolicy) func(*auth0grpc.Config) {
		return func(c *auth0grpc.Config) { c.StreamPolicy = p }
	}
	row := func(server, row auth0grpc.StreamPolicy) func(*auth0grpc.Config) {
		return func(c *auth0grpc.Config) {
			c.StreamPolicy = server
			c.Methods[streamShapes[2].name] = auth0grpc.Scopes("read:orders").Streams(row)
		}
	}
	tests := []struct {
		name   string
		change func(*auth0grpc.Config)
		want   time.Duration // 0: runs on
		ttl    string
	}{
		{"default", nil, life, "90"},
		{"at expiry", policy(auth0grpc.EndAtExpiry()), life, "90"},
		{"clock skew", func(c *auth0grpc.Config) { c.ClockSkew = 20 * time.Second }, life + 20*time.Second, "110"},
		{"after a grace", policy(auth0grpc.EndAfter(10 * time.Second)), life + 10*time.Second, "100"},
		{"run on", policy(auth0grpc.IgnoreExpiry()), 0, ""},
		{"row ends, server runs on", row(auth0grpc.IgnoreExpiry(), auth0grpc.EndAtExpiry()), life, "90"},
		{"row runs on, server ends", row(auth0grpc.EndAtExpiry(), auth0grpc.IgnoreExpiry()), 0, ""},
		{"row has a grace of its own", row(auth0grpc.EndAfter(time.Second), auth0grpc.EndAfter(time.Minute)), life + time.Minute, "150"},
		{"skew and grace", func(c *auth0grpc.Config) {
			c.StreamPolicy, c.ClockSkew = auth0grpc.EndAfter(10*time.Second), 20*time.Second
		}, life + 30*time.Second, "120"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
				if err := stream.SendHeader(nil); err != nil {
					return err
				}
				return drain(stream)
			}), configured(test.change))
			exp := float64(today.Add(life).UnixMilli()) / 1e3
			stream := s.open(t, "tcp", streamShapes[2], bearer(s.token(claims{"exp": exp}))...)
			header, err := stream.Header()
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(header.Get(auth0grpc.StreamTTLHeader), " "); got != test.ttl {
				t.Errorf("%s = %q, want %q", auth0grpc.StreamTTLHeader, got, test.ttl)
			}
			if test.want == 0 {
				s.timers.Advance(1000 * time.Hour)
				if err := stream.CloseSend(); err != nil {
					t.Fatal(err)
				}
				if got := finish(stream, "tcp"); got.err != nil {
					t.Errorf("ended with %v, want a stream that runs on", got.err)
				}
				if asked, _ := s.timers.asked(); asked != nil {
					t.Errorf("timers of %v for a stream that runs on", asked)
				}
				return
			}
			eventually(t, "a timer runs", func() bool { _, running := s.timers.asked(); return running == 1 })
			asked, _ := s.timers.asked()
			if diff := test.want - asked[0]; len(asked) != 1 || diff < -time.Millisecond || diff > time.Millisecond {
				t.Errorf("timers of %v, want one of %v", asked, test.want)
			}
			s.timers.Advance(test.want - time.Second)
			if n := s.guard.Stats().OpenStreams; n != 1 {
				t.Errorf("%d open streams a second before the end", n)
			}
			s.timers.Advance(time.Second + time.Millisecond)
			if reason, _ := auth0grpc.ReasonFromError(finish(stream, "tcp").err); reason != auth0grpc.ReasonTokenExpired {
				t.Errorf("reason %q", reason)
			}
		})
	}
}

func TestStreamPolicyFaults(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.StreamPolicy = auth0grpc.EndAfter(0)
	config.Methods[unaryCall] = auth0grpc.Scopes("a").Streams(auth0grpc.EndAfter(-time.Second))
	_, err := auth0grpc.New(config)
	if err == nil || strings.Count(err.Error(), "want a positive grace") != 2 {
		t.Errorf("New = %v, want two faults", err)
	}
	for policy, want := range map[auth0grpc.StreamPolicy]string{
		{}:                              "streams end at expiry",
		auth0grpc.EndAtExpiry():         "streams end at expiry",
		auth0grpc.EndAfter(time.Minute): "streams end 1m0s after expiry",
		auth0grpc.IgnoreExpiry():        "streams run on",
	} {
		if got := policy.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}
