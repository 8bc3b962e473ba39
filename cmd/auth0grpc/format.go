package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// formats maps each value of -format to a function that writes the scopes for a tool
// of Auth0. audience is "" without -audience.
var formats = map[string]func(scopes []string, audience string) (string, error){
	"terraform": terraform,
	"auth0-cli": auth0CLI,
	"json":      managementJSON,
}

var errNoScopes = errors.New("the policy names no scopes")

// terraform writes the resource that manages all scopes of an API
// (https://registry.terraform.io/providers/auth0/auth0/latest/docs/resources/resource_server_scopes).
// Add the descriptions by hand: users see them when they consent.
func terraform(scopes []string, audience string) (string, error) {
	if len(scopes) == 0 {
		return "", errNoScopes // the provider requires at least one
	}
	identifier := "auth0_resource_server.api.identifier"
	if audience != "" {
		identifier = hclString(audience)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "resource \"auth0_resource_server_scopes\" \"api\" {\n  resource_server_identifier = %s\n", identifier)
	for _, scope := range scopes {
		fmt.Fprintf(&b, "\n  scopes {\n    name = %s\n  }\n", hclString(scope))
	}
	b.WriteString("}\n")
	return b.String(), nil
}

// hclString quotes a text and escapes ${ and %{, which begin templates.
func hclString(text string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(fmt.Sprintf("%q", text))
}

// auth0CLI writes the command that sets the scopes of an API
// (https://auth0.github.io/auth0-cli/auth0_apis_update.html).
func auth0CLI(scopes []string, audience string) (string, error) {
	if len(scopes) == 0 {
		return "", errNoScopes
	}
	for _, scope := range scopes {
		if strings.Contains(scope, ",") {
			return "", fmt.Errorf("the CLI splits its list at commas, so it cannot set %q", scope)
		}
	}
	identifier := `"$AUTH0_AUDIENCE"`
	if audience != "" {
		identifier = shellQuote(audience)
	}
	return fmt.Sprintf("auth0 apis update %s --scopes %s\n", identifier, shellQuote(strings.Join(scopes, ","))), nil
}

func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// managementJSON writes the body of a PATCH of the API in the Management API
// (https://auth0.com/docs/api/management/v2/resource-servers/patch-resource-servers-by-id).
func managementJSON(scopes []string, _ string) (string, error) {
	type scope struct {
		Value string `json:"value"`
	}
	body := struct {
		Scopes []scope `json:"scopes"`
	}{Scopes: []scope{}}
	for _, name := range scopes {
		body.Scopes = append(body.Scopes, scope{name})
	}
	text, err := json.MarshalIndent(body, "", "  ")
	return string(text) + "\n", err
}
