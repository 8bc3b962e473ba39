package auth0grpc_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A diary keeps what the hooks are told.
type diary struct {
	mu        sync.Mutex
	decisions []auth0grpc.Decision
	refreshes []auth0grpc.KeyRefresh
}

func (d *diary) decided(_ context.Context, decision auth0grpc.Decision) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.decisions = append(d.decisions, decision)
}

func (d *diary) refreshed(refresh auth0grpc.KeyRefresh) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refreshes = append(d.refreshes, refresh)
}

// take returns the decisions since the last time, without their durations.
func (d *diary) take() []auth0grpc.Decision {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := d.decisions
	d.decisions = nil
	return taken
}

var ignoreDuration = cmpopts.IgnoreFields(auth0grpc.Decision{}, "Duration")

// decideOnce calls the unary interceptor and checks the outcome.
func decideOnce(t *testing.T, guard *auth0grpc.Interceptor, fullMethod string, want outcome, token string) {
	t.Helper()
	var md metadata.MD
	if token != "" {
		md = metadata.Pairs("authorization", "Bearer "+token)
	}
	want.check(t, direct(t, t.Context(), guard, fullMethod, md)["unary"], token)
}

func TestOnDecision(t *testing.T) {
	var told diary
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.OnDecision, config.OnKeyRefresh = told.decided, told.refreshed
	guard := mustNew(t, config)
	good := tenant.Token(claims{"scope": "read:orders", "org_id": "org_a"})
	who := auth0grpc.Decision{
		FullMethod: unaryCall, Row: allMethods, Outcome: auth0grpc.OutcomeAllowed, Subject: auth0grpctest.Subject,
		ClientID: auth0grpctest.ClientID, Issuer: tenant.Issuer(), OrganizationID: "org_a", KeyID: kidOf(t, tenant),
	}
	hit, short := who, who
	hit.CacheHit = true
	short.OrganizationID, short.Outcome, short.Reason, short.Code = "", auth0grpc.OutcomeRefused, "INSUFFICIENT_SCOPE", codes.PermissionDenied
	for _, test := range []struct {
		name, method, token string
		outcome             outcome
		want                auth0grpc.Decision
	}{
		{"first use", unaryCall, good, passes, who},
		{"second use", unaryCall, good, passes, hit},
		{"no token", unaryCall, "", missing, auth0grpc.Decision{FullMethod: unaryCall, Row: allMethods, Outcome: auth0grpc.OutcomeRefused, Reason: "MISSING_TOKEN", Code: codes.Unauthenticated}},
		{"no row", "/a.B/C", "", missing, auth0grpc.Decision{FullMethod: "/a.B/C", Outcome: auth0grpc.OutcomeRefused, Reason: "MISSING_TOKEN", Code: codes.Unauthenticated}},
		{"wrong scope", unaryCall, tenant.Token(nil), lacksReadOrders, short},
	} {
		t.Run(test.name, func(t *testing.T) {
			var md metadata.MD
			if test.token != "" {
				md = metadata.Pairs("authorization", "Bearer "+test.token)
			}
			test.outcome.check(t, direct(t, t.Context(), guard, test.method, md)["unary"], test.token)
			got := told.take()
			if diff := cmp.Diff(test.want, got[0], ignoreDuration); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if got[0].Duration < 0 {
				t.Errorf("duration %v", got[0].Duration)
			}
			ended := 0
			for _, decision := range got {
				if decision.Outcome == auth0grpc.OutcomeEnded {
					ended++
				}
			}
			if wantEnded := map[bool]int{true: 1}[test.outcome.kind == nil]; len(got) != 3+wantEnded || ended != wantEnded {
				t.Errorf("%d decisions, %d ended streams: want one for each call and each stream", len(got), ended)
			}
		})
	}
	want := []auth0grpc.KeyRefresh{{Issuer: tenant.Issuer(), At: today, Keys: 2}}
	if diff := cmp.Diff(want, told.refreshes); diff != "" {
		t.Errorf("refreshes (-want +got):\n%s", diff)
	}
	now.Advance(time.Minute)
	stats := guard.Stats()
	if stats.CachedTokens != 2 || stats.KeyAge[tenant.Issuer()] != time.Minute {
		t.Errorf("Stats = %+v, want 2 tokens and keys a minute old", stats)
	}
}

// What watches decisions does not make them.
func TestHookPanics(t *testing.T) {
	var lines bytes.Buffer
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.OnDecision = func(context.Context, auth0grpc.Decision) { panic("hook") }
	config.OnKeyRefresh = func(auth0grpc.KeyRefresh) { panic("hook") }
	config.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	guard := mustNew(t, config)
	decideOnce(t, guard, unaryCall, passes, tenant.Token(claims{"scope": "read:orders"}))
	decideOnce(t, guard, unaryCall, missing, "")
	if !strings.Contains(lines.String(), "OnDecision panicked") {
		t.Errorf("the log says %q", &lines)
	}
}

// Report-only lets calls pass and tells of each, but lets nobody pass as
// somebody, and the log hears of it (GO-2026-4703).
func TestReportOnly(t *testing.T) {
	nobody := outcome{subject: "nobody"}
	tests := []struct {
		name   string
		change func(*auth0grpc.Config)
		token  func(f *fixture) string
		want   outcome
		reason auth0grpc.Reason
	}{
		{"no token", nil, func(*fixture) string { return "" }, nobody, "MISSING_TOKEN"},
		{"expired", nil, func(f *fixture) string { return f.token(claims{"exp": today}) }, nobody, "TOKEN_EXPIRED"},
		{"wrong scope", nil, func(f *fixture) string { return f.token(claims{"scope": "leak"}) }, passes, "INSUFFICIENT_SCOPE"},
		{"wrong audience", nil, func(f *fixture) string { return f.token(claims{"aud": "leak"}) }, wrongAudience, ""},
		{"bad signature", nil, func(f *fixture) string { compact := f.token(nil); return compact[:len(compact)-2] }, badSignature, ""},
		{"wrong audience, with the second switch", func(c *auth0grpc.Config) { c.ReportOnlyInvalidTokens = true }, func(f *fixture) string { return f.token(claims{"aud": "leak"}) }, nobody, "WRONG_AUDIENCE"},
		{"the second switch alone", func(c *auth0grpc.Config) { c.ReportOnly, c.ReportOnlyInvalidTokens = false, true }, func(f *fixture) string { return f.token(claims{"aud": "leak"}) }, wrongAudience, ""},
		{"the row alone", func(c *auth0grpc.Config) {
			c.ReportOnly = false
			c.Methods[allMethods] = auth0grpc.Scopes("read:orders").ReportOnly()
		}, func(f *fixture) string { return f.token(claims{"scope": "leak"}) }, passes, "INSUFFICIENT_SCOPE"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var told diary
			var lines bytes.Buffer
			tenant, now := newTenant(t)
			config := configFor(tenant, now)
			config.ReportOnly, config.OnDecision = true, told.decided
			config.Logger = slog.New(slog.NewTextHandler(&lines, nil))
			if test.change != nil {
				test.change(&config)
			}
			guard := mustNew(t, config)
			decideOnce(t, guard, unaryCall, test.want, test.token(&fixture{tenant: tenant, clock: now}))
			if test.reason == "" {
				return
			}
			for _, decision := range told.take() {
				if decision.Outcome != auth0grpc.OutcomeEnded && (decision.Outcome != auth0grpc.OutcomeReported || decision.Reason != test.reason) {
					t.Errorf("decision %s %s, want reported %s", decision.Outcome, decision.Reason, test.reason)
				}
			}
			if !strings.Contains(lines.String(), "report-only") || !strings.Contains(strings.ToLower(guard.String()), "report only") {
				t.Errorf("the log says %q and the table\n%s", &lines, guard)
			}
		})
	}
}

// The log is reminded once an hour, and not for each call.
func TestReportOnlyReminds(t *testing.T) {
	var lines bytes.Buffer
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.ReportOnly, config.Logger = true, slog.New(slog.NewTextHandler(&lines, nil))
	guard := mustNew(t, config)
	nobody := outcome{subject: "nobody"}
	for range 2 {
		decideOnce(t, guard, unaryCall, nobody, "")
	}
	before := strings.Count(lines.String(), "\n")
	now.Advance(time.Hour)
	for range 2 {
		decideOnce(t, guard, unaryCall, nobody, "")
	}
	if n := strings.Count(lines.String(), "\n") - before; n != 1 {
		t.Errorf("%d lines after an hour, want 1:\n%s", n, &lines)
	}
}

// A table can be replaced while serving; one with faults changes nothing.
func TestSetMethods(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.Logger = slog.New(slog.DiscardHandler)
	guard := mustNew(t, config)
	token := tenant.Token(claims{"scope": "write:orders"})
	decideOnce(t, guard, unaryCall, lacksReadOrders, token)
	if err := guard.SetMethods(map[string]auth0grpc.Rule{"UnaryCall": {}}); err == nil || len(strings.Split(err.Error(), "\n")) != 2 {
		t.Errorf("SetMethods = %v, want two faults", err)
	}
	decideOnce(t, guard, unaryCall, lacksReadOrders, token)
	if err := guard.SetMethods(map[string]auth0grpc.Rule{unaryCall: auth0grpc.Scopes("write:orders").ReportOnly()}); err != nil {
		t.Fatal(err)
	}
	decideOnce(t, guard, unaryCall, passes, token)
	methods := guard.Methods()
	if len(methods) != 1 || methods[unaryCall].String() != auth0grpc.Scopes("write:orders").ReportOnly().String() {
		t.Errorf("Methods = %v", methods)
	}
	methods[unaryCall] = auth0grpc.Scopes("admin") // a copy
	decideOnce(t, guard, unaryCall, passes, token)
}

// Without a cache the verdicts are the same.
func TestNoCache(t *testing.T) {
	f := newFixture(t, func(_ *fixture, config *auth0grpc.Config) { config.CacheSize = auth0grpc.NoCache })
	for range 2 {
		f.everywhere(t, passes, bearer(f.token(nil))...)
	}
	f.everywhere(t, lacksReadOrders, bearer(f.token(claims{"scope": nil}))...)
	compact := f.token(nil)
	f.everywhere(t, badSignature, bearer(compact[:len(compact)-2])...)
	if n := f.guard.Stats().CachedTokens; n != 0 {
		t.Errorf("%d tokens in the cache", n)
	}
}
