package policy

import (
	"fmt"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/policy/internal/formula"
)

// The attributes of a token that a row can depend on.
const (
	attributeScope = iota + 1
	attributePermission
	attributeOrganization
	attributeClient
	attributeActor   // with the name noActor for a token that names none
	attributeSubject // with the name loggedIn for a token that is not of an anonymous session
	attributeBinding // with the names bindingDPoP and bindingMTLS
	attributeMessage // with a name for each rule about the request that the request meets
)

const (
	bindingDPoP = "DPoP"
	bindingMTLS = "mTLS"
	// These are no names of a rule: a name has no space.
	noActor   = "no actor"
	loggedIn  = "logged in"
	anonymous = "an anonymous session"
)

// isSingle reports whether a token has at most one value of an attribute.
func isSingle(attribute int) bool {
	return attribute == attributeOrganization || attribute == attributeClient || attribute == attributeActor
}

// isFree reports whether a value is the absence of a property: a token with it is not
// larger.
func isFree(v formula.Value) bool { return v.Name == noActor || v.Name == loggedIn }

// An access describes the calls that a row admits.
type access struct {
	row  Row
	text string // equal for rows that say the same in the same words

	noToken bool            // a call without a token
	valid   formula.Formula // a call with a valid token
	expired bool            // a call with an expired token, or malformed metadata
	invalid bool            // a call with a forged token, or a token for another API

	streams streamLimits
	unknown string // a member of the row that read does not know
}

// unlisted is the access of a method without a row.
var unlisted = &access{valid: formula.False}

// maxNesting bounds the brackets in each other in the JSON form of a rule.
const maxNesting = 1000

// readRow returns the access of a row. A rule that New refuses is an error. So is a
// rule of a kind that this package cannot read, so that no part of a rule is ignored.
func (c *comparer) readRow(pattern string, rule auth0grpc.Rule) (*access, error) {
	text, err := rule.MarshalJSON()
	if err != nil {
		return unlisted, err
	}
	known, ok := c.rules[string(text)]
	if !ok {
		if known, err = newAccess(string(text), rule); err != nil {
			return unlisted, err
		}
		c.rules[known.text] = known
	}
	a := *known
	a.row.Pattern = pattern
	return &a, nil
}

// newAccess returns the access of a rule without its row. text is its JSON form.
func newAccess(text string, rule auth0grpc.Rule) (*access, error) {
	if nesting(text) > maxNesting {
		return nil, fmt.Errorf("has rules in each other %d levels deep, more than Compare reads", maxNesting)
	}
	var errs faults
	root, ok := parseNode([]byte(text), &errs)
	if ok {
		if read := errs.row("", root); errs.err() == nil && read.String() != rule.String() {
			errs.add(0, "", "is read as %q", read)
		}
	}
	if err := errs.err(); err != nil {
		return nil, fmt.Errorf("is of a kind that Compare cannot read: %w", err)
	}
	a := &access{row: Row{Rule: rule.String()}, text: text}
	a.read(root.val.(object))
	if a.unknown != "" { // a part that is ignored would hide a change
		return nil, fmt.Errorf("has the member %q, which Compare cannot read", a.unknown)
	}
	return a, nil
}

// nesting returns the greatest number of brackets that are open in a JSON text.
func nesting(text string) int {
	open, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			open++
			deepest = max(deepest, open)
		case c == '}' || c == ']':
			open--
		}
	}
	return deepest
}

// read sets the access of a row from its JSON form, which Parse accepts.
func (a *access) read(members object) {
	var bindings, message []string
	reportOnly, public, optional, allowAnonymous := false, false, false, false
	for _, m := range members {
		switch m.name {
		case "requireDPoP":
			bindings = append(bindings, bindingDPoP)
		case "requireMTLS":
			bindings = append(bindings, bindingMTLS)
		case "reportOnly":
			reportOnly = true
		case "streams":
			a.streams = newStreamLimits(m.value)
		case "same", "relation":
			message = append(message, messageNames(m)...)
		case "allowAnonymous":
			allowAnonymous = true
		case "public":
			public = true
		case "optional":
			optional = true
		case "hideExistence": // changes the status of a refusal alone
		default:
			if !statesRule(m.name) {
				a.unknown = m.name
			}
		}
	}
	rule := formula.True
	if !reportOnly {
		rule = formula.All(newFormula(members), formula.Formula{All: true, Attribute: attributeMessage, Names: message})
		if !allowAnonymous && !public {
			rule = formula.All(rule, formula.Formula{All: true, Attribute: attributeSubject, Names: []string{loggedIn}})
		}
	}
	a.valid = formula.All(rule, formula.Formula{All: true, Attribute: attributeBinding, Names: bindings})
	switch {
	case public:
		a.noToken, a.expired, a.invalid = true, true, true
	case reportOnly:
		// Report-only enforces bindings and rejects forged tokens.
		a.noToken, a.expired = true, true
		a.streams = endless
	case optional:
		a.noToken = true
	}
	a.streams.unused = public
}

// newFormula returns the rule that an object states.
func newFormula(members object) formula.Formula {
	for _, m := range members {
		if rule, ok := nameRules[m.name]; ok {
			f := formula.Formula{All: rule.all, Attribute: rule.attribute}
			for _, name := range m.value.val.(array) {
				f.Names = append(f.Names, name.val.(string))
			}
			return f
		}
		if _, ok := composite[m.name]; ok {
			f := formula.Formula{All: m.name == "allOf"}
			for _, part := range m.value.val.(array) {
				f.Parts = append(f.Parts, newFormula(part.val.(object)))
			}
			return f
		}
		if m.name == "notDelegated" {
			return formula.Formula{All: true, Attribute: attributeActor, Names: []string{noActor}}
		}
		if _, ok := nullary[m.name]; ok {
			return formula.True
		}
	}
	panic("policy: Parse accepts a rule that states nothing")
}

// statesRule reports whether a member of a row states its rule.
func statesRule(member string) bool {
	_, name := nameRules[member]
	_, parts := composite[member]
	_, plain := nullary[member]
	return name || parts || plain
}
