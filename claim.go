package auth0grpc

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/auth0grpc/auth0grpc/internal/grammar"
)

// A Claim names the claim that [Rule.Same] compares with a field of the request.
type Claim string

// The claims that identify a party. [NamedClaim] returns the others.
const (
	ClaimSubject      Claim = "sub"    // the subject: [Token.Subject]
	ClaimOrganization Claim = "org_id" // the organization: [Token.OrganizationID]
	ClaimClient       Claim = "azp"    // the application: [Token.ClientID], also from client_id
)

// NamedClaim returns a custom claim, such as "https://example.com/tenant", which an Auth0
// Action adds to the token. Its value must be a string or an integer.
func NamedClaim(name string) Claim { return Claim(name) }

// A sameRule is a requirement of [Rule.Same].
type sameRule struct {
	field string
	claim Claim
}

// A relationRule is a requirement of [Rule.Relation].
type relationRule struct{ relation, object string }

// String returns the claim as the printed table shows it.
func (c Claim) String() string {
	switch c {
	case ClaimSubject:
		return "subject"
	case ClaimOrganization:
		return "organization"
	case ClaimClient:
		return "client"
	}
	return fmt.Sprintf("claim %q", string(c))
}

func (s sameRule) String() string { return "same(" + s.field + " = " + s.claim.String() + ")" }

func (r relationRule) String() string { return "relation(" + r.relation + ", " + r.object + ")" }

// ordinaryClaims are registered claims that identify no party, or that have a constant.
var ordinaryClaims = []Claim{"aud", "exp", "iat", "nbf", "jti", "scope", "permissions", "cnf", "act", "client_id"}

func (s sameRule) explain() string {
	switch {
	case !grammar.IsFieldPath(s.field):
		return fmt.Sprintf(`%q is no field; want its name in the .proto file, as in "org_id" or "customer.id"`, s.field)
	case s.claim == "":
		return "want a claim: ClaimSubject, ClaimOrganization, ClaimClient or NamedClaim"
	case !grammar.IsScope(string(s.claim)):
		return fmt.Sprintf("%q has characters that no name of a claim should have", string(s.claim))
	case slices.Contains(ordinaryClaims, s.claim):
		return fmt.Sprintf("the claim %s identifies no party; want ClaimSubject, ClaimOrganization, ClaimClient or NamedClaim", string(s.claim))
	}
	return ""
}

// maxRelation is the length of the longest relation that OpenFGA accepts.
const maxRelation = 50

func (r relationRule) explain() string {
	if r.relation == "" || len(r.relation) > maxRelation || !isPlainID(r.relation) || strings.ContainsAny(r.relation, "{}") {
		return fmt.Sprintf("%q is no relation; want 1 to %d characters without white space and :#*@{}", r.relation, maxRelation)
	}
	_, reason := parseTemplate(r.object)
	return reason
}

// isPlainID reports whether text has no character that an engine gives a meaning: the
// separators of OpenFGA's objects and usersets, its wildcard, white space and controls.
func isPlainID(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c == ':' || c == '#' || c == '*' || c == '@' || c == 0x7f {
			return false
		}
		if text[i] >= utf8.RuneSelf {
			return isPlainUnicode(text)
		}
	}
	return true
}

// A namedClaim is the text of a custom claim.
type namedClaim struct {
	name Claim
	text string
}

// constant returns the name of the claim in JSON, or "" for a custom claim.
func (c Claim) constant() string {
	switch c {
	case ClaimSubject:
		return "SUBJECT"
	case ClaimOrganization:
		return "ORGANIZATION"
	case ClaimClient:
		return "CLIENT"
	}
	return ""
}
