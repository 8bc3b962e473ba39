package auth0grpcclient_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
)

func mustEC(tb testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// smallRSA has the public key of an RSA key that is too short for use.
type smallRSA struct{ crypto.Signer }

func (smallRSA) Public() crypto.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	sound := func() auth0grpcclient.Config {
		return auth0grpcclient.Config{
			Issuer: "https://tenant.example/", ClientID: "service", ClientSecret: "s3cret", Audience: "https://api.example.com",
		}
	}
	key := mustEC(t, elliptic.P256())
	tests := []struct {
		name string
		edit func(*auth0grpcclient.Config)
		want []string // the fields at fault
	}{
		{name: "sound", edit: func(*auth0grpcclient.Config) {}},
		{name: "everything missing", edit: func(c *auth0grpcclient.Config) { *c = auth0grpcclient.Config{} }, want: []string{"Audience", "ClientID", "ClientSecret", "Issuer"}},
		{name: "domain alone", edit: func(c *auth0grpcclient.Config) { c.Issuer = "tenant.eu.auth0.com" }, want: []string{"Issuer"}},
		{name: "no slash", edit: func(c *auth0grpcclient.Config) { c.Issuer = "https://tenant.eu.auth0.com" }, want: []string{"Issuer"}},
		{name: "spaces around the issuer", edit: func(c *auth0grpcclient.Config) { c.Issuer = " https://tenant.eu.auth0.com/" }, want: []string{"Issuer"}},
		{name: "placeholder", edit: func(c *auth0grpcclient.Config) { c.Issuer = "https://TENANT.eu.auth0.com/" }, want: []string{"Issuer"}},
		{name: "discovery as issuer", edit: func(c *auth0grpcclient.Config) {
			c.Issuer = "https://tenant.eu.auth0.com/.well-known/openid-configuration"
		}, want: []string{"Issuer"}},
		{name: "token endpoint as issuer", edit: func(c *auth0grpcclient.Config) { c.Issuer = "https://tenant.eu.auth0.com/oauth/token/" }, want: []string{"Issuer"}},
		{name: "line breaks from files", edit: func(c *auth0grpcclient.Config) {
			c.ClientID, c.ClientSecret, c.Audience = "service\n", "s3cret\r\n", " https://api.example.com"
		}, want: []string{"Audience", "ClientID", "ClientSecret"}},
		{name: "http", edit: func(c *auth0grpcclient.Config) { c.Issuer = "http://127.0.0.1:1/" }, want: []string{"Issuer"}},
		{name: "http, loopback, asked for", edit: func(c *auth0grpcclient.Config) {
			c.Issuer, c.InsecureAllowPlaintext = "http://localhost:1/", true
		}},
		{name: "http elsewhere", edit: func(c *auth0grpcclient.Config) {
			c.Issuer, c.InsecureAllowPlaintext = "http://tenant.example/", true
		}, want: []string{"Issuer"}},
		{name: "token endpoint", edit: func(c *auth0grpcclient.Config) { c.TokenURL = "https://mtls.example/oauth/token" }},
		{name: "token endpoint with a query", edit: func(c *auth0grpcclient.Config) { c.TokenURL = "https://mtls.example/oauth/token?x" }, want: []string{"TokenURL"}},
		{name: "token endpoint with a password", edit: func(c *auth0grpcclient.Config) { c.TokenURL = "https://u:p@mtls.example/" }, want: []string{"TokenURL"}},
		{name: "token endpoint without a host", edit: func(c *auth0grpcclient.Config) { c.TokenURL = "https:///oauth/token" }, want: []string{"TokenURL"}},
		{name: "token endpoint with an empty query", edit: func(c *auth0grpcclient.Config) { c.TokenURL = "https://mtls.example/oauth/token?" }, want: []string{"TokenURL"}},
		{name: "token endpoint with a fragment", edit: func(c *auth0grpcclient.Config) { c.TokenURL = "https://mtls.example/oauth/token#" }, want: []string{"TokenURL"}},
		{name: "token endpoint without slashes", edit: func(c *auth0grpcclient.Config) { c.TokenURL = "https:mtls.example" }, want: []string{"TokenURL"}},
		{name: "token endpoint over http", edit: func(c *auth0grpcclient.Config) { c.TokenURL = "http://127.0.0.1:1/oauth/token" }, want: []string{"TokenURL"}},
		{name: "issuer with a query", edit: func(c *auth0grpcclient.Config) { c.Issuer = "https://tenant.example/?a=/" }, want: []string{"Issuer"}},
		{name: "blank audience", edit: func(c *auth0grpcclient.Config) { c.Audience = " " }, want: []string{"Audience"}},
		{name: "key id with a line break", edit: func(c *auth0grpcclient.Config) { c.ClientSecret, c.PrivateKey, c.KeyID = "", key, "k\n" }, want: []string{"KeyID"}},
		{name: "all authentications", edit: func(c *auth0grpcclient.Config) {
			c.PrivateKey, c.MutualTLS, c.HTTPClient = key, true, http.DefaultClient
		}, want: []string{"ClientSecret"}},
		{name: "scope with a tab", edit: func(c *auth0grpcclient.Config) { c.Scopes = []string{"a\tb"} }, want: []string{"Scopes[0]"}},
		{name: "no URL", edit: func(c *auth0grpcclient.Config) { c.TokenURL = "https://%zz/" }, want: []string{"TokenURL"}},
		{name: "two authentications", edit: func(c *auth0grpcclient.Config) { c.PrivateKey = key }, want: []string{"ClientSecret"}},
		{name: "key alone", edit: func(c *auth0grpcclient.Config) { c.ClientSecret, c.PrivateKey, c.KeyID = "", key, "k" }},
		{name: "key id without key", edit: func(c *auth0grpcclient.Config) { c.KeyID = "k" }, want: []string{"KeyID"}},
		{name: "key of an odd curve", edit: func(c *auth0grpcclient.Config) {
			c.ClientSecret, c.PrivateKey = "", mustEC(t, elliptic.P224())
		}, want: []string{"PrivateKey"}},
		{name: "small key", edit: func(c *auth0grpcclient.Config) { c.ClientSecret, c.PrivateKey = "", smallRSA{} }, want: []string{"PrivateKey"}},
		{name: "certificate", edit: func(c *auth0grpcclient.Config) {
			c.ClientSecret, c.MutualTLS, c.HTTPClient = "", true, http.DefaultClient
		}},
		{name: "certificate from nowhere", edit: func(c *auth0grpcclient.Config) { c.ClientSecret, c.MutualTLS = "", true }, want: []string{"HTTPClient"}},
		{name: "spaces", edit: func(c *auth0grpcclient.Config) {
			c.Scopes, c.Organization = []string{"read:msg", "", "a b"}, " org_1"
		}, want: []string{"Organization", "Scopes[1]", "Scopes[2]"}},
		{name: "DPoP", edit: func(c *auth0grpcclient.Config) {
			c.DPoP, c.DPoPKey, c.Authority = true, key, "https://api.example.com:8443"
		}},
		{name: "DPoP key without DPoP", edit: func(c *auth0grpcclient.Config) { c.DPoPKey = key }, want: []string{"DPoPKey"}},
		{name: "DPoP with a bad key", edit: func(c *auth0grpcclient.Config) { c.DPoP, c.DPoPKey = true, smallRSA{} }, want: []string{"DPoPKey"}},
		{name: "authority without DPoP", edit: func(c *auth0grpcclient.Config) { c.Authority = "https://api.example.com" }, want: []string{"Authority"}},
		{name: "authority over http", edit: func(c *auth0grpcclient.Config) { c.DPoP, c.Authority = true, "http://api.example.com" }},
		{name: "authority of another scheme", edit: func(c *auth0grpcclient.Config) { c.DPoP, c.Authority = true, "grpc://api.example.com" }, want: []string{"Authority"}},
		{name: "http, loopback by address", edit: func(c *auth0grpcclient.Config) {
			c.Issuer, c.InsecureAllowPlaintext = "http://127.0.0.1:1/", true
		}},
		{name: "http, loopback by IPv6 address", edit: func(c *auth0grpcclient.Config) {
			c.Issuer, c.InsecureAllowPlaintext = "http://[::1]:1/", true
		}},
		{name: "loopback by another scheme", edit: func(c *auth0grpcclient.Config) {
			c.Issuer, c.InsecureAllowPlaintext = "ftp://127.0.0.1:1/", true
		}, want: []string{"Issuer"}},
		{name: "http, another address", edit: func(c *auth0grpcclient.Config) {
			c.Issuer, c.InsecureAllowPlaintext = "http://192.0.2.1/", true
		}, want: []string{"Issuer"}},
		{name: "authority without a host", edit: func(c *auth0grpcclient.Config) { c.DPoP, c.Authority = true, "https://:443" }, want: []string{"Authority"}},
		{name: "authority with a user", edit: func(c *auth0grpcclient.Config) { c.DPoP, c.Authority = true, "https://u@api.example.com" }, want: []string{"Authority"}},
		{name: "authority that is no URL", edit: func(c *auth0grpcclient.Config) { c.DPoP, c.Authority = true, "https://%zz" }, want: []string{"Authority"}},
		{name: "authority with a path", edit: func(c *auth0grpcclient.Config) { c.DPoP, c.Authority = true, "https://api.example.com/x" }, want: []string{"Authority"}},
		{name: "authority without a scheme", edit: func(c *auth0grpcclient.Config) { c.DPoP, c.Authority = true, "api.example.com:443" }, want: []string{"Authority"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := sound()
			test.edit(&config)
			_, err := auth0grpcclient.New(config)
			if diff := cmp.Diff(test.want, faultyFields(err)); diff != "" {
				t.Errorf("fields at fault (-want +got):\n%s\n%v", diff, err)
			}
			if strings.Contains(fmt.Sprint(err), "s3cret") {
				t.Errorf("the secret is in the text: %v", err)
			}
			if _, again := auth0grpcclient.NewOnBehalfOf(config, auth0grpcclient.IncomingToken); (again == nil) != (err == nil) {
				t.Errorf("NewOnBehalfOf: %v, New: %v", again, err)
			}
		})
	}
}

// faultyFields takes a joined error apart.
func faultyFields(err error) []string {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var fields []string
	for _, err := range joined.Unwrap() {
		var fault *auth0grpcclient.ConfigError
		if !errors.As(err, &fault) || !strings.HasPrefix(err.Error(), "auth0grpcclient: Config."+fault.Field) {
			return []string{"not a ConfigError: " + err.Error()}
		}
		fields = append(fields, fault.Field)
	}
	return fields
}

// TestNoSecretsInText guards against GO-2024-2978: the printed form of a context or a
// configuration ends up in logs.
func TestNoSecretsInText(t *testing.T) {
	t.Parallel()
	config := offline(func(*http.Request) (*http.Response, error) {
		return answer(200, `{"access_token":"t0ken","token_type":"Bearer","expires_in":86400}`), nil
	})
	c := newCredentials(t, config)
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", config, "credentials", c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "app", struct{ Auth auth0grpcclient.Config }{config})
	var records strings.Builder
	logger := slog.New(slog.NewJSONHandler(&records, nil))
	logger.Info("x", "config", config, "credentials", c)
	logger.Info("x", "pointer", &config)
	logger.Info("x", "app", struct {
		Auth *auth0grpcclient.Config
		All  []auth0grpcclient.Config
	}{&config, []auth0grpcclient.Config{config}})
	logger.Info("x", "app", map[string]any{"auth": config, "credentials": c})
	encoded := []byte("service ")
	for _, v := range []any{config, &config, map[string]any{"c": config}, struct{ C *auth0grpcclient.Credentials }{c}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		encoded = append(encoded, text...)
	}
	texts := []string{log.String(), records.String(), string(encoded), fmt.Sprint(config), fmt.Sprintf("%+v", config), fmt.Sprintf("%#v", config), fmt.Sprintf("%+v %#v %s", c, c, c)}
	for _, text := range texts {
		if strings.Contains(text, "s3cret") || strings.Contains(text, "t0ken") || !strings.Contains(text, "service") {
			t.Errorf("want the client and no secret: %s", text)
		}
	}
}

// TestConfigIsRead shows that a Config can still be read from JSON.
func TestConfigIsRead(t *testing.T) {
	t.Parallel()
	var config auth0grpcclient.Config
	if err := json.Unmarshal([]byte(`{"ClientID":"service","ClientSecret":"s3cret"}`), &config); err != nil || config.ClientSecret != "s3cret" {
		t.Errorf("%v, want the secret", err)
	}
}

func TestConfigIsCopied(t *testing.T) {
	t.Parallel()
	var scope string
	config := offline(func(r *http.Request) (*http.Response, error) {
		scope = r.FormValue("scope")
		return answer(200, `{"access_token":"t","token_type":"Bearer","expires_in":86400}`), nil
	})
	config.Scopes = []string{"a", "b"}
	redirects := config.HTTPClient.CheckRedirect
	c := newCredentials(t, config)
	config.Scopes[0] = "x"
	if err := c.Ready(t.Context()); err != nil || scope != "a b" {
		t.Errorf("scope %q, %v, want the scopes at the time of New", scope, err)
	}
	if (config.HTTPClient.CheckRedirect == nil) != (redirects == nil) {
		t.Error("New changed the caller's HTTPClient")
	}
}
