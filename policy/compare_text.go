package policy

import (
	"fmt"
	"strings"

	"github.com/auth0grpc/auth0grpc/policy/internal/formula"
)

// A Credential is the kind of token that a call is made with.
type Credential string

// The credentials of a [Caller].
const (
	NoToken    Credential = "none"
	ValidToken Credential = "valid"
	// ExpiredToken stands for each call that report-only lets pass without a valid
	// token, such as one with an expired token or with malformed metadata.
	ExpiredToken Credential = "expired"
	// InvalidToken is a token of another issuer, for another API or with a wrong signature.
	InvalidToken Credential = "invalid"
)

// A Caller describes a call that two tables decide differently. The fields after
// Credential are set for [ValidToken] alone.
type Caller struct {
	Credential   Credential `json:"credential"`
	Scopes       []string   `json:"scopes,omitempty"`
	Permissions  []string   `json:"permissions,omitempty"`
	Organization string     `json:"organization,omitempty"`
	Client       string     `json:"client,omitempty"`
	Actor        string     `json:"actor,omitempty"`     // [OtherActor] for one that no rule names
	Anonymous    bool       `json:"anonymous,omitempty"` // the token is of an anonymous session
	DPoP         bool       `json:"dpop,omitempty"`      // the token is bound by DPoP
	MTLS         bool       `json:"mtls,omitempty"`      // the token is bound to a client certificate
	// Message holds the rules about the request that it meets, as in
	// "same(org_id, ORGANIZATION)". It meets no others.
	Message []string `json:"message,omitempty"`
}

// OtherActor is the Actor of a [Caller] that stands for each actor that the rules do not
// name.
const OtherActor = "*"

func newCaller(values []formula.Value) *Caller {
	c := &Caller{Credential: ValidToken}
	for _, v := range values {
		switch v.Attribute {
		case attributeScope:
			c.Scopes = append(c.Scopes, v.Name)
		case attributePermission:
			c.Permissions = append(c.Permissions, v.Name)
		case attributeOrganization:
			c.Organization = v.Name
		case attributeClient:
			c.Client = v.Name
		case attributeActor:
			if c.Actor = v.Name; v.Name == noActor {
				c.Actor = ""
			}
		case attributeSubject:
			c.Anonymous = v.Name == anonymous
		case attributeMessage:
			c.Message = append(c.Message, v.Name)
		case attributeBinding:
			c.DPoP = c.DPoP || v.Name == bindingDPoP
			c.MTLS = c.MTLS || v.Name == bindingMTLS
		default:
			panic(fmt.Sprintf("policy: attribute %d has no place in a Caller", v.Attribute))
		}
	}
	return c
}

// String returns the call in words, as in "a token with scope read:orders and client
// machine". It names at most ten scopes and ten permissions.
func (c *Caller) String() string {
	switch c.Credential {
	case NoToken:
		return "a call without a token"
	case ExpiredToken:
		return "a call with an expired token"
	case InvalidToken:
		return "a call with an invalid token"
	}
	parts := append(namesOf("scope", c.Scopes), namesOf("permission", c.Permissions)...)
	if c.Organization != "" {
		parts = append(parts, "organization "+c.Organization)
	}
	if c.Client != "" {
		parts = append(parts, "client "+c.Client)
	}
	for _, rule := range c.Message {
		parts = append(parts, "a request that meets "+rule)
	}
	if c.Actor == OtherActor {
		parts = append(parts, "another actor")
	} else if c.Actor != "" {
		parts = append(parts, "actor "+c.Actor)
	}
	token := "a token"
	if c.Anonymous {
		token = "an anonymous token"
	}
	switch {
	case c.DPoP && c.MTLS:
		token += " bound by DPoP and mTLS"
	case c.DPoP:
		token += " bound by DPoP"
	case c.MTLS:
		token += " bound by mTLS"
	case len(parts) == 0 && !c.Anonymous:
		return "a valid token without scopes"
	}
	if len(parts) == 0 {
		return token
	}
	return token + " with " + join(parts)
}

// namesOf returns each name after its kind, and the number of the others.
func namesOf(kind string, names []string) []string {
	const maxParts = 10
	var parts []string
	for i, name := range names {
		if i == maxParts {
			return append(parts, fmt.Sprintf("%d more %ss", len(names)-maxParts, kind))
		}
		parts = append(parts, kind+" "+name)
	}
	return parts
}

// join joins words as a sentence does.
func join(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// sentence explains a difference.
func sentence(d *Difference, before, after *access, longer, shorter bool) string {
	var sentences []string
	if d.Change == Undecided {
		sentences = append(sentences, "The rules are too large to compare within the bound; review them by hand.")
	}
	switch {
	case d.Admitted != nil && d.Refused != nil:
		sentences = append(sentences, fmt.Sprintf("The new table admits %s and refuses %s; the old one does the opposite.", d.Admitted, d.Refused))
	case d.Admitted != nil:
		sentences = append(sentences, fmt.Sprintf("The new table admits %s, which the old one refuses.", d.Admitted))
	case d.Refused != nil:
		sentences = append(sentences, fmt.Sprintf("The new table refuses %s, which the old one admits.", d.Refused))
	case d.Change == Equal:
		sentences = append(sentences, "The rule has another form and admits the same calls.")
	}
	switch {
	case longer && shorter:
		sentences = append(sentences, "Streams may run longer or shorter after their token expires; that depends on Config.StreamPolicy.")
	case longer:
		sentences = append(sentences, "Streams may run longer after their token expires.")
	case shorter:
		sentences = append(sentences, "Streams may end earlier after their token expires.")
	}
	switch {
	case after == unlisted:
		sentences = append(sentences, "The new table does not list the method.")
	case before == unlisted:
		sentences = append(sentences, "The old table does not list the method.")
	}
	return strings.Join(sentences, " ")
}
