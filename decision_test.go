package auth0grpc_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A recorder is a hook that keeps its arguments.
type recorder struct {
	mu  sync.Mutex
	all []auth0grpc.Decision
}

func (r *recorder) OnDecision(_ context.Context, d auth0grpc.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, d)
}

// take returns the decisions since the last take.
func (r *recorder) take() []auth0grpc.Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// told returns the decisions since the last take as soon as there are n: a client may
// see the end of a call before the server's side has reported it.
func (r *recorder) told(tb testing.TB, n int) (all []auth0grpc.Decision) {
	tb.Helper()
	eventually(tb, fmt.Sprintf("%d decisions", n), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		all = slices.Clone(r.all)
		return len(all) >= n
	})
	return all
}

// waitFor waits for a decision with an outcome, and takes it and those before it.
func (r *recorder) waitFor(tb testing.TB, outcome auth0grpc.Outcome) (found auth0grpc.Decision) {
	tb.Helper()
	eventually(tb, "a decision: "+string(outcome), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		n := slices.IndexFunc(r.all, func(d auth0grpc.Decision) bool { return d.Outcome == outcome })
		if n >= 0 {
			found, r.all = r.all[n], r.all[n+1:]
		}
		return n >= 0
	})
	return found
}

// wait calls told and then take.
func (r *recorder) wait(tb testing.TB, n int) []auth0grpc.Decision {
	tb.Helper()
	r.told(tb, n)
	return r.take()
}

// checkTold compares all fields but KeyID, Duration and Policy, which must be set to any
// value.
func checkTold(t *testing.T, got []auth0grpc.Decision, want ...auth0grpc.Decision) {
	t.Helper()
	ignore := cmpopts.IgnoreFields(auth0grpc.Decision{}, "Duration", "KeyID", "Policy")
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Fatalf("decisions (-want +got):\n%s", diff)
	}
	for _, d := range got {
		if d.Duration <= 0 || len(d.Policy) != 16 {
			t.Errorf("Duration = %v, Policy = %q", d.Duration, d.Policy)
		}
		if (d.KeyID != "") != (d.Subject != "") {
			t.Errorf("KeyID = %q of %q", d.KeyID, d.Subject)
		}
	}
}

// recorded is recordDecisions with a table of three rows.
func recorded(f *fixture, config *auth0grpc.Config) {
	recordDecisions(f, config)
	config.Methods = map[string]auth0grpc.Rule{
		unaryCall:  auth0grpc.Scopes("read:orders"),
		allMethods: auth0grpc.Scopes("read:orders"),
		testgrpc.TestService_EmptyCall_FullMethodName: auth0grpc.Optional(),
	}
}

// rowOf is the row that decides on a method of the test service.
func rowOf(fullMethod string) string {
	if fullMethod == unaryCall {
		return unaryCall
	}
	return allMethods
}

// One value for each decision, for every transport, shape and outcome; one more for the
// end of a stream that was opened with a token.
func TestDecisions(t *testing.T) {
	f := newFixture(t, recorded)
	caller := auth0grpc.Decision{Subject: auth0grpctest.Subject, ClientID: auth0grpctest.ClientID, Issuer: f.tenant.Issuer(), OrganizationID: "org_a"}
	refused := func(reason auth0grpc.Reason, code codes.Code) auth0grpc.Decision {
		return auth0grpc.Decision{Outcome: auth0grpc.OutcomeRefused, Reason: reason, Code: code}
	}
	allowed, hit, short := caller, caller, caller
	allowed.Outcome = auth0grpc.OutcomeAllowed
	hit.Outcome, hit.CacheHit = auth0grpc.OutcomeAllowed, true
	short.Outcome, short.Reason, short.Code = auth0grpc.OutcomeRefused, auth0grpc.ReasonInsufficientScope, codes.PermissionDenied
	shortAgain := short
	shortAgain.CacheHit = true
	serial := 0
	token := func(more claims) func() []string { // each time one that no cache knows
		return func() []string {
			serial++
			return bearer(f.token(with(claims{"org_id": "org_a", "email": "leak@example.com", "jti": fmt.Sprint(serial)}, more)))
		}
	}
	for _, test := range []struct {
		name  string
		value func() []string
		want  []auth0grpc.Decision // of the calls in turn with the same value
	}{
		{"no token", func() []string { return nil }, []auth0grpc.Decision{refused(auth0grpc.ReasonMissingToken, codes.Unauthenticated)}},
		{"malformed", func() []string { return []string{"Basic leak"} }, []auth0grpc.Decision{refused(auth0grpc.ReasonMalformedAuthorization, codes.Unauthenticated)}},
		{"expired", token(claims{"exp": today}), []auth0grpc.Decision{refused(auth0grpc.ReasonTokenExpired, codes.Unauthenticated)}},
		{"for another API", token(claims{"aud": "leak"}), []auth0grpc.Decision{refused(auth0grpc.ReasonWrongAudience, codes.Unauthenticated)}},
		{"good", token(nil), []auth0grpc.Decision{allowed, hit, hit}},
		{"wrong scope", token(claims{"scope": "leak"}), []auth0grpc.Decision{short, shortAgain}},
	} {
		for transport := range f.conns {
			for _, m := range shapes {
				t.Run(test.name+"/"+transport+m.name, func(t *testing.T) {
					value := test.value()
					for _, want := range test.want {
						want.FullMethod, want.Row = m.name, rowOf(m.name)
						all := []auth0grpc.Decision{want}
						if want.Outcome == auth0grpc.OutcomeAllowed && m.name != unaryCall {
							ended := want
							ended.Outcome = auth0grpc.OutcomeEnded
							all = append(all, ended)
						}
						f.call(t.Context(), transport, m, value...)
						got := f.decisions.wait(t, len(all))
						checkTold(t, got, all...)
						checkQuiet(t, fmt.Sprintf("%+v", got), value)
					}
				})
			}
		}
	}
}

// checkQuiet asserts that a text holds no part of a token and no other claim.
func checkQuiet(t *testing.T, text string, sent []string) {
	t.Helper()
	for _, value := range sent {
		for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == '.' || r == ' ' }) {
			if len(part) > 8 && strings.Contains(text, part) {
				t.Errorf("%s holds a part of the token", text)
			}
		}
	}
	if strings.Contains(text, "leak") {
		t.Errorf("%s holds more than who called", text)
	}
}

// AuthFunc decides by the same method, so it tells the same; the end of a stream
// is nothing that it sees.
func TestDecisionsOfAuthFunc(t *testing.T) {
	f := newFixture(t, transports(), recordDecisions)
	for _, test := range []struct {
		name string
		md   metadata.MD
		want auth0grpc.Decision
	}{
		{"none", nil, auth0grpc.Decision{Outcome: auth0grpc.OutcomeRefused, Reason: auth0grpc.ReasonMissingToken, Code: codes.Unauthenticated}},
		{"good", metadata.Pairs("authorization", "Bearer "+f.tenant.Token(claims{"scope": "read:orders"})), auth0grpc.Decision{
			Outcome: auth0grpc.OutcomeAllowed, Subject: auth0grpctest.Subject, ClientID: auth0grpctest.ClientID, Issuer: f.tenant.Issuer(),
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(t.Context(), test.md), &transportStream{method: unaryCall})
			_, _ = f.guard.AuthFunc()(ctx)
			test.want.FullMethod, test.want.Row = unaryCall, allMethods
			checkTold(t, f.decisions.take(), test.want)
		})
	}
}

// A method without a row is reported with a Row that a client cannot choose.
func TestDecisionOfUnlistedMethod(t *testing.T) {
	f := newFixture(t, transports(), recordDecisions)
	const madeUp = "/made.up/Method"
	direct(t, t.Context(), f.guard, madeUp, metadata.Pairs("authorization", "Bearer "+f.tenant.Token(nil)))
	for _, d := range f.decisions.take() {
		if d.FullMethod != madeUp || d.Row != "" || d.Reason != auth0grpc.ReasonMethodNotListed || d.Subject != auth0grpctest.Subject {
			t.Errorf("%+v", d)
		}
	}
}

// A public method needs no identity, so none is reported.
func TestDecisionOfPublicMethod(t *testing.T) {
	var r recorder
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.OnDecision = r.OnDecision
	config.Methods[allMethods] = auth0grpc.Public()
	direct(t, t.Context(), mustNew(t, config), unaryCall, metadata.Pairs("authorization", "Bearer "+tenant.Token(nil)))
	want := auth0grpc.Decision{FullMethod: unaryCall, Row: allMethods, Outcome: auth0grpc.OutcomeAllowed}
	checkTold(t, r.take(), want, want, want)
}

// A caller that left gets no verdict: there is a code and no reason.
func TestDecisionOfCallerThatLeft(t *testing.T) {
	var r recorder
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.OnDecision = r.OnDecision
	config.HTTPClient = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		<-t.Context().Done()
		return nil, t.Context().Err()
	})}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	direct(t, ctx, mustNew(t, config), unaryCall, metadata.Pairs("authorization", "Bearer "+tenant.Token(nil)))
	want := auth0grpc.Decision{FullMethod: unaryCall, Row: allMethods, Outcome: auth0grpc.OutcomeRefused, Code: codes.Canceled}
	checkTold(t, r.take(), want, want, want)
}

// The interceptor never sees calls that the tap refuses, and the tap does not report
// calls that it lets through: one value either way.
func TestDecisionsWithTap(t *testing.T) {
	f := newFixture(t, transports(), recordDecisions)
	handle := f.guard.TapHandle()
	_, err := handle(t.Context(), &tap.Info{FullMethodName: unaryCall})
	if status.Code(err) != codes.Unauthenticated {
		t.Fatal(err)
	}
	checkTold(t, f.decisions.take(), auth0grpc.Decision{
		FullMethod: unaryCall, Row: allMethods, Outcome: auth0grpc.OutcomeRefused,
		Reason: auth0grpc.ReasonMissingToken, Code: codes.Unauthenticated,
	})
	md := metadata.Pairs("authorization", "Bearer "+f.tenant.Token(nil))
	if _, err := handle(t.Context(), &tap.Info{FullMethodName: unaryCall, Header: md}); err != nil {
		t.Fatal(err)
	}
	checkTold(t, f.decisions.take())
	client := connect(t, "", append(f.guard.ServerOptions(), grpc.InTapHandle(handle))...)
	if _, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err == nil {
		t.Fatal("passed")
	}
	if told := f.decisions.take(); len(told) != 1 {
		t.Errorf("told %+v, want one", told)
	}
}

// A stream that is ended tells why, and how long it was open.
func TestDecisionOfEndedStream(t *testing.T) {
	f := newFixture(t, recorded)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", bearer(f.token(nil))[0])
	stream, err := testgrpc.NewTestServiceClient(f.conns["tcp"]).FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := auth0grpc.Decision{
		FullMethod: testgrpc.TestService_FullDuplexCall_FullMethodName, Row: allMethods, Outcome: auth0grpc.OutcomeAllowed,
		Subject: auth0grpctest.Subject, ClientID: auth0grpctest.ClientID, Issuer: f.tenant.Issuer(),
	}
	checkTold(t, f.decisions.wait(t, 1), want)
	for f.guard.Stats().OpenStreams != 1 {
		runtime.Gosched() // the decision is reported before the stream is served
	}
	if err := f.guard.Revoke(t.Context(), auth0grpc.Revocation{Subject: auth0grpctest.Subject, IssuedBefore: today.Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Fatalf("%v, want Unauthenticated", err)
	}
	want.Outcome, want.Reason, want.Code = auth0grpc.OutcomeEnded, auth0grpc.ReasonTokenRevoked, codes.Unauthenticated
	checkTold(t, f.decisions.wait(t, 1), want)
	if n := f.guard.Stats().OpenStreams; n != 0 {
		t.Errorf("%d open streams", n)
	}
}

// The hook is called before the handler runs, outside of all locks, so it may call
// every function of the package.
func TestHookMayUseTheInterceptor(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	var guard *auth0grpc.Interceptor
	var told int
	config.OnDecision = func(ctx context.Context, d auth0grpc.Decision) {
		if told++; d.Outcome == auth0grpc.OutcomeEnded || told > 100 {
			return
		}
		guard.Stats()
		_, _, _ = guard.Methods(), guard.RequiredScopes(), guard.String()
		if err := errors.Join(
			guard.SetMethods(guard.Methods()),
			guard.Revoke(ctx, auth0grpc.Revocation{Subject: "auth0|somebody", IssuedBefore: today}),
			guard.Ready(ctx),
		); err != nil {
			t.Error(err)
		}
	}
	refreshed := make(chan int, 1)
	config.OnKeyRefresh = func(auth0grpc.KeyRefresh) { refreshed <- len(guard.Stats().KeyAge) }
	guard = mustNew(t, config)
	md := metadata.Pairs("authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders"}))
	ctx := grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(t.Context(), md), &transportStream{method: unaryCall})
	_, err := guard.UnaryServerInterceptor()(ctx, nil, &grpc.UnaryServerInfo{FullMethod: unaryCall}, func(context.Context, any) (any, error) {
		if told != 1 {
			t.Errorf("the handler runs after %d values, want 1", told)
		}
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
	for shape, r := range direct(t, t.Context(), guard, unaryCall, md) {
		t.Run(shape, func(t *testing.T) { passes.check(t, r) })
	}
	if n := <-refreshed; n != 1 {
		t.Errorf("%d issuers have keys, want 1", n)
	}
}

// A hook that observes decisions must not change them.
func TestPanicOfHookIsContained(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	var log sink
	config.Logger = log.logger()
	config.OnDecision = func(context.Context, auth0grpc.Decision) { panic("the hook's own") }
	guard := mustNew(t, config)
	good, short := tenant.Token(claims{"scope": "read:orders"}), tenant.Token(claims{"scope": "leak"})
	for _, test := range []struct {
		name, token string
		want        outcome
	}{{"good", good, passes}, {"wrong scope", short, lacksReadOrders}} {
		for shape, r := range direct(t, t.Context(), guard, unaryCall, metadata.Pairs("authorization", "Bearer "+test.token)) {
			t.Run(test.name+"/"+shape, func(t *testing.T) { test.want.check(t, r, test.token) })
		}
	}
	if n := strings.Count(log.String(), `Config.OnDecision panicked" panic="the hook's own"`); n != 7 { // of 6 calls and the end of a stream
		t.Errorf("%d panics in the log, want 7:\n%s", n, &log)
	}
	checkQuiet(t, log.String(), []string{good, short})
}

func TestKeyRefresh(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	told := make(chan auth0grpc.KeyRefresh, 1)
	config.OnKeyRefresh = func(r auth0grpc.KeyRefresh) { told <- r }
	guard := mustNew(t, config)
	tenant.SetDown(true)
	if err := guard.Ready(t.Context()); err == nil {
		t.Fatal("ready during an outage")
	}
	if r := <-told; r.Issuer != tenant.Issuer() || !r.At.Equal(today) || r.Keys != 0 || r.Err == nil {
		t.Errorf("%+v, want a failure without keys", r)
	}
	tenant.SetDown(false)
	if err := guard.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-told; r.Issuer != tenant.Issuer() || !r.At.Equal(today) || r.Keys == 0 || r.Err != nil {
		t.Errorf("%+v, want keys", r)
	}
}

// Published keys that are not used are reported, also if no key is left.
func TestKeyRefreshReportsUnusedKeys(t *testing.T) {
	f := newFixture(t, failingProvider)
	told := make(chan auth0grpc.KeyRefresh, 1)
	config := configFor(f.tenant, f.clock)
	config.HTTPClient = &http.Client{Transport: f.provider}
	config.OnKeyRefresh = func(r auth0grpc.KeyRefresh) { told <- r }
	want := []auth0grpc.UnusedKey{{KeyID: "broken?", Reason: "jwk: key has a missing or malformed value"}}
	broken := map[string]any{"kty": "RSA", "kid": "broken\n", "n": "!", "e": "AQAB"}
	f.provider.set(f.addKey(func() any { return broken }))
	if err := mustNew(t, config).Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-told; r.Keys == 0 || r.Err != nil || !slices.Equal(r.Unused, want) {
		t.Errorf("%+v, want keys and %v", r, want)
	}
	f.provider.set(onKeys(answer(200, `{"keys":[{"kty":"RSA","kid":"broken\n","n":"!","e":"AQAB"}]}`)))
	if err := mustNew(t, config).Ready(t.Context()); !errors.Is(err, auth0grpc.ErrKeysUnavailable) {
		t.Errorf("Ready = %v, want ErrKeysUnavailable", err)
	}
	if r := <-told; r.Keys != 0 || r.Err == nil || !slices.Equal(r.Unused, want) {
		t.Errorf("%+v, want an error and %v", r, want)
	}
}

// A panic of the hook does not affect the fetch, and is logged.
func TestPanicOfKeyRefreshHookIsContained(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	var log sink
	config.Logger = log.logger()
	config.OnKeyRefresh = func(auth0grpc.KeyRefresh) { panic("at the disco") }
	if err := mustNew(t, config).Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if line := log.wait(t); !strings.Contains(line, "OnKeyRefresh panicked") {
		t.Errorf("logged %q", line)
	}
}

func TestStats(t *testing.T) {
	f := newFixture(t)
	check := func(want auth0grpc.Stats) {
		t.Helper()
		want.Policy = "7fad07bfbfb8e24c" // of the table, on each machine
		if diff := cmp.Diff(want, f.guard.Stats()); diff != "" {
			t.Errorf("Stats (-want +got):\n%s", diff)
		}
	}
	check(auth0grpc.Stats{KeyAge: map[string]time.Duration{}})
	passes.check(t, f.call(t.Context(), "tcp", shapes[0], bearer(f.token(nil))...))
	check(auth0grpc.Stats{CachedTokens: 1, KeyAge: map[string]time.Duration{f.tenant.Issuer(): 0}})
	f.clock.Advance(4 * time.Minute)
	check(auth0grpc.Stats{CachedTokens: 1, KeyAge: map[string]time.Duration{f.tenant.Issuer(): 4 * time.Minute}})
	var zero auth0grpc.Interceptor
	if diff := cmp.Diff(auth0grpc.Stats{KeyAge: map[string]time.Duration{}}, zero.Stats()); diff != "" {
		t.Errorf("Stats of the zero Interceptor (-want +got):\n%s", diff)
	}
}

// decideOnce calls the unary interceptor and checks the outcome.
func decideOnce(t *testing.T, guard *auth0grpc.Interceptor, fullMethod string, want outcome, token string) {
	t.Helper()
	var md metadata.MD
	if token != "" {
		md = metadata.Pairs("authorization", "Bearer "+token)
	}
	want.check(t, direct(t, t.Context(), guard, fullMethod, md)["unary"], token)
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

// BenchmarkDecisionHook shows the extra cost of the hook for a warm call: nothing if it
// is unset, and no allocation if it is set without facts.
func BenchmarkDecisionHook(b *testing.B) {
	tenant, now := newTenant(b)
	md := metadata.Pairs("authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders"}))
	for _, test := range []struct {
		name  string
		hook  func(context.Context, auth0grpc.Decision)
		facts bool
	}{
		{"unset", nil, true},
		{"empty", func(context.Context, auth0grpc.Decision) {}, false},
		{"facts", func(context.Context, auth0grpc.Decision) {}, true},
	} {
		b.Run(test.name, func(b *testing.B) {
			config := configFor(tenant, now)
			config.OnDecision, config.RecordFacts = test.hook, test.facts
			intercept := mustNew(b, config).UnaryServerInterceptor()
			ctx := metadata.NewIncomingContext(b.Context(), md)
			info := &grpc.UnaryServerInfo{FullMethod: unaryCall}
			handler := func(context.Context, any) (any, error) { return nil, nil }
			b.ReportAllocs()
			for b.Loop() {
				if _, err := intercept(ctx, nil, info, handler); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The hook costs no allocation, set or not.
func TestDecisionHookAllocatesNothing(t *testing.T) {
	tenant, now := newTenant(t)
	md := metadata.Pairs("authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders"}))
	allocs := func(hook func(context.Context, auth0grpc.Decision)) float64 {
		config := configFor(tenant, now)
		config.OnDecision = hook
		intercept := mustNew(t, config).UnaryServerInterceptor()
		ctx := metadata.NewIncomingContext(t.Context(), md)
		info := &grpc.UnaryServerInfo{FullMethod: unaryCall}
		handler := func(context.Context, any) (any, error) { return nil, nil }
		return testing.AllocsPerRun(1000, func() { _, _ = intercept(ctx, nil, info, handler) })
	}
	unset, empty := allocs(nil), allocs(func(context.Context, auth0grpc.Decision) {})
	if unset != empty {
		t.Errorf("%v allocations with a hook, %v without", empty, unset)
	}
}

// A transportWithoutTrailer drops the header and trailer of a call.
type transportWithoutTrailer struct{ grpc.ServerTransportStream }

func (transportWithoutTrailer) SetHeader(metadata.MD) error  { return nil }
func (transportWithoutTrailer) SetTrailer(metadata.MD) error { return nil }

// BenchmarkRefused measures calls that strangers can make at any rate, beside a call
// that passes.
func BenchmarkRefused(b *testing.B) {
	tenant, now := newTenant(b)
	filler := claims{"scope": "read:orders", "filler": strings.Repeat("x", 400)}
	good := tenant.Token(filler)
	header, rest, _ := strings.Cut(good, ".")
	size := 16<<10 - 2
	three := func(fill string) string {
		part := strings.Repeat(fill, size/3)
		return part + "." + part + "." + part
	}
	for _, test := range []struct{ name, token string }{
		{"good", good},
		{"expired", tenant.Token(with(filler, claims{"exp": today.Unix()}))},
		{"another issuer", tenant.Token(with(filler, claims{"iss": "https://evil.example/"}))},
		{"unknown key", tenant.Sign(map[string]any{"kid": "made-up"}, with(filler, claims{"iss": tenant.Issuer(), "aud": auth0grpctest.Audience, "sub": "x", "iat": today.Unix(), "exp": today.Unix() + 60}))},
		{"bad signature", header + "." + rest[:len(rest)-6] + "AAAAAA"},
		{"16 KiB of letters", three("A")},
		{"16 KiB of symbols", three("#")},
		{"16 KiB of dots", strings.Repeat(".", size)},
		{"16 KiB payload", header + "." + strings.Repeat("A", size-len(header)-4) + ".AA"},
		{"16 KiB of brackets", header + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"a":`+strings.Repeat("[", 11<<10))) + ".AA"},
	} {
		b.Run(test.name, func(b *testing.B) {
			intercept := mustNew(b, configFor(tenant, now)).UnaryServerInterceptor()
			ctx := grpc.NewContextWithServerTransportStream(b.Context(), transportWithoutTrailer{})
			ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "Bearer "+test.token))
			info := &grpc.UnaryServerInfo{FullMethod: unaryCall}
			handler := func(context.Context, any) (any, error) { return nil, nil }
			b.ReportAllocs()
			for b.Loop() {
				if _, err := intercept(ctx, nil, info, handler); (err == nil) != (test.name == "good") {
					b.Fatal(err)
				}
			}
		})
	}
}
