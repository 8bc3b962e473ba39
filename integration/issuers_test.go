package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"google.golang.org/grpc"

	"github.com/auth0grpc/auth0grpc/integration/ordersv1"
)

// startSimulator starts an Auth0 simulator and returns its issuer.
func startSimulator(t *testing.T, a *authority) string {
	t.Helper()
	certificates := filepath.Join(a.dir, ".simulacrum", "certs")
	if err := os.MkdirAll(certificates, 0o700); err != nil {
		t.Fatal(err)
	}
	a.write(t, filepath.Join(".simulacrum", "certs", "localhost.pem"), a.certPEM)
	a.write(t, filepath.Join(".simulacrum", "certs", "localhost-key.pem"), a.keyPEM)
	port := freePort(t)
	command := exec.Command(needNode(t), "node/simulator.cjs", fmt.Sprint(port), tenant.Audience, "openid read:orders")
	command.Env = append(os.Environ(), "HOME="+a.dir)
	start(t, command)
	return fmt.Sprintf("https://localhost:%d/", port)
}

// simulated asks the simulator for a token.
func simulated(t *testing.T, client *http.Client, issuer string, body map[string]string) string {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Post(issuer+"oauth/token", "application/json", strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var g grant
	if err := json.NewDecoder(response.Body).Decode(&g); err != nil || g.AccessToken == "" {
		t.Fatalf("no token from the simulator: %s %v", response.Status, err)
	}
	return g.AccessToken
}

// twoIssuers starts one server for tokens of two issuers, each with its own keys: a key
// of one verifies nothing for the other.
func twoIssuers(t *testing.T, p *provider) []presentation {
	t.Helper()
	simulator := startSimulator(t, p.authority)
	s := serve(t, p.authority, []string{p.issuer, simulator}, nil)
	both, alone := s.dial(t), serve(t, p.authority, []string{simulator}, nil).dial(t)

	user := simulated(t, p.httpClient(), simulator, map[string]string{
		"grant_type": "password", "username": "eve@example.com", "password": "red herring", "audience": tenant.Audience,
	})
	machine := simulated(t, p.httpClient(), simulator, map[string]string{"grant_type": "client_credentials", "audience": tenant.Audience})
	own := p.machineToken(t, "read:orders")
	forged := p.sign(t, p.keys.current, map[string]any{"iss": simulator})

	var outcomes []presentation
	for _, row := range []struct {
		token, at, raw, want string
		conn                 *grpc.ClientConn
	}{
		{"the provider's", "a server of both", own, "yes", both},
		{"the simulator's, of a user", "a server of both", user, "yes", both},
		// It has no sub, which every token of Auth0 has.
		{"the simulator's, of a machine", "a server of both", machine, "401 INVALID_CLAIMS", both},
		{"one that the provider signed in the simulator's name", "a server of both", forged, "401 UNKNOWN_KEY", both},
		{"the provider's", "a server of the simulator alone", own, "401 WRONG_ISSUER", alone},
	} {
		ctx, cancel := withToken(row.raw)
		_, err := ordersv1.NewOrdersClient(row.conn).GetOrder(ctx, &ordersv1.GetOrderRequest{})
		cancel()
		got := verdictOf(err)
		if got != row.want {
			t.Errorf("%s, at %s: %s, want %s", row.token, row.at, got, row.want)
		}
		outcomes = append(outcomes, presentation{row.token, row.at, got})
	}
	if ages := s.guard.Stats().KeyAge; len(ages) != 2 {
		t.Errorf("keys of %v, want of two issuers", ages)
	}
	return outcomes
}

// sign makes a token as the provider would, with some claims replaced.
func (p *provider) sign(t testing.TB, key jose.JSONWebKey, replaced map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{
		"iss": p.issuer, "sub": "auth0|ada", "aud": tenant.Audience, "azp": "web", "scope": "read:orders",
		"iat": 1, "exp": int64(1) << 33,
	}
	for name, value := range replaced {
		claims[name] = value
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
