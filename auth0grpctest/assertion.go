package auth0grpctest

import (
	"crypto"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// assertionType is the one client_assertion_type there is (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// maxAssertionLife is Auth0's limit.
const maxAssertionLife = 5 * time.Minute

// assertionAlgorithms holds the algorithms of Auth0 and, beyond it, elliptic curves.
var assertionAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.PS256, jose.ES256, jose.ES384, jose.EdDSA}

// AddKeyClient is [Tenant.AddClient] for an application that authenticates with
// private_key_jwt: by an assertion signed with the private half of key. Each
// assertion works once, for the issuer or the token endpoint as audience, and
// lives for five minutes at the most.
func (t *Tenant) AddKeyClient(id string, key crypto.PublicKey, grants map[string][]string) {
	t.register(&client{id: id, key: key}, grants)
}

// invalidClient is the refusal of an assertion or of a certificate.
func invalidClient(text string) *oauthError {
	return &oauthError{http.StatusUnauthorized, "invalid_client", text}
}

// assertedClient returns the client that signed the assertion of a request.
func (t *Tenant) assertedClient(form url.Values) (*client, *oauthError) {
	if form.Get("client_assertion_type") != assertionType {
		return nil, invalidRequest("Unknown client_assertion_type.")
	}
	assertion, err := jwt.ParseSigned(form.Get("client_assertion"), assertionAlgorithms)
	if err != nil {
		return nil, invalidClient("The client assertion is not a signed JWT.")
	}
	var claims jwt.Claims
	if err := assertion.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return nil, invalidClient("The client assertion has invalid claims.")
	}
	c := t.client(claims.Subject)
	if c == nil || c.key == nil || assertion.Claims(c.key, &claims) != nil {
		return nil, invalidClient("The client assertion cannot be verified.")
	}
	if id := form.Get("client_id"); id != "" && id != c.id {
		return nil, invalidClient("The client assertion is of another client.")
	}
	return c, t.checkAssertion(claims)
}

func (t *Tenant) checkAssertion(claims jwt.Claims) *oauthError {
	now := t.now()
	forUs := slices.Contains(claims.Audience, t.issuer) || slices.Contains(claims.Audience, t.TokenURL())
	switch {
	case claims.Issuer != claims.Subject || !forUs:
		return invalidClient("The client assertion is meant for another purpose.")
	case claims.Expiry == nil || !now.Before(claims.Expiry.Time()) || claims.Expiry.Time().After(now.Add(maxAssertionLife)):
		return invalidClient("The client assertion is expired or lives too long.")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if claims.ID == "" || t.seen["assertion "+claims.ID] {
		return invalidClient("The client assertion was used before.")
	}
	t.seen["assertion "+claims.ID] = true
	return nil
}

// accessClaimsOf verifies a token of this tenant and returns its claims.
func (t *Tenant) accessClaimsOf(token string) (map[string]any, bool) {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(signed.Signatures) != 1 {
		return nil, false
	}
	published := t.keys.published()
	keys := published.Key(signed.Signatures[0].Protected.KeyID)
	if len(keys) != 1 {
		return nil, false
	}
	payload, err := signed.Verify(keys[0].Key)
	if err != nil {
		return nil, false
	}
	var claims map[string]any
	if json.Unmarshal(payload, &claims) != nil {
		return nil, false
	}
	expiry, _ := claims["exp"].(float64)
	return claims, claims["iss"] == t.issuer && t.now().Unix() < int64(expiry)
}
