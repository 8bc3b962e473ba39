package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Tokens of an API that the configuration names have its lifetime, also at the token
// endpoint.
func TestTenantLifetimes(t *testing.T) {
	certificate := filepath.Join(t.TempDir(), "tenant.pem")
	port := freePort(t)
	config := file(t, fmt.Sprintf(`{
  "port": %d, "certificate": %q, "tokenLifetime": "10m",
  "apis": {"https://short.example": {"tokenLifetime": "30s"}},
  "clients": {"worker": {"secret": "s", "scopes": {"https://short.example": ["a"], "https://other.example": ["b"]}}}
}`, port, certificate))
	if out := runningTenant(t, config); !strings.Contains(out, "30s for https://short.example") {
		t.Errorf("the output does not show the lifetime of the API:\n%s", out)
	}
	client, err := trustFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	for audience, want := range map[string]float64{"https://short.example": 30, "https://other.example": 600} {
		_, stdout, stderr := command(t, nil, "token", "-config", config, "-client", "worker", "-audience", audience)
		if stdout == "" {
			t.Fatal(stderr)
		}
		response, err := client.PostForm(fmt.Sprintf("https://127.0.0.1:%d/oauth/token", port), url.Values{
			"grant_type": {"client_credentials"}, "client_id": {"worker"}, "client_secret": {"s"}, "audience": {audience},
		})
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			AccessToken string  `json:"access_token"`
			ExpiresIn   float64 `json:"expires_in"`
		}
		err = json.NewDecoder(response.Body).Decode(&answer)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		subcommand, endpoint := claims(t, strings.TrimSpace(stdout)), claims(t, answer.AccessToken)
		got := []float64{subcommand["exp"].(float64) - subcommand["iat"].(float64), endpoint["exp"].(float64) - endpoint["iat"].(float64), answer.ExpiresIn}
		if diff := cmp.Diff([]float64{want, want, want}, got); diff != "" {
			t.Errorf("%s: lifetimes (-want +got):\n%s", audience, diff)
		}
	}
}
