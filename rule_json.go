package auth0grpc

import (
	"encoding/json"
	"errors"
)

// ruleJSON is the JSON form of a rule: one member that says what it asks for,
// and those that belong to the row. docs/policy.schema.json describes it; package
// policy reads it.
type ruleJSON struct {
	Scopes        []string   `json:"scopes,omitempty"`
	AnyScope      []string   `json:"anyScope,omitempty"`
	Permissions   []string   `json:"permissions,omitempty"`
	AnyPermission []string   `json:"anyPermission,omitempty"`
	Organizations []string   `json:"organizations,omitempty"`
	Clients       []string   `json:"clients,omitempty"`
	AllOf         []ruleJSON `json:"allOf,omitempty"`
	AnyOf         []ruleJSON `json:"anyOf,omitempty"`
	Authenticated bool       `json:"authenticated,omitempty"`
	Optional      bool       `json:"optional,omitempty"`
	Public        bool       `json:"public,omitempty"`
	Streams       any        `json:"streams,omitempty"` // "endAtExpiry", "ignoreExpiry" or {"endAfter":"5m0s"}
	ReportOnly    bool       `json:"reportOnly,omitempty"`
	RequireDPoP   bool       `json:"requireDPoP,omitempty"`
	RequireMTLS   bool       `json:"requireMTLS,omitempty"`
}

// MarshalJSON writes the rule in the form that package policy reads, as in
// {"scopes":["read:orders"]}. A rule that New would refuse is an error.
func (r Rule) MarshalJSON() ([]byte, error) {
	if faults := r.faults(); len(faults) > 0 {
		return nil, errors.New("auth0grpc: rule: " + faults[0])
	}
	return json.Marshal(r.json())
}

func (r *Rule) json() ruleJSON {
	j := ruleJSON{
		Streams: r.streams.json(), ReportOnly: r.reportOnly,
		RequireDPoP: r.requireDPoP, RequireMTLS: r.requireMTLS,
	}
	switch r.kind {
	case kindScopes:
		j.Scopes = r.names
	case kindAnyScope:
		j.AnyScope = r.names
	case kindPermissions:
		j.Permissions = r.names
	case kindAnyPermission:
		j.AnyPermission = r.names
	case kindOrganizations:
		j.Organizations = r.names
	case kindClients:
		j.Clients = r.names
	case kindAllOf:
		j.AllOf = jsonOf(r.rules)
	case kindAnyOf:
		j.AnyOf = jsonOf(r.rules)
	case kindAuthenticated:
		j.Authenticated = true
	case kindOptional:
		j.Optional = true
	case kindPublic:
		j.Public = true
	}
	return j
}

func jsonOf(rules []Rule) []ruleJSON {
	all := make([]ruleJSON, len(rules))
	for i := range rules {
		all[i] = rules[i].json()
	}
	return all
}

// json returns the policy's form, or nil for "as Config.StreamPolicy says".
func (p StreamPolicy) json() any {
	switch p.kind {
	case endAtExpiry:
		return "endAtExpiry"
	case endAfter:
		return map[string]string{"endAfter": p.grace.String()}
	case ignoreExpiry:
		return "ignoreExpiry"
	}
	return nil
}
