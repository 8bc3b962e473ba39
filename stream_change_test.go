package auth0grpc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
)

// A revocation or a new table that comes after the decision on a stream and before the
// stream is in the index, finds no stream. It counts all the same.
func TestChangeDuringTheOpening(t *testing.T) {
	const name = ordersService + "Watch"
	table := func(rule auth0grpc.Rule) func(*fixture) error {
		return func(f *fixture) error { return f.guard.SetMethods(map[string]auth0grpc.Rule{name: rule}) }
	}
	for title, test := range map[string]struct {
		change func(*fixture) error
		want   auth0grpc.Reason
		report auth0grpc.Reason
	}{
		"revoked": {func(f *fixture) error {
			return f.guard.Revoke(t.Context(), auth0grpc.Revocation{IssuedBefore: today.Add(1e9)})
		}, auth0grpc.ReasonTokenRevoked, ""},
		"revoked, and a new table": {func(f *fixture) error {
			return errors.Join(f.guard.Revoke(t.Context(), auth0grpc.Revocation{IssuedBefore: today.Add(1e9)}), table(auth0grpc.Authenticated())(f))
		}, auth0grpc.ReasonTokenRevoked, ""},
		"another scope":    {table(auth0grpc.Scopes("write:orders")), auth0grpc.ReasonInsufficientScope, ""},
		"the same rule":    {table(auth0grpc.Scopes("read:orders")), "", ""},
		"of messages":      {table(auth0grpc.Scopes("read:orders").Same("org_id", auth0grpc.ClaimOrganization)), auth0grpc.ReasonNotOwner, ""},
		"row not enforced": {table(auth0grpc.Scopes("write:orders").ReportOnly()), "", auth0grpc.ReasonInsufficientScope},
	} {
		for _, door := range []string{"interceptor", "CheckStream"} {
			var f *fixture
			var outcomes []auth0grpc.Decision
			f = newFixture(t, transports(), configured(func(config *auth0grpc.Config) {
				config.Methods = map[string]auth0grpc.Rule{name: auth0grpc.Scopes("read:orders")}
				config.OnDecision = func(_ context.Context, d auth0grpc.Decision) {
					outcomes = append(outcomes, d)
					if len(outcomes) == 1 { // the stream is decided on, and not yet open
						if err := test.change(f); err != nil {
							t.Error(err)
						}
					}
				}
			}))
			var err error
			var challenges []string
			ran := false
			switch door {
			case "interceptor":
				transport := &transportStream{method: name}
				ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+f.plain))
				ctx = grpc.NewContextWithServerTransportStream(ctx, transport)
				err = f.guard.StreamServerInterceptor()(nil, serverStream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: name}, func(any, grpc.ServerStream) error { ran = true; return nil })
				challenges = transport.header.Get("www-authenticate")
			default:
				var s *auth0grpc.OpenStream
				if s, err = f.guard.CheckStream(t.Context(), auth0grpc.Request{FullMethod: name, Authorization: bearer(f.plain), MessagesFollow: true}); err == nil {
					ran = s.Context().Err() == nil
					s.Close()
				} else {
					challenges = refusalOf(t, err).Challenges()
				}
			}
			reason, _ := auth0grpc.ReasonFromError(err)
			if reason != test.want || ran != (test.want == "") {
				t.Errorf("%s, %s: %v, ran: %t; want %q", title, door, err, ran, test.want)
			}
			if wantChallenge := test.want != "" && test.want != auth0grpc.ReasonNotOwner; (len(challenges) == 1) != wantChallenge {
				t.Errorf("%s, %s: challenges %q", title, door, challenges)
			}
			var reported auth0grpc.Reason
			for _, d := range outcomes {
				if d.Outcome == auth0grpc.OutcomeReported {
					reported = d.Reason
				}
			}
			if reported != test.report {
				t.Errorf("%s, %s: reported %q, want %q", title, door, reported, test.report)
			}
			if n := f.guard.Stats().OpenStreams; n != 0 {
				t.Errorf("%s, %s: %d open streams", title, door, n)
			}
		}
	}
}

// A stream whose messages were checked by other rules, or by none, ends with the table
// that has the new ones.
func TestNewRulesAboutMessages(t *testing.T) {
	const name = ordersService + "Watch"
	plain := auth0grpc.Scopes("read:orders")
	org, id := plain.Same("org_id", auth0grpc.ClaimOrganization), plain.Same("order_id", auth0grpc.ClaimSubject)
	for title, test := range map[string]struct {
		from, to auth0grpc.Rule
		want     auth0grpc.Reason // "": the stream stays open
	}{
		"none to one":     {plain, org, auth0grpc.ReasonNotOwner},
		"one to another":  {org, id, auth0grpc.ReasonNotOwner},
		"one to both":     {org, org.Same("order_id", auth0grpc.ClaimSubject), auth0grpc.ReasonNotOwner},
		"one to itself":   {org, auth0grpc.Scopes("read:orders").Same("org_id", auth0grpc.ClaimOrganization), ""},
		"one to none":     {org, plain, ""},
		"none to none":    {plain, auth0grpc.Authenticated(), ""},
		"a scope too":     {plain, auth0grpc.Scopes("write:orders").Same("org_id", auth0grpc.ClaimOrganization), auth0grpc.ReasonInsufficientScope},
		"only a modifier": {org, org.HideExistence(), auth0grpc.ReasonNotOwner},
	} {
		f := newFixture(t, transports(), configured(func(config *auth0grpc.Config) {
			config.Methods = map[string]auth0grpc.Rule{name: test.from}
		}))
		s, err := f.guard.CheckStream(t.Context(), auth0grpc.Request{FullMethod: name, Authorization: bearer(f.plain), MessagesFollow: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.guard.SetMethods(map[string]auth0grpc.Rule{name: test.to}); err != nil {
			t.Fatal(err)
		}
		if reason := s.Close(); (reason != nil) != (test.want != "") || reason != nil && reason.Reason() != test.want {
			t.Errorf("%s: %v, want %q", title, reason, test.want)
		}
	}
}

// Report-only lets a stream on an unlisted method stay open under a table that lists it
// with a rule about messages.
func TestNewRulesAboutReportedStreams(t *testing.T) {
	const name = ordersService + "Watch"
	f := newFixture(t, transports(), recordDecisions, configured(func(config *auth0grpc.Config) { config.ReportOnly = auth0grpc.ReportOnlyTable }))
	s, err := f.guard.CheckStream(t.Context(), auth0grpc.Request{FullMethod: name, Authorization: bearer(f.plain), MessagesFollow: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.guard.SetMethods(map[string]auth0grpc.Rule{name: auth0grpc.Authenticated().Same("org_id", auth0grpc.ClaimOrganization)}); err != nil {
		t.Fatal(err)
	}
	if reason := s.Close(); reason != nil {
		t.Errorf("ended: %v", reason)
	}
}

// A rule that does not fit the messages is logged with its row, once a minute.
func TestMisfitIsLogged(t *testing.T) {
	for _, shape := range orderShapes {
		var log bytes.Buffer
		f := newFixture(t, serveOrders(auth0grpc.Authenticated().Same("no_such", auth0grpc.ClaimSubject)), configured(func(config *auth0grpc.Config) {
			config.Logger = slog.New(slog.NewTextHandler(&log, nil))
		}))
		for _, want := range []int{1, 1, 2} {
			_, err := f.send(t.Context(), shape, f.plain, order(t, `org_id: "x"`))
			if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonRuleMisconfigured {
				t.Errorf("%s: %v", shape.name, err)
			}
			if n := strings.Count(log.String(), "row="+ordersService+"*"); n != want {
				t.Errorf("%s: %d warnings, want %d:\n%s", shape.name, n, want, &log)
			}
			f.clock.Advance(59e9)
		}
	}
}
