package auth0grpc_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
)

const tenantClaim = "https://example.com/tenant"

// TestSame calls methods of all shapes with one message each.
func TestSame(t *testing.T) {
	tests := []struct {
		name    string
		field   string
		claim   auth0grpc.Claim
		claims  claims
		message string
		refused bool
	}{
		{"equal organization", "org_id", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `org_id: "org_a"`, false},
		{"foreign organization", "org_id", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `org_id: "org_b"`, true},
		{"another case", "org_id", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `org_id: "org_A"`, true},
		{"a prefix", "org_id", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `org_id: "org_"`, true},
		{"a space more", "org_id", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `org_id: "org_a "`, true},
		{"unset", "org_id", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, ``, true},
		{"empty", "org_id", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `org_id: ""`, true},
		{"both empty", "org_id", auth0grpc.ClaimOrganization, claims{"org_id": ""}, `org_id: ""`, true},
		{"no claim", "org_id", auth0grpc.ClaimOrganization, nil, `org_id: "org_a"`, true},
		{"no claim, empty", "org_id", auth0grpc.ClaimOrganization, nil, `org_id: ""`, true},
		{"subject", "customer.id", auth0grpc.ClaimSubject, claims{"sub": "auth0|a"}, `customer {id: "auth0|a"}`, false},
		{"foreign subject", "customer.id", auth0grpc.ClaimSubject, claims{"sub": "auth0|a"}, `customer {id: "auth0|b"}`, true},
		{"unset message", "customer.id", auth0grpc.ClaimSubject, claims{"sub": "auth0|a"}, ``, true},
		{"empty message", "customer.id", auth0grpc.ClaimSubject, claims{"sub": "auth0|a"}, `customer {}`, true},
		{"client", "order_id", auth0grpc.ClaimClient, claims{"azp": "client-a"}, `order_id: "client-a"`, false},
		{"client by client_id", "order_id", auth0grpc.ClaimClient, claims{"azp": nil, "client_id": "client-a"}, `order_id: "client-a"`, false},
		{"foreign client", "order_id", auth0grpc.ClaimClient, claims{"azp": "client-a"}, `order_id: "client-b"`, true},
		{"custom claim", "order_id", auth0grpc.NamedClaim(tenantClaim), claims{tenantClaim: "t1"}, `order_id: "t1"`, false},
		{"custom claim with an escape", "order_id", auth0grpc.NamedClaim(tenantClaim), claims{tenantClaim: "a<b"}, `order_id: "a<b"`, false},
		{"foreign custom claim", "order_id", auth0grpc.NamedClaim(tenantClaim), claims{tenantClaim: "t1"}, `order_id: "t2"`, true},
		{"custom claim is null", "order_id", auth0grpc.NamedClaim(tenantClaim), claims{tenantClaim: []any{nil}}, `order_id: "null"`, true},
		{"custom claim is a list", "order_id", auth0grpc.NamedClaim(tenantClaim), claims{tenantClaim: []string{"t1"}}, `order_id: "t1"`, true},
		{"custom claim is a boolean", "order_id", auth0grpc.NamedClaim(tenantClaim), claims{tenantClaim: true}, `order_id: "true"`, true},
		{"integer", "number", auth0grpc.NamedClaim(tenantClaim), claims{tenantClaim: 42}, `number: 42`, false},
		{"integer as a string", "number", auth0grpc.NamedClaim(tenantClaim), claims{tenantClaim: "42"}, `number: 42`, false},
		{"integer with a zero in front", "number", auth0grpc.NamedClaim(tenantClaim), claims{tenantClaim: "042"}, `number: 42`, true},
		{"fraction", "number", auth0grpc.NamedClaim(tenantClaim), claims{tenantClaim: 42.5}, `number: 42`, true},
		{"negative integer", "number", auth0grpc.NamedClaim(tenantClaim), claims{tenantClaim: -1}, `number: -1`, false},
		{"unset integer", "number", auth0grpc.NamedClaim(tenantClaim), claims{tenantClaim: 0}, ``, true},
		{"unsigned integer", "serial", auth0grpc.NamedClaim(tenantClaim), claims{tenantClaim: int64(4294967295)}, `serial: 4294967295`, false},
		{"unsigned integer is not negative", "serial", auth0grpc.NamedClaim(tenantClaim), claims{tenantClaim: -1}, `serial: 4294967295`, true},
		{"every element", "ids", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `ids: ["org_a", "org_a"]`, false},
		{"one foreign element", "ids", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `ids: ["org_a", "org_b"]`, true},
		{"an empty element", "ids", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `ids: ["org_a", ""]`, true},
		{"no elements", "ids", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, ``, true},
		{"every message", "items.id", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `items: [{id: "org_a"}, {id: "org_a"}]`, false},
		{"one message without the field", "items.id", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `items: [{id: "org_a"}, {}]`, true},
		{"lists in a list", "items.tags", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `items: [{tags: "org_a"}, {tags: ["org_a", "org_a"]}]`, false},
		{"a foreign element in a list in a list", "items.tags", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `items: [{tags: ["org_a", "org_b"]}, {tags: "org_a"}]`, true},
		{"a foreign element in the last list", "items.tags", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `items: [{tags: "org_a"}, {tags: ["org_a", "org_b"]}]`, true},
		{"an empty list in a list", "items.tags", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `items: [{tags: "org_a"}, {}]`, true},
		{"optional", "nickname", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `nickname: "org_a"`, false},
		{"optional and empty", "nickname", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `nickname: ""`, true},
		{"optional and empty, no claim", "nickname", auth0grpc.ClaimOrganization, nil, `nickname: ""`, true},
		{"oneof", "by_name", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `by_name: "org_a"`, false},
		{"another member of the oneof", "by_name", auth0grpc.ClaimOrganization, claims{"org_id": "org_a"}, `chunk: "org_a"`, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, serveOrders(auth0grpc.Scopes("read:orders").Same(test.field, test.claim)))
			token := f.tenant.Token(with(claims{"scope": "read:orders"}, test.claims))
			for _, shape := range orderShapes {
				_, err := f.send(t.Context(), shape, token, order(t, test.message))
				if test.refused {
					f.wantRefused(t, shape, err, auth0grpc.ReasonNotOwner, codes.PermissionDenied)
				} else if n := f.orders.taken(); err != nil || n != 1 {
					t.Errorf("%s: %v, handlers received %d messages; want the call to pass", shape.name, err, n)
				}
			}
		})
	}
}

// wantRefused asserts that a call was refused and that its handler received no message.
func (f *fixture) wantRefused(t *testing.T, shape method, err error, reason auth0grpc.Reason, code codes.Code) {
	t.Helper()
	got, _ := auth0grpc.ReasonFromError(err)
	if got != reason || status.Code(err) != code {
		t.Errorf("%s: %v (%s), want %s, %s", shape.name, err, got, code, reason)
	}
	if n := f.orders.taken(); n != 0 {
		t.Errorf("%s: the handler received %d messages", shape.name, n)
	}
	unary := shape.name == ordersService+"Get"
	if early := auth0grpc.RefusedBeforeHandler(err); early != unary {
		t.Errorf("%s: RefusedBeforeHandler = %t, want %t", shape.name, early, unary)
	}
}

// Nothing of a foreign field is in the status, in the error that an outer interceptor
// sees, in the decision or in the log.
func TestMessageRefusalIsSilent(t *testing.T) {
	const secret = "org_secret-of-another-tenant"
	var log sink
	for _, rule := range []auth0grpc.Rule{
		auth0grpc.Authenticated().Same("org_id", auth0grpc.ClaimOrganization),
		auth0grpc.Authenticated().Relation("viewer", "order:{org_id}"),
		auth0grpc.Authenticated().Same("missing", auth0grpc.ClaimOrganization),
		auth0grpc.Authenticated().Same("org_id", auth0grpc.ClaimOrganization).HideExistence(),
	} {
		f := newFixture(t, serveOrders(rule), func(_ *fixture, c *auth0grpc.Config) {
			c.Logger = log.logger()
			c.RelationChecker = noRelations
		})
		token := f.tenant.Token(claims{"org_id": "org_a"})
		for _, shape := range orderShapes {
			_, err := f.send(t.Context(), shape, token, order(t, `org_id: "`+secret+`"`))
			if err == nil {
				t.Errorf("%s (%s): passed", shape.name, rule)
			}
			if text := fmt.Sprintf("%v %+v", err, status.Convert(err).Details()); strings.Contains(text, "secret") {
				t.Errorf("%s (%s): %s", shape.name, rule, text)
			}
			if text := fmt.Sprintf("%+v", f.decisions.take()); strings.Contains(text, "secret") {
				t.Errorf("%s (%s): %s", shape.name, rule, text)
			}
		}
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("log: %s", log.String())
	}
}

// The decision names the rule that the call does not meet.
func TestDecisionNamesTheRule(t *testing.T) {
	rule := auth0grpc.Scopes("read:orders").
		Same("org_id", auth0grpc.ClaimOrganization).Same("customer.id", auth0grpc.ClaimSubject).
		Relation("viewer", "order:{order_id}").HideExistence()
	f := newFixture(t, serveOrders(rule), func(_ *fixture, c *auth0grpc.Config) { c.RelationChecker = noRelations })
	token := f.tenant.Token(claims{"scope": "read:orders", "org_id": "org_a", "sub": "auth0|a"})
	tests := []struct {
		message, rule string
		reason        auth0grpc.Reason
	}{
		{`order_id: "7" customer {id: "auth0|a"}`, "same(org_id = organization)", auth0grpc.ReasonNotOwner},
		{`order_id: "7" org_id: "org_a"`, "same(customer.id = subject)", auth0grpc.ReasonNotOwner},
		{`order_id: "7" org_id: "org_a" customer {id: "auth0|a"}`, "relation(viewer, order:{order_id})", auth0grpc.ReasonNoRelation},
	}
	for _, test := range tests {
		for _, shape := range orderShapes {
			f.decisions.take()
			_, err := f.send(t.Context(), shape, token, order(t, test.message))
			f.wantRefused(t, shape, err, test.reason, codes.NotFound)
			want := auth0grpc.OutcomeRefused
			if shape.name != ordersService+"Get" {
				want = auth0grpc.OutcomeEnded
			}
			var last auth0grpc.Decision
			for last.Outcome != want && t.Context().Err() == nil { // a client may see the end of a stream first
				if all := f.decisions.take(); len(all) > 0 {
					last = all[len(all)-1]
				}
				runtime.Gosched()
			}
			if last.Rule != test.rule || last.Reason != test.reason || last.Code != codes.NotFound || last.Outcome != want {
				t.Errorf("%s: decision %+v, want the rule %s", shape.name, last, test.rule)
			}
		}
	}
}

func TestMessageRulesOfRows(t *testing.T) {
	config := configFor(newTenant(t))
	same := func(rule auth0grpc.Rule) auth0grpc.Rule { return rule.Same("org_id", auth0grpc.ClaimOrganization) }
	relation := func(name, object string) auth0grpc.Rule { return auth0grpc.Scopes("a").Relation(name, object) }
	for name, test := range map[string]struct {
		rule  auth0grpc.Rule
		fault string // "" for a sound rule
	}{
		"sound":                          {same(auth0grpc.Scopes("a")), ""},
		"sound, two":                     {same(auth0grpc.Scopes("a")).Same("b", auth0grpc.ClaimSubject).HideExistence(), ""},
		"public":                         {same(auth0grpc.Public()), "need a token"},
		"optional":                       {same(auth0grpc.Optional()), "need a token"},
		"part of a rule":                 {auth0grpc.AllOf(same(auth0grpc.Scopes("a"))), "whole rule of a row"},
		"relation in a part":             {auth0grpc.AnyOf(auth0grpc.Scopes("a"), relation("viewer", "order:{order_id}")), "whole rule of a row"},
		"hidden part":                    {auth0grpc.AnyOf(auth0grpc.Scopes("a").HideExistence()), "whole rule of a row"},
		"nothing to hide":                {auth0grpc.Scopes("a").HideExistence(), "has no effect"},
		"twice":                          {same(same(auth0grpc.Scopes("a"))), "twice"},
		"relation twice":                 {relation("viewer", "order:{id}").Relation("viewer", "order:{id}"), "twice"},
		"no field":                       {auth0grpc.Scopes("a").Same("", auth0grpc.ClaimSubject), "is no field"},
		"a field with a space":           {auth0grpc.Scopes("a").Same("org id", auth0grpc.ClaimSubject), "is no field"},
		"a dot at the end":               {auth0grpc.Scopes("a").Same("customer.", auth0grpc.ClaimSubject), "is no field"},
		"no claim":                       {auth0grpc.Scopes("a").Same("org_id", ""), "want a claim"},
		"no name of a claim":             {auth0grpc.Scopes("a").Same("org_id", auth0grpc.NamedClaim("")), "want a claim"},
		"a claim with a space":           {auth0grpc.Scopes("a").Same("org_id", auth0grpc.NamedClaim("a b")), "characters"},
		"a claim that identifies no one": {auth0grpc.Scopes("a").Same("org_id", auth0grpc.NamedClaim("aud")), "identifies no party"},
		"client_id":                      {auth0grpc.Scopes("a").Same("org_id", auth0grpc.NamedClaim("client_id")), "ClaimClient"},
		"sound relation":                 {relation("viewer", "order:{order_id}"), ""},
		"a constant object":              {relation("admin", "system:main"), ""},
		"two fields":                     {relation("viewer", "order:{org_id}/{order_id}"), ""},
		"no relation":                    {relation("", "order:{order_id}"), "is no relation"},
		"a relation with a userset":      {relation("viewer#x", "order:{order_id}"), "is no relation"},
		"a relation with a field":        {relation("viewer{org_id}", "order:{order_id}"), "is no relation"},
		"a relation with a brace":        {relation("viewer}", "order:{order_id}"), "is no relation"},
		"the longest relation":           {relation(strings.Repeat("r", 50), "order:{order_id}"), ""},
		"a long relation":                {relation(strings.Repeat("r", 51), "order:{order_id}"), "is no relation"},
		"no object":                      {relation("viewer", ""), "type is missing"},
		"no type":                        {relation("viewer", "{order_id}"), "type is missing"},
		"a field as the type":            {relation("viewer", "{kind}:{order_id}"), "type is missing"},
		"no colon":                       {relation("viewer", "order{order_id}"), "type is missing"},
		"a type alone":                   {relation("viewer", "order"), "type is missing"},
		"the longest object":             {relation("viewer", "order:"+strings.Repeat("x", 250)), ""},
		"an empty type":                  {relation("viewer", ":{order_id}"), "type is missing"},
		"no id":                          {relation("viewer", "order:"), "id is missing"},
		"an open brace":                  {relation("viewer", "order:{order_id"), "no name of a field"},
		"a closing brace":                {relation("viewer", "order:order_id}"), "not in pairs"},
		"empty braces":                   {relation("viewer", "order:{}"), "no name of a field"},
		"two fields in one":              {relation("viewer", "order:{org_id}{order_id}"), "no text between"},
		"a userset":                      {relation("viewer", "order:{order_id}#owner"), "white space or one of"},
		"a wildcard":                     {relation("viewer", "order:*"), "white space or one of"},
		"a second type":                  {relation("viewer", "order:a:{order_id}"), "white space or one of"},
		"a long object":                  {relation("viewer", "order:"+strings.Repeat("x", 251)), "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			config.Methods = map[string]auth0grpc.Rule{ordersService + "Get": test.rule}
			config.RelationChecker = noRelations
			guard, err := auth0grpc.New(config)
			switch {
			case test.fault == "" && err != nil:
				t.Errorf("New: %v", err)
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("New: %v, want %q", err, test.fault)
			case test.fault == "" && guard.SetMethods(config.Methods) != nil:
				t.Error("SetMethods refuses the table")
			}
			config.RelationChecker = nil
			_, err = auth0grpc.New(config)
			if missing := err != nil && strings.Contains(err.Error(), "needs Config.RelationChecker"); missing != strings.Contains(test.rule.String(), "relation(") {
				t.Errorf("New without a RelationChecker: %v", err)
			}
		})
	}
}

// SetMethods needs the RelationChecker too.
func TestSetMethodsNeedsTheChecker(t *testing.T) {
	config := configFor(newTenant(t))
	config.OnDecision = func(context.Context, auth0grpc.Decision) {}
	guard := mustNew(t, config)
	table := map[string]auth0grpc.Rule{allMethods: auth0grpc.Authenticated().Relation("viewer", "order:{id}")}
	for name, set := range map[string]func(map[string]auth0grpc.Rule) error{"SetMethods": guard.SetMethods, "SetCandidate": guard.SetCandidate} {
		var fault *auth0grpc.ConfigError
		if err := set(table); !errors.As(err, &fault) || !strings.Contains(fault.Reason, "RelationChecker") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckServicesComparesFields(t *testing.T) {
	f := newFixture(t, serveOrders(auth0grpc.Authenticated()), func(_ *fixture, c *auth0grpc.Config) { c.RelationChecker = noRelations })
	for _, test := range []struct {
		rule   auth0grpc.Rule
		faults []string
	}{
		{auth0grpc.Authenticated().Same("org_id", auth0grpc.ClaimOrganization).Relation("viewer", "order:{ids}/{customer.id}"), nil},
		{auth0grpc.Authenticated().Same("orgid", auth0grpc.ClaimOrganization), []string{`orders.v1.OrderRequest has no field orgid; did you mean org_id?`}},
		{auth0grpc.Authenticated().Same("orderId", auth0grpc.ClaimOrganization), []string{`did you mean order_id?`}},
		{auth0grpc.Authenticated().Same("customer", auth0grpc.ClaimOrganization), []string{"type message"}},
		{auth0grpc.Authenticated().Same("customer.name", auth0grpc.ClaimOrganization), []string{"orders.v1.Customer has no field name"}},
		{auth0grpc.Authenticated().Same("org_id.x", auth0grpc.ClaimOrganization), []string{"field org_id of orders.v1.OrderRequest is no message"}},
		{auth0grpc.Authenticated().Same("labels", auth0grpc.ClaimOrganization), []string{"is a map"}},
		{auth0grpc.Authenticated().Same("labels.value", auth0grpc.ClaimOrganization), []string{"is a map"}},
		{auth0grpc.Authenticated().Same("urgent", auth0grpc.ClaimOrganization), []string{"type bool"}},
		{auth0grpc.Authenticated().Same("chunk", auth0grpc.ClaimOrganization), []string{"type bytes"}},
		{auth0grpc.Authenticated().Relation("viewer", "order:{id}"), []string{"has no field id"}},
		{auth0grpc.Authenticated().Relation("viewer", "order:{ids}/{items.id}"), []string{"more than one repeated field"}},
		{auth0grpc.Authenticated().Same("a1", auth0grpc.ClaimSubject).Relation("viewer", "order:{b1}"), []string{"no field a1", "no field b1"}},
	} {
		if err := f.guard.SetMethods(map[string]auth0grpc.Rule{ordersService + "*": test.rule}); err != nil {
			t.Fatalf("%s: %v", test.rule, err)
		}
		err := f.guard.CheckServices(f.server.GetServiceInfo())
		if test.faults == nil && err != nil {
			t.Errorf("%s: %v", test.rule, err)
		}
		for _, fault := range test.faults {
			if err == nil || strings.Count(err.Error(), fault) != len(orderShapes) {
				t.Errorf("%s: %v, want %q for each method", test.rule, err, fault)
			}
		}
		// A call is refused as well, and the log names the row.
		if test.faults != nil {
			_, err := f.send(t.Context(), orderShapes[0], f.tenant.Token(nil), order(t, `org_id: "x"`))
			f.wantRefused(t, orderShapes[0], err, auth0grpc.ReasonRuleMisconfigured, codes.Internal)
		}
	}
}
