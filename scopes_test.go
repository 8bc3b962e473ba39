package auth0grpc

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRuleString(t *testing.T) {
	tests := []struct {
		rule Rule
		want string
	}{
		{Scopes("read:orders"), "read:orders"},
		{Scopes("read:orders", "write:orders"), "read:orders AND write:orders"},
		{AnyScope("read:orders", "admin"), "read:orders OR admin"},
		{Permissions("a", "b"), "permission(a) AND permission(b)"},
		{AnyPermission("a", "b"), "permission(a) OR permission(b)"},
		{Organizations("org_a", "org_b"), "organization(org_a) OR organization(org_b)"},
		{Clients("machine"), "client(machine)"},
		{Authenticated(), "authenticated"},
		{Optional(), "optional"},
		{Public(), "public"},
		{Rule{}, "(no rule)"},
		{AllOf(Scopes("read:orders"), AnyScope("write:orders", "admin")), "read:orders AND (write:orders OR admin)"},
		{AnyOf(Scopes("a", "b"), Scopes("c")), "(a AND b) OR c"},
		{AnyOf(AnyScope("a", "b"), Scopes("c")), "a OR b OR c"},
		{AllOf(AnyOf(Scopes("a", "b"), Clients("x")), Organizations("org_o")), "((a AND b) OR client(x)) AND organization(org_o)"},
		{AllOf(AnyScope("a", "b")), "a OR b"},
		{AllOf(), ""},
		{
			Scopes("a").Streams(EndAfter(time.Minute)).RequireDPoP().RequireMTLS().ReportOnly(),
			"a, " + EndAfter(time.Minute).String() + ", DPoP required, mTLS required, REPORT ONLY",
		},
	}
	for _, test := range tests {
		if got := test.rule.String(); got != test.want {
			t.Errorf("String = %q, want %q", got, test.want)
		}
	}
}

func TestRuleSatisfiedBy(t *testing.T) {
	token := &Token{
		scopes: []string{"read", "write"}, permissions: []string{"p", "q"},
		organizationID: "org_a", clientID: "app",
	}
	nobody := &Token{}
	tests := []struct {
		rule   Rule
		token  *Token
		want   bool
		wanted ruleKind // the first kind that failed
	}{
		{Scopes("read"), token, true, 0},
		{Scopes("read", "write"), token, true, 0},
		{Scopes("read", "admin"), token, false, kindScopes},
		{Scopes("p"), token, false, kindScopes},
		{Scopes("rea"), token, false, kindScopes},
		{Scopes("read write"), token, false, kindScopes},
		{AnyScope("admin", "write"), token, true, 0},
		{AnyScope("admin"), token, false, kindAnyScope},
		{Permissions("p", "q"), token, true, 0},
		{Permissions("read"), token, false, kindPermissions},
		{AnyPermission("x", "q"), token, true, 0},
		{AnyPermission("x"), token, false, kindAnyPermission},
		{Organizations("org_b", "org_a"), token, true, 0},
		{Organizations("org_b"), token, false, kindOrganizations},
		{Organizations(""), nobody, false, kindOrganizations}, // New refuses it; the empty claim matches nothing all the same
		{Clients("app"), token, true, 0},
		{Clients("other"), token, false, kindClients},
		{Clients(""), nobody, false, kindClients},
		{Authenticated(), nobody, true, 0},
		{Optional(), nobody, true, 0},
		{AllOf(Scopes("read"), Permissions("p")), token, true, 0},
		{AllOf(Scopes("read"), Permissions("x"), Clients("other")), token, false, kindPermissions},
		{AnyOf(Scopes("admin"), Permissions("p")), token, true, 0},
		{AnyOf(Permissions("p"), Scopes("admin")), token, true, 0},
		{AnyOf(Permissions("x"), Scopes("admin")), token, false, kindPermissions},
		{AnyOf(AllOf(Scopes("read"), Clients("other")), Organizations("org_b")), token, false, kindClients},
		{AnyOf(), token, false, 0}, // New refuses it
		{Rule{}, token, false, 0},  // and this
		{Public(), token, false, kindPublic},
	}
	for _, test := range tests {
		ok, failed := test.rule.satisfiedBy(test.token)
		if ok != test.want || !ok && failed != test.wanted {
			t.Errorf("(%s).satisfiedBy = %t, %d, want %t, %d", test.rule, ok, failed, test.want, test.wanted)
		}
	}
}

func TestRuleValidate(t *testing.T) {
	const (
		noNames = "at least one name is wanted; use Authenticated to ask for no scope"
		noRules = "AllOf and AnyOf want at least one rule"
		alone   = "Public and Optional stand alone, not inside AllOf or AnyOf"
		noRule  = "no rule is stated; use Scopes, Authenticated or, to let everyone in, Public"
	)
	tests := []struct {
		rule Rule
		want []string
	}{
		{Scopes("read:orders", "a/b", "~"), nil},
		{Authenticated(), nil},
		{Optional(), nil},
		{Public(), nil},
		{AllOf(Scopes("a"), AnyOf(Authenticated(), Clients("b"))), nil},
		{Rule{}, []string{noRule}},
		{Scopes(), []string{noNames}},
		{AnyScope(), []string{noNames}},
		{Permissions(), []string{noNames}},
		{AnyPermission(), []string{noNames}},
		{Organizations(), []string{noNames}},
		{Clients(), []string{noNames}},
		{Scopes(""), []string{"a name is empty"}}, // CVE-2026-23990
		{Scopes("a", "a"), []string{`"a" is named twice`}},
		{Scopes("a b"), []string{`"a b" has characters that no scope can have; give each name as an argument of its own`}},
		{Scopes("a\"b", "ä"), []string{
			`"a\"b" has characters that no scope can have; give each name as an argument of its own`,
			`"ä" has characters that no scope can have; give each name as an argument of its own`,
		}},
		{Scopes("read:*", "a,b"), []string{
			`"read:*" has a wildcard, and names compare whole; list each name`,
			`"a,b" has a comma; give each name as an argument of its own`,
		}},
		{AnyPermission("*"), []string{`"*" has a wildcard, and names compare whole; list each name`}},
		{Clients("a,b"), []string{`"a,b" has a comma; give each name as an argument of its own`}},
		{AllOf(Scopes("org"), Organizations("acme", "org_a")), []string{`"acme" is no organization id; ids begin with org_, and the claim org_id has no names`}},
		{AllOf(), []string{noRules}},
		{AnyOf(), []string{noRules}},
		{AllOf(Public(), Scopes("a")), []string{alone}},
		{AnyOf(Scopes("a"), Optional(), Rule{}), []string{alone, noRule}},
		{AllOf(AnyOf(), Scopes("")), []string{noRules, "a name is empty"}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, test.rule.validate()); diff != "" {
			t.Errorf("faults of %s (-want +got):\n%s", test.rule, diff)
		}
	}
}

// A rule is a value: what it was made from can change.
func TestRuleIsCopied(t *testing.T) {
	names, rules := []string{"a"}, []Rule{Scopes("b")}
	scopes, all := Scopes(names...), AllOf(rules...)
	names[0], rules[0] = "x", Public()
	if scopes.String() != "a" || all.String() != "b" {
		t.Errorf("rules = %s, %s, want a, b", scopes, all)
	}
}

func TestRuleScopes(t *testing.T) {
	rule := AllOf(Scopes("b", "a"), AnyOf(AnyScope("a", "c"), Permissions("p"), Clients("x")))
	if diff := cmp.Diff([]string{"b", "a", "c"}, rule.scopes()); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
}
