package policy

import (
	"strings"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/grammar"
)

// The members of a rule. Each has the name of its function in package auth0grpc.
var (
	nameRules = map[string]nameRule{
		"scopes":        {auth0grpc.Scopes, attributeScope, true},
		"anyScope":      {auth0grpc.AnyScope, attributeScope, false},
		"permissions":   {auth0grpc.Permissions, attributePermission, true},
		"anyPermission": {auth0grpc.AnyPermission, attributePermission, false},
		"organizations": {auth0grpc.Organizations, attributeOrganization, false},
		"clients":       {auth0grpc.Clients, attributeClient, false},
		"actedBy":       {auth0grpc.ActedBy, attributeActor, false},
	}
	composite = map[string]func(...auth0grpc.Rule) auth0grpc.Rule{
		"allOf": auth0grpc.AllOf,
		"anyOf": auth0grpc.AnyOf,
	}
	nullary = map[string]func() auth0grpc.Rule{
		"authenticated": auth0grpc.Authenticated,
		"notDelegated":  auth0grpc.NotDelegated,
		"optional":      auth0grpc.Optional,
		"public":        auth0grpc.Public,
	}
	// modifiers holds the members of a row that no part of a rule may have.
	modifiers = map[string]modifier{
		"allowAnonymous": flagModifier(auth0grpc.Rule.AllowAnonymous),
		"reportOnly":     flagModifier(auth0grpc.Rule.ReportOnly),
		"requireDPoP":    flagModifier(auth0grpc.Rule.RequireDPoP),
		"requireMTLS":    flagModifier(auth0grpc.Rule.RequireMTLS),
		"streams":        streamsModifier,
		"same":           eachModifier("field", (*faults).same),
		"relation":       eachModifier("relation", (*faults).relation),
		"hideExistence":  flagModifier(auth0grpc.Rule.HideExistence),
	}
)

// A nameRule is a rule that names something. [Compare] reads its last two fields.
type nameRule struct {
	newRule   func(...string) auth0grpc.Rule
	attribute int  // of the token
	all       bool // the token needs all names, and not one of them
}

// A modifier returns the rule changed as the value says.
type modifier func(f *faults, path string, value node, rule auth0grpc.Rule) auth0grpc.Rule

func flagModifier(change func(auth0grpc.Rule) auth0grpc.Rule) modifier {
	return func(f *faults, path string, value node, rule auth0grpc.Rule) auth0grpc.Rule {
		f.flag(path, value)
		return change(rule)
	}
}

// row reads the rule of a row.
func (f *faults) row(path string, n node) auth0grpc.Rule {
	before := len(f.all)
	rule := f.rule(path, n, false)
	if len(f.all) == before {
		// MarshalJSON finds each fault that New refuses and that was not found above.
		if _, err := rule.MarshalJSON(); err != nil {
			f.add(n.offset, path, "%s", strings.TrimPrefix(err.Error(), "auth0grpc: rule: "))
		}
	}
	return rule
}

// rule reads a rule: of a row, or one inside a rule. Use the result
// only if no fault was added.
func (f *faults) rule(path string, n node, inside bool) auth0grpc.Rule {
	members, ok := n.val.(object)
	if !ok {
		f.add(n.offset, path, `want an object that states a rule, as in {"scopes": ["read:orders"]}`)
		return auth0grpc.Rule{}
	}
	var rule auth0grpc.Rule
	var seen *member
	for i := range members {
		m := &members[i]
		memberPath := path + memberStep(m.label)
		if _, ok := modifiers[m.name]; ok {
			if inside {
				f.add(m.offset, memberPath, "is for the whole rule of a row, not for a part of it")
			}
			continue
		}
		inner, ok := f.statement(memberPath, m, inside)
		switch {
		case !ok:
			f.add(m.offset, memberPath, "is unknown; want one of %s", memberNames())
		case seen != nil:
			f.add(m.offset, memberPath, "states a second rule beside %s; combine them by allOf or anyOf", seen.label)
		default:
			rule, seen = inner, m
		}
	}
	if seen == nil {
		f.add(n.offset, path, "states no rule; want one of %s", memberNames())
		return auth0grpc.Rule{}
	}
	for _, m := range members {
		if modify, ok := modifiers[m.name]; ok {
			rule = modify(f, path+memberStep(m.label), m.value, rule)
		}
	}
	return rule
}

// statement reads the member that states the rule, and reports whether the member
// does.
func (f *faults) statement(path string, m *member, inside bool) (auth0grpc.Rule, bool) {
	if rule, ok := nameRules[m.name]; ok {
		return rule.newRule(f.names(path, m.value, m.name == "organizations")...), true
	}
	if rule, ok := composite[m.name]; ok {
		return rule(f.parts(path, m.value)...), true
	}
	if rule, ok := nullary[m.name]; ok {
		f.flag(path, m.value)
		if inside && m.name != "authenticated" && m.name != "notDelegated" {
			f.add(m.offset, path, "stands alone, not inside a rule")
		}
		return rule(), true
	}
	return auth0grpc.Rule{}, false
}

// names reads an array of names in the grammar of RFC 6749, section 3.3.
func (f *faults) names(path string, n node, organizations bool) []string {
	elements, ok := n.val.(array)
	if !ok {
		f.add(n.offset, path, "want an array of strings")
		return nil
	}
	if len(elements) == 0 {
		f.add(n.offset, path, "is empty; to ask for no scope, use authenticated")
	}
	names := make([]string, 0, len(elements))
	seen := make(map[string]bool, len(elements))
	for i, e := range elements {
		name, ok := e.val.(string)
		switch memberPath := element(path, i); {
		case !ok:
			f.add(e.offset, memberPath, "want a string")
		case name == "":
			f.add(e.offset, memberPath, "is empty")
		case !grammar.IsScope(name):
			f.add(e.offset, memberPath, "%q has characters that no scope can have; give each name as an element of its own", name)
		case strings.Contains(name, "*"):
			f.add(e.offset, memberPath, "%q has a wildcard, and names compare whole; list each name", name)
		case strings.Contains(name, ","):
			f.add(e.offset, memberPath, "%q has a comma; give each name as an element of its own", name)
		case organizations && !strings.HasPrefix(name, "org_"):
			f.add(e.offset, memberPath, "%q is no organization id; ids begin with org_, and the claim org_id has no names", name)
		case seen[name]:
			f.add(e.offset, memberPath, "%q is named twice", name)
		}
		seen[name] = true
		names = append(names, name)
	}
	return names
}

func (f *faults) parts(path string, n node) []auth0grpc.Rule {
	elements, ok := n.val.(array)
	if !ok {
		f.add(n.offset, path, "want an array of rules")
		return nil
	}
	if len(elements) == 0 {
		f.add(n.offset, path, "is empty; want at least one rule")
	}
	rules := make([]auth0grpc.Rule, len(elements))
	for i, e := range elements {
		rules[i] = f.rule(element(path, i), e, true)
	}
	return rules
}

// flag accepts true alone. A policy without public methods does not contain the word
// "public".
func (f *faults) flag(path string, n node) {
	if n.val != true {
		f.add(n.offset, path, "want true, or leave it out")
	}
}

// memberNames lists the members that state a rule.
func memberNames() string {
	return "scopes, anyScope, permissions, anyPermission, organizations, clients, actedBy, notDelegated, allOf, anyOf, authenticated, optional, public"
}
