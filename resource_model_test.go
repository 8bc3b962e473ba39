package auth0grpc_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/auth0grpc/auth0grpc"
)

// TestMessageRulesModel compares random tuples, tokens and calls with an oracle that reads
// the texts of the case, for all shapes of methods.
func TestMessageRulesModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 7))
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	calls, passed := 0, 0
	for range 10 {
		checker := tuplesOf()
		for _, subject := range []string{"auth0|a", "auth0|b"} {
			for _, id := range []string{"1", "2", "3"} {
				if random.IntN(4) > 0 {
					checker.tuples[subject+" viewer order:"+id] = true
				}
			}
		}
		withSame, withRelation := random.IntN(4) > 0, random.IntN(4) > 0
		rule := auth0grpc.Scopes("read:orders")
		if withSame {
			rule = rule.Same("org_id", auth0grpc.ClaimOrganization)
		}
		if withRelation {
			rule = rule.Relation("viewer", "order:{order_id}")
		}
		f := newFixture(t, serveOrders(rule), func(_ *fixture, c *auth0grpc.Config) { c.RelationChecker = checker })
		for range 40 {
			subject, organization, scope := pick("auth0|a", "auth0|b"), pick("", "org_a", "org_a", "org_a", "org_b"), pick("read:orders", "read:orders", "read:orders", "write:orders")
			more := claims{"sub": subject, "scope": scope}
			if organization != "" {
				more["org_id"] = organization
			}
			shape := orderShapes[random.IntN(len(orderShapes))]
			count := 1
			if shape.desc.ClientStreams {
				count = random.IntN(4)
			}
			var messages []proto.Message
			want, received := scope == "read:orders", 0
			for i := range count {
				org, id := pick("", "org_a", "org_a", "org_a", "org_a", "org_b"), pick("", "1", "1", "2", "2", "3", "3", "2#x")
				messages = append(messages, order(t, fmt.Sprintf("org_id: %q order_id: %q", org, id)))
				if !want {
					continue
				}
				if withSame && (org != "" || i == 0) && (org == "" || org != organization) {
					want = false
				}
				if withRelation && (id != "" || i == 0) && !checker.tuples[subject+" viewer order:"+id] {
					want = false
				}
				if want {
					received++
				}
			}
			if count == 0 && (withSame || withRelation) {
				want = false
			}
			_, err := f.send(t.Context(), shape, f.tenant.Token(more), messages...)
			if got := f.orders.taken(); (err == nil) != want || got != received {
				t.Errorf("%s by %v, %s: %v with %d messages, want %t with %d: %v", shape.name, more, rule, err, got, want, received, messages)
			}
			calls++
			if want {
				passed++
			}
		}
	}
	t.Logf("%d calls, %d passed", calls, passed)
	if passed < calls/20 || passed > calls*19/20 {
		t.Error("the calls do not tell the rules apart")
	}
}
