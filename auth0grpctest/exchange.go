package auth0grpctest

import (
	"net/http"
	"strings"
)

const (
	exchangeGrant   = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessTokenType = "urn:ietf:params:oauth:token-type:access_token"
)

// maxActors is how many may stand in a chain of "act" claims, the root included.
const maxActors = 5

// grantExchange is Auth0's on-behalf-of exchange: the user's token for one API
// becomes a token of the same user for another, which names the client as
// actor. As in Auth0, the endpoint ignores a binding of the subject token,
// and the new token is bound only if this request has a proof.
func (t *Tenant) grantExchange(r tokenRequest) (tokenResponse, *oauthError) {
	if r.client.public() {
		return tokenResponse{}, grantRefused(exchangeGrant)
	}
	requested := r.form.Get("requested_token_type")
	if r.form.Get("subject_token_type") != accessTokenType || (requested != "" && requested != accessTokenType) {
		return tokenResponse{}, invalidRequest("Only access tokens can be exchanged.")
	}
	subject, ok := t.accessClaimsOf(r.form.Get("subject_token"))
	if !ok {
		return tokenResponse{}, &oauthError{http.StatusForbidden, "invalid_grant", "Invalid or expired subject token."}
	}
	audience := r.form.Get("audience")
	granted, refusal := t.grantedScopes(r.client, audience)
	if refusal != nil {
		return tokenResponse{}, refusal
	}
	if scopes := r.form.Get("scope"); scopes != "" {
		granted = intersect(strings.Fields(scopes), granted)
	}
	actor := map[string]any{"sub": r.client.id}
	if earlier, ok := subject["act"].(map[string]any); ok {
		if depth(earlier) >= maxActors {
			return tokenResponse{}, invalidRequest("Too many actors.")
		}
		actor["act"] = earlier
	}
	return t.respond(r, map[string]any{
		"sub":    subject["sub"],
		"aud":    audience,
		"azp":    r.client.id,
		"act":    actor,
		"org_id": subject["org_id"],
	}, granted), nil
}

// depth returns the number of actors in a chain.
func depth(actor map[string]any) int {
	inner, ok := actor["act"].(map[string]any)
	if !ok {
		return 1
	}
	return 1 + depth(inner)
}
