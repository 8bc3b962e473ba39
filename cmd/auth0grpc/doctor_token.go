package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// tokenRemedies explains the errors of the token endpoint, by code and then by a part
// of the description.
var tokenRemedies = []struct{ code, part, remedy string }{
	{"access_denied", "Service not", "no API has this identifier: write -audience as in the Auth0 dashboard (Applications, APIs)"},
	{"access_denied", "Unauthorized", "check -client-id and the secret"},
	{"access_denied", "", "authorize the application for the API (APIs, Machine to Machine Applications)"},
	{"invalid_client", "", "check -client-id and the secret"},
	{"unauthorized_client", "", "turn on the grant Client Credentials for the application (Advanced Settings, Grant Types)"},
	{"invalid_request", "", "check -audience"},
}

// checkToken requests a token by client credentials, and verifies it as a server does.
func (d *doctor) checkToken(ctx context.Context) {
	const name = "token"
	token, failure, remedy := d.requestToken(ctx)
	if failure != "" {
		d.add(checkFail, name, failure, remedy)
		return
	}
	e := &explainer{issuers: []string{d.issuer}, audiences: []string{d.audience}, algorithms: d.algorithms, now: d.now, timeout: d.timeout, live: d.client.Transport}
	x, err := e.explain(ctx, token)
	switch {
	case err != nil:
		d.add(checkFail, name, firstLine(err), "")
	case x.allowed:
		d.add(checkOK, name, "a token by client credentials is accepted", "")
	default:
		for _, c := range x.failures() {
			d.add(checkFail, name, c.name+": "+c.text, c.remedy)
		}
	}
}

// requestToken returns a token, or the failure and its remedy.
func (d *doctor) requestToken(ctx context.Context) (token, failure, remedy string) {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {d.clientID}, "client_secret": {d.secret}, "audience": {d.audience},
	}
	// The secret goes to the host of -issuer alone.
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.issuer+"oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err.Error(), ""
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := d.client.Do(request)
	if err != nil {
		return "", err.Error(), "check the proxy and the firewall of this machine"
	}
	defer response.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer); err != nil {
		return "", fmt.Sprintf("the token endpoint answers %s without JSON", response.Status), "check the issuer"
	}
	if response.StatusCode == http.StatusOK && answer.AccessToken != "" {
		return answer.AccessToken, "", ""
	}
	for _, r := range tokenRemedies {
		if answer.Error == r.code && strings.Contains(answer.Description, r.part) {
			remedy = r.remedy
			break
		}
	}
	return "", fmt.Sprintf("the token endpoint answers %s, %s", response.Status, quote(answer.Error)), remedy
}
