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
	case missing == "":
		x.add(checkOK, name, "the token satisfies the rule", "")
	case !possible:
		x.add(checkFail, name, "no token can satisfy the rule beside this one's organization and client", "use another organization or client, or change the rule")
	default:
		x.add(checkFail, name, "the token lacks "+missing, x.grantRemedy(t, missing))
	}
	if members["reportOnly"] != nil {
		x.add(checkNote, name, "the row is report-only: the server lets the call pass and reports it", "")
	}
}

// missingFor returns the fewest properties that the token needs besides its own. It
// reports false if no properties suffice.
func missingFor(t *parsedToken, members map[string]json.RawMessage) (missing string, possible bool) {
	rest, err := json.Marshal(withoutHeld(t, members))
	if err != nil {
		return "", true
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
		return "properties that exclude each other", false
	case d.Admitted.Credential == policy.NoToken || d.Admitted.String() == (&policy.Caller{Credential: policy.ValidToken}).String():
		return "", true
	}
	return strings.TrimPrefix(d.Admitted.String(), "a token with "), true
}

// withoutHeld returns the rule that remains if the token's own properties are granted.
func withoutHeld(t *parsedToken, members map[string]json.RawMessage) any {
	satisfied := map[string]any{"authenticated": true}
	held := func(member string) (values []string, all, known bool) {
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
		}
		return nil, false, false
	}
	for member, value := range members {
		if own, all, known := held(member); known {
			var names []string
			_ = json.Unmarshal(value, &names)
			lacking := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(own, name) })
			if len(lacking) == 0 || !all && len(lacking) < len(names) {
				return satisfied
			}
			return map[string]any{member: lacking}
		}
		if member == "allOf" || member == "anyOf" {
			var parts []map[string]json.RawMessage
			_ = json.Unmarshal(value, &parts)
			rests := make([]any, len(parts))
			for i := range parts {
				rests[i] = withoutHeld(t, parts[i])
			}
			return map[string]any{member: rests}
		}
		if member == "authenticated" || member == "optional" {
			return satisfied
		}
	}
	return members
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
	if strings.Contains(missing, "client ") {
		remedies = append(remedies, "use that application, or add the client id of this one to the rule")
	}
	return strings.Join(remedies, ". ")
}
