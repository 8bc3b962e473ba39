package auth0grpc_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"

	"github.com/auth0grpc/auth0grpc"
)

// The decision of the tap has the facts and the candidate's outcome that the decisions of
// the interceptors have.
func TestTapDecidesForTheCandidate(t *testing.T) {
	f := newFixture(t, transports(), recordDecisions, configured(func(config *auth0grpc.Config) {
		config.RecordFacts = true
	}))
	for name, rule := range map[string]auth0grpc.Rule{"public": auth0grpc.Public(), "optional": auth0grpc.Optional(), "the same": auth0grpc.Scopes("read:orders")} {
		if err := f.guard.SetCandidate(map[string]auth0grpc.Rule{allMethods: rule}); err != nil {
			t.Fatal(err)
		}
		for what, authorization := range map[string][]string{
			"no token": nil, "malformed": bearer("leak"), "expired": bearer(f.token(claims{"iat": 1, "exp": 2})), "audience": bearer(f.token(claims{"aud": "leak"})),
		} {
			md := metadata.MD{"authorization": authorization}
			if _, err := f.guard.TapHandle()(t.Context(), &tap.Info{FullMethodName: unaryCall, Header: md}); err == nil {
				t.Fatalf("%s: passes the tap", what)
			}
			direct(t, t.Context(), f.guard, unaryCall, md)
			decisions := f.decisions.take()
			if len(decisions) != 4 {
				t.Fatalf("%s: %d decisions, want one by the tap and three by the interceptor", what, len(decisions))
			}
			for i := range decisions {
				decisions[i].Duration = 0
				if diff := cmp.Diff(decisions[0], decisions[i]); diff != "" {
					t.Errorf("%s, %s (-tap +interceptor):\n%s", name, what, diff)
				}
			}
			tapped := decisions[0]
			if tapped.Facts == nil || tapped.Facts.Refused != tapped.Reason || tapped.Facts.Refused == "" {
				t.Errorf("%s, %s: facts %+v of %s", name, what, tapped.Facts, tapped.Reason)
			}
			wantAllowed := name == "public" || name == "optional" && what == "no token"
			if allowed := tapped.Candidate.Outcome == auth0grpc.OutcomeAllowed; allowed != wantAllowed {
				t.Errorf("%s, %s: candidate %+v", name, what, tapped.Candidate)
			}
		}
	}
}
