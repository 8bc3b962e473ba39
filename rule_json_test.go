package auth0grpc_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

func TestRuleMarshalJSON(t *testing.T) {
	orders := auth0grpc.Scopes("read:orders")
	for _, test := range []struct {
		name string
		rule auth0grpc.Rule
		want string
	}{
		{"scopes", auth0grpc.Scopes("read:orders", "write:orders"), `{"scopes":["read:orders","write:orders"]}`},
		{"any scope", auth0grpc.AnyScope("a", "b"), `{"anyScope":["a","b"]}`},
		{"permissions", auth0grpc.Permissions("a"), `{"permissions":["a"]}`},
		{"any permission", auth0grpc.AnyPermission("a", "b"), `{"anyPermission":["a","b"]}`},
		{"organizations", auth0grpc.Organizations("org_a"), `{"organizations":["org_a"]}`},
		{"clients", auth0grpc.Clients("machine"), `{"clients":["machine"]}`},
		{"acted by", auth0grpc.ActedBy("agt_1", "app"), `{"actedBy":["agt_1","app"]}`},
		{"not delegated", auth0grpc.NotDelegated(), `{"notDelegated":true}`},
		{"anonymous", orders.AllowAnonymous(), `{"scopes":["read:orders"],"allowAnonymous":true}`},
		{"authenticated", auth0grpc.Authenticated(), `{"authenticated":true}`},
		{"optional", auth0grpc.Optional(), `{"optional":true}`},
		{"public", auth0grpc.Public(), `{"public":true}`},
		{
			"nested", auth0grpc.AllOf(orders, auth0grpc.AnyOf(auth0grpc.Clients("c"), auth0grpc.Authenticated())),
			`{"allOf":[{"scopes":["read:orders"]},{"anyOf":[{"clients":["c"]},{"authenticated":true}]}]}`,
		},
		{"report only", orders.ReportOnly(), `{"scopes":["read:orders"],"reportOnly":true}`},
		{"DPoP required", orders.RequireDPoP(), `{"scopes":["read:orders"],"requireDPoP":true}`},
		{"mTLS required", orders.RequireMTLS().ReportOnly(), `{"scopes":["read:orders"],"reportOnly":true,"requireMTLS":true}`},
		{"streams end at expiry", orders.Streams(auth0grpc.EndAtExpiry()), `{"scopes":["read:orders"],"streams":"endAtExpiry"}`},
		{"streams run on", orders.Streams(auth0grpc.IgnoreExpiry()), `{"scopes":["read:orders"],"streams":"ignoreExpiry"}`},
		{"same", orders.Same("org_id", auth0grpc.ClaimOrganization), `{"scopes":["read:orders"],"same":{"field":"org_id","claim":"ORGANIZATION"}}`},
		{
			"same, relation", orders.Same("a", auth0grpc.ClaimSubject).Same("b.c", auth0grpc.NamedClaim("https://example.com/tenant")).Same("d", auth0grpc.ClaimClient).
				Relation("viewer", "order:{order_id}").HideExistence(),
			`{"scopes":["read:orders"],"same":[{"field":"a","claim":"SUBJECT"},{"field":"b.c","namedClaim":"https://example.com/tenant"},{"field":"d","claim":"CLIENT"}],` +
				`"relation":{"relation":"viewer","object":"order:{order_id}"},"hideExistence":true}`,
		},
		{
			"streams end later", orders.Streams(auth0grpc.EndAfter(5 * time.Minute)).ReportOnly(),
			`{"scopes":["read:orders"],"streams":{"endAfter":"5m0s"},"reportOnly":true}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := json.Marshal(test.rule)
			if err != nil || string(got) != test.want {
				t.Errorf("%s, %v; want %s", got, err, test.want)
			}
		})
	}
}

// A rule that New would refuse has no JSON form.
func TestRuleMarshalJSONOfFaults(t *testing.T) {
	for name, rule := range map[string]auth0grpc.Rule{
		"zero":            {},
		"no names":        auth0grpc.Scopes(),
		"empty name":      auth0grpc.Scopes(""),
		"empty all":       auth0grpc.AllOf(),
		"public inside":   auth0grpc.AnyOf(auth0grpc.Public()),
		"modifier inside": auth0grpc.AllOf(auth0grpc.Authenticated().ReportOnly()),
		"no grace":        auth0grpc.Authenticated().Streams(auth0grpc.EndAfter(0)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(rule)
			if err == nil || !strings.Contains(err.Error(), "auth0grpc: rule: ") {
				t.Errorf("%s, %v; want an error that says what is wrong with the rule", got, err)
			}
		})
	}
}
