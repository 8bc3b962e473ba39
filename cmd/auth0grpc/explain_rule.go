package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/policy"
)

// checkRow finds the row of the method. It reports false if there is none to check.
func (x *explanation) checkRow(method string, methods map[string]auth0grpc.Rule) (auth0grpc.Rule, bool) {
	const name = "method"
	if methods == nil {
		x.add(checkOpen, name, "not compared", "name the method by -method and the table by -policy")
		return auth0grpc.Rule{}, false
	}
	pattern := method
	rule, ok := methods[pattern]
	if !ok {
		pattern = method[:strings.LastIndexByte(method, '/')+1] + "*"
		rule, ok = methods[pattern]
	}
	if !ok {
		x.add(checkFail, name, quote(method)+" has no row, so every call is refused", "add a row to the table; names are case-sensitive, as in /pkg.Service/Method")
		return rule, false
	}
	x.add(checkOK, name, fmt.Sprintf("row %s: %s", pattern, shorten(rule.String())), "")
	return rule, true
}

// checkBinding looks at the cnf claim and the demands of the row.
func (x *explanation) checkBinding(t *parsedToken, e *explainer, rule auth0grpc.Rule) {
	const name = "binding"
	row := rowMembers(rule)
	for _, b := range []struct {
		kind, cnf, member, config string
		enabled                   bool
		proof                     string
	}{
		{"DPoP", "jkt", "requireDPoP", "Config.DPoP", e.dpop, "each call needs a proof in the metadata dpop and the scheme DPoP"},
		{"mTLS", "x5t#S256", "requireMTLS", "Config.MTLS", e.mtls, "the connection needs the client certificate that the token was issued for"},
	} {
		bound := t.binding(b.cnf) != ""
		switch {
		case bound && !b.enabled:
			x.add(checkFail, name, "the token is bound by "+b.kind+", and the server is assumed not to accept such tokens",
				"enable "+b.config+" (then give -"+strings.ToLower(b.kind)+" here), or turn off the binding of the API in Auth0")
		case bound:
			x.add(checkNote, name, "the token is bound by "+b.kind+": "+b.proof, "")
		case row[b.member] != nil:
			x.add(checkFail, name, "the row requires a token bound by "+b.kind, "request a token that is bound by "+b.kind)
		}
	}
}

// rowMembers returns the members of a rule in JSON.
func rowMembers(rule auth0grpc.Rule) map[string]json.RawMessage {
	var members map[string]json.RawMessage
	if text, err := rule.MarshalJSON(); err == nil {
		_ = json.Unmarshal(text, &members)
	}
	return members
}

// checkRule names the properties that the token lacks.
func (x *explanation) checkRule(t *parsedToken, rule auth0grpc.Rule) {
	const name = "rule"
	members := rowMembers(rule)
	if members["public"] != nil {
		x.add(checkOK, name, "the row is public: the server looks at no token", "")
		return
	}
	missing, possible := missingFor(t, members)
	switch {
	case strings.HasPrefix(t.text("sub"), "anon@") && members["allowAnonymous"] == nil:
		x.add(checkFail, name, "the token is of an anonymous session, which the row does not allow", "log the user in, or add allowAnonymous to the row")
	case !possible && t.claims["act"] != nil:
		x.add(checkFail, name, "the token names an actor (act), and the rule refuses this", "use a token that the caller got for itself, or change the rule")
	case !possible:
		x.add(checkFail, name, "no token can satisfy the rule", "change the rule: its parts exclude each other")
	case missing == "":
		x.add(checkOK, name, "the token satisfies the rule", "")
	default:
		x.add(checkFail, name, "the token lacks "+missing, x.grantRemedy(t, missing))
	}
	if members["same"] != nil || members["relation"] != nil {
		x.add(checkNote, name, "the row also has requirements on the request, which are not checked here", "")
	}
	if members["reportOnly"] != nil {
		x.add(checkNote, name, "the row is report-only: the server lets the call pass and reports it", "")
	}
}

// missingFor returns the fewest properties that the token needs besides its own. It
// reports false if no properties suffice.
func missingFor(t *parsedToken, members map[string]json.RawMessage) (missing string, possible bool) {
	part, possible := withoutHeld(t, members)
	rest, err := json.Marshal(part)
	if err != nil || !possible {
		return "", possible
	}
	const method = "/explain.Rest/Of"
	table, err := policy.Parse([]byte(`{"methods": {"` + method + `": ` + string(rest) + `}}`))
	if err != nil {
		return "properties that this command cannot name", true
	}
	differences, err := policy.Compare(nil, table)
	if err != nil || len(differences) != 1 {
		return "properties that this command cannot name", true
	}
	d := differences[0]
	switch {
	case d.Admitted == nil:
		return "", false
	case d.Admitted.Credential == policy.NoToken || d.Admitted.String() == (&policy.Caller{Credential: policy.ValidToken}).String():
		return "", true
	}
	return strings.TrimPrefix(d.Admitted.String(), "a token with "), true
}

// withoutHeld returns the rule that remains if the token's own properties are granted.
// It reports false if no further properties suffice.
func withoutHeld(t *parsedToken, members map[string]json.RawMessage) (rest any, possible bool) {
	for member, value := range members {
		if present, all, known := t.held(member); known {
			var names []string
			_ = json.Unmarshal(value, &names)
			lacking := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(present, name) })
			if len(lacking) == 0 || !all && len(lacking) < len(names) {
				return satisfiedRule, true
			}
			return map[string]any{member: lacking}, true
		}
		switch member {
		case "allOf", "anyOf":
			return withoutHeldParts(t, member, value)
		case "authenticated", "optional":
			return satisfiedRule, true
		case "notDelegated":
			return satisfiedRule, t.claims["act"] == nil
		}
	}
	return members, true
}

// satisfiedRule is the JSON form of a rule that each token satisfies.
var satisfiedRule = map[string]any{"authenticated": true}

// withoutHeldParts is withoutHeld for a rule with parts.
func withoutHeldParts(t *parsedToken, member string, value json.RawMessage) (rest any, possible bool) {
	var parts []map[string]json.RawMessage
	_ = json.Unmarshal(value, &parts)
	var rests []any
	for _, part := range parts {
		rest, ok := withoutHeld(t, part)
		if ok {
			rests = append(rests, rest)
		} else if member == "allOf" {
			return nil, false
		}
	}
	return map[string]any{member: rests}, len(rests) > 0
}

// held returns the names in a token that a member of a rule compares, and whether the
// member needs all names.
func (t *parsedToken) held(member string) (names []string, all, known bool) {
	switch member {
	case "scopes":
		return strings.Fields(t.text("scope")), true, true
	case "anyScope":
		return strings.Fields(t.text("scope")), false, true
	case "permissions":
		return t.list("permissions"), true, true
	case "anyPermission":
		return t.list("permissions"), false, true
	case "organizations":
		return []string{t.text("org_id")}, false, true
	case "clients":
		return []string{t.client()}, false, true
	case "actedBy":
		return []string{t.actor()}, false, true
	}
	return nil, false, false
}

// grantRemedy says how a token gets the properties that it lacks.
func (x *explanation) grantRemedy(t *parsedToken, missing string) string {
	var remedies []string
	if strings.Contains(missing, "scope ") {
		if t.isMachine() {
			remedies = append(remedies, "grant the scopes to the application (APIs, Machine to Machine Applications) and request a new token")
		} else {
			remedies = append(remedies, "request the scopes in the parameter scope; the API must define them, and with RBAC the user must have the permissions of these names")
		}
	}
	if strings.Contains(missing, "permission ") {
		remedies = append(remedies, `give the user a role with the permissions, and turn on RBAC and "Add Permissions in the Access Token" for the API`)
	}
	if strings.Contains(missing, "organization ") {
		remedies = append(remedies, "log in with the parameter organization; an application needs a grant for the organization")
	}
	if strings.Contains(missing, "actor ") {
		remedies = append(remedies, "let that actor exchange the token, or add the actor of this one to the rule")
	}
	if strings.Contains(missing, "client ") {
		remedies = append(remedies, "use that application, or add the client id of this one to the rule")
	}
	return strings.Join(remedies, ". ")
}
