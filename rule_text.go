package auth0grpc

import (
	"strings"
)

// String returns the rule on one line, as in "read:orders AND (write:orders OR
// admin)". A scope appears as it is. Other names have a label, as in
// "permission(write:orders)". The text is for people: no function parses it.
func (r Rule) String() string {
	return r.expression() + r.modifiers()
}

// modifiers returns the settings of the row, each after a comma.
func (r *Rule) modifiers() string {
	var text string
	if r.streams.kind != 0 {
		text += ", " + r.streams.String()
	}
	if r.allowAnonymous {
		text += ", anonymous allowed"
	}
	if r.requireDPoP {
		text += ", DPoP required"
	}
	if r.requireMTLS {
		text += ", mTLS required"
	}
	text += r.messageModifiers()
	if r.reportOnly {
		text += ", REPORT ONLY"
	}
	return text
}

func (r *Rule) expression() string {
	kind := &ruleKinds[r.kind]
	switch {
	case r.kind == 0:
		return "(no rule)"
	case kind.label != "" && len(r.names) > 0:
		return kind.label + "(" + strings.Join(r.names, ")"+kind.operator+kind.label+"(") + ")"
	case kind.claim != 0:
		return strings.Join(r.names, kind.operator)
	case kind.operator != "":
		return joinRules(r.rules, kind.operator)
	}
	return kind.member
}

// joinRules puts brackets around each rule that uses the other operator.
func joinRules(rules []Rule, operator string) string {
	other := operatorAnd
	if operator == other {
		other = operatorOr
	}
	texts := make([]string, len(rules))
	for i, rule := range rules {
		texts[i] = rule.expression()
		if len(rules) > 1 && strings.Contains(texts[i], other) {
			texts[i] = "(" + texts[i] + ")"
		}
	}
	return strings.Join(texts, operator)
}
