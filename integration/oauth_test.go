package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A grant is the answer of a token endpoint.
type grant struct {
	AccessToken  string `json:"access_token"`
	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	DeviceCode   string `json:"device_code"`
	Complete     string `json:"verification_uri_complete"`
	Error        string `json:"error"`
	Description  string `json:"error_description"`
}

// post sends a form of a client to an endpoint of the issuer.
func post(t testing.TB, client *http.Client, address, id string, form url.Values, header http.Header) grant {
	t.Helper()
	form.Set("client_id", id)
	if secret := secretOf(id); secret != "" {
		form.Set("client_secret", secret)
	}
	request, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var g grant
	if err := json.NewDecoder(response.Body).Decode(&g); err != nil {
		t.Fatalf("%s answered %s without JSON: %v", address, response.Status, err)
	}
	return g
}

// token asks the provider's token endpoint for a token, and wants one.
func (p *provider) token(t testing.TB, client string, form url.Values) grant {
	t.Helper()
	g := post(t, p.httpClient(), p.issuer+"oauth/token", client, form, nil)
	if g.AccessToken == "" {
		t.Fatalf("no token for %s: %s %s", client, g.Error, g.Description)
	}
	return g
}

// machineToken returns a token by the Client Credentials Flow.
func (p *provider) machineToken(t testing.TB, scope string) string {
	t.Helper()
	return p.token(t, "machine", url.Values{
		"grant_type": {"client_credentials"}, "audience": {tenant.Audience}, "scope": {scope},
	}).AccessToken
}
