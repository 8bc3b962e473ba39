package auth0grpc

import (
	"strings"

	"github.com/auth0grpc/auth0grpc/internal/strictjson"
)

// text returns the claim as text: a string as it is, and an integer in decimal form. It
// returns "" for a claim that is absent or of another type. A token keeps the result of
// the last custom claim, since finding one takes the time of a scan.
func (c *claims) text(claim Claim) string {
	switch claim {
	case ClaimSubject:
		return c.subject
	case ClaimOrganization:
		return c.organizationID
	case ClaimClient:
		return c.clientID
	}
	if last := c.named.Load(); last != nil && last.name == claim {
		return last.text
	}
	found := &namedClaim{name: claim}
	_ = strictjson.Nested(c.payload, func(name, value string) error { // it was parsed before
		if name == string(claim) {
			found.text = textOfJSON(value)
		}
		return nil
	})
	c.named.Store(found)
	return found.text
}

// textOfJSON returns the text of a JSON string or integer, or "".
func textOfJSON(value string) string {
	if text, ok := strictjson.String(value); ok {
		return text
	}
	if strings.Trim(value, "-0123456789") == "" {
		return value
	}
	return ""
}
