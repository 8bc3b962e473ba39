package auth0grpc

import (
	"fmt"
	"slices"
	"strings"
)

// A Rule is what a method asks of a call: one row of Config.Methods. Rules are
// values; they are made by the functions of this package and printed by String.
// The zero Rule asks for nothing in particular and is refused by New: what a
// method asks for is never left unstated.
type Rule struct {
	kind  ruleKind
	names []string // scopes, permissions, organizations or clients
	rules []Rule   // of AllOf and AnyOf

	// What follows belongs to the row and not to a part of its rule.
	reportOnly               bool
	streams                  StreamPolicy
	requireDPoP, requireMTLS bool
}

type ruleKind int

const (
	kindScopes ruleKind = iota + 1
	kindAnyScope
	kindPermissions
	kindAnyPermission
	kindOrganizations
	kindClients
	kindAllOf
	kindAnyOf
	kindAuthenticated
	kindOptional
	kindPublic
)

// Scopes asks for a token that was granted every one of the scopes. The scope
// claim is what the client was granted on the user's behalf, so it is what
// decides (RFC 6749, section 3.3). Scopes compare whole and case-sensitively.
// At least one scope must be given.
func Scopes(all ...string) Rule { return named(kindScopes, all) }

// AnyScope asks for a token that was granted at least one of the scopes.
func AnyScope(any ...string) Rule { return named(kindAnyScope, any) }

// Permissions asks for a token whose permissions claim has every one of the
// entries. Auth0 puts all that the user holds there, also what the client never
// asked for, so a rule that names permissions alone lets any client of the user
// do all that the user may do. Combine it with Scopes unless every client is
// your own. Auth0 adds the claim where RBAC and "Add Permissions in the Access
// Token" are on
// (https://auth0.com/docs/get-started/apis/enable-role-based-access-control-for-apis).
func Permissions(all ...string) Rule { return named(kindPermissions, all) }

// AnyPermission asks for a token whose permissions claim has at least one of the
// entries; what is said of Permissions applies.
func AnyPermission(any ...string) Rule { return named(kindAnyPermission, any) }

// Organizations asks for a token of one of the organizations: its org_id claim
// ("org_…", which unlike the name never changes) must be one of these.
func Organizations(any ...string) Rule { return named(kindOrganizations, any) }

// Clients asks for a token that was issued to one of the applications, by client
// id: the azp claim, or client_id in the RFC 9068 profile.
func Clients(any ...string) Rule { return named(kindClients, any) }

// AllOf asks for every one of the rules. Public and Optional stand alone and are
// refused inside it.
func AllOf(rules ...Rule) Rule { return Rule{kind: kindAllOf, rules: slices.Clone(rules)} }

// AnyOf asks for at least one of the rules. Public and Optional stand alone and
// are refused inside it.
func AnyOf(rules ...Rule) Rule { return Rule{kind: kindAnyOf, rules: slices.Clone(rules)} }

// Authenticated asks for a genuine token for this API and for no scope.
func Authenticated() Rule { return Rule{kind: kindAuthenticated} }

// Optional lets a call without a token pass, and verifies a token that is there:
// a bad one is refused. The handler tells by TokenFromContext.
func Optional() Rule { return Rule{kind: kindOptional} }

// Public lets every call pass. A token that is there is not looked at, and the
// handler does not see it.
func Public() Rule { return Rule{kind: kindPublic} }

// ReportOnly returns the rule as one that is watched and not enforced: a call
// that it would have refused is let through and reported, see Config.ReportOnly.
// It is for the whole rule of a row, not for a part of one.
func (r Rule) ReportOnly() Rule {
	r.reportOnly = true
	return r
}

// Streams returns the rule with a policy of its own for open streams whose token
// expires, in place of Config.StreamPolicy. It is for the whole rule of a row.
func (r Rule) Streams(policy StreamPolicy) Rule {
	r.streams = policy
	return r
}

// RequireDPoP returns the rule as one that only tokens bound by DPoP meet, also
// where Config.DPoP merely allows it. It is for the whole rule of a row.
func (r Rule) RequireDPoP() Rule {
	r.requireDPoP = true
	return r
}

// RequireMTLS returns the rule as one that only tokens bound to a client
// certificate meet, also where Config.MTLS merely allows it. It is for the whole
// rule of a row.
func (r Rule) RequireMTLS() Rule {
	r.requireMTLS = true
	return r
}

func named(kind ruleKind, names []string) Rule {
	return Rule{kind: kind, names: slices.Clone(names)}
}

// met reports whether the token meets the rule, and if not which kind of rule
// it fell short of first.
func (r *Rule) met(t *Token) (ok bool, short ruleKind) {
	switch r.kind {
	case kindAuthenticated, kindOptional:
		return true, 0
	case kindScopes:
		ok = containsAll(t.scopes, r.names)
	case kindAnyScope:
		ok = containsAny(t.scopes, r.names)
	case kindPermissions:
		ok = containsAll(t.permissions, r.names)
	case kindAnyPermission:
		ok = containsAny(t.permissions, r.names)
	case kindOrganizations:
		ok = t.organizationID != "" && slices.Contains(r.names, t.organizationID)
	case kindClients:
		ok = t.clientID != "" && slices.Contains(r.names, t.clientID)
	case kindAllOf:
		for i := range r.rules {
			if ok, short := r.rules[i].met(t); !ok {
				return false, short
			}
		}
		return true, 0
	case kindAnyOf:
		for i := len(r.rules) - 1; i >= 0; i-- { // backwards, so that the first alternative gives the reason
			if ok, short = r.rules[i].met(t); ok {
				return true, 0
			}
		}
		return false, short
	}
	return ok, r.kind
}

func containsAll(have, want []string) bool {
	for _, name := range want {
		if !slices.Contains(have, name) {
			return false
		}
	}
	return true
}

func containsAny(have, want []string) bool {
	for _, name := range want {
		if slices.Contains(have, name) {
			return true
		}
	}
	return false
}

// String returns the rule on one line, as in "read:orders AND (write:orders OR
// admin)". Scopes stand as they are; what is not a scope says what it is, as in
// "permission(write:orders)". The text is for people: it is not parsed back.
func (r Rule) String() string {
	return r.expression() + r.modifiers()
}

// modifiers returns what belongs to the row, each after a comma.
func (r *Rule) modifiers() string {
	var all string
	if r.streams.kind != 0 {
		all += ", " + r.streams.String()
	}
	if r.requireDPoP {
		all += ", DPoP required"
	}
	if r.requireMTLS {
		all += ", mTLS required"
	}
	if r.reportOnly {
		all += ", REPORT ONLY"
	}
	return all
}

func (r *Rule) expression() string {
	switch r.kind {
	case kindScopes:
		return strings.Join(r.names, " AND ")
	case kindAnyScope:
		return strings.Join(r.names, " OR ")
	case kindPermissions:
		return joinNamed("permission", r.names, " AND ")
	case kindAnyPermission:
		return joinNamed("permission", r.names, " OR ")
	case kindOrganizations:
		return joinNamed("organization", r.names, " OR ")
	case kindClients:
		return joinNamed("client", r.names, " OR ")
	case kindAllOf:
		return joinRules(r.rules, " AND ")
	case kindAnyOf:
		return joinRules(r.rules, " OR ")
	case kindAuthenticated:
		return "authenticated"
	case kindOptional:
		return "optional"
	case kindPublic:
		return "public"
	}
	return "(no rule)"
}

func joinNamed(what string, names []string, operator string) string {
	marked := make([]string, len(names))
	for i, name := range names {
		marked[i] = what + "(" + name + ")"
	}
	return strings.Join(marked, operator)
}

// joinRules puts brackets around each rule that uses the other operator.
func joinRules(rules []Rule, operator string) string {
	texts := make([]string, len(rules))
	for i, rule := range rules {
		texts[i] = rule.expression()
		other := " AND "
		if operator == other {
			other = " OR "
		}
		if len(rules) > 1 && strings.Contains(texts[i], other) {
			texts[i] = "(" + texts[i] + ")"
		}
	}
	return strings.Join(texts, operator)
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
	var all []string
	r.walk(func(rule *Rule) {
		if rule.kind != kindScopes && rule.kind != kindAnyScope {
			return
		}
		for _, scope := range rule.names {
			if !slices.Contains(all, scope) {
				all = append(all, scope)
			}
		}
	})
	return all
}

// faults returns what is wrong with the rule, in words that follow a colon.
func (r *Rule) faults() []string {
	var all []string
	r.walk(func(rule *Rule) {
		if rule != r && rule.modifiers() != "" {
			all = append(all, "ReportOnly, Streams, RequireDPoP and RequireMTLS are for the whole rule of a row, not for a part of it")
		}
		if fault := rule.streams.fault(); fault != "" {
			all = append(all, "Streams: "+fault)
		}
		switch rule.kind {
		case kindScopes, kindAnyScope, kindPermissions, kindAnyPermission, kindOrganizations, kindClients:
			all = append(all, faultsOfNames(rule.names)...)
		case kindAllOf, kindAnyOf:
			if len(rule.rules) == 0 {
				all = append(all, "AllOf and AnyOf want at least one rule")
			}
		case kindPublic, kindOptional:
			if rule.kind == kindPublic && (r.requireDPoP || r.requireMTLS) {
				all = append(all, "Public looks at no token, so it cannot require one that is bound")
			}
			if rule != r {
				all = append(all, "Public and Optional stand alone, not inside AllOf or AnyOf")
			}
		case kindAuthenticated:
		default:
			all = append(all, "no rule is stated; use Scopes, Authenticated or, to let everyone in, Public")
		}
	})
	return all
}

// faultsOfNames applies the grammar of RFC 6749, section 3.3, to every kind of
// name: what it leaves out (spaces, quotes, controls) would match nothing.
func faultsOfNames(names []string) []string {
	if len(names) == 0 {
		return []string{"at least one name is wanted; use Authenticated to ask for no scope"}
	}
	var all []string
	for i, name := range names {
		switch {
		case name == "":
			all = append(all, "a name is empty")
		case strings.ContainsFunc(name, notNameRune):
			all = append(all, fmt.Sprintf("%q has characters that no scope can have; give each name as an argument of its own", name))
		case slices.Contains(names[:i], name):
			all = append(all, fmt.Sprintf("%q is named twice", name))
		}
	}
	return all
}

func notNameRune(r rune) bool {
	return r <= ' ' || r == '"' || r == '\\' || r > '~'
}
