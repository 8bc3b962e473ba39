package auth0grpctest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/auth0grpc/auth0grpc"
)

const (
	// maxWays bounds the search for tokens that meet a rule.
	maxWays = 1024
	// maxKinds bounds the kinds of good tokens that are tried on one method.
	maxKinds = 64
)

// The claims that rules are about.
const (
	scopeClaim        = "scope"
	permissionsClaim  = "permissions"
	organizationClaim = "org_id"
	clientClaim       = "azp"
	actorClaim        = "act"
	subjectClaim      = "sub"
)

// Grants that no rule names.
var (
	otherActor       = grant{actorClaim, "auth0grpctest-sweep"}
	anonymousSubject = grant{subjectClaim, "anon@auth0grpctest-sweep"}
)

// A grant is one thing that a token has and a rule asks for.
type grant struct{ claim, name string }

// grants holds the grants of one token.
type grants []grant

// String says it for people.
func (g grants) String() string {
	if len(g) == 0 {
		return "a token without any grant"
	}
	texts := make([]string, len(g))
	for i, item := range g {
		texts[i] = item.claim + " " + item.name
	}
	return "a token of " + strings.Join(texts, ", ")
}

// names returns the names in a claim of the token.
func (g grants) names(claim string) []string {
	var all []string
	for _, item := range g {
		if item.claim == claim {
			all = append(all, item.name)
		}
	}
	return all
}

// singleClaims have one value in a token.
var singleClaims = []string{organizationClaim, clientClaim, actorClaim, subjectClaim}

// each returns tokens of one grant each.
func (g grants) each() []grants {
	tokens := make([]grants, len(g))
	for i := range g {
		tokens[i] = g[i : i+1]
	}
	return tokens
}

// withoutEach returns the grants with each left out in turn.
func (g grants) withoutEach() []grants {
	all := make([]grants, len(g))
	for i := range g {
		all[i] = slices.Concat(g[:i], g[i+1:])
	}
	return all
}

// merge returns both grants together, and reports whether one token can have them: it
// has at most one organization, client and actor.
func (g grants) merge(more grants) (grants, bool) {
	all := slices.Clone(g)
	for _, item := range more {
		if slices.Contains(all, item) {
			continue
		}
		if slices.Contains(singleClaims, item.claim) && len(all.names(item.claim)) > 0 {
			return nil, false
		}
		all = append(all, item)
	}
	return all, true
}

// A sweepRule is a rule as its JSON says it. It is judged here by code of its own,
// so that a sweep does not take its expectations from the interceptor.
type sweepRule struct {
	Scopes         []string        `json:"scopes"`
	AnyScope       []string        `json:"anyScope"`
	Permissions    []string        `json:"permissions"`
	AnyPermission  []string        `json:"anyPermission"`
	Organizations  []string        `json:"organizations"`
	Clients        []string        `json:"clients"`
	ActedBy        []string        `json:"actedBy"`
	NotDelegated   bool            `json:"notDelegated"`
	AllOf          []sweepRule     `json:"allOf"`
	AnyOf          []sweepRule     `json:"anyOf"`
	Authenticated  bool            `json:"authenticated"`
	Optional       bool            `json:"optional"`
	Public         bool            `json:"public"`
	AllowAnonymous bool            `json:"allowAnonymous"`
	ReportOnly     bool            `json:"reportOnly"`
	RequireDPoP    bool            `json:"requireDPoP"`
	RequireMTLS    bool            `json:"requireMTLS"`
	Streams        json.RawMessage `json:"streams"` // does not affect opening
	Same           json.RawMessage `json:"same"`
	Relation       json.RawMessage `json:"relation"`
	HideExistence  bool            `json:"hideExistence"`
}

func ruleOf(rule auth0grpc.Rule) (*sweepRule, error) {
	text, err := rule.MarshalJSON()
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	r := new(sweepRule)
	return r, decoder.Decode(r)
}

// A sweepList is the list of a rule that names something.
type sweepList struct {
	claim string
	names []string
	all   bool // whether a token needs all names, or one of them
}

// list returns the list of the rule, and reports whether the rule has one.
func (r *sweepRule) list() (sweepList, bool) {
	for _, l := range []sweepList{
		{scopeClaim, r.Scopes, true}, {scopeClaim, r.AnyScope, false},
		{permissionsClaim, r.Permissions, true}, {permissionsClaim, r.AnyPermission, false},
		{organizationClaim, r.Organizations, false}, {clientClaim, r.Clients, false},
		{actorClaim, r.ActedBy, false},
	} {
		if l.names != nil {
			return l, true
		}
	}
	return sweepList{}, false
}

// satisfyingGrants returns the smallest grants that meet the rule, at most maxWays.
func (r *sweepRule) satisfyingGrants() []grants {
	var satisfyingGrants []grants
	l, ok := r.list()
	switch {
	case ok && l.all:
		satisfyingGrants = []grants{allNames(l.claim, l.names)}
	case ok:
		satisfyingGrants = eachName(l.claim, l.names)
	case r.AnyOf != nil:
		for i := range r.AnyOf {
			satisfyingGrants = append(satisfyingGrants, r.AnyOf[i].satisfyingGrants()...)
		}
	case r.AllOf != nil:
		satisfyingGrants = []grants{{}}
		for i := range r.AllOf {
			satisfyingGrants = product(satisfyingGrants, r.AllOf[i].satisfyingGrants())
		}
	default:
		satisfyingGrants = []grants{{}}
	}
	return satisfyingGrants[:min(len(satisfyingGrants), maxWays)]
}

// grants returns each grant that the rule names, sorted.
func (r *sweepRule) grants() grants {
	l, _ := r.list()
	found := allNames(l.claim, l.names)
	for _, rules := range [][]sweepRule{r.AllOf, r.AnyOf} {
		for i := range rules {
			found = append(found, rules[i].grants()...)
		}
	}
	return found.sorted()
}

// tableGrants returns each grant that a row names, and each scope as a permission and
// each permission as a scope: a rule may take one for the other.
func tableGrants(rows map[string]auth0grpc.Rule) grants {
	var found grants
	for _, row := range rows {
		rule, err := ruleOf(row)
		if err != nil {
			continue // reported with its method
		}
		for _, g := range rule.grants() {
			switch g.claim {
			case scopeClaim, permissionsClaim:
				found = append(found, grant{scopeClaim, g.name}, grant{permissionsClaim, g.name})
			default:
				found = append(found, g)
			}
		}
	}
	return found.sorted()
}

// sorted returns the grants in order, each once.
func (g grants) sorted() grants {
	slices.SortFunc(g, func(a, b grant) int { return cmp.Or(cmp.Compare(a.claim, b.claim), cmp.Compare(a.name, b.name)) })
	return slices.Compact(g)
}

// tokens divides grants among single tokens. A token has one organization, one
// client and at most maxNames bytes of names: servers refuse large tokens unread.
func (g grants) tokens() []grants {
	const maxNames = 4 << 10
	var parts []grants
	sizes := map[int]int{}
	for _, next := range g {
		fits := func(i int) bool {
			_, ok := parts[i].merge(grants{next})
			return ok && sizes[i]+len(next.name) <= maxNames
		}
		i := 0
		for i < len(parts) && !fits(i) {
			i++
		}
		if i == maxKinds {
			continue
		}
		if i == len(parts) {
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], next)
		sizes[i] += len(next.name)
	}
	return parts
}

func allNames(claim string, names []string) grants {
	return slices.Concat(eachName(claim, names)...)
}

func eachName(claim string, names []string) []grants {
	satisfyingGrants := make([]grants, len(names))
	for i, name := range names {
		satisfyingGrants[i] = grants{{claim, name}}
	}
	return satisfyingGrants
}

// product returns every way together with every other, where a token can have
// both.
func product(satisfyingGrants, additions []grants) []grants {
	var combined []grants
	for _, way := range satisfyingGrants {
		for _, other := range additions {
			if merged, ok := way.merge(other); ok {
				combined = append(combined, merged)
			}
			if len(combined) == maxWays {
				return combined
			}
		}
	}
	return combined
}

// met reports whether a token with the grants meets the rule.
func (r *sweepRule) met(g grants) bool {
	if slices.Contains(g, anonymousSubject) {
		if !r.AllowAnonymous {
			return false
		}
		g = slices.DeleteFunc(slices.Clone(g), func(item grant) bool { return item == anonymousSubject })
	}
	met := func(part sweepRule) bool { return part.met(g) }
	l, ok := r.list()
	contains := func(name string) bool { return slices.Contains(g, grant{l.claim, name}) }
	switch {
	case ok && l.all:
		return all(l.names, contains)
	case ok:
		return slices.ContainsFunc(l.names, contains)
	case r.AnyOf != nil:
		return slices.ContainsFunc(r.AnyOf, met)
	case r.AllOf != nil:
		return all(r.AllOf, met)
	case r.NotDelegated:
		return len(g.names(actorClaim)) == 0
	}
	return r.Authenticated || r.Optional || r.Public
}

// namesNotDelegated reports whether a part of the rule is NotDelegated.
func (r *sweepRule) namesNotDelegated() bool {
	inside := func(part sweepRule) bool { return part.namesNotDelegated() }
	return r.NotDelegated || slices.ContainsFunc(r.AllOf, inside) || slices.ContainsFunc(r.AnyOf, inside)
}

func all[T any](list []T, valid func(T) bool) bool {
	return !slices.ContainsFunc(list, func(item T) bool { return !valid(item) })
}
