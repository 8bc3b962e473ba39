package auth0grpcclient_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
)

// TestCausesAreDocumented compares the table in docs/operating.md with the answers of a
// tenant: operators can find the remedy of each cause by the text of the error.
func TestCausesAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*auth0grpcclient.Config){
		"wrong secret":     func(c *auth0grpcclient.Config) { c.ClientSecret = "wr0ng" },
		"unknown client":   func(c *auth0grpcclient.Config) { c.ClientID = "stranger" },
		"unknown audience": func(c *auth0grpcclient.Config) { c.Audience = "https://unknown.example.com" },
		"no client grant":  func(c *auth0grpcclient.Config) { c.ClientID = "granted-nothing" },
	} {
		t.Run(name, func(t *testing.T) {
			tenant, _ := newTenant(t)
			tenant.AddClient("granted-nothing", "s3cret", nil)
			config := configFor(tenant)
			edit(&config)
			var failure *auth0grpcclient.TokenError
			if err := newCredentials(t, config).Ready(t.Context()); !errors.As(err, &failure) {
				t.Fatalf("%v, want a TokenError", err)
			}
			// The table leaves out the names in the description.
			description, _, _ := strings.Cut(failure.Description, `: http`)
			description, _, _ = strings.Cut(description, ` "`)
			if want := "| " + failure.Code + ": " + description; description == "" || !strings.Contains(string(page), want[2:]) {
				t.Errorf("docs/operating.md does not have %q", want[2:])
			}
		})
	}
}
