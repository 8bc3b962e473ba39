package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/policy"
)

// Compare reports a lost rule about the message as looser.
func TestCompareMessageRules(t *testing.T) {
	same := read.Same("org_id", auth0grpc.ClaimOrganization)
	custom := read.Same("org_id", auth0grpc.NamedClaim("https://a.example/t"))
	relation := read.Relation("viewer", "order:{id}")
	for _, test := range []struct {
		name         string
		old, updated auth0grpc.Rule
		want         policy.Change
		admitted     []string // the rules that the admitted request meets
	}{
		{"lost", same, read, policy.Looser, nil},
		{"added", read, same, policy.Tighter, nil},
		{"one of two lost", same.Relation("viewer", "order:{id}"), same, policy.Looser, []string{"same(org_id, ORGANIZATION)"}},
		{"another claim", same, custom, policy.Both, []string{"same(org_id, https://a.example/t)"}},
		{"another object", relation, read.Relation("viewer", "order:{other}"), policy.Both, []string{"relation(viewer, order:{other})"}},
		{"another order", same.Relation("viewer", "order:{id}").Same("a", auth0grpc.ClaimSubject), read.Same("a", auth0grpc.ClaimSubject).Relation("viewer", "order:{id}").Same("org_id", auth0grpc.ClaimOrganization), policy.Equal, nil},
		{"existence hidden", same, same.HideExistence(), policy.Equal, nil},
		{"report only", same, same.ReportOnly(), policy.Looser, nil},
		{"another scope and a rule", same, auth0grpc.Scopes("write:a").Same("org_id", auth0grpc.ClaimOrganization), policy.Both, []string{"same(org_id, ORGANIZATION)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			differences, err := policy.Compare(table{"/a.B/C": test.old}, table{"/a.B/C": test.updated})
			if err != nil {
				t.Fatal(err)
			}
			d := differences[0]
			if d.Change != test.want {
				t.Fatalf("%s, want %s: %s", d.Change, test.want, d.Sentence)
			}
			if d.Admitted != nil {
				if diff := cmp.Diff(test.admitted, d.Admitted.Message); diff != "" {
					t.Errorf("admitted (-want +got):\n%s\n%s", diff, d.Sentence)
				}
			}
		})
	}
}
