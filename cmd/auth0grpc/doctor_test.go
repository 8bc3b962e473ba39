package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

const doctorSecret = "a-secret-of-the-test"

// TestDoctor examines a tenant.
func TestDoctor(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	tenant.AddClient("worker", doctorSecret, map[string][]string{auth0grpctest.Audience: {"read:a"}})
	ca := file(t, string(tenant.CertificatePEM()))
	examine := func(issuer string, environment map[string]string, args ...string) (int, string) {
		t.Helper()
		args = append([]string{"doctor", "-issuer", issuer, "-ca", ca}, args...)
		status, stdout, stderr := command(t, environment, args...)
		if strings.Contains(stdout+stderr, doctorSecret) {
			t.Errorf("the output has the secret:\n%s%s", stdout, stderr)
		}
		return status, stdout + stderr
	}
	secret := map[string]string{secretEnv: doctorSecret}
	for _, test := range []struct {
		name        string
		issuer      string
		environment map[string]string
		args        []string
		status      int
		says        []string
	}{
		{"good", tenant.Issuer(), nil, []string{"-audience", auth0grpctest.Audience}, exitOK, []string{"ok    clock       the local clock agrees", "ok    discovery", "ok    algorithms  RS256", "ok    keys", "?     audience"}},
		{"no audience", tenant.Issuer(), nil, nil, exitOK, []string{"name the identifier of the API by -audience"}},
		{"no slash", strings.TrimSuffix(tenant.Issuer(), "/"), nil, nil, exitFaults, []string{"does not end in a slash", "ok    keys"}},
		{"http", "http://" + strings.TrimPrefix(tenant.Issuer(), "https://"), nil, nil, exitFaults, []string{"does not begin with https://"}},
		{"password", "https://user:" + doctorSecret + "@tenant.example/", nil, nil, exitFaults, []string{"has a user, a query or a fragment"}},
		{"no URL", "tenant.eu.auth0.com", nil, nil, exitFaults, []string{"is no URL"}},
		{"another path", tenant.Issuer() + "x/", nil, nil, exitFaults, []string{"FAIL  discovery", "check the name of the tenant"}},
		{"unreachable", "https://127.0.0.1:1/", nil, nil, exitFaults, []string{"check the name of the tenant, DNS"}},
		{"algorithms", tenant.Issuer(), nil, []string{"-algorithms", "ES256"}, exitFaults, []string{"the server accepts ES256"}},
		{"userinfo", tenant.Issuer(), nil, []string{"-audience", tenant.Issuer() + "userinfo/userinfo"}, exitFaults, []string{"is Auth0's own endpoint"}},
		{"token", tenant.Issuer(), secret, []string{"-audience", auth0grpctest.Audience, "-client-id", "worker"}, exitOK, []string{"ok    token"}},
		{"wrong client", tenant.Issuer(), secret, []string{"-audience", auth0grpctest.Audience, "-client-id", "other"}, exitFaults, []string{"FAIL  token", "check -client-id and the secret"}},
		{"unknown API", tenant.Issuer(), secret, []string{"-audience", "https://unknown.example", "-client-id", "worker"}, exitFaults, []string{"FAIL  token", "no API has this identifier"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, output := examine(test.issuer, test.environment, test.args...)
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			for _, text := range test.says {
				if !strings.Contains(output, text) {
					t.Errorf("does not say %q", text)
				}
			}
			if t.Failed() {
				t.Logf("output:\n%s", output)
			}
		})
	}
}

// TestDoctorFaults examines issuers with one fault each.
func TestDoctorFaults(t *testing.T) {
	type parts struct {
		issuer, date string
		keys         []map[string]string
		status       int
	}
	for _, test := range []struct {
		name  string
		alter func(*parts)
		says  []string
	}{
		{"custom domain", func(p *parts) { p.issuer = "https://tenant.eu.auth0.com/" }, []string{"FAIL  discovery", "one is a custom domain"}},
		{"clock behind", func(p *parts) { p.date = time.Now().Add(time.Hour).UTC().Format(http.TimeFormat) }, []string{"behind the issuer's", "NTP"}},
		{"clock ahead", func(p *parts) { p.date = time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat) }, []string{"ahead of the issuer's"}},
		{"weak key", func(p *parts) {
			p.keys = []map[string]string{{"kty": "RSA", "kid": "weak", "use": "sig", "n": "AQAB", "e": "AQAB"}}
		}, []string{"FAIL  keys"}},
		{"no keys", func(p *parts) { p.keys = []map[string]string{} }, []string{"FAIL  keys"}},
		{"error", func(p *parts) { p.status = http.StatusTeapot }, []string{"418", "check the name of the tenant"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var p parts
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if p.date != "" {
					w.Header().Set("Date", p.date)
				}
				if p.status != 0 {
					w.WriteHeader(p.status)
				}
				document := any(map[string]any{"issuer": p.issuer, "jwks_uri": "https://" + r.Host + "/keys", "id_token_signing_alg_values_supported": []string{"HS256", "RS256"}})
				if r.URL.Path == "/keys" {
					document = map[string]any{"keys": p.keys}
				}
				if err := json.NewEncoder(w).Encode(document); err != nil {
					t.Error(err)
				}
			}))
			defer server.Close()
			p.issuer = server.URL + "/"
			test.alter(&p)
			ca := file(t, pemOf(server.Certificate()))
			status, stdout, stderr := command(t, nil, "doctor", "-issuer", server.URL+"/", "-ca", ca)
			if status != exitFaults || stderr != "" {
				t.Errorf("status %d, stderr %q", status, stderr)
			}
			for _, text := range test.says {
				if !strings.Contains(stdout, text) {
					t.Errorf("does not say %q:\n%s", text, stdout)
				}
			}
		})
	}
}

func TestDoctorUsage(t *testing.T) {
	const issuer = "https://tenant.example/"
	for _, test := range []struct {
		args        []string
		environment map[string]string
		says        string
	}{
		{nil, nil, "want -issuer"},
		{[]string{"-issuer", issuer, doctorSecret}, nil, "unexpected argument"},
		{[]string{"-issuer", issuer, "-client-id", "x"}, nil, "-client-id needs"},
		{[]string{"-issuer", issuer}, map[string]string{secretEnv: doctorSecret}, "needs -client-id"},
		{[]string{"-issuer", issuer, "-ca", "no/such/file"}, nil, "no/such/file"},
		{[]string{"-x"}, nil, "-x"},
	} {
		t.Run(fmt.Sprint(test.args), func(t *testing.T) {
			status, stdout, stderr := command(t, test.environment, append([]string{"doctor"}, test.args...)...)
			if status != exitUsage || stdout != "" || !strings.Contains(stderr, test.says) || strings.Contains(stderr, doctorSecret) {
				t.Errorf("status %d, stdout %q, stderr %q; want %q", status, stdout, stderr, test.says)
			}
		})
	}
	if status, _, stderr := command(t, nil, "doctor", "-h"); status != exitOK || !strings.Contains(stderr, secretEnv) {
		t.Errorf("-h: status %d\n%s", status, stderr)
	}
}
