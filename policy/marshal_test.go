package policy_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/policy"
	"github.com/auth0grpc/auth0grpc/policy/internal/corpus"
)

func TestMarshalReturnsCanonicalDocumentsAsTheyWere(t *testing.T) {
	canonical := map[string]bool{"no rows": true, "canonical": true}
	for _, document := range corpus.Documents() {
		if !canonical[document.Name] {
			continue
		}
		delete(canonical, document.Name)
		methods, err := policy.Parse([]byte(document.Text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := policy.Marshal(methods)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(document.Text, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", document.Name, diff)
		}
	}
	if len(canonical) > 0 {
		t.Errorf("not in the corpus: %v", canonical)
	}
}

// TestRoundTrip is that Parse returns the table that Marshal was given, for tables
// of all kinds of rules in each other.
func TestRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		methods := map[string]auth0grpc.Rule{}
		for i := range random.IntN(8) {
			rule := randomRule(random, 0)
			rule = randomModifiers(random, rule)
			methods["/a.B/M"+strconv.Itoa(i)] = rule
		}
		document, err := policy.Marshal(methods)
		if err != nil {
			t.Fatal(err)
		}
		got, err := policy.Parse(document)
		if err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		if diff := cmp.Diff(methods, got, rulesEqual); diff != "" {
			t.Errorf("table (-before +after):\n%s\n%s", diff, document)
		}
	}
}

// randomModifiers returns the rule of a row with or without each of them.
func randomModifiers(random *rand.Rand, rule auth0grpc.Rule) auth0grpc.Rule {
	if random.IntN(4) == 0 {
		rule = rule.ReportOnly()
	}
	public := strings.HasPrefix(rule.String(), "public") // which cannot ask for a bound token
	if random.IntN(4) == 0 && !public {
		rule = rule.AllowAnonymous()
	}
	if random.IntN(4) == 0 && !public {
		rule = rule.RequireDPoP()
	}
	if random.IntN(4) == 0 && !public {
		rule = rule.RequireMTLS()
	}
	if unconditional := public || strings.HasPrefix(rule.String(), "optional"); !unconditional {
		rule = randomMessageRules(random, rule)
	}
	streams := []auth0grpc.StreamPolicy{{}, {}, auth0grpc.EndAtExpiry(), auth0grpc.IgnoreExpiry(), auth0grpc.EndAfter(time.Millisecond + time.Duration(random.Int64N(1e15)))}
	return rule.Streams(streams[random.IntN(len(streams))])
}

// randomMessageRules returns the rule with or without requirements on the message.
func randomMessageRules(random *rand.Rand, rule auth0grpc.Rule) auth0grpc.Rule {
	all := []auth0grpc.Claim{auth0grpc.ClaimSubject, auth0grpc.ClaimOrganization, auth0grpc.ClaimClient, auth0grpc.NamedClaim("https://a.example/<&>")}
	count := random.IntN(3)
	for i := range count {
		rule = rule.Same([]string{"org_id", "customer.id"}[i], all[random.IntN(len(all))])
	}
	more := random.IntN(3)
	for i := range more {
		rule = rule.Relation("viewer", []string{"order:{order_id}", "order:a<&>{org_id}/{order.id}"}[i])
	}
	if count+more > 0 && random.IntN(2) == 0 {
		rule = rule.HideExistence()
	}
	return rule
}

// randomRule returns a sound rule.
func randomRule(random *rand.Rand, depth int) auth0grpc.Rule {
	names := []func(...string) auth0grpc.Rule{
		auth0grpc.Scopes, auth0grpc.AnyScope, auth0grpc.Permissions,
		auth0grpc.AnyPermission, auth0grpc.Organizations, auth0grpc.Clients, auth0grpc.ActedBy,
	}
	switch kind := random.IntN(len(names) + 6); {
	case kind < len(names):
		prefix := ""
		if kind == 4 {
			prefix = "org_" // as ids of organizations begin
		}
		return names[kind]([]string{prefix + "read:a", prefix + "b<&>c", prefix + "{$}", prefix + "'"}[:1+random.IntN(4)]...)
	case kind == len(names) && depth == 0:
		return auth0grpc.Public()
	case kind == len(names)+1 && depth == 0:
		return auth0grpc.Optional()
	case kind == len(names)+4:
		return auth0grpc.NotDelegated()
	case kind <= len(names)+2 || depth > 4:
		return auth0grpc.Authenticated()
	case kind == len(names)+3:
		return auth0grpc.AllOf(randomRule(random, depth+1), randomRule(random, depth+1))
	}
	return auth0grpc.AnyOf(randomRule(random, depth+1), randomRule(random, depth+1))
}

func TestMarshalRefusesWhatNewRefuses(t *testing.T) {
	_, err := policy.Marshal(map[string]auth0grpc.Rule{
		"/a.B/C": {},
		"/a.B/D": auth0grpc.Scopes(),
		"/a.B/E": auth0grpc.Public(),
		"a.B.F":  auth0grpc.AllOf(auth0grpc.Public()),
	})
	if diff := cmp.Diff([]string{"0:0: /a.B/C", "0:0: /a.B/D", "0:0: a.B.F", "0:0: a.B.F"}, places(t, err)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// TestMarshalLosesNothing is that no modifier is left out without a word.
func TestMarshalLosesNothing(t *testing.T) {
	for _, rule := range []auth0grpc.Rule{
		read.ReportOnly(), read.RequireDPoP(), read.RequireMTLS(), read.Streams(auth0grpc.IgnoreExpiry()),
		read.Same("org_id", auth0grpc.ClaimOrganization), read.Same("a.b", auth0grpc.NamedClaim("https://a.example/t")).HideExistence(),
		read.Relation("viewer", "order:{id}"), read.Relation("viewer", "order:{id}").Relation("owner", "order:{id}").HideExistence(),
		auth0grpc.Optional().RequireDPoP().RequireMTLS().ReportOnly().Streams(auth0grpc.EndAtExpiry()),
	} {
		document, err := policy.Marshal(table{"/a.B/C": rule})
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		if got, err := policy.Parse(document); err != nil || got["/a.B/C"].String() != rule.String() {
			t.Errorf("%s became %s, %v", rule, got["/a.B/C"], err)
		}
	}
}

// The guard refuses a document that says less than the table. No rule has such a
// document today, so this test calls the guard itself.
func TestMarshalRefusesWhatParseReadsOtherwise(t *testing.T) {
	const document = `{"methods": {"/a.B/C": {"public": true}}}`
	if err := policy.CheckRoundTrip([]byte(document), table{"/a.B/C": auth0grpc.Public()}); err != nil {
		t.Errorf("equal table: %v", err)
	}
	err := policy.CheckRoundTrip([]byte(document), table{"/a.B/C": read, "/a.B/D": auth0grpc.Public()})
	if diff := cmp.Diff([]string{"0:0: /a.B/C", "0:0: /a.B/D"}, places(t, err)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	err = policy.CheckRoundTrip([]byte(`{"methods": []}`), table{})
	if diff := cmp.Diff([]string{"1:13: $.methods"}, places(t, err)); diff != "" {
		t.Errorf("faults of a document that Parse refuses (-want +got):\n%s", diff)
	}
}
