package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// formats write the scopes to define on the API in the forms of Auth0's tools.
// audience is "" if it was not given.
var formats = map[string]func(scopes []string, audience string) (string, error){
	"terraform": terraform,
	"auth0-cli": auth0CLI,
	"json":      managementJSON,
}

var errNoScopes = errors.New("the policy names no scopes")

// terraform writes the resource that manages all scopes of an API
// (https://registry.terraform.io/providers/auth0/auth0/latest/docs/resources/resource_server_scopes).
// Descriptions, which users see when they consent, are for people to add.
func terraform(scopes []string, audience string) (string, error) {
	if len(scopes) == 0 {
		return "", errNoScopes // the provider wants at least one
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

// hclString quotes a text in which ${ and %{ are not to begin templates.
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
	for _, one := range scopes {
		body.Scopes = append(body.Scopes, scope{one})
	}
	text, err := json.MarshalIndent(body, "", "  ")
	return string(text) + "\n", err
}
