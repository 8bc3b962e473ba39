package auth0grpc_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// candidateTables has each kind of row for one method.
func candidateTables() []map[string]auth0grpc.Rule {
	const method = "/a.B/C"
	tables := []map[string]auth0grpc.Rule{
		{"/other.Service/Method": auth0grpc.Public()},
		{"/a.B/*": auth0grpc.Scopes("admin")},
		{"/a.B/*": auth0grpc.Public(), method: auth0grpc.Scopes("read:orders")},
	}
	for _, rule := range []auth0grpc.Rule{
		auth0grpc.Public(), auth0grpc.Optional(), auth0grpc.Optional().AllowAnonymous(), auth0grpc.Authenticated(),
		auth0grpc.Authenticated().RequireDPoP(), auth0grpc.Authenticated().RequireMTLS(), auth0grpc.Optional().RequireDPoP(),
		auth0grpc.Scopes("read:orders"), auth0grpc.Scopes("admin"), auth0grpc.NotDelegated(),
	} {
		tables = append(tables, map[string]auth0grpc.Rule{method: rule}, map[string]auth0grpc.Rule{method: rule.ReportOnly()})
	}
	return tables
}

// candidateCalls returns the metadata of calls that differ in all that a row can see.
func candidateCalls(tenant *auth0grpctest.Tenant, certificate *x509.Certificate) map[string]func() metadata.MD {
	key, now := auth0grpctest.NewDPoPKey(), time.Now()
	byBearer := func(values ...string) func() metadata.MD {
		return func() metadata.MD {
			md := metadata.MD{}
			for _, value := range values {
				md.Append("authorization", value)
			}
			return md
		}
	}
	token := func(more claims) func() metadata.MD { return byBearer("Bearer " + tenant.Token(more)) }
	boundToKey := tenant.Token(claims{"scope": "read:orders", "cnf": claims{"jkt": key.Thumbprint()}})
	boundToCert := claims{"cnf": claims{"x5t#S256": auth0grpctest.CertificateThumbprint(certificate)}}
	return map[string]func() metadata.MD{
		"no token":      byBearer(),
		"two values":    byBearer("Bearer a", "Bearer b"),
		"malformed":     byBearer("Bearer leak"),
		"other API":     token(claims{"aud": "https://other.example"}),
		"expired":       token(claims{"iat": now.Add(-2 * time.Hour), "exp": now.Add(-time.Hour)}),
		"forged":        byBearer("Bearer " + tenant.Token(nil) + "AAAA"),
		"no scope":      token(nil),
		"read":          token(claims{"scope": "read:orders"}),
		"admin":         token(claims{"scope": "read:orders admin"}),
		"delegated":     token(claims{"scope": "read:orders", "act": claims{"sub": "agt_1"}}),
		"anonymous":     token(claims{"scope": "read:orders", "sub": "anon@1"}),
		"certificate":   token(boundToCert),
		"key as bearer": byBearer("Bearer " + boundToKey),
		"DPoP scheme":   byBearer("DPoP " + tenant.Token(nil)),
		"stray proof": func() metadata.MD {
			plain := tenant.Token(nil)
			return metadata.Pairs("authorization", "Bearer "+plain, "dpop", key.Proof("https://api.example/a.B/C", plain, nil))
		},
		"proof": func() metadata.MD {
			return metadata.Pairs("authorization", "DPoP "+boundToKey, "dpop", key.Proof("https://api.example/a.B/C", boundToKey, nil))
		},
		"proof of another call": func() metadata.MD {
			return metadata.Pairs("authorization", "DPoP "+boundToKey, "dpop", key.Proof("https://api.example/a.B/D", boundToKey, nil))
		},
	}
}

// Each call under each pair of tables: the candidate's decision is the decision of an
// Interceptor that has the candidate as its table, and the call itself goes as without a
// candidate.
func TestCandidateEqualsItsTable(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	certificate := auth0grpctest.NewCertificateAuthority().Client("client").Leaf
	tables, calls := candidateTables(), candidateCalls(tenant, certificate)
	newGuard := func(methods map[string]auth0grpc.Rule) (*auth0grpc.Interceptor, func(string) auth0grpc.Decision) {
		var last auth0grpc.Decision
		guard := mustNew(t, auth0grpc.Config{
			Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, Methods: methods, HTTPClient: tenant.HTTPClient(),
			DPoP: auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{"https://api.example"}},
			MTLS: auth0grpc.MTLSConfig{
				Mode:        auth0grpc.BindingAllowed,
				Certificate: func(context.Context) (*x509.Certificate, error) { return certificate, nil },
			},
			Logger:     slog.New(slog.DiscardHandler),
			OnDecision: func(_ context.Context, d auth0grpc.Decision) { last = d },
		})
		unary := guard.UnaryServerInterceptor()
		return guard, func(name string) auth0grpc.Decision {
			ctx := metadata.NewIncomingContext(t.Context(), calls[name]())
			ran := false
			_, err := unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}, func(context.Context, any) (any, error) { ran = true; return nil, nil })
			if ran != (err == nil) || ran == (last.Outcome == auth0grpc.OutcomeRefused) {
				t.Errorf("%s: handler ran %t, %v, %s", name, ran, err, last.Outcome)
			}
			return last
		}
	}
	decisions := make([]map[string]auth0grpc.Decision, len(tables))
	for i, methods := range tables {
		_, call := newGuard(methods)
		decisions[i] = map[string]auth0grpc.Decision{}
		for name := range calls {
			decisions[i][name] = call(name)
		}
	}
	differences := 0
	for i, methods := range tables {
		guard, call := newGuard(methods)
		for j, candidate := range tables {
			if err := guard.SetCandidate(candidate); err != nil {
				t.Fatal(err)
			}
			for name := range calls {
				got, live, other := call(name), decisions[i][name], decisions[j][name]
				if got.Outcome != live.Outcome || got.Reason != live.Reason || got.Row != live.Row || got.Policy != live.Policy {
					t.Errorf("%v, %s: %+v with a candidate, %+v without", methods, name, got, live)
				}
				want := auth0grpc.CandidateDecision{}
				if other.Outcome != live.Outcome {
					differences++
					want = auth0grpc.CandidateDecision{Policy: other.Policy, Row: other.Row, Outcome: other.Outcome, Reason: other.Reason, Code: other.Code}
				}
				if got.Candidate != want {
					t.Errorf("%v, candidate %v, %s: %+v, want %+v", methods, candidate, name, got.Candidate, want)
				}
			}
		}
	}
	t.Logf("%d differences", differences)
}

// A candidate does not use up the proof of a call that the table in force refuses.
func TestCandidateUsesNoProof(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	certificate := auth0grpctest.NewCertificateAuthority().Client("client").Leaf
	config := auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{"/a.B/C": auth0grpc.Public()},
		DPoP:    auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{"https://api.example"}},
	}
	var last auth0grpc.Decision
	config.OnDecision = func(_ context.Context, d auth0grpc.Decision) { last = d }
	guard := mustNew(t, config)
	if err := guard.SetCandidate(map[string]auth0grpc.Rule{"/a.B/C": auth0grpc.Scopes("read:orders").RequireDPoP()}); err != nil {
		t.Fatal(err)
	}
	proof := candidateCalls(tenant, certificate)["proof"]()
	unary := guard.UnaryServerInterceptor()
	for range 3 {
		ctx := metadata.NewIncomingContext(t.Context(), proof)
		_, err := unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}, func(context.Context, any) (any, error) { return nil, nil })
		if err != nil || last.Candidate.Outcome != "" {
			t.Errorf("%v, candidate %+v; want the same outcome", err, last.Candidate)
		}
	}
	if used := guard.Stats().UsedProofs; used != 0 {
		t.Errorf("%d used proofs, want 0", used)
	}
}

func TestSetCandidate(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	good := map[string]auth0grpc.Rule{allMethods: auth0grpc.Public()}
	if err := mustNew(t, config).SetCandidate(good); err == nil || !strings.Contains(err.Error(), "OnDecision") {
		t.Errorf("without a hook: %v, want an error that names OnDecision", err)
	}
	for _, methods := range []map[string]auth0grpc.Rule{good, nil} {
		if err := new(auth0grpc.Interceptor).SetCandidate(methods); err == nil || !strings.Contains(err.Error(), "not created by New") {
			t.Errorf("the zero Interceptor, %v: %v", methods, err)
		}
	}
	config.OnDecision = func(context.Context, auth0grpc.Decision) {}
	guard := mustNew(t, config)
	if err := guard.SetCandidate(good); err != nil {
		t.Fatal(err)
	}
	before := guard.Stats()
	var fault *auth0grpc.ConfigError
	for name, methods := range map[string]map[string]auth0grpc.Rule{
		"empty": {}, "zero rule": {allMethods: {}}, "no method": {"a.B": auth0grpc.Public()}, "binding": {allMethods: auth0grpc.Authenticated().RequireDPoP()},
	} {
		if err := guard.SetCandidate(methods); !errors.As(err, &fault) {
			t.Errorf("%s: %v, want a ConfigError", name, err)
		}
	}
	if after := guard.Stats(); after.CandidatePolicy != before.CandidatePolicy || after.CandidatePolicy == "" || after.CandidatePolicy == after.Policy {
		t.Errorf("policies %q and %q after faults, before %q", after.Policy, after.CandidatePolicy, before.CandidatePolicy)
	}
	if err := guard.SetCandidate(nil); err != nil || guard.Stats().CandidatePolicy != "" {
		t.Errorf("%v, candidate %q; want none", err, guard.Stats().CandidatePolicy)
	}
}

// The fingerprint depends on the content of a table alone.
func TestFingerprint(t *testing.T) {
	tenant, now := newTenant(t)
	policyOf := func(methods map[string]auth0grpc.Rule) string {
		config := configFor(tenant, now)
		config.Methods = methods
		return mustNew(t, config).Stats().Policy
	}
	base := func() map[string]auth0grpc.Rule {
		return map[string]auth0grpc.Rule{"/a.B/C": auth0grpc.Scopes("a", "b"), "/a.B/*": auth0grpc.Public()}
	}
	first := policyOf(base())
	if len(first) != 16 || policyOf(base()) != first {
		t.Errorf("fingerprints %q and %q of one table", first, policyOf(base()))
	}
	seen := map[string]string{first: "base"}
	for name, change := range map[string]func(map[string]auth0grpc.Rule){
		"a row more":      func(m map[string]auth0grpc.Rule) { m["/a.B/D"] = auth0grpc.Public() },
		"a row less":      func(m map[string]auth0grpc.Rule) { delete(m, "/a.B/*") },
		"another scope":   func(m map[string]auth0grpc.Rule) { m["/a.B/C"] = auth0grpc.Scopes("a", "c") },
		"another kind":    func(m map[string]auth0grpc.Rule) { m["/a.B/C"] = auth0grpc.AnyScope("a", "b") },
		"report only":     func(m map[string]auth0grpc.Rule) { m["/a.B/C"] = m["/a.B/C"].ReportOnly() },
		"anonymous":       func(m map[string]auth0grpc.Rule) { m["/a.B/C"] = m["/a.B/C"].AllowAnonymous() },
		"a stream policy": func(m map[string]auth0grpc.Rule) { m["/a.B/C"] = m["/a.B/C"].Streams(auth0grpc.IgnoreExpiry()) },
	} {
		methods := base()
		change(methods)
		got := policyOf(methods)
		if other, ok := seen[got]; ok {
			t.Errorf("%s has the fingerprint of %s", name, other)
		}
		seen[got] = name
	}
	var zero auth0grpc.Interceptor
	if got := zero.Stats().Policy; got != "" {
		t.Errorf("zero Interceptor: %q", got)
	}
}

// SetMethods ends the open streams that the new table refuses, and no other.
func TestSetMethodsEndsStreams(t *testing.T) {
	for _, test := range []struct {
		name   string
		rule   auth0grpc.Rule // "" removes the row
		reason auth0grpc.Reason
	}{
		{"same", auth0grpc.Scopes("read:orders"), ""},
		{"wider", auth0grpc.Authenticated(), ""},
		{"public", auth0grpc.Public(), ""},
		{"another scope", auth0grpc.Scopes("admin"), auth0grpc.ReasonInsufficientScope},
		{"another organization", auth0grpc.Organizations("org_a"), auth0grpc.ReasonWrongOrganization},
		{"unlisted", auth0grpc.Rule{}, auth0grpc.ReasonMethodNotListed},
		{"report only", auth0grpc.Scopes("admin").ReportOnly(), ""},
	} {
		for _, transport := range []string{"bufconn", "tcp", "ServeHTTP"} {
			t.Run(test.name+"/"+transport, func(t *testing.T) {
				started := make(chan struct{})
				s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
					close(started)
					<-stream.Context().Done()
					if test.reason == "" {
						return nil // by the client
					}
					return context.Cause(stream.Context())
				}))
				stream := s.open(t, transport, streamShapes[2], bearer(s.token(nil))...)
				<-started
				methods := map[string]auth0grpc.Rule{"/other.Service/Method": auth0grpc.Public()}
				if test.name != "unlisted" {
					methods[allMethods] = test.rule
				}
				if err := s.guard.SetMethods(methods); err != nil {
					t.Fatal(err)
				}
				if test.reason == "" {
					if open := s.guard.Stats().OpenStreams; open != 1 {
						t.Errorf("%d open streams, want 1", open)
					}
					return
				}
				err := stream.RecvMsg(nil)
				if reason, _ := auth0grpc.ReasonFromError(err); reason != test.reason || auth0grpc.RefusedBeforeHandler(err) {
					t.Errorf("%v, want %s without the mark of an opening", err, test.reason)
				}
			})
		}
	}
}

// A stream that opens while the table changes meets the new table as well.
func TestSetMethodsWhileStreamsOpen(t *testing.T) {
	s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
		<-stream.Context().Done()
		return context.Cause(stream.Context())
	}))
	token := bearer(s.token(nil))
	streams := make(chan grpc.ClientStream, 200)
	var openers sync.WaitGroup
	for range 4 {
		openers.Go(func() {
			for range 50 {
				streams <- s.open(t, "bufconn", streamShapes[2], token...)
				runtime.Gosched()
			}
		})
	}
	first := <-streams
	if err := s.guard.SetMethods(map[string]auth0grpc.Rule{allMethods: auth0grpc.Scopes("admin")}); err != nil {
		t.Fatal(err)
	}
	openers.Wait()
	close(streams)
	for stream := first; stream != nil; stream = <-streams {
		err := stream.RecvMsg(nil)
		if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonInsufficientScope {
			t.Fatalf("%v, want %s", err, auth0grpc.ReasonInsufficientScope)
		}
	}
}

// A candidate shows the calls that a new table would refuse, before it is in force.
func ExampleInterceptor_SetCandidate() {
	tenant, guard, call, stop := embedded(func(config *auth0grpc.Config) {
		config.Methods = map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Authenticated()}
		config.OnDecision = func(_ context.Context, d auth0grpc.Decision) {
			if d.Candidate.Outcome != "" {
				fmt.Println(d.Outcome, "now;", d.Candidate.Outcome, d.Candidate.Reason, "by the candidate")
			}
		}
	})
	defer stop()
	err := guard.SetCandidate(map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Scopes("read:orders")})
	if err != nil {
		panic(err)
	}
	fmt.Println(call(tenant.Token(map[string]any{"scope": "read:orders"})))
	fmt.Println(call(tenant.Token(nil)))
	// Output:
	// OK, error <nil>
	// allowed now; refused INSUFFICIENT_SCOPE by the candidate
	// OK, error <nil>
}

// The facts of a call decide again under another table, at any later time.
func ExampleCandidate() {
	var facts []*auth0grpc.Facts
	tenant, _, call, stop := embedded(func(config *auth0grpc.Config) {
		config.Methods = map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Authenticated()}
		config.RecordFacts = true
		config.OnDecision = func(_ context.Context, d auth0grpc.Decision) { facts = append(facts, d.Facts) }
	})
	defer stop()
	call(tenant.Token(map[string]any{"scope": "read:orders"}))
	call(tenant.Token(nil))
	call("")

	candidate, err := auth0grpc.NewCandidate(map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Scopes("read:orders")})
	if err != nil {
		panic(err)
	}
	fmt.Println("policy", candidate.Policy())
	for _, f := range facts {
		decision, err := candidate.Decide("/grpc.testing.TestService/UnaryCall", f)
		fmt.Println(decision.Outcome, decision.Reason, err)
	}
	// Output:
	// policy 7fad07bfbfb8e24c
	// allowed  <nil>
	// refused INSUFFICIENT_SCOPE <nil>
	// refused MISSING_TOKEN <nil>
}
