package auth0grpc_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpclog"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A recordedCall is a decision, and the line of the log about it.
type recordedCall struct {
	decision auth0grpc.Decision
	line     []byte
}

// A factsJournal keeps the last decision on a call, and its line.
type factsJournal struct {
	lines bytes.Buffer
	last  recordedCall
}

func (r *factsJournal) hook() func(context.Context, auth0grpc.Decision) {
	log := auth0grpclog.New(auth0grpclog.Config{
		Logger: slog.New(slog.DiscardHandler), Facts: slog.New(slog.NewJSONHandler(&r.lines, nil)),
	})
	return func(ctx context.Context, d auth0grpc.Decision) {
		r.lines.Reset()
		log.OnDecision(ctx, d)
		if d.Outcome != auth0grpc.OutcomeEnded {
			r.last = recordedCall{d, bytes.Clone(bytes.TrimSpace(r.lines.Bytes()))}
		} else if r.lines.Len() > 0 || d.Facts != nil {
			panic("the end of a stream has facts")
		}
	}
}

// checkReplay compares the decision on the facts in the log with the decision of the
// candidate at the time of the call. It reports whether they differ from the call's own.
func checkReplay(t *testing.T, what string, call recordedCall, candidate *auth0grpc.Candidate) bool {
	t.Helper()
	logged, err := auth0grpclog.ParseLine(call.line)
	if err != nil {
		t.Fatalf("%s: %v in %s", what, err, call.line)
	}
	if logged.FullMethod != call.decision.FullMethod || logged.Outcome != call.decision.Outcome || logged.Policy != call.decision.Policy {
		t.Fatalf("%s: %+v in the log, want %+v", what, logged, call.decision)
	}
	got, err := candidate.Decide(logged.FullMethod, logged.Facts)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return false
	}
	differs := got.Outcome != logged.Outcome
	if !differs {
		got = auth0grpc.CandidateDecision{}
	}
	if diff := cmp.Diff(call.decision.Candidate, got); diff != "" {
		t.Errorf("%s: the facts lead to another decision (-candidate +facts):\n%s\n%s", what, diff, call.line)
	}
	return differs
}

// factsTables has each kind of rule for one method.
func factsTables() []map[string]auth0grpc.Rule {
	tables := candidateTables()
	for _, rule := range []auth0grpc.Rule{
		auth0grpc.AnyScope("admin", "write:orders"), auth0grpc.Permissions("p"), auth0grpc.AnyPermission("p", "q").ReportOnly(),
		auth0grpc.Organizations("org_a"), auth0grpc.Clients("desk"), auth0grpc.ActedBy("agt_1"), auth0grpc.ActedBy("agt_1").AllowAnonymous(),
		auth0grpc.AllOf(auth0grpc.Scopes("read:orders"), auth0grpc.AnyOf(auth0grpc.NotDelegated(), auth0grpc.Permissions("p"))),
	} {
		tables = append(tables, map[string]auth0grpc.Rule{"/a.B/C": rule})
	}
	return tables
}

// A new kind of rule, or a new field of a row, needs facts, a member in the log and a
// table here.
func TestFactsCoverEveryRule(t *testing.T) {
	var text strings.Builder
	for _, table := range factsTables() {
		for _, rule := range table {
			member, err := rule.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			text.Write(member)
		}
	}
	for _, member := range append(auth0grpc.RuleMembers(), "reportOnly", "allowAnonymous", "requireDPoP", "requireMTLS") {
		if !strings.Contains(text.String(), `"`+member+`":`) {
			t.Errorf("factsTables has no rule with %s", member)
		}
	}
	known := []string{
		"kind", "names", "index", "rules", "reportOnly", "allowAnonymous", "requireDPoP", "requireMTLS", // in factsTables
		"same", "relations", "hideExistence", // in TestFactsOfMessageRules
		"streams", // decides about open streams alone
	}
	rule := reflect.TypeFor[auth0grpc.Rule]()
	for i := range rule.NumField() {
		if name := rule.Field(i).Name; !slices.Contains(known, name) {
			t.Errorf("Rule.%s: Candidate.Decide may not know it", name)
		}
	}
}

// The differences that a running candidate reports are the differences that its table has
// on the log of the same calls, unary and streaming.
func TestFactsEqualTheCandidate(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	certificate := auth0grpctest.NewCertificateAuthority().Client("client").Leaf
	calls := candidateCalls(tenant, certificate)
	tables := factsTables()
	for name, more := range map[string]claims{
		"foreign actor": {"scope": "read:orders", "act": claims{"sub": "agt_1", "iss": "https://other.example/"}},
		"permissions":   {"scope": "admin", "permissions": []string{"p"}, "org_id": "org_a", "azp": "desk"},
	} {
		token := tenant.Token(more)
		calls[name] = func() metadata.MD { return metadata.Pairs("authorization", "Bearer "+token) }
	}
	bound := tenant.Token(claims{"cnf": claims{"x5t#S256": auth0grpctest.CertificateThumbprint(certificate)}})
	calls["DPoP scheme, certificate"] = func() metadata.MD { return metadata.Pairs("authorization", "DPoP "+bound) }
	differences := 0
	for _, mode := range []auth0grpc.ReportOnlyMode{auth0grpc.ReportOnlyOff, auth0grpc.ReportOnlyTable, auth0grpc.ReportOnlyEverything} {
		if mode != auth0grpc.ReportOnlyOff && testing.Short() {
			break
		}
		for i, methods := range tables {
			if mode != auth0grpc.ReportOnlyOff && i%3 != 0 { // the mode is one more condition, not one more table
				continue
			}
			var record factsJournal
			guard := mustNew(t, auth0grpc.Config{
				Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, Methods: methods, HTTPClient: tenant.HTTPClient(),
				DPoP: auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{"https://api.example"}},
				MTLS: auth0grpc.MTLSConfig{
					Mode:        auth0grpc.BindingAllowed,
					Certificate: func(context.Context) (*x509.Certificate, error) { return certificate, nil },
				},
				Logger: slog.New(slog.DiscardHandler), ReportOnly: mode, RecordFacts: true, OnDecision: record.hook(),
			})
			unary, stream := guard.UnaryServerInterceptor(), guard.StreamServerInterceptor()
			for j, other := range tables {
				candidate, err := auth0grpc.NewCandidate(other)
				if err == nil {
					err = guard.SetCandidate(other)
				}
				if err != nil {
					t.Fatal(err)
				}
				for name, md := range calls {
					what := fmt.Sprintf("mode %d, table %v, candidate %v, %s", mode, methods, other, name)
					ctx := metadata.NewIncomingContext(t.Context(), md())
					if (i+j)%2 == 0 {
						_, _ = unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}, func(context.Context, any) (any, error) { return nil, nil })
					} else {
						_ = stream(nil, openedStream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: "/a.B/C"}, func(any, grpc.ServerStream) error { return nil })
					}
					if checkReplay(t, what, record.last, candidate) {
						differences++
					}
				}
			}
		}
	}
	if differences < 1000 {
		t.Errorf("%d differences, want more to compare", differences)
	}
	t.Logf("%d differences", differences)
}

// An openedStream is a stream without a transport.
type openedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s openedStream) Context() context.Context { return s.ctx }

// Rules about the message lead to the same decision if they were evaluated, and to none
// otherwise. A rule that was met stays met beside other rules.
func TestFactsOfMessageRules(t *testing.T) {
	organization := func(r auth0grpc.Rule) auth0grpc.Rule { return r.Same("org_id", auth0grpc.ClaimOrganization) }
	viewer := func(r auth0grpc.Rule) auth0grpc.Rule { return r.Relation("viewer", "order:{order_id}") }
	read, none := auth0grpc.Scopes("read:orders"), auth0grpc.Authenticated()
	const unknown = "not known"
	for _, test := range []struct {
		name      string
		old, next auth0grpc.Rule
		message   string
		want      string // "outcome reason", or unknown
	}{
		{"met", organization(none), organization(none).HideExistence(), `org_id: "org_a"`, "allowed "},
		{"unmet", organization(none), organization(none), `org_id: "org_b"`, "refused NOT_OWNER"},
		{"unmet, and hidden now", organization(none), organization(none).HideExistence(), `org_id: "org_b"`, "refused NOT_OWNER"},
		{"unmet, and reported now", organization(none), organization(none).ReportOnly(), `org_id: "org_b"`, "reported NOT_OWNER"},
		{"unmet, and removed", organization(none), none, `org_id: "org_b"`, "allowed "},
		{"added", none, organization(none), `org_id: "org_a"`, unknown},
		{"added, and the token suffices no longer", none, organization(read), `org_id: "org_a"`, "refused INSUFFICIENT_SCOPE"},
		{"another claim", organization(none), none.Same("org_id", auth0grpc.ClaimSubject), `org_id: "org_a"`, unknown},
		{"the second is unmet", viewer(organization(none)), viewer(none), `org_id: "org_a" order_id: "2"`, "refused NO_RELATION"},
		{"the first remains", viewer(organization(none)), organization(none), `org_id: "org_a" order_id: "2"`, "allowed "},
		{"both are met", viewer(organization(none)), viewer(organization(none)), `org_id: "org_a" order_id: "1"`, "allowed "},
		{"the second is not known", viewer(organization(none)), viewer(none), `org_id: "org_b" order_id: "1"`, unknown},
		{"unmet beside an unknown one", organization(none), viewer(organization(none)), `org_id: "org_b" order_id: "1"`, "refused NOT_OWNER"},
		{"a met one behind an unknown one", viewer(none), organization(viewer(none)), `org_id: "org_a" order_id: "1"`, unknown},
		{"no answer", viewer(none), viewer(none), `order_id: "down"`, unknown},
		{"refused before", organization(read), organization(none), `org_id: "org_a"`, unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			var record factsJournal
			f := newFixture(t, serveOrders(test.old), func(_ *fixture, c *auth0grpc.Config) {
				c.RelationChecker = factsChecker{}
				c.RecordFacts, c.OnDecision = true, record.hook()
			})
			table := map[string]auth0grpc.Rule{ordersService + "*": test.next}
			if err := f.guard.SetCandidate(table); err != nil {
				t.Fatal(err)
			}
			candidate, err := auth0grpc.NewCandidate(table)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = f.send(t.Context(), orderShapes[0], f.tenant.Token(claims{"org_id": "org_a"}), order(t, test.message))
			logged, err := auth0grpclog.ParseLine(record.last.line)
			if err != nil {
				t.Fatal(err)
			}
			d, err := candidate.Decide(logged.FullMethod, logged.Facts)
			got := fmt.Sprint(d.Outcome, " ", d.Reason)
			if err != nil {
				got = unknown
			}
			if got != test.want {
				t.Errorf("%s (%v), want %s; %s", got, err, test.want, record.last.line)
			}
			if test.want != unknown {
				checkReplay(t, test.name, record.last, candidate)
			}
			if text := string(record.last.line); strings.Contains(text, "org_b") || strings.Contains(text, "auth0|") {
				t.Errorf("the log has parts of the message, or the subject: %s", text)
			}
		})
	}
}

// factsChecker knows one viewer, and has no answer about one object.
type factsChecker struct{}

func (factsChecker) CheckRelation(_ context.Context, q auth0grpc.RelationQuery) (bool, error) {
	if q.Object == "order:down" {
		return false, fmt.Errorf("unavailable")
	}
	return q.Object == "order:1", nil
}

// A stream opens before its messages, so rules about them are not known.
func TestFactsOfStreams(t *testing.T) {
	var record factsJournal
	rule := auth0grpc.Authenticated().Same("org_id", auth0grpc.ClaimOrganization)
	f := newFixture(t, serveOrders(rule), func(_ *fixture, c *auth0grpc.Config) { c.RecordFacts, c.OnDecision = true, record.hook() })
	if _, err := f.send(t.Context(), orderShapes[1], f.tenant.Token(claims{"org_id": "org_a"}), order(t, `org_id: "org_a"`)); err != nil {
		t.Fatal(err)
	}
	candidate, err := auth0grpc.NewCandidate(map[string]auth0grpc.Rule{ordersService + "*": rule})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := candidate.Decide(record.last.decision.FullMethod, record.last.decision.Facts); err == nil {
		t.Error("decides on a message that came later")
	}
}

// The facts of a call to an unlisted method have its token, with any message.
func TestFactsOfUnlistedMethods(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	var last auth0grpc.Decision
	config.RecordFacts, config.OnDecision = true, func(_ context.Context, d auth0grpc.Decision) { last = d }
	guard := mustNew(t, config)
	for _, message := range []any{nil, order(t, "")} {
		_, err := guard.Check(t.Context(), auth0grpc.Request{FullMethod: "/a.B/C", Authorization: bearer(tenant.Token(nil)), Message: message})
		if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonMethodNotListed || last.Facts == nil || !last.Facts.Verified {
			t.Errorf("message %v: %v, facts %+v", message, err, last.Facts)
		}
	}
}

// Facts are off by default, and no decision follows from facts that state too little.
func TestFactsThatDoNotSuffice(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	var last auth0grpc.Decision
	config.OnDecision = func(_ context.Context, d auth0grpc.Decision) { last = d }
	call := func(guard *auth0grpc.Interceptor) *auth0grpc.Facts {
		_, _ = guard.Check(t.Context(), auth0grpc.Request{FullMethod: "/grpc.testing.TestService/UnaryCall", Authorization: []string{"Bearer " + tenant.Token(nil)}})
		return last.Facts
	}
	if facts := call(mustNew(t, config)); facts != nil {
		t.Errorf("%+v without RecordFacts", facts)
	}
	config.RecordFacts = true
	whole := call(mustNew(t, config))
	candidate, err := auth0grpc.NewCandidate(config.Methods)
	if err != nil {
		t.Fatal(err)
	}
	decide := func(change func(*auth0grpc.Facts)) error {
		facts := *whole
		change(&facts)
		_, err := candidate.Decide(last.FullMethod, &facts)
		return err
	}
	if err := decide(func(*auth0grpc.Facts) {}); err != nil {
		t.Errorf("whole facts: %v", err)
	}
	if decide(func(f *auth0grpc.Facts) { f.Incomplete = true }) == nil || decide(func(f *auth0grpc.Facts) { *f = auth0grpc.Facts{} }) == nil {
		t.Error("decides without facts")
	}
	if _, err := candidate.Decide(last.FullMethod, nil); err == nil {
		t.Error("decides without facts")
	}
	if _, err := new(auth0grpc.Candidate).Decide(last.FullMethod, whole); err == nil {
		t.Error("the zero Candidate decides")
	}
	if own, zero := candidate.Policy(), new(auth0grpc.Candidate).Policy(); own != last.Policy || own == "" || zero != "" {
		t.Errorf("policies %q and %q, want %q and none", own, zero, last.Policy)
	}
	if _, err := auth0grpc.NewCandidate(nil); err == nil {
		t.Error("a Candidate without a table")
	}
}

// A caller that leaves before the verdict has no verdict under a candidate either, unless
// the row is public.
func TestFactsOfLeftCalls(t *testing.T) {
	facts := &auth0grpc.Facts{Code: codes.Canceled, ReportOnly: auth0grpc.ReportOnlyEverything}
	candidate, err := auth0grpc.NewCandidate(map[string]auth0grpc.Rule{"/a.B/C": auth0grpc.Authenticated().ReportOnly(), "/a.B/D": auth0grpc.Public()})
	if err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]auth0grpc.CandidateDecision{
		"/a.B/C": {Row: "/a.B/C", Outcome: auth0grpc.OutcomeRefused, Code: codes.Canceled},
		"/a.B/D": {Row: "/a.B/D", Outcome: auth0grpc.OutcomeAllowed},
	} {
		got, err := candidate.Decide(method, facts)
		want.Policy = got.Policy
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", method, got, err, want)
		}
	}
}

// The binding of a refused token is checked once, with a candidate and with facts too.
func TestRefusedBindingIsCheckedOnce(t *testing.T) {
	tenant, now := newTenant(t)
	authority, checks := auth0grpctest.NewCertificateAuthority(), 0
	config := configFor(tenant, now)
	config.RecordFacts, config.OnDecision = true, func(context.Context, auth0grpc.Decision) {}
	config.MTLS = auth0grpc.MTLSConfig{Mode: auth0grpc.BindingAllowed, Certificate: func(context.Context) (*x509.Certificate, error) {
		checks++
		return authority.Client("other").Leaf, nil
	}}
	guard := mustNew(t, config)
	if err := guard.SetCandidate(map[string]auth0grpc.Rule{allMethods: auth0grpc.Authenticated()}); err != nil {
		t.Fatal(err)
	}
	token := tenant.CertificateBoundToken(claims{"scope": "read:orders"}, authority.Client("right").Leaf)
	_, err := guard.Check(t.Context(), auth0grpc.Request{FullMethod: unaryCall, Authorization: bearer(token)})
	if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonWrongCertificate || checks != 1 {
		t.Errorf("%v, after %d checks of the certificate", err, checks)
	}
}

// Only the facts of a public method need the user's function for certificates. If it
// panics, the call proceeds, and its facts state nothing.
func TestFactsAfterAPanic(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.Methods[allMethods] = auth0grpc.Public()
	var decisions []auth0grpc.Decision
	config.RecordFacts = true
	config.OnDecision = func(_ context.Context, d auth0grpc.Decision) { decisions = append(decisions, d) }
	config.MTLS = auth0grpc.MTLSConfig{Mode: auth0grpc.BindingAllowed, Certificate: func(context.Context) (*x509.Certificate, error) { panic("leak") }}
	config.ReportOnly = auth0grpc.ReportOnlyTable // a fact that is known without the token
	token := tenant.CertificateBoundToken(nil, auth0grpctest.NewCertificateAuthority().Client("right").Leaf)
	for shape, got := range direct(t, t.Context(), mustNew(t, config), unaryCall, metadata.Pairs("authorization", "Bearer "+token)) {
		if got.err != nil {
			t.Errorf("%s: %v", shape, got.err)
		}
	}
	for _, d := range decisions {
		if diff := cmp.Diff(&auth0grpc.Facts{}, d.Facts); diff != "" {
			t.Errorf("facts (-want +got):\n%s", diff)
		}
	}
	if len(decisions) != 3 {
		t.Errorf("%d decisions, want 3", len(decisions))
	}
}
