package auth0grpctest

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	clientCredentialsGrant = "client_credentials"
	deviceCodeGrant        = "urn:ietf:params:oauth:grant-type:device_code"
)

// maxForm bounds a request body, in bytes.
const maxForm = 1 << 20

// A tokenRequest is a request to the token endpoint on its way to a grant.
type tokenRequest struct {
	http   *http.Request // its body is spent
	form   url.Values    // each parameter once
	client *client       // authenticated
	jkt    string        // the thumbprint of the proof's key, if there is a proof
}

// A tokenResponse is the token endpoint's answer, in Auth0's members.
type tokenResponse struct {
	AccessToken string `json:"access_token"`
	IDToken     string `json:"id_token,omitempty"`
	Scope       string `json:"scope,omitempty"`
	ExpiresIn   int    `json:"expires_in"`
	TokenType   string `json:"token_type"`
}

// An oauthError is a refusal of an OAuth endpoint, with Auth0's status.
type oauthError struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func invalidRequest(format string, args ...any) *oauthError {
	return &oauthError{http.StatusBadRequest, "invalid_request", fmt.Sprintf(format, args...)}
}

// A grantFunc turns an authenticated request into a token.
type grantFunc func(tokenRequest) (tokenResponse, *oauthError)

// grant returns the function for a grant type, or nil.
func (t *Tenant) grant(grantType string) grantFunc {
	switch grantType {
	case clientCredentialsGrant:
		return t.grantClientCredentials
	case deviceCodeGrant:
		return t.grantDeviceCode
	case exchangeGrant:
		return t.grantExchange
	}
	return nil
}

func (t *Tenant) serveToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	response, refusal := t.handleToken(w, r)
	if refusal != nil {
		writeJSON(w, refusal.status, refusal)
		return
	}
	writeJSON(w, http.StatusOK, response)
}

func (t *Tenant) handleToken(w http.ResponseWriter, r *http.Request) (tokenResponse, *oauthError) {
	form, refusal := parseForm(r)
	if refusal != nil {
		return tokenResponse{}, refusal
	}
	grantType := form.Get("grant_type")
	if grantType == "" {
		return tokenResponse{}, invalidRequest("Missing required parameter: grant_type")
	}
	grant := t.grant(grantType)
	if grant == nil {
		return tokenResponse{}, &oauthError{http.StatusForbidden, "unsupported_grant_type", "Unsupported grant type: " + grantType}
	}
	client, refusal := t.authenticate(r, form)
	if refusal != nil {
		return tokenResponse{}, refusal
	}
	jkt, refusal := t.proof(w, r)
	if refusal != nil {
		return tokenResponse{}, refusal
	}
	return grant(tokenRequest{http: r, form: form, client: client, jkt: jkt})
}

// parseForm reads the body, which is a form or, as Auth0 also takes it, one JSON
// object of strings. Parameters in the address count for nothing, and one given
// twice is malformed (RFC 6749, section 3.2).
func parseForm(r *http.Request) (url.Values, *oauthError) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxForm))
	if err != nil {
		return nil, invalidRequest("The body cannot be read.")
	}
	form := url.Values{}
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType == "application/json" {
		var object map[string]string
		if err := json.Unmarshal(body, &object); err != nil {
			return nil, invalidRequest("The body is not a JSON object of strings.")
		}
		for name, value := range object {
			form.Set(name, value)
		}
	} else if form, err = url.ParseQuery(string(body)); err != nil {
		return nil, invalidRequest("The body is not a form.")
	}
	for name, values := range form {
		if len(values) > 1 {
			return nil, invalidRequest("Parameter given more than once: %s", name)
		}
	}
	return form, nil
}

// grantClientCredentials issues a token to the client itself. A scope parameter
// narrows the granted scopes; a scope that was not granted fails the request, as in
// Auth0. Each organization is accepted: the tenant has no list of them.
func (t *Tenant) grantClientCredentials(r tokenRequest) (tokenResponse, *oauthError) {
	if r.client.public() {
		return tokenResponse{}, grantRefused(clientCredentialsGrant)
	}
	audience := r.form.Get("audience")
	granted, refusal := t.grantedScopes(r.client, audience)
	if refusal != nil {
		return tokenResponse{}, refusal
	}
	if requested := r.form.Get("scope"); requested != "" {
		if missing := without(strings.Fields(requested), granted); len(missing) > 0 {
			return tokenResponse{}, &oauthError{
				http.StatusForbidden, "access_denied", "Client has not been granted scopes: " + strings.Join(missing, ", "),
			}
		}
		granted = intersect(strings.Fields(requested), granted)
	}
	claims := map[string]any{
		"sub": r.client.id + "@clients",
		"azp": r.client.id,
		"gty": "client-credentials",
		"aud": audience,
	}
	if organization := r.form.Get("organization"); organization != "" {
		if !strings.HasPrefix(organization, "org_") {
			return tokenResponse{}, invalidRequest("Not an organization id: %s", organization)
		}
		claims["org_id"] = organization
	}
	return t.respond(r, claims, granted), nil
}

func grantRefused(grantType string) *oauthError {
	return &oauthError{
		http.StatusForbidden, "unauthorized_client",
		"Grant type '" + grantType + "' not allowed for the client.",
	}
}

// respond signs the claims and binds the token to the key that the request proved.
// Without a scope there is no claim of that name.
func (t *Tenant) respond(r tokenRequest, claims map[string]any, scopes []string) tokenResponse {
	scope := strings.Join(scopes, " ")
	if scope != "" {
		claims["scope"] = scope
	}
	tokenType := "Bearer"
	switch {
	case r.jkt != "":
		tokenType = "DPoP"
		claims["cnf"] = map[string]any{"jkt": r.jkt}
	case r.client.certificate != nil:
		claims["cnf"] = map[string]any{"x5t#S256": CertificateThumbprint(r.client.certificate)}
	}
	return tokenResponse{
		AccessToken: t.Token(claims),
		Scope:       scope,
		ExpiresIn:   int(t.tokenLifetime(claims) / time.Second),
		TokenType:   tokenType,
	}
}

// without returns the requested scopes that are not granted.
func without(requested, granted []string) []string {
	return slices.DeleteFunc(slices.Clone(requested), func(scope string) bool { return slices.Contains(granted, scope) })
}

// intersect returns the requested scopes that are granted, once each.
func intersect(requested, granted []string) []string {
	var shared []string
	for _, scope := range requested {
		if slices.Contains(granted, scope) && !slices.Contains(shared, scope) {
			shared = append(shared, scope)
		}
	}
	return shared
}
