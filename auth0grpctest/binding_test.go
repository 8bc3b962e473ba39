package auth0grpctest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
)

const serviceForm = "grant_type=client_credentials&audience=https://api.example.com&client_id=service&client_secret=s3cret%26"

// proofs sets the DPoP header of a request.
func proofs(values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header["Dpop"] = values }
}

func TestTokenEndpointProofs(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	key, url := auth0grpctest.NewDPoPKey(), tenant.TokenURL()
	proof := func(claims map[string]any) []string { return []string{key.Proof(url, "", claims)} }
	signed := func(header map[string]any) []string { // with claims that are good
		return []string{key.Sign(header, map[string]any{"htm": "POST", "htu": url, "jti": rand.Text(), "iat": time.Now().Unix()})}
	}
	used := proof(nil)
	post(t, tenant, "oauth/token", formType, serviceForm, proofs(used...))
	tests := []struct {
		name      string
		proofs    []string
		wantError any
		wantType  any
	}{
		{name: "none", wantType: "Bearer"},
		{name: "good", proofs: proof(nil), wantType: "DPoP"},
		{name: "two", proofs: append(proof(nil), proof(nil)...), wantError: "invalid_dpop_proof"},
		{name: "used", proofs: used, wantError: "invalid_dpop_proof"},
		{name: "no id", proofs: proof(map[string]any{"jti": nil}), wantError: "invalid_dpop_proof"},
		{name: "another method", proofs: proof(map[string]any{"htm": "GET"}), wantError: "invalid_dpop_proof"},
		{name: "another address", proofs: proof(map[string]any{"htu": tenant.Issuer()}), wantError: "invalid_dpop_proof"},
		{name: "old", proofs: proof(map[string]any{"iat": time.Now().Add(-6 * time.Minute)}), wantError: "invalid_dpop_proof"},
		{name: "claims of another type", proofs: proof(map[string]any{"iat": "now"}), wantError: "invalid_dpop_proof"},
		{name: "of the future", proofs: proof(map[string]any{"iat": time.Now().Add(6 * time.Minute)}), wantError: "invalid_dpop_proof"},
		{name: "another header alone", proofs: signed(map[string]any{"x": "y"}), wantType: "DPoP"},
		{name: "a nonce of another type", proofs: proof(map[string]any{"nonce": 5}), wantError: "invalid_dpop_proof"},
		{name: "not a JWS", proofs: []string{"x"}, wantError: "invalid_dpop_proof"},
		{name: "not a proof", proofs: signed(map[string]any{"typ": "JWT"}), wantError: "invalid_dpop_proof"},
		{name: "no key", proofs: signed(map[string]any{"jwk": nil}), wantError: "invalid_dpop_proof"},
		{name: "key of another", proofs: signed(map[string]any{"jwk": auth0grpctest.NewDPoPKey().JWK()}), wantError: "invalid_dpop_proof"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, answer := post(t, tenant, "oauth/token", formType, serviceForm, proofs(test.proofs...))
			if answer["error"] != test.wantError || answer["token_type"] != test.wantType {
				t.Errorf("%d %v, want error %v, type %v", status, answer, test.wantError, test.wantType)
			}
			if test.wantType == "DPoP" {
				_, claims := decode(t, answer["access_token"].(string))
				if diff := cmp.Diff(map[string]any{"jkt": key.Thumbprint()}, claims["cnf"]); diff != "" {
					t.Errorf("cnf (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestRequireDPoPNonce(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	tenant.RequireDPoPNonce("n1")
	key := auth0grpctest.NewDPoPKey()
	for _, test := range []struct {
		nonce     any
		wantError any
	}{{nil, "use_dpop_nonce"}, {"n0", "use_dpop_nonce"}, {"n1", nil}} {
		proof := key.Proof(tenant.TokenURL(), "", map[string]any{"nonce": test.nonce})
		if status, answer := post(t, tenant, "oauth/token", formType, serviceForm, proofs(proof)); answer["error"] != test.wantError {
			t.Errorf("nonce %v: %d %v, want error %v", test.nonce, status, answer, test.wantError)
		}
	}
	if status, answer := post(t, tenant, "oauth/token", formType, serviceForm); status != http.StatusOK {
		t.Errorf("without a proof: %d %v, want a token", status, answer)
	}
}

func TestKeyClient(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tenant.AddKeyClient("keyed", private.Public(), map[string][]string{auth0grpctest.Audience: {"read:msg"}})
	assertion := func(edit func(*jwt.Claims)) string {
		claims := jwt.Claims{
			Issuer: "keyed", Subject: "keyed", Audience: jwt.Audience{tenant.Issuer()},
			Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute)), ID: rand.Text(),
		}
		if edit != nil {
			edit(&claims)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	used := assertion(func(c *jwt.Claims) { c.Audience = jwt.Audience{"https://elsewhere.example", tenant.TokenURL()} })
	tests := []struct {
		name, assertion string
		more            []string
		wantError       any
	}{
		{name: "good", assertion: assertion(nil)},
		{name: "with client_id", assertion: assertion(nil), more: []string{"client_id", "keyed"}},
		{name: "for the token endpoint", assertion: used},
		{name: "used", assertion: used, wantError: "invalid_client"},
		{name: "no id", assertion: assertion(func(c *jwt.Claims) { c.ID = "" }), wantError: "invalid_client"},
		{name: "expired", assertion: assertion(func(c *jwt.Claims) { c.Expiry = jwt.NewNumericDate(time.Now()) }), wantError: "invalid_client"},
		{name: "too long", assertion: assertion(func(c *jwt.Claims) { c.Expiry = jwt.NewNumericDate(time.Now().Add(time.Hour)) }), wantError: "invalid_client"},
		{name: "for another audience", assertion: assertion(func(c *jwt.Claims) { c.Audience = jwt.Audience{"x"} }), wantError: "invalid_client"},
		{name: "of another issuer", assertion: assertion(func(c *jwt.Claims) { c.Issuer = "x" }), wantError: "invalid_client"},
		{name: "of a client without a key", assertion: assertion(func(c *jwt.Claims) { c.Subject = "service" }), wantError: "invalid_client"},
		{name: "not a JWT", assertion: "x", wantError: "invalid_client"},
		{name: "another client_id", assertion: assertion(nil), more: []string{"client_id", "service"}, wantError: "invalid_client"},
		{name: "and a secret", assertion: assertion(nil), more: []string{"client_secret", "s"}, wantError: "invalid_request"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body := form(append([]string{
				"grant_type", "client_credentials", "audience", auth0grpctest.Audience, "client_assertion", test.assertion,
				"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
			}, test.more...)...)
			if status, answer := post(t, tenant, "oauth/token", formType, body); answer["error"] != test.wantError {
				t.Errorf("%d %v, want error %v", status, answer, test.wantError)
			}
		})
	}
	body := form("grant_type", "client_credentials", "audience", auth0grpctest.Audience, "client_id", "keyed")
	if status, answer := post(t, tenant, "oauth/token", formType, body); status != http.StatusUnauthorized {
		t.Errorf("without an assertion: %d %v, want 401", status, answer)
	}
}

func TestCertificateClient(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	authority := auth0grpctest.NewCertificateAuthority()
	ours, other := authority.Client("ours"), authority.Client("other")
	tenant.AddCertificateClient("certified", ours.Leaf, map[string][]string{auth0grpctest.Audience: {"read:msg"}})
	body := "grant_type=client_credentials&client_id=certified&audience=https://api.example.com"

	request := func(certificate tls.Certificate) (int, map[string]any) {
		client := tenant.HTTPClientWithCertificate(certificate)
		defer client.CloseIdleConnections()
		return postWith(t, client, tenant, "oauth/token", formType, body)
	}
	status, answer := request(ours)
	if status != http.StatusOK || answer["token_type"] != "Bearer" {
		t.Fatalf("%d %v, want a token", status, answer)
	}
	_, claims := decode(t, answer["access_token"].(string))
	want := map[string]any{"x5t#S256": auth0grpctest.CertificateThumbprint(ours.Leaf)}
	if diff := cmp.Diff(want, claims["cnf"]); diff != "" {
		t.Errorf("cnf (-want +got):\n%s", diff)
	}
	if status, answer := request(other); answer["error"] != "invalid_client" {
		t.Errorf("another certificate: %d %v, want invalid_client", status, answer)
	}
	if status, answer := post(t, tenant, "oauth/token", formType, body); answer["error"] != "invalid_client" {
		t.Errorf("no certificate: %d %v, want invalid_client", status, answer)
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	const next = "https://other.example.com"
	chain := func(n int) any {
		var actor map[string]any
		for range n {
			link := map[string]any{"sub": "earlier"}
			if actor != nil {
				link["act"] = actor
			}
			actor = link
		}
		return actor
	}
	exchange := func(pairs ...string) string {
		return form(append([]string{
			"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "stranger", "client_secret", "secret",
			"audience", next, "subject_token_type", "urn:ietf:params:oauth:token-type:access_token",
		}, pairs...)...)
	}
	tests := []struct {
		name, body string
		wantError  any
		wantClaims map[string]any
	}{
		{
			name: "user", body: exchange("subject_token", tenant.Token(map[string]any{"org_id": "org_1", "scope": "read:msg"})),
			wantClaims: map[string]any{"org_id": "org_1", "act": map[string]any{"sub": "stranger"}},
		},
		{
			name: "second hop", body: exchange("subject_token", tenant.Token(map[string]any{"act": chain(1)}), "scope", "x y"),
			wantClaims: map[string]any{"act": map[string]any{"sub": "stranger", "act": map[string]any{"sub": "earlier"}}},
		},
		{name: "five actors", body: exchange("subject_token", tenant.Token(map[string]any{"act": chain(5)})), wantError: "invalid_request"},
		{name: "expired", body: exchange("subject_token", tenant.Token(map[string]any{"exp": 1})), wantError: "invalid_grant"},
		{name: "another issuer", body: exchange("subject_token", tenant.Token(map[string]any{"iss": "x"})), wantError: "invalid_grant"},
		{name: "another key", body: exchange("subject_token", tenant.Sign(map[string]any{"kid": "x"}, nil)), wantError: "invalid_grant"},
		{name: "none", body: exchange(), wantError: "invalid_grant"},
		{name: "another type", body: exchange("subject_token", tenant.Token(nil), "requested_token_type", "x"), wantError: "invalid_request"},
		{name: "the type of the answer", body: exchange("subject_token", tenant.Token(nil), "requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
			wantClaims: map[string]any{"act": map[string]any{"sub": "stranger"}}},
		{name: "an ID token", body: strings.Replace(exchange("subject_token", tenant.Token(nil)), "access_token", "id_token", 1), wantError: "invalid_request"},
		{name: "an API without a grant", body: strings.Replace(exchange("subject_token", tenant.Token(nil)), "other.example.com", "third.example.com", 1), wantError: "access_denied"},
		{name: "public client", body: form("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "native"), wantError: "unauthorized_client"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, answer := post(t, tenant, "oauth/token", formType, test.body)
			if answer["error"] != test.wantError {
				t.Fatalf("%d %v, want error %v", status, answer, test.wantError)
			}
			if test.wantError != nil {
				return
			}
			_, claims := decode(t, answer["access_token"].(string))
			delete(claims, "iat")
			delete(claims, "exp")
			want := map[string]any{"iss": tenant.Issuer(), "sub": auth0grpctest.Subject, "aud": next, "azp": "stranger", "scope": "x"}
			for name, value := range test.wantClaims {
				want[name] = value
			}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIntercept(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	var order []string
	for _, name := range []string{"inner", "outer"} {
		tenant.Intercept(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				order = append(order, name)
				next.ServeHTTP(w, r)
			})
		})
	}
	if status, _, _ := get(t, tenant, ".well-known/jwks.json"); status != http.StatusOK {
		t.Errorf("status %d, want 200", status)
	}
	if diff := cmp.Diff([]string{"outer", "inner"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}
