package auth0grpc

import (
	"fmt"
	"slices"
	"strings"

	"github.com/auth0grpc/auth0grpc/internal/grammar"
)

// A Rule states the requirements of a method: one row of [Config.Methods]. Rules are
// values. The functions of this package make them, and [Rule.String] prints them. The
// zero Rule states nothing, and [New] refuses it: no method is open by omission.
type Rule struct {
	kind  ruleKind
	names []string       // scopes, permissions, organizations, clients or actors
	index map[string]int // the first place of each name; nil for few names
	rules []Rule         // of AllOf and AnyOf

	// The other fields belong to the row and not to a part of its rule.
	reportOnly               bool
	allowAnonymous           bool
	streams                  StreamPolicy
	requireDPoP, requireMTLS bool
	same                     []sameRule
	relations                []relationRule
	hideExistence            bool
}

// Scopes requires a token with every one of the scopes. The scope claim lists
// the scopes that were granted to the client, so it decides (RFC 6749, section 3.3).
// Scopes compare whole and case-sensitively. At least one scope must be given.
func Scopes(all ...string) Rule { return newNameRule(kindScopes, all) }

// AnyScope requires a token with at least one of the scopes.
func AnyScope(scopes ...string) Rule { return newNameRule(kindAnyScope, scopes) }

// Permissions requires a token whose permissions claim has every one of the entries.
// Auth0 lists all permissions of the user there, also those that the client did not
// request. A rule of permissions alone lets each client of the user do all that the
// user may do. Combine it with [Scopes] unless all clients are your own. Auth0 adds the
// claim if RBAC and "Add Permissions in the Access Token" are on
// (https://auth0.com/docs/get-started/apis/enable-role-based-access-control-for-apis).
func Permissions(all ...string) Rule { return newNameRule(kindPermissions, all) }

// AnyPermission requires a token whose permissions claim has at least one of the
// entries. The advice of [Permissions] applies.
func AnyPermission(permissions ...string) Rule { return newNameRule(kindAnyPermission, permissions) }

// Organizations requires a token of one of the organizations: its org_id claim must be
// one of ids. An id ("org_…") never changes, unlike the name of an organization.
func Organizations(ids ...string) Rule { return newNameRule(kindOrganizations, ids) }

// Clients requires a token that was issued to one of the applications. The client id is
// the azp claim, or client_id in the profile of RFC 9068.
func Clients(ids ...string) Rule { return newNameRule(kindClients, ids) }

// ActedBy requires a token whose actor is one of subjects: the sub of its act claim (RFC
// 8693, section 4.1). Only the outermost actor counts. Nested ones are earlier parties,
// which the RFC excludes from decisions. A token without act does not satisfy the
// rule. An actor with an iss of its own satisfies it only if that is the issuer of the
// token: a sub has no meaning outside its issuer.
//
// Auth0 names the client of an on-behalf-of exchange, an agent ("agt_…"), or the
// subject that an Action passed to setActor. [New] refuses subjects with spaces, quotes,
// "*" or ",".
func ActedBy(subjects ...string) Rule { return newNameRule(kindActedBy, subjects) }

// NotDelegated requires a token without an act claim (RFC 8693, section 4.1). It proves
// that the issuer named no actor. It does not prove that the subject acts in person: a
// user who shares a token, or an application that the issuer does not know as an agent,
// leaves no trace.
func NotDelegated() Rule { return Rule{kind: kindNotDelegated} }

// AllOf requires every one of the rules. [New] refuses [Public] and [Optional] inside it.
func AllOf(rules ...Rule) Rule { return Rule{kind: kindAllOf, rules: slices.Clone(rules)} }

// AnyOf requires at least one of the rules. [New] refuses [Public] and [Optional] inside
// it.
func AnyOf(rules ...Rule) Rule { return Rule{kind: kindAnyOf, rules: slices.Clone(rules)} }

// Authenticated requires a valid token for this API and no scope.
func Authenticated() Rule { return Rule{kind: kindAuthenticated} }

// Optional lets a call without a token pass. It verifies a token if there is one, and an
// invalid token is refused. The handler tells the two apart by [TokenFromContext].
func Optional() Rule { return Rule{kind: kindOptional} }

// Public lets every call pass. It does not verify a token, and the handler does not see
// one.
func Public() Rule { return Rule{kind: kindPublic} }

// ReportOnly returns the rule without enforcement: a call that the rule refuses is
// reported and passes, see [Config.ReportOnly]. It applies to the whole rule of a row,
// not to a part of one.
func (r Rule) ReportOnly() Rule {
	r.reportOnly = true
	return r
}

// Streams returns the rule with its own policy for open streams whose token expires, in
// place of [Config.StreamPolicy]. It applies to the whole rule of a row.
func (r Rule) Streams(policy StreamPolicy) Rule {
	r.streams = policy
	return r
}

// AllowAnonymous returns the rule for tokens of anonymous sessions too. Without it every
// rule except [Public] refuses them with [ReasonAnonymousSubject]: Auth0 issues such a
// token to anybody, without a login, and only its subject ("anon@…") tells. The token
// must still satisfy the rule. [Token.IsAnonymous] distinguishes the callers. It applies
// to the whole rule of a row.
func (r Rule) AllowAnonymous() Rule {
	r.allowAnonymous = true
	return r
}

// RequireDPoP returns the rule for tokens bound by DPoP alone. It also applies if
// [DPoPConfig] only allows such tokens. It applies to the whole rule of a row.
func (r Rule) RequireDPoP() Rule {
	r.requireDPoP = true
	return r
}

// RequireMTLS returns the rule for tokens bound to a client certificate alone. It also
// applies if [MTLSConfig] only allows such tokens. It applies to the whole rule of a row.
func (r Rule) RequireMTLS() Rule {
	r.requireMTLS = true
	return r
}

// minIndexed is the number of names from which a rule has an index. With fewer names, a
// comparison with each is as fast.
const minIndexed = 9

func newNameRule(kind ruleKind, names []string) Rule {
	r := Rule{kind: kind, names: slices.Clone(names)}
	if len(names) < minIndexed {
		return r
	}
	r.index = make(map[string]int, len(names))
	for i, name := range r.names {
		if _, ok := r.index[name]; !ok {
			r.index[name] = i
		}
	}
	return r
}

// place returns the first place of a name in r.names, or -1.
func (r *Rule) place(name string) int {
	if r.index == nil {
		return slices.Index(r.names, name)
	}
	if i, ok := r.index[name]; ok {
		return i
	}
	return -1
}

// satisfiedBy reports whether the token satisfies the rule, and if not, the kind of the
// first rule that it does not satisfy. It allocates nothing.
func (r *Rule) satisfiedBy(t *Token) (ok bool, failed ruleKind) {
	switch r.kind {
	case kindAuthenticated, kindOptional:
		return true, 0
	case kindNotDelegated:
		return t.Actor() == "", r.kind
	case kindAllOf:
		for i := range r.rules {
			if ok, failed := r.rules[i].satisfiedBy(t); !ok {
				return false, failed
			}
		}
		return len(r.rules) > 0, 0
	case kindAnyOf:
		for i := len(r.rules) - 1; i >= 0; i-- { // backwards, so that the first alternative gives the reason
			if ok, failed = r.rules[i].satisfiedBy(t); ok {
				return true, 0
			}
		}
		return false, failed
	}
	kind := &ruleKinds[r.kind]
	list, value := t.values(kind.claim)
	switch {
	case value != "":
		ok = r.place(value) >= 0
	case kind.operator == operatorAnd:
		ok = r.allIn(list)
	default:
		ok = r.anyIn(list)
	}
	return ok, r.kind
}

// anyIn reports whether the list contains one of the names.
func (r *Rule) anyIn(list []string) bool {
	return slices.ContainsFunc(list, func(value string) bool { return r.place(value) >= 0 })
}

// allIn reports whether the list contains every one of the names.
func (r *Rule) allIn(list []string) bool {
	if r.index == nil {
		for _, name := range r.names {
			if !slices.Contains(list, name) {
				return false
			}
		}
		return len(r.names) > 0
	}
	if len(list) < len(r.index) {
		return false
	}
	// Each pass marks the names at some of the places. One pass suffices for most rules.
	const places = 1024
	for first := 0; first < len(r.names); first += places {
		missing := min(places, len(r.names)-first)
		var marked [places / 64]uint64
		for _, value := range list {
			i := r.place(value) - first
			if i < 0 || i >= places {
				continue
			}
			if bit := uint64(1) << (i % 64); marked[i/64]&bit == 0 {
				marked[i/64] |= bit
				missing--
			}
		}
		if missing > 0 {
			return false
		}
	}
	return true
}

// walk calls visit for the rule and every rule inside it.
func (r *Rule) walk(visit func(*Rule)) {
	visit(r)
	for i := range r.rules {
		r.rules[i].walk(visit)
	}
}

// scopes returns the scopes that the rule names, in its own order, each once.
func (r *Rule) scopes() []string {
	if ruleKinds[r.kind].claim == claimScope { // New refuses repeated names
		return r.names
	}
	var scopes []string
	seen := map[string]bool{}
	r.walk(func(rule *Rule) {
		if ruleKinds[rule.kind].claim != claimScope {
			return
		}
		for _, scope := range rule.names {
			if !seen[scope] {
				seen[scope] = true
				scopes = append(scopes, scope)
			}
		}
	})
	return scopes
}

// validate explains each fault of the rule, in words that follow a colon.
func (r *Rule) validate() []string {
	var reasons []string
	r.walk(func(rule *Rule) {
		if rule != r && rule.modifiers() != "" {
			reasons = append(reasons, "AllowAnonymous, ReportOnly, Streams, RequireDPoP, RequireMTLS, Same, Relation and HideExistence are for the whole rule of a row, not for a part of it")
		}
		if reason := rule.streams.explain(); reason != "" {
			reasons = append(reasons, "Streams: "+reason)
		}
		reasons = append(reasons, rule.validateMessageRules()...)
		switch rule.kind {
		case kindAllOf, kindAnyOf:
			if len(rule.rules) == 0 {
				reasons = append(reasons, "AllOf and AnyOf want at least one rule")
			}
		case kindPublic, kindOptional:
			if rule.kind == kindPublic && (r.requireDPoP || r.requireMTLS) {
				reasons = append(reasons, "Public looks at no token, so it cannot require one that is bound")
			}
			if rule.kind == kindPublic && r.allowAnonymous {
				reasons = append(reasons, "Public looks at no token, so AllowAnonymous has no effect")
			}
			if rule != r {
				reasons = append(reasons, "Public and Optional stand alone, not inside AllOf or AnyOf")
			}
		case kindAuthenticated, kindNotDelegated:
		case 0:
			reasons = append(reasons, "no rule is stated; use Scopes, Authenticated or, to let everyone in, Public")
		default:
			reasons = append(reasons, rule.validateNames()...)
		}
	})
	return reasons
}

// validateNames applies the grammar of RFC 6749, section 3.3, to every kind of name. A
// name that it excludes (spaces, quotes, controls) could match nothing. A name with "*"
// or "," is rejected too: it is meant as a wildcard or a list, and rules have neither.
func (r *Rule) validateNames() []string {
	if len(r.names) == 0 {
		return []string{"at least one name is wanted; use Authenticated to ask for no scope"}
	}
	var reasons []string
	for i, name := range r.names {
		switch {
		case name == "":
			reasons = append(reasons, "a name is empty")
		case !grammar.IsScope(name):
			reasons = append(reasons, fmt.Sprintf("%q has characters that no scope can have; give each name as an argument of its own", name))
		case strings.Contains(name, "*"):
			reasons = append(reasons, fmt.Sprintf("%q has a wildcard, and names compare whole; list each name", name))
		case strings.Contains(name, ","):
			reasons = append(reasons, fmt.Sprintf("%q has a comma; give each name as an argument of its own", name))
		case r.kind == kindOrganizations && !strings.HasPrefix(name, "org_"):
			reasons = append(reasons, fmt.Sprintf("%q is no organization id; ids begin with org_, and the claim org_id has no names", name))
		case r.place(name) != i:
			reasons = append(reasons, fmt.Sprintf("%q is named twice", name))
		}
	}
	return reasons
}
