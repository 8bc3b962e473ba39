package policy_test

import (
	"context"
	"crypto/x509"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/policy"
)

const compareMethod = "/a.B/C"

// A compareCall is a call, and the text of the Caller that stands for it.
type compareCall struct {
	name     string
	caller   string
	metadata func() metadata.MD
}

// TestCompareEqualsCalls makes each call on an interceptor with each of the rows, and
// compares every row with every other.
func TestCompareEqualsCalls(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	certificate := auth0grpctest.NewCertificateAuthority().Client("client").Leaf
	calls := compareCalls(tenant, certificate)
	tables := compareTables()
	admits := make([]map[string]bool, len(tables)) // by table, the callers
	for i, methods := range tables {
		admits[i] = admittedCallers(t, tenant, certificate, methods, calls)
	}
	tally := map[policy.Change]int{}
	for i, before := range tables {
		for j, after := range tables {
			differences, err := policy.Compare(before, after)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range differences {
				if d.Method == compareMethod {
					checkDifference(t, &d, admits[i], admits[j])
					tally[d.Change]++
				}
			}
		}
	}
	t.Logf("%d tables, %d calls: %v", len(tables), len(calls), tally)
}

// compareTables returns tables with every kind of row for the method.
func compareTables() []table {
	tables := []table{{"/a.BC/D": auth0grpc.Public()}, {compareMethod: auth0grpc.Public()}, {compareMethod: auth0grpc.Public().ReportOnly()}}
	for _, rule := range []auth0grpc.Rule{
		auth0grpc.NotDelegated(), auth0grpc.ActedBy("agt_1"), auth0grpc.AnyOf(auth0grpc.NotDelegated(), auth0grpc.Scopes("a")),
		auth0grpc.AllOf(auth0grpc.ActedBy("agt_1", "agt_2"), auth0grpc.Scopes("a")), auth0grpc.AllOf(auth0grpc.NotDelegated(), auth0grpc.ActedBy("agt_1")),
	} {
		tables = append(tables, table{compareMethod: rule}, table{compareMethod: rule.AllowAnonymous()}, table{compareMethod: rule.ReportOnly()})
	}
	for _, rule := range []auth0grpc.Rule{auth0grpc.Optional().AllowAnonymous(), auth0grpc.Scopes("a").AllowAnonymous()} {
		tables = append(tables, table{compareMethod: rule}, table{compareMethod: rule.ReportOnly()})
	}
	for _, rule := range []auth0grpc.Rule{auth0grpc.Optional(), auth0grpc.Authenticated(), auth0grpc.Scopes("a")} {
		for _, rule := range []auth0grpc.Rule{rule, rule.RequireDPoP(), rule.RequireMTLS(), rule.RequireDPoP().RequireMTLS()} {
			tables = append(tables, table{compareMethod: rule}, table{compareMethod: rule.ReportOnly()})
		}
		tables = append(tables, table{"/a.B/*": rule}, table{"/a.B/*": auth0grpc.Public(), compareMethod: rule})
	}
	return tables
}

func compareCalls(tenant *auth0grpctest.Tenant, certificate *x509.Certificate) []compareCall {
	bearer := func(token string) func() metadata.MD {
		return func() metadata.MD { return metadata.Pairs("authorization", "Bearer "+token) }
	}
	calls := []compareCall{
		{"no token", "a call without a token", func() metadata.MD { return nil }},
		{"expired", "a call with an expired token", bearer(tenant.Token(map[string]any{"exp": time.Now().Add(-time.Hour), "iat": time.Now().Add(-2 * time.Hour)}))},
		{"no scheme", "a call with an expired token", func() metadata.MD { return metadata.Pairs("authorization", "token") }},
		{"other audience", "a call with an invalid token", bearer(tenant.Token(map[string]any{"aud": "https://other.example"}))},
		{"other issuer", "a call with an invalid token", bearer(tenant.Token(map[string]any{"iss": "https://other.example/"}))},
		{"other signature", "a call with an invalid token", bearer(tenant.Token(nil) + "AAAA")},
	}
	key := auth0grpctest.NewDPoPKey()
	for _, caller := range validCallers() {
		claims, cnf := map[string]any{}, map[string]any{}
		if len(caller.Scopes) > 0 {
			claims["scope"] = strings.Join(caller.Scopes, " ")
		}
		if caller.DPoP {
			cnf["jkt"] = key.Thumbprint()
		}
		if caller.MTLS {
			cnf["x5t#S256"] = auth0grpctest.CertificateThumbprint(certificate)
		}
		if len(cnf) > 0 {
			claims["cnf"] = cnf
		}
		if caller.Anonymous {
			claims["sub"] = "anon@1"
		}
		if caller.Actor != "" {
			claims["act"] = map[string]any{"sub": strings.ReplaceAll(caller.Actor, policy.OtherActor, "agt_3")}
		}
		token := tenant.Token(claims)
		call := compareCall{caller.String(), caller.String(), bearer(token)}
		if caller.DPoP {
			call.metadata = func() metadata.MD {
				return metadata.Pairs("authorization", "DPoP "+token, "dpop", key.Proof("https://api.example"+compareMethod, token, nil))
			}
		}
		calls = append(calls, call)
	}
	return calls
}

// validCallers returns every combination of properties.
func validCallers() []policy.Caller {
	var callers []policy.Caller
	for i := range 64 {
		caller := policy.Caller{
			Credential: policy.ValidToken, DPoP: i&1 != 0, MTLS: i&2 != 0, Anonymous: i&4 != 0,
			Actor: [...]string{"", "agt_1", "agt_2", policy.OtherActor}[i>>4],
		}
		if i&8 != 0 {
			caller.Scopes = []string{"a"}
		}
		callers = append(callers, caller)
	}
	return callers
}

// admittedCallers makes every call, unary and as a stream, and returns the callers that
// reach the handler.
func admittedCallers(t *testing.T, tenant *auth0grpctest.Tenant, certificate *x509.Certificate, methods table, calls []compareCall) map[string]bool {
	t.Helper()
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, Methods: methods, HTTPClient: tenant.HTTPClient(),
		DPoP: auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{"https://api.example"}},
		MTLS: auth0grpc.MTLSConfig{
			Mode:        auth0grpc.BindingAllowed,
			Certificate: func(context.Context) (*x509.Certificate, error) { return certificate, nil },
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	unary, stream := guard.UnaryServerInterceptor(), guard.StreamServerInterceptor()
	admitted := map[string]bool{}
	for _, call := range calls {
		reached := 0
		_, unaryErr := unary(metadata.NewIncomingContext(t.Context(), call.metadata()), nil, &grpc.UnaryServerInfo{FullMethod: compareMethod},
			func(context.Context, any) (any, error) { reached++; return nil, nil })
		streamErr := stream(nil, contextOnly{ctx: metadata.NewIncomingContext(t.Context(), call.metadata())}, &grpc.StreamServerInfo{FullMethod: compareMethod},
			func(any, grpc.ServerStream) error { reached++; return nil })
		if reached == 1 || (unaryErr == nil) != (reached == 2) || (streamErr == nil) != (reached == 2) {
			t.Errorf("%v, %s: unary %v, stream %v", methods, call.name, unaryErr, streamErr)
		}
		before, known := admitted[call.caller]
		if admitted[call.caller] = reached == 2; known && before != admitted[call.caller] {
			t.Errorf("%v: %s is not decided as other calls of %s", methods, call.name, call.caller)
		}
	}
	return admitted
}

// contextOnly is a stream without messages.
type contextOnly struct {
	grpc.ServerStream
	ctx context.Context
}

func (s contextOnly) Context() context.Context { return s.ctx }

// checkDifference compares a difference with the callers that each table admits.
func checkDifference(t *testing.T, d *policy.Difference, before, after map[string]bool) {
	t.Helper()
	only := func(one, other map[string]bool) map[string]bool {
		callers := map[string]bool{}
		for caller := range one {
			if one[caller] && !other[caller] {
				callers[caller] = true
			}
		}
		return callers
	}
	admitted, refused := only(after, before), only(before, after)
	want := policy.Equal
	switch {
	case len(admitted) > 0 && len(refused) > 0:
		want = policy.Both
	case len(admitted) > 0:
		want = policy.Looser
	case len(refused) > 0:
		want = policy.Tighter
	}
	if d.Change != want {
		t.Errorf("%s, then %s: %s, want %s", d.Old, d.New, d.Change, want)
	}
	for _, shown := range []struct {
		caller *policy.Caller
		among  map[string]bool
	}{{d.Admitted, admitted}, {d.Refused, refused}} {
		if (shown.caller != nil) != (len(shown.among) > 0) || shown.caller != nil && !shown.among[shown.caller.String()] {
			t.Errorf("%s, then %s: shown by %v, want one of %v", d.Old, d.New, shown.caller, shown.among)
		}
	}
}
