package auth0grpctest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const formType = "application/x-www-form-urlencoded"

// newTenantWithClients has two confidential clients and a public one.
func newTenantWithClients(tb testing.TB) *auth0grpctest.Tenant {
	tb.Helper()
	tenant := auth0grpctest.NewTenant(tb)
	tenant.AddClient("service", "s3cret&", map[string][]string{
		auth0grpctest.Audience:     {"read:msg", "write:msg"},
		"https://bare.example.com": nil,
	})
	tenant.AddClient("stranger", "secret", map[string][]string{"https://other.example.com": {"x"}})
	tenant.AddClient("native", "", map[string][]string{auth0grpctest.Audience: {"read:msg"}})
	return tenant
}

// post sends a body to the tenant and returns the answer's status and members.
func post(tb testing.TB, tenant *auth0grpctest.Tenant, path, contentType, body string, edit ...func(*http.Request)) (int, map[string]any) {
	tb.Helper()
	return postWith(tb, tenant.HTTPClient(), tenant, path, contentType, body, edit...)
}

// postWith is post with a client that the tenant may know by its certificate.
func postWith(tb testing.TB, client *http.Client, tenant *auth0grpctest.Tenant, path, contentType, body string, edit ...func(*http.Request)) (int, map[string]any) {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, tenant.Issuer()+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	for _, f := range edit {
		f(request)
	}
	response, err := client.Do(request)
	if err != nil {
		tb.Fatalf("POST %s: %v", path, err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Cache-Control"); got != "no-store" {
		tb.Errorf("POST %s: Cache-Control %q, want no-store", path, got)
	}
	var members map[string]any
	if err := json.NewDecoder(response.Body).Decode(&members); err != nil {
		tb.Fatalf("POST %s: %v", path, err)
	}
	return response.StatusCode, members
}

func form(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values.Encode()
}

func TestClientCredentialsToken(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	base := []string{
		"grant_type", "client_credentials", "client_id", "service", "client_secret", "s3cret&",
		"audience", auth0grpctest.Audience,
	}
	with := func(pairs ...string) string { return form(append(base[:len(base):len(base)], pairs...)...) }
	tests := []struct {
		name        string
		contentType string
		body        string
		wantScope   string
		wantClaims  map[string]any
	}{
		{name: "all that is granted", body: with(), wantScope: "read:msg write:msg"},
		{name: "narrowed", body: with("scope", "write:msg"), wantScope: "write:msg"},
		{name: "requested twice", body: with("scope", "write:msg write:msg"), wantScope: "write:msg"},
		{
			name: "organization", body: with("organization", "org_1"),
			wantScope: "read:msg write:msg", wantClaims: map[string]any{"org_id": "org_1"},
		},
		{
			name: "JSON", contentType: "application/json; charset=utf-8",
			body: `{"grant_type":"client_credentials","client_id":"service","client_secret":"s3cret&",
				"audience":"https://api.example.com","scope":"read:msg"}`,
			wantScope: "read:msg",
		},
		{
			name: "an API without scopes",
			body: form("grant_type", "client_credentials", "client_id", "service", "client_secret", "s3cret&",
				"audience", "https://bare.example.com"),
			wantClaims: map[string]any{"aud": "https://bare.example.com"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.contentType == "" {
				test.contentType = formType
			}
			status, answer := post(t, tenant, "oauth/token", test.contentType, test.body)
			if status != http.StatusOK {
				t.Fatalf("status %d: %v", status, answer)
			}
			token, _ := answer["access_token"].(string)
			delete(answer, "access_token")
			wantAnswer := map[string]any{"token_type": "Bearer", "expires_in": 86400.0}
			want := map[string]any{
				"iss": tenant.Issuer(), "sub": "service@clients", "aud": auth0grpctest.Audience,
				"azp": "service", "gty": "client-credentials",
			}
			if test.wantScope != "" {
				wantAnswer["scope"], want["scope"] = test.wantScope, test.wantScope
			}
			for name, value := range test.wantClaims {
				want[name] = value
			}
			if diff := cmp.Diff(wantAnswer, answer); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			_, claims := decode(t, token)
			if claims["exp"].(float64)-claims["iat"].(float64) != 86400 {
				t.Errorf("life from %v to %v, want a day", claims["iat"], claims["exp"])
			}
			delete(claims, "iat")
			delete(claims, "exp")
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			if err := verify(t, tenant, token, oidc.Config{ClientID: want["aud"].(string)}); err != nil {
				t.Errorf("go-oidc: %v", err)
			}
		})
	}
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	const grant, service = "grant_type=client_credentials", "&client_id=service&client_secret=s3cret%26"
	const audience = "&audience=https://api.example.com"
	basic := func(r *http.Request) { r.SetBasicAuth("service", "s3cret%26") }
	tests := []struct {
		name        string
		contentType string
		body        string
		edit        func(*http.Request)
		wantStatus  int
		wantError   string
		wantText    string
	}{
		{name: "unknown client", body: grant + audience + "&client_id=nobody&client_secret=s", wantStatus: 401, wantError: "access_denied", wantText: "Unauthorized"},
		{name: "no client", body: grant + audience, wantStatus: 401, wantError: "access_denied", wantText: "Unauthorized"},
		{name: "bad secret", body: grant + audience + "&client_id=service&client_secret=s", wantStatus: 401, wantError: "access_denied", wantText: "Unauthorized"},
		{name: "no secret", body: grant + audience + "&client_id=service", wantStatus: 401, wantError: "access_denied", wantText: "Unauthorized"},
		{name: "parameters in the address", edit: func(r *http.Request) { r.URL.RawQuery = grant + service + audience }, wantStatus: 400, wantError: "invalid_request"},
		{name: "public client", body: grant + audience + "&client_id=native", wantStatus: 403, wantError: "unauthorized_client", wantText: "Grant type 'client_credentials' not allowed for the client."},
		{name: "no audience", body: grant + service, wantStatus: 403, wantError: "access_denied", wantText: "Service not enabled within domain: "},
		{name: "unknown audience", body: grant + service + "&audience=urn:x", wantStatus: 403, wantError: "access_denied", wantText: "Service not enabled within domain: urn:x"},
		{name: "audience of another client", body: grant + service + "&audience=https://other.example.com", wantStatus: 403, wantError: "access_denied", wantText: `Client is not authorized to access "https://other.example.com". You need to create a "client-grant" associated to this API.`},
		{name: "the default audience without a grant", body: grant + audience + "&client_id=stranger&client_secret=secret", wantStatus: 403, wantError: "access_denied", wantText: `Client is not authorized to access "https://api.example.com". You need to create a "client-grant" associated to this API.`},
		{name: "scope that was not granted", body: grant + service + audience + "&scope=admin+write:msg+root", wantStatus: 403, wantError: "access_denied", wantText: "Client has not been granted scopes: admin, root"},
		{name: "organization by name", body: grant + service + audience + "&organization=acme", wantStatus: 400, wantError: "invalid_request"},
		{name: "unsupported grant", body: "grant_type=password" + service, wantStatus: 403, wantError: "unsupported_grant_type", wantText: "Unsupported grant type: password"},
		{name: "no grant", body: "x=y", wantStatus: 400, wantError: "invalid_request", wantText: "Missing required parameter: grant_type"},
		{name: "a parameter twice", body: grant + "&" + grant, wantStatus: 400, wantError: "invalid_request"},
		{name: "not a form", body: "%zz", wantStatus: 400, wantError: "invalid_request"},
		{name: "not JSON", contentType: "application/json", body: grant, wantStatus: 400, wantError: "invalid_request"},
		{name: "JSON of numbers", contentType: "application/json", body: `{"grant_type":1}`, wantStatus: 400, wantError: "invalid_request"},
		{name: "too long", body: grant + "&x=" + strings.Repeat("y", 1<<20), wantStatus: 400, wantError: "invalid_request"},
		{name: "two authentications", body: grant + service + audience, edit: basic, wantStatus: 400, wantError: "invalid_request"},
		{name: "two clients", body: grant + audience + "&client_id=native", edit: basic, wantStatus: 400, wantError: "invalid_request"},
		{name: "Basic not form-encoded", body: grant + audience, edit: func(r *http.Request) { r.SetBasicAuth("service", "%zz") }, wantStatus: 400, wantError: "invalid_request"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.contentType == "" {
				test.contentType = formType
			}
			if test.edit == nil {
				test.edit = func(*http.Request) {}
			}
			status, answer := post(t, tenant, "oauth/token", test.contentType, test.body, test.edit)
			if status != test.wantStatus || answer["error"] != test.wantError {
				t.Errorf("status %d, %v, want %d %s", status, answer, test.wantStatus, test.wantError)
			}
			text, _ := answer["error_description"].(string)
			if text == "" || (test.wantText != "" && text != test.wantText) {
				t.Errorf("error_description %q, want %q", text, test.wantText)
			}
		})
	}
}

func TestTokenEndpointTakesPostOnly(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	for _, path := range []string{"oauth/token", "oauth/device/code"} {
		if status, header, _ := get(t, tenant, path); status != http.StatusMethodNotAllowed || header.Get("Allow") != "POST" {
			t.Errorf("GET %s: status %d, Allow %q, want 405 and POST", path, status, header.Get("Allow"))
		}
	}
}

func TestClientCredentialsPackage(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	for name, style := range map[string]oauth2.AuthStyle{
		"params": oauth2.AuthStyleInParams, "header": oauth2.AuthStyleInHeader, "auto": oauth2.AuthStyleAutoDetect,
	} {
		t.Run(name, func(t *testing.T) {
			config := clientcredentials.Config{
				ClientID: "service", ClientSecret: "s3cret&", TokenURL: tenant.Issuer() + "oauth/token",
				AuthStyle: style, Scopes: []string{"read:msg"},
				EndpointParams: url.Values{"audience": {auth0grpctest.Audience}},
			}
			token, err := config.Token(context.WithValue(t.Context(), oauth2.HTTPClient, tenant.HTTPClient()))
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(t, tenant, token.AccessToken, oidc.Config{}); err != nil {
				t.Errorf("go-oidc: %v", err)
			}
		})
	}
}

func TestAddClient(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	scopes := []string{"read:msg"}
	grants := map[string][]string{auth0grpctest.Audience: scopes}
	tenant.AddClient("service", "old", grants)
	tenant.AddClient("service", "new", grants)
	scopes[0] = "admin" // the registration must have its own copy
	delete(grants, auth0grpctest.Audience)

	body := "grant_type=client_credentials&client_id=service&audience=https://api.example.com&client_secret="
	if status, answer := post(t, tenant, "oauth/token", formType, body+"old"); status != http.StatusUnauthorized {
		t.Errorf("the replaced secret: status %d, %v, want 401", status, answer)
	}
	if status, answer := post(t, tenant, "oauth/token", formType, body+"new"); status != http.StatusOK || answer["scope"] != "read:msg" {
		t.Errorf("status %d, %v, want a token with read:msg", status, answer)
	}
	wantPanic(t, "auth0grpctest: ", func() { tenant.AddClient("", "secret", nil) })
}
