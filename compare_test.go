package auth0grpc_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/policy"
)

// The names that the rules of the comparison choose from: 12 in all.
var (
	compareScopes        = []string{"a", "b", "c", "d"}
	comparePermissions   = []string{"a", "p"}
	compareOrganizations = []string{"org_a", "org_b"}
	compareClients       = []string{"a", "m"}
	compareActors        = []string{"a", "agt_x"}
)

// compareTokens returns every token of these names, with an actor that no rule names as
// well, the smallest first.
func compareTokens() []auth0grpc.TokenFacts {
	var tokens []auth0grpc.TokenFacts
	for _, scopes := range subsets(compareScopes) {
		for _, permissions := range subsets(comparePermissions) {
			for _, organization := range append(compareOrganizations, "") {
				for _, client := range append(compareClients, "") {
					for _, actor := range append(compareActors, "", policy.OtherActor) {
						tokens = append(tokens, auth0grpc.TokenFacts{
							Scopes: scopes, Permissions: permissions, Organization: organization, Client: client, Actor: actor,
						})
					}
				}
			}
		}
	}
	slices.SortStableFunc(tokens, func(a, b auth0grpc.TokenFacts) int { return tokenSize(&a) - tokenSize(&b) })
	return tokens
}

// tokenSize returns the number of named properties.
func tokenSize(t *auth0grpc.TokenFacts) int {
	n := len(t.Scopes) + len(t.Permissions)
	for _, name := range []string{t.Organization, t.Client, t.Actor} {
		if name != "" && name != policy.OtherActor {
			n++
		}
	}
	return n
}

func subsets(names []string) [][]string {
	var all [][]string
	for bits := range 1 << len(names) {
		var set []string
		for i, name := range names {
			if bits>>i&1 == 1 {
				set = append(set, name)
			}
		}
		all = append(all, set)
	}
	return all
}

func randomCompareRule(random *rand.Rand, depth int) auth0grpc.Rule {
	some := func(names []string) []string {
		names = slices.Clone(names)
		random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		return names[:1+random.IntN(len(names))]
	}
	if depth < 4 && (depth == 0 || random.IntN(3) == 0) {
		parts := make([]auth0grpc.Rule, 1+random.IntN(3))
		for i := range parts {
			parts[i] = randomCompareRule(random, depth+1)
		}
		if random.IntN(2) == 0 {
			return auth0grpc.AllOf(parts...)
		}
		return auth0grpc.AnyOf(parts...)
	}
	switch random.IntN(16) {
	case 0, 1, 2:
		return auth0grpc.Scopes(some(compareScopes)...)
	case 3, 4, 5:
		return auth0grpc.AnyScope(some(compareScopes)...)
	case 6, 7:
		return auth0grpc.Permissions(some(comparePermissions)...)
	case 8, 9:
		return auth0grpc.AnyPermission(some(comparePermissions)...)
	case 10:
		return auth0grpc.Organizations(some(compareOrganizations)...)
	case 11:
		return auth0grpc.Clients(some(compareClients)...)
	case 12:
		return auth0grpc.ActedBy(some(compareActors)...)
	case 13, 14:
		return auth0grpc.NotDelegated()
	}
	return auth0grpc.Authenticated()
}

// TestCompareEqualsBruteForce compares random pairs of rules, and evaluates them for
// every token. AUTH0GRPC_COMPARE_PAIRS sets the number of pairs, and
// AUTH0GRPC_COMPARE_SEED chooses others.
func TestCompareEqualsBruteForce(t *testing.T) {
	pairs, seed := number(t, "AUTH0GRPC_COMPARE_PAIRS", 1_500), number(t, "AUTH0GRPC_COMPARE_SEED", 1)
	const method = "/a.B/C"
	tokens := compareTokens()
	random := rand.New(rand.NewPCG(uint64(seed), 4))
	tally := map[policy.Change]int{}
	for range pairs {
		before := map[string]auth0grpc.Rule{method: randomCompareRule(random, 0)}
		after := map[string]auth0grpc.Rule{method: changeRule(random, before[method])}
		differences, err := policy.Compare(before, after)
		if err != nil || len(differences) != 1 {
			t.Fatalf("%s, %s: %+v, %v", before, after, differences, err)
		}
		d := &differences[0]
		tally[d.Change]++
		admitted, refused := bruteForce(tokens, auth0grpc.RowCheck(before, method), auth0grpc.RowCheck(after, method))
		want := policy.Equal
		switch {
		case admitted != nil && refused != nil:
			want = policy.Both
		case admitted != nil:
			want = policy.Looser
		case refused != nil:
			want = policy.Tighter
		}
		if d.Change != want || !isShownBy(d.Admitted, admitted, auth0grpc.RowCheck(before, method), auth0grpc.RowCheck(after, method)) ||
			!isShownBy(d.Refused, refused, auth0grpc.RowCheck(after, method), auth0grpc.RowCheck(before, method)) {
			t.Fatalf("%s, then %s: %s, admitted %v, refused %v; want %s, %+v, %+v",
				before[method], after[method], d.Change, d.Admitted, d.Refused, want, admitted, refused)
		}
	}
	t.Logf("%d pairs, %d tokens each: %v", pairs, len(tokens), tally)
	for _, change := range []policy.Change{policy.Equal, policy.Tighter, policy.Looser, policy.Both} {
		if tally[change] < pairs/20 {
			t.Errorf("%s: %d of %d pairs; the rules do not tell much", change, tally[change], pairs)
		}
	}
}

// number returns the number in an environment variable, or the default.
func number(t *testing.T, variable string, standard int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// changeRule returns another rule: most often a new one, else a rule near the old one.
func changeRule(random *rand.Rand, rule auth0grpc.Rule) auth0grpc.Rule {
	other := randomCompareRule(random, 2)
	switch random.IntN(12) {
	case 0:
		return auth0grpc.AnyOf(auth0grpc.AllOf(other, rule), rule) // equal
	case 1:
		return auth0grpc.AllOf(rule, auth0grpc.AnyOf(rule, other)) // equal
	case 2:
		return auth0grpc.AllOf(other, rule)
	case 3:
		return auth0grpc.AnyOf(other, rule)
	}
	return randomCompareRule(random, 0)
}

// bruteForce returns the first token that only one of the tables admits, for each.
func bruteForce(tokens []auth0grpc.TokenFacts, before, after func(*auth0grpc.TokenFacts) bool) (admitted, refused *auth0grpc.TokenFacts) {
	for i := range tokens {
		token := &tokens[i]
		was, is := before(token), after(token)
		if is && !was && admitted == nil {
			admitted = token
		}
		if was && !is && refused == nil {
			refused = token
		}
		if admitted != nil && refused != nil {
			break
		}
	}
	return admitted, refused
}

// isShownBy reports whether the caller is as small as the token of a search through all
// tokens, and the second table alone admits it.
func isShownBy(caller *policy.Caller, want *auth0grpc.TokenFacts, refuses, admits func(*auth0grpc.TokenFacts) bool) bool {
	if caller == nil || want == nil {
		return caller == nil && want == nil
	}
	token := &auth0grpc.TokenFacts{
		Scopes: caller.Scopes, Permissions: caller.Permissions, Organization: caller.Organization, Client: caller.Client, Actor: caller.Actor,
	}
	return caller.Credential == policy.ValidToken && !caller.DPoP && !caller.MTLS && !caller.Anonymous &&
		tokenSize(token) == tokenSize(want) && admits(token) && !refuses(token)
}

// Compare reads each kind of rule. A kind without a row in this test, or one that
// Compare does not know, fails.
func TestCompareCoversEveryKind(t *testing.T) {
	names := map[string]func(...string) auth0grpc.Rule{
		"scopes": auth0grpc.Scopes, "anyScope": auth0grpc.AnyScope, "permissions": auth0grpc.Permissions,
		"anyPermission": auth0grpc.AnyPermission, "organizations": auth0grpc.Organizations, "clients": auth0grpc.Clients, "actedBy": auth0grpc.ActedBy,
	}
	rules := map[string]auth0grpc.Rule{
		"allOf": auth0grpc.AllOf(auth0grpc.Scopes("org_x")), "anyOf": auth0grpc.AnyOf(auth0grpc.Scopes("org_x")),
		"notDelegated": auth0grpc.NotDelegated(), "authenticated": auth0grpc.Authenticated(), "optional": auth0grpc.Optional(), "public": auth0grpc.Public(),
	}
	for _, member := range auth0grpc.RuleMembers() {
		rule, ok := rules[member]
		if newRule := names[member]; newRule != nil {
			rule, ok = newRule("org_x"), true
		}
		if !ok {
			t.Errorf("%s: this test has no rule of the kind; add it, and the kind to package policy", member)
			continue
		}
		table := map[string]auth0grpc.Rule{"/a.B/C": rule}
		fromNothing, err := policy.Compare(nil, table)
		if err != nil || fromNothing[0].Change != policy.Looser || fromNothing[0].Admitted == nil {
			t.Errorf("%s: %+v, %v; want looser than no row", member, fromNothing, err)
		}
		same, err := policy.Compare(table, map[string]auth0grpc.Rule{"/a.B/*": rule, "/a.B/C": auth0grpc.AllOf(auth0grpc.Authenticated())})
		if err != nil || len(same) != 2 {
			t.Errorf("%s: %+v, %v", member, same, err)
		}
	}
}
