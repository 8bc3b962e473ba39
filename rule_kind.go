package auth0grpc

// A ruleKind tells which function made a [Rule].
type ruleKind int

const (
	kindScopes ruleKind = iota + 1
	kindAnyScope
	kindPermissions
	kindAnyPermission
	kindOrganizations
	kindClients
	kindActedBy
	kindNotDelegated
	kindAllOf
	kindAnyOf
	kindAuthenticated
	kindOptional
	kindPublic
)

// lastClaimKind is the last kind whose rules a valid token can fail to satisfy.
const lastClaimKind = kindNotDelegated

// The operators of a rule. A token needs all names or rules, or one of them.
const (
	operatorAnd = " AND "
	operatorOr  = " OR "
)

// A ruleClaim is the part of a [Token] that a rule compares with its names.
type ruleClaim int

const (
	claimScope ruleClaim = iota + 1
	claimPermissions
	claimOrganization
	claimClient
	claimActor
)

// ruleKinds describes each kind. CONTRIBUTING.md lists the other places that a new kind
// needs.
var ruleKinds = [...]struct {
	// member is the name in JSON. It is also the text of a rule without names and rules.
	member string
	// operator joins the names or rules.
	operator string
	// claim and label describe a rule that names something.
	claim ruleClaim
	label string // surrounds each name in the text of the rule; "" for the name alone
	// reason and refusal describe a rule that a valid token can fail to satisfy.
	reason  Reason
	refusal string // the text for a token that does not satisfy the rule
}{
	kindScopes:        {"scopes", operatorAnd, claimScope, "", ReasonInsufficientScope, lacksScope},
	kindAnyScope:      {"anyScope", operatorOr, claimScope, "", ReasonInsufficientScope, lacksScope},
	kindPermissions:   {"permissions", operatorAnd, claimPermissions, "permission", ReasonInsufficientPermissions, lacksPermission},
	kindAnyPermission: {"anyPermission", operatorOr, claimPermissions, "permission", ReasonInsufficientPermissions, lacksPermission},
	kindOrganizations: {"organizations", operatorOr, claimOrganization, "organization", ReasonWrongOrganization, wrongOrganization},
	kindClients:       {"clients", operatorOr, claimClient, "client", ReasonWrongClient, wrongClient},
	kindActedBy:       {"actedBy", operatorOr, claimActor, "actor", ReasonActorNotAllowed, wrongActor},
	kindNotDelegated:  {member: "notDelegated", reason: ReasonActorNotAllowed, refusal: wrongActor},
	kindAllOf:         {member: "allOf", operator: operatorAnd},
	kindAnyOf:         {member: "anyOf", operator: operatorOr},
	kindAuthenticated: {member: "authenticated"},
	kindOptional:      {member: "optional"},
	kindPublic:        {member: "public"},
}

const (
	lacksScope        = "the access token lacks a scope that the method needs"
	lacksPermission   = "the access token lacks a permission that the method needs"
	wrongOrganization = "the access token is of an organization that the method is not open to"
	wrongClient       = "the access token is of a client that the method is not open to"
	wrongActor        = "the method does not accept the party that acts for the subject of the access token"
)

// values returns the values of a claim: a list, or one value. An absent claim is an
// empty list, or "", which no rule names.
func (t *Token) values(claim ruleClaim) (list []string, value string) {
	switch claim {
	case claimScope:
		return t.scopes, ""
	case claimPermissions:
		return t.permissions, ""
	case claimOrganization:
		return nil, t.organizationID
	case claimClient:
		return nil, t.clientID
	case claimActor:
		return nil, t.allowedActor
	}
	return nil, ""
}
