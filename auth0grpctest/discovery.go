package auth0grpctest

import (
	"encoding/json"
	"net/http"
)

const (
	discoveryPath      = "/.well-known/openid-configuration"
	discoveryAliasPath = "/.well-known/oauth-authorization-server"
	keySetPath         = "/.well-known/jwks.json"
	tokenPath          = "/oauth/token"
	devicePath         = "/oauth/device/code"
)

// documentCaching is the Cache-Control of Auth0 for the discovery document and the key
// set. A cache that obeyed it would ask four times a minute.
const documentCaching = "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400"

func (t *Tenant) newRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+discoveryPath, t.serveDiscovery)
	mux.HandleFunc("GET "+discoveryAliasPath, t.serveDiscovery)
	mux.HandleFunc("GET "+keySetPath, t.serveKeySet)
	mux.HandleFunc("POST "+tokenPath, t.serveToken)
	mux.HandleFunc("POST "+devicePath, t.serveDeviceCode)
	mux.HandleFunc("GET "+eventsPath, t.events.serve)
	return mux
}

// Intercept puts a handler in front of the tenant, to count requests, to answer
// them with a failure, or to change them on their way. The function gets
// the previous handler and returns its replacement. A later Intercept comes before an
// earlier one, and an outage before all of them.
func (t *Tenant) Intercept(wrap func(http.Handler) http.Handler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handler = wrap(t.handler)
}

// serve counts, then plays the outage, then routes.
func (t *Tenant) serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case keySetPath:
		t.keyFetches.Add(1)
	case discoveryPath, discoveryAliasPath:
		t.discoveryFetches.Add(1)
	}
	if t.down.Load() {
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
		return
	}
	t.mu.Lock()
	handler := t.handler
	t.mu.Unlock()
	handler.ServeHTTP(w, r)
}

// serveDiscovery answers in the shape of Auth0's document. It names endpoints
// that a client may look for but this tenant does not have (those answer 404),
// and only the client authentication methods that the tenant does have.
func (t *Tenant) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	algorithms := []string{"HS256", "RS256", "PS256"}
	if t.keys.es256Published() {
		algorithms = append(algorithms, "ES256")
	}
	w.Header().Set("Cache-Control", documentCaching)
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                t.issuer,
		"authorization_endpoint":                t.issuer + "authorize",
		"token_endpoint":                        t.TokenURL(),
		"device_authorization_endpoint":         t.endpoint(devicePath),
		"userinfo_endpoint":                     t.issuer + "userinfo",
		"jwks_uri":                              t.endpoint(keySetPath),
		"scopes_supported":                      []string{"openid", "profile", "email"},
		"response_types_supported":              []string{"code", "token", "id_token", "code token", "code id_token", "token id_token", "code token id_token"},
		"response_modes_supported":              []string{"query", "fragment", "form_post"},
		"subject_types_supported":               []string{"public"},
		"code_challenge_methods_supported":      []string{"S256", "plain"},
		"id_token_signing_alg_values_supported": algorithms,
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"},
		"dpop_signing_alg_values_supported":     proofAlgorithms,

		"tls_client_certificate_bound_access_tokens": true,

		"request_uri_parameter_supported": false,
		"request_parameter_supported":     false,
	})
}

func (t *Tenant) serveKeySet(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", documentCaching)
	writeJSON(w, http.StatusOK, t.keys.published())
}

// endpoint returns the address of a path that begins with a slash.
func (t *Tenant) endpoint(path string) string { return t.issuer + path[1:] }

// writeJSON ignores the error of writing: the client went away, and a test that
// cares sees that on the client's side.
func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
