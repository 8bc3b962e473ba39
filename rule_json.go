package auth0grpc

import (
	"encoding/json"
	"errors"
	"strings"
)

// MarshalJSON returns the rule in the form that package policy reads, as in
// {"scopes":["read:orders"]}. The file docs/policy.schema.json describes it. A rule that
// [New] refuses is an error.
func (r Rule) MarshalJSON() ([]byte, error) {
	if reasons := r.validate(); len(reasons) > 0 {
		return nil, errors.New("auth0grpc: rule: " + reasons[0])
	}
	return r.appendJSON(nil), nil
}

// appendJSON appends one member for the kind of the rule, and the members of the row.
func (r *Rule) appendJSON(text []byte) []byte {
	kind := &ruleKinds[r.kind]
	text = append(text, `{"`+kind.member+`":`...)
	switch {
	case kind.claim != 0:
		text = append(text, toJSON(r.names)...)
	case kind.operator != "":
		text = append(text, '[')
		for i := range r.rules {
			if i > 0 {
				text = append(text, ',')
			}
			text = r.rules[i].appendJSON(text)
		}
		text = append(text, ']')
	default:
		text = append(text, "true"...)
	}
	if streams := r.streams.toJSON(); streams != nil {
		text = append(text, `,"streams":`...)
		text = append(text, toJSON(streams)...)
	}
	if r.allowAnonymous {
		text = append(text, `,"allowAnonymous":true`...)
	}
	text = r.appendMessageJSON(text)
	if r.reportOnly {
		text = append(text, `,"reportOnly":true`...)
	}
	if r.requireDPoP {
		text = append(text, `,"requireDPoP":true`...)
	}
	if r.requireMTLS {
		text = append(text, `,"requireMTLS":true`...)
	}
	return append(text, '}')
}

// appendMessageJSON appends the requirements on the message: one as an object, and several
// as an array.
func (r *Rule) appendMessageJSON(text []byte) []byte {
	same := make([]string, len(r.same))
	for i, s := range r.same {
		member := `"claim":` + string(toJSON(s.claim.constant()))
		if s.claim.constant() == "" {
			member = `"namedClaim":` + string(toJSON(string(s.claim)))
		}
		same[i] = `{"field":` + string(toJSON(s.field)) + "," + member + "}"
	}
	relations := make([]string, len(r.relations))
	for i, relation := range r.relations {
		relations[i] = `{"relation":` + string(toJSON(relation.relation)) + `,"object":` + string(toJSON(relation.object)) + "}"
	}
	text = appendMember(text, "same", same)
	text = appendMember(text, "relation", relations)
	if r.hideExistence {
		text = append(text, `,"hideExistence":true`...)
	}
	return text
}

func appendMember(text []byte, name string, values []string) []byte {
	switch len(values) {
	case 0:
		return text
	case 1:
		return append(text, `,"`+name+`":`+values[0]...)
	}
	return append(text, `,"`+name+`":[`+strings.Join(values, ",")+"]"...)
}

// toJSON encodes strings, slices and maps of strings, which have no errors.
func toJSON(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic("auth0grpc: " + err.Error())
	}
	return text
}

// toJSON returns the form of the policy, or nil for the policy of the Config.
func (p StreamPolicy) toJSON() any {
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
