package auth0grpc_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// anonymous is the outcome of a call that passes without an identity.
var anonymous = outcome{subject: "nobody"}

// The calls that report-only mode lets pass, and their identity. A forged token gives
// no more access than no token, and yet is refused unless the second switch is on:
// clients must not get used to such tokens during a roll-out.
func TestReportOnly(t *testing.T) {
	const (
		neither = iota
		lenient // passes, and is reported, by the first switch
		invalid // passes, and is reported, by the second
	)
	for _, test := range []struct {
		name   string
		method string // default: unaryCall
		value  func(f *fixture) []string
		reason auth0grpc.Reason
		from   int     // the least that lets it pass
		want   outcome // if it is refused
		passed outcome // if it passes
	}{
		{name: "no token", value: func(*fixture) []string { return nil }, reason: "MISSING_TOKEN", from: lenient, want: missing, passed: anonymous},
		{name: "malformed authorization", value: func(*fixture) []string { return []string{"Basic leak"} }, reason: "MALFORMED_AUTHORIZATION", from: lenient, want: badAuthorization, passed: anonymous},
		{name: "expired", value: func(f *fixture) []string { return bearer(f.token(claims{"exp": today})) }, reason: "TOKEN_EXPIRED", from: lenient, want: expired, passed: anonymous},
		{name: "not yet", value: func(f *fixture) []string { return bearer(f.token(claims{"nbf": today.Add(time.Hour)})) }, reason: "TOKEN_NOT_YET_VALID", from: lenient, want: notYet, passed: anonymous},
		{name: "scope", value: func(f *fixture) []string { return bearer(f.token(claims{"scope": "leak"})) }, reason: "INSUFFICIENT_SCOPE", from: lenient, want: lacksReadOrders},
		{name: "signature", value: func(f *fixture) []string { return bearer(forge(f.token(nil))) }, reason: "BAD_SIGNATURE", from: invalid, want: badSignature, passed: anonymous},
		{name: "issuer", value: func(f *fixture) []string { return bearer(f.token(claims{"iss": "https://leak.example.com/"})) }, reason: "WRONG_ISSUER", from: invalid, want: wrongIssuer, passed: anonymous},
		{name: "audience", value: func(f *fixture) []string { return bearer(f.token(claims{"aud": "leak"})) }, reason: "WRONG_AUDIENCE", from: invalid, want: wrongAudience, passed: anonymous},
		{name: "type", value: func(f *fixture) []string { return bearer(f.tenant.IDToken(claims{"aud": auth0grpctest.Audience})) }, reason: "WRONG_TOKEN_TYPE", from: invalid, want: wrongType, passed: anonymous},
		{name: "claims", value: func(f *fixture) []string { return bearer(f.token(claims{"sub": ""})) }, reason: "INVALID_CLAIMS", from: invalid, want: badClaims, passed: anonymous},
		{name: "malformed token", value: func(*fixture) []string { return bearer("leak") }, reason: "MALFORMED_TOKEN", from: invalid, want: malformed, passed: anonymous},
		{name: "expired, for another API", value: func(f *fixture) []string { return bearer(f.token(claims{"exp": today, "aud": "leak"})) }, reason: "WRONG_AUDIENCE", from: invalid, want: wrongAudience, passed: anonymous},
		{name: "good", value: func(f *fixture) []string { return bearer(f.token(nil)) }, from: neither},
	} {
		for _, mode := range []struct {
			name   string
			level  int
			change func(*auth0grpc.Config)
		}{
			{"enforced", neither, func(*auth0grpc.Config) {}},
			{"whole table", lenient, func(c *auth0grpc.Config) { c.ReportOnly = auth0grpc.ReportOnlyTable }},
			{"row", lenient, func(c *auth0grpc.Config) { c.Methods[allMethods] = c.Methods[allMethods].ReportOnly() }},
			{"whole table, invalid tokens", invalid, func(c *auth0grpc.Config) { c.ReportOnly = auth0grpc.ReportOnlyEverything }},
		} {
			t.Run(test.name+"/"+mode.name, func(t *testing.T) {
				f := newFixture(t, recordDecisions, func(_ *fixture, c *auth0grpc.Config) {
					c.Logger = slog.New(slog.DiscardHandler)
					mode.change(c)
				})
				want, how := test.passed, auth0grpc.OutcomeAllowed
				switch {
				case test.reason != "" && mode.level >= test.from:
					how = auth0grpc.OutcomeReported
				case test.reason != "":
					want, how = test.want, auth0grpc.OutcomeRefused
				}
				value := test.value(f)
				f.everywhere(t, want, value...)
				for _, d := range f.decisions.take() {
					if d.Outcome == auth0grpc.OutcomeEnded {
						continue
					}
					if d.Outcome != how || d.Reason != test.reason || (d.Code == codes.OK) != (test.reason == "") {
						t.Errorf("told %s %s %v, want %s %s", d.Outcome, d.Reason, d.Code, how, test.reason)
					}
				}
			})
		}
	}
}

// forge returns the token with another payload under the same signature.
func forge(token string) string {
	last := token[len(token)-10]
	other := byte('A')
	if last == other {
		other = 'B'
	}
	return token[:len(token)-10] + string(other) + token[len(token)-9:]
}

// Unavailable keys are no verdict on a token: a roll-out must not cause an outage.
func TestReportOnlyWithoutKeys(t *testing.T) {
	f := newFixture(t, recordDecisions, func(f *fixture, c *auth0grpc.Config) {
		c.ReportOnly, c.Logger = auth0grpc.ReportOnlyTable, slog.New(slog.DiscardHandler)
	})
	f.tenant.SetDown(true)
	f.everywhere(t, anonymous, bearer(f.token(nil))...)
	for _, d := range f.decisions.take() {
		if d.Outcome != auth0grpc.OutcomeReported || d.Reason != auth0grpc.ReasonKeysUnavailable || d.Code != codes.Unavailable {
			t.Errorf("%+v", d)
		}
	}
}

// A revoked token was revoked on purpose: only ReportOnlyEverything lets its call
// pass, and the handler sees no token.
func TestReportOnlyRevoked(t *testing.T) {
	for name, mode := range map[string]auth0grpc.ReportOnlyMode{
		"table": auth0grpc.ReportOnlyTable, "everything": auth0grpc.ReportOnlyEverything,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(_ *fixture, c *auth0grpc.Config) {
				c.ReportOnly, c.Logger = mode, slog.New(slog.DiscardHandler)
			})
			value := bearer(f.token(nil))
			passes.check(t, f.call(t.Context(), "tcp", shapes[0], value...))
			if err := f.guard.Revoke(t.Context(), auth0grpc.Revocation{Subject: auth0grpctest.Subject, IssuedBefore: today.Add(time.Second)}); err != nil {
				t.Fatal(err)
			}
			want := invalid("TOKEN_REVOKED", "the access token has been revoked")
			if mode == auth0grpc.ReportOnlyEverything {
				want = anonymous
			}
			f.everywhere(t, want, value...)
		})
	}
}

// A method without a row has no rule that could say ReportOnly, so only the
// whole table can.
func TestReportOnlyUnlisted(t *testing.T) {
	for name, mode := range map[string]auth0grpc.ReportOnlyMode{
		"row": auth0grpc.ReportOnlyOff, "whole table": auth0grpc.ReportOnlyTable,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(_ *fixture, c *auth0grpc.Config) {
				c.Methods = map[string]auth0grpc.Rule{testgrpc.TestService_EmptyCall_FullMethodName: auth0grpc.Authenticated().ReportOnly()}
				c.ReportOnly, c.Logger = mode, slog.New(slog.DiscardHandler)
			})
			want := unlisted
			if mode == auth0grpc.ReportOnlyTable {
				want = passes
			}
			f.everywhere(t, want, bearer(f.token(nil))...)
		})
	}
}

// A caller that has left is not let through to a handler.
func TestReportOnlyCallerLeft(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.ReportOnly, config.Logger = auth0grpc.ReportOnlyEverything, slog.New(slog.DiscardHandler)
	config.HTTPClient = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		<-t.Context().Done()
		return nil, t.Context().Err()
	})}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for shape, r := range direct(t, ctx, mustNew(t, config), unaryCall, metadata.Pairs("authorization", "Bearer "+tenant.Token(nil))) {
		if status.Code(r.err) != codes.Canceled {
			t.Errorf("%s: %v, want Canceled", shape, r.err)
		}
	}
}

// The tap must not refuse calls that the interceptor would let through.
func TestReportOnlyWithTap(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.ReportOnly, config.Logger = auth0grpc.ReportOnlyTable, slog.New(slog.DiscardHandler)
	guard := mustNew(t, config)
	client := connect(t, "", append(guard.ServerOptions(), grpc.InTapHandle(guard.TapHandle()))...)
	if _, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
		t.Error(err)
	}
}

// An insecure switch without a warning stays on (GO-2026-4703).
func TestReportOnlyIsLoud(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*auth0grpc.Config)
		want   string
	}{
		{"whole table", func(c *auth0grpc.Config) { c.ReportOnly = auth0grpc.ReportOnlyTable }, "whole_table=true invalid_tokens=false rows=[]"},
		{"invalid tokens", func(c *auth0grpc.Config) { c.ReportOnly = auth0grpc.ReportOnlyEverything }, "whole_table=true invalid_tokens=true rows=[]"},
		{"row", func(c *auth0grpc.Config) { c.Methods[allMethods] = c.Methods[allMethods].ReportOnly() }, "whole_table=false invalid_tokens=false rows=[" + allMethods + "]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log sink
			tenant, now := newTenant(t)
			config := configFor(tenant, now)
			config.Logger = log.logger()
			test.change(&config)
			guard := mustNew(t, config)
			heard := func(when string, want bool) {
				t.Helper()
				line := log.take()
				if got := strings.Contains(line, "level=WARN") && strings.Contains(line, test.want); got != want || strings.Count(line, "\n") > 1 {
					t.Errorf("%s: %q, want one line of warning: %t", when, line, want)
				}
			}
			call := func(token string) {
				md := metadata.MD{}
				if token != "" {
					md = metadata.Pairs("authorization", "Bearer "+token)
				}
				direct(t, t.Context(), guard, unaryCall, md)
			}
			heard("at the start", true)
			call("")
			heard("at once", false)
			now.Advance(59*time.Minute + 59*time.Second)
			call("")
			heard("within the hour", false)
			now.Advance(time.Second)
			call(tenant.Token(claims{"scope": "read:orders"}))
			heard("for a call that passes by right", false)
			call("")
			heard("after an hour", true)
			call("")
			heard("twice in an hour", false)
			now.Advance(-3 * time.Hour)
			call("")
			heard("after the clock was set back", true)
		})
	}
}

// A clock that starts with the epoch, as on a machine without one, is no reason
// to be silent.
func TestReportOnlyIsLoudAtTheEpoch(t *testing.T) {
	var log sink
	tenant, _ := newTenant(t)
	config := configFor(tenant, &clock{now: time.Unix(60, 0)})
	config.ReportOnly, config.Logger = auth0grpc.ReportOnlyTable, log.logger()
	mustNew(t, config)
	if line := log.take(); !strings.Contains(line, "level=WARN") {
		t.Errorf("%q, want a warning", line)
	}
}

// An Interceptor that enforces everything logs nothing.
func TestEnforcedIsQuiet(t *testing.T) {
	var log sink
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.Logger = log.logger()
	guard := mustNew(t, config)
	direct(t, t.Context(), guard, unaryCall, nil)
	if err := guard.SetMethods(config.Methods); err != nil {
		t.Fatal(err)
	}
	if line := log.take(); line != "" {
		t.Errorf("%q, want nothing", line)
	}
}

// The printed table and a new one say so as well.
func TestReportOnlyIsPrinted(t *testing.T) {
	var log sink
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.Logger = log.logger()
	guard := mustNew(t, config)
	if text := guard.String(); strings.Contains(text, "REPORT ONLY") {
		t.Errorf("%s\nwant no REPORT ONLY", text)
	}
	if err := guard.SetMethods(map[string]auth0grpc.Rule{allMethods: auth0grpc.Scopes("a").ReportOnly(), unaryCall: auth0grpc.Scopes("b")}); err != nil {
		t.Fatal(err)
	}
	if text := guard.String(); strings.Count(text, "REPORT ONLY") != 1 || !strings.Contains(text, "a, REPORT ONLY\n") {
		t.Errorf("%s\nwant REPORT ONLY beside a", text)
	}
	if line := log.take(); !strings.Contains(line, "level=WARN") || !strings.Contains(line, "rows=["+allMethods+"]") {
		t.Errorf("%q, want a warning of the new table", line)
	}
	config.ReportOnly = auth0grpc.ReportOnlyTable
	if text := mustNew(t, config).String(); !strings.HasPrefix(text, "REPORT ONLY") {
		t.Errorf("%s\nwant REPORT ONLY first", text)
	}
}

// If the new table has faults, the old one stays, and all faults are returned.
func TestSetMethodsOfFaults(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	guard := mustNew(t, config)
	before := guard.String()
	for _, bad := range []map[string]auth0grpc.Rule{
		nil,
		{"orders": auth0grpc.Public(), allMethods: auth0grpc.Rule{}, unaryCall: auth0grpc.Scopes("")},
	} {
		err := guard.SetMethods(bad)
		if err == nil {
			t.Fatalf("SetMethods(%v) = nil", bad)
		}
		config := config
		config.Methods = bad
		_, fromNew := auth0grpc.New(config)
		if fromNew == nil || err.Error() != fromNew.Error() {
			t.Errorf("SetMethods says\n%v\nand New\n%v", err, fromNew)
		}
		if after := guard.String(); after != before {
			t.Errorf("the table is now\n%s", after)
		}
	}
}

// Methods returns a copy, and New and SetMethods keep one.
func TestMethodsIsACopy(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	guard := mustNew(t, config)
	before := guard.String()
	config.Methods[unaryCall] = auth0grpc.Public()
	guard.Methods()[unaryCall] = auth0grpc.Public()
	if after := guard.String(); after != before {
		t.Errorf("the table is now\n%s", after)
	}
	next := guard.Methods()
	if err := guard.SetMethods(next); err != nil {
		t.Fatal(err)
	}
	next[unaryCall] = auth0grpc.Public()
	if after := guard.String(); after != before {
		t.Errorf("the table is now\n%s", after)
	}
}

// Swaps under load lose no call: each is decided by one table or the other, once.
func TestSetMethodsUnderLoad(t *testing.T) {
	f := newFixture(t, transports(), recordDecisions)
	if err := f.guard.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	tables := []map[string]auth0grpc.Rule{
		{allMethods: auth0grpc.Scopes("read:orders")},
		{unaryCall: auth0grpc.AnyScope("read:orders", "admin"), "/orders.v1.Orders/*": auth0grpc.Public()},
	}
	const callers, calls = 8, 200
	ctx, stop := context.WithCancel(t.Context())
	var load, swaps sync.WaitGroup
	swaps.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			if err := f.guard.SetMethods(tables[n%2]); err != nil {
				t.Error(err)
			}
		}
	})
	intercept := f.guard.UnaryServerInterceptor()
	for caller := range callers {
		load.Go(func() {
			token := f.tenant.Token(claims{"scope": "read:orders", "sub": fmt.Sprintf("auth0|%d", caller)})
			ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+token))
			for range calls {
				info := &grpc.UnaryServerInfo{FullMethod: unaryCall}
				_, err := intercept(ctx, nil, info, func(context.Context, any) (any, error) { return nil, nil })
				if err != nil {
					t.Errorf("lost: %v", err)
				}
			}
		})
	}
	load.Wait()
	stop()
	swaps.Wait()
	told := f.decisions.take()
	if len(told) != callers*calls {
		t.Errorf("told %d decisions, want %d", len(told), callers*calls)
	}
	for _, d := range told {
		if d.Row != allMethods && d.Row != unaryCall || d.Outcome != auth0grpc.OutcomeAllowed {
			t.Fatalf("%+v", d)
		}
	}
}

// A call that waits for keys while the table is swapped is decided by the table
// that it began with.
func TestCallInFlightKeepsItsTable(t *testing.T) {
	var r recorder
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.OnDecision = r.OnDecision
	var guard *auth0grpc.Interceptor
	var once sync.Once
	client := *tenant.HTTPClient()
	transport := client.Transport
	client.Transport = roundTripOf(func() {
		once.Do(func() {
			if err := guard.SetMethods(map[string]auth0grpc.Rule{unaryCall: auth0grpc.Scopes("admin")}); err != nil {
				t.Error(err)
			}
		})
	}, transport)
	config.HTTPClient = &client
	guard = mustNew(t, config)
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders"})))
	call := func() error {
		_, err := guard.UnaryServerInterceptor()(ctx, nil, &grpc.UnaryServerInfo{FullMethod: unaryCall}, func(context.Context, any) (any, error) { return nil, nil })
		return err
	}
	if err := call(); err != nil {
		t.Errorf("the call that began with the old table: %v", err)
	}
	if err := call(); err == nil {
		t.Error("the call after it passed by the old table")
	}
	told := r.take()
	if len(told) != 2 || told[0].Row != allMethods || told[1].Row != unaryCall {
		t.Errorf("%+v", told)
	}
}

// roundTripOf calls before and then the transport.
func roundTripOf(before func(), transport http.RoundTripper) http.RoundTripper {
	return roundTrip(func(req *http.Request) (*http.Response, error) {
		before()
		return transport.RoundTrip(req)
	})
}
