package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

const explainPolicy = `{"methods": {
  "/a.B/Read": {"scopes": ["read:a"]},
  "/a.B/Write": {"allOf": [{"scopes": ["read:a", "write:a"]}, {"anyOf": [{"permissions": ["w"]}, {"organizations": ["org_x"]}]}]},
  "/a.B/Org": {"organizations": ["org_x", "org_y"]},
  "/a.B/Client": {"clients": ["worker"]},
  "/a.B/Never": {"allOf": [{"clients": ["a"]}, {"clients": ["b"]}]},
  "/a.B/Public": {"public": true},
  "/a.B/Optional": {"optional": true},
  "/a.B/Trial": {"scopes": ["trial:a"], "reportOnly": true},
  "/a.B/Person": {"anyOf": [{"notDelegated": true}, {"allOf": [{"notDelegated": true}, {"scopes": ["x"]}]}]},
  "/a.B/Agent": {"anyOf": [{"notDelegated": true}, {"actedBy": ["agt_1"]}]},
  "/c.C/*": {"authenticated": true, "same": {"field": "a", "claim": "SUBJECT"}, "relation": {"relation": "viewer", "object": "order:{id}"}}
}}`

// TestExplain explains tokens with one fault each, without a network.
func TestExplain(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	table := file(t, explainPolicy)
	now := time.Now()
	token := func(claims map[string]any) string { return tenant.Token(claims) }
	alter := func(part int, change func(string) string) string {
		parts := strings.Split(token(map[string]any{"scope": "read:a"}), ".")
		text, err := base64.RawURLEncoding.DecodeString(parts[part])
		if err != nil {
			t.Fatal(err)
		}
		parts[part] = base64.RawURLEncoding.EncodeToString([]byte(change(string(text))))
		return strings.Join(parts, ".")
	}
	call := func(method string, flags ...string) []string {
		return append([]string{"-policy", table, "-method", method, "-audience", auth0grpctest.Audience}, flags...)
	}
	good := token(map[string]any{"scope": "read:a"})
	key := auth0grpctest.NewDPoPKey()
	certificate := auth0grpctest.NewCertificateAuthority().Client("x").Leaf
	const canonical = "https://tenant.eu.auth0.com/"
	tests := []struct {
		name   string
		token  string
		args   []string
		status int
		says   []string
	}{
		{"good", good, call("/a.B/Read"), exitOK, []string{"ok    rule       the token satisfies the rule", "?     signature  not verified", "If the signature is good, a server with these settings accepts the call."}},
		{"as a header", "Authorization: Bearer " + good + "\n", call("/a.B/Read"), exitOK, []string{"accepts the call"}},
		{"without a table", good, nil, exitOK, []string{"?     method     not compared", "?     audience   \"https://api.example.com\"; not compared"}},
		{"wildcard row", good, call("/c.C/Any"), exitOK, []string{"row /c.C/*: authenticated", "note  rule       the row also has requirements on the request"}},
		{"opaque", "0123456789abcdefOPAQUE", nil, exitFaults, []string{"the token is opaque", "audience=<identifier of the API>", "A server refuses the call: Unauthenticated."}},
		{"encrypted", "a.b.c.d.e", nil, exitFaults, []string{"encrypted (JWE)"}},
		{"cut off", good[:len(good)/2], nil, exitFaults, []string{"FAIL  form"}},
		{"no JSON", "abc.def.ghi", nil, exitFaults, []string{"no well-formed signed JWT"}},
		{"two lines", "a\nb", nil, exitFaults, []string{"spaces or several lines"}},
		{"algorithm", alter(0, func(s string) string { return strings.Replace(s, "RS256", "HS256", 1) }), nil, exitFaults, []string{`"HS256" uses a shared secret`, "UNSUPPORTED_ALGORITHM"}},
		{"no key", alter(0, func(string) string { return `{"alg":"RS256"}` }), nil, exitFaults, []string{"names no key (kid)"}},
		{"ID token", token(map[string]any{"nonce": "n"}), nil, exitFaults, []string{"the token is an ID token: it has the claim nonce", "WRONG_TOKEN_TYPE"}},
		{"audience of the client", token(map[string]any{"aud": auth0grpctest.ClientID, "azp": auth0grpctest.ClientID}), nil, exitFaults, []string{"the audience is the client itself"}},
		{"no subject", token(map[string]any{"sub": nil}), nil, exitFaults, []string{"the claim sub is missing", "INVALID_CLAIMS"}},
		{"issuer without a slash", token(map[string]any{"iss": "https://tenant.eu.auth0.com"}), []string{"-issuer", canonical}, exitFaults, []string{"FAIL  issuer", "only the final slash differs", "WRONG_ISSUER"}},
		{"issuer in capitals", token(map[string]any{"iss": "https://Tenant.eu.auth0.com/"}), []string{"-issuer", canonical}, exitFaults, []string{"upper and lower case"}},
		{"issuer by http", token(map[string]any{"iss": "http://tenant.eu.auth0.com/"}), []string{"-issuer", canonical}, exitFaults, []string{"only the scheme differs"}},
		{"custom domain", token(map[string]any{"iss": "https://login.example.com/"}), []string{"-issuer", canonical}, exitFaults, []string{"one is a custom domain"}},
		{"other tenant", token(map[string]any{"iss": "https://other.eu.auth0.com/"}), []string{"-issuer", canonical}, exitFaults, []string{"of another tenant"}},
		{"issuer that no server accepts", token(map[string]any{"iss": "ftp://x"}), nil, exitFaults, []string{"no server can accept"}},
		{"no issuer", token(map[string]any{"iss": nil}), nil, exitFaults, []string{"the claim iss is missing"}},
		{"audience", token(map[string]any{"aud": "https://other.example", "scope": "read:a"}), call("/a.B/Read"), exitFaults, []string{"FAIL  audience   \"https://other.example\" is not accepted", "audience=" + auth0grpctest.Audience, "WRONG_AUDIENCE"}},
		{"audience with a slash", token(map[string]any{"aud": auth0grpctest.Audience + "/"}), call("/a.B/Read"), exitFaults, []string{"only the final slash differs, and audiences"}},
		{"no audience", token(map[string]any{"aud": nil}), nil, exitFaults, []string{"the claim aud is missing"}},
		{"expired", token(map[string]any{"exp": now.Add(-time.Hour), "iat": now.Add(-2 * time.Hour)}), nil, exitFaults, []string{"FAIL  time", "expired at", "TOKEN_EXPIRED"}},
		{"skew", token(map[string]any{"exp": now.Add(-time.Minute), "iat": now.Add(-2 * time.Hour)}), []string{"-clock-skew", "5m"}, exitOK, []string{"ok    time"}},
		{"from the future", token(map[string]any{"iat": now.Add(time.Hour), "exp": now.Add(2 * time.Hour)}), nil, exitFaults, []string{"(iat)", "TOKEN_NOT_YET_VALID"}},
		{"unlisted", good, call("/a.B/Other"), exitFaults, []string{"has no row", "METHOD_NOT_LISTED"}},
		{"scope", token(nil), call("/a.B/Read"), exitFaults, []string{"the token lacks scope read:a", "request the scopes in the parameter scope", "PermissionDenied, INSUFFICIENT_SCOPE"}},
		{"scope of a machine", token(map[string]any{"gty": "client-credentials"}), call("/a.B/Read"), exitFaults, []string{"Machine to Machine"}},
		{"nearest way", token(map[string]any{"scope": "read:a", "org_id": "org_x"}), call("/a.B/Write"), exitFaults, []string{"the token lacks scope write:a\n"}},
		{"nearest way of several", token(map[string]any{"scope": "write:a", "permissions": []string{"w"}}), call("/a.B/Write"), exitFaults, []string{"the token lacks scope read:a\n"}},
		{"permission", token(map[string]any{"scope": "read:a write:a"}), call("/a.B/Write"), exitFaults, []string{"the token lacks permission w", "Add Permissions in the Access Token"}},
		{"organization", token(map[string]any{"org_id": "org_z"}), call("/a.B/Org"), exitFaults, []string{"the token lacks organization org_x", "parameter organization", "WRONG_ORGANIZATION"}},
		{"client", token(map[string]any{"azp": "app"}), call("/a.B/Client"), exitFaults, []string{"the token lacks client worker", "add the client id", "WRONG_CLIENT"}},
		{"no actor", good, call("/a.B/Person"), exitOK, []string{"ok    rule"}},
		{"actor", token(map[string]any{"act": map[string]any{"sub": "agt_2"}}), call("/a.B/Person"), exitFaults, []string{"the token names an actor", "ACTOR_NOT_ALLOWED"}},
		{"right actor", token(map[string]any{"act": map[string]any{"sub": "agt_1"}}), call("/a.B/Agent"), exitOK, []string{"ok    rule"}},
		{"other actor", token(map[string]any{"act": map[string]any{"sub": "agt_2"}}), call("/a.B/Agent"), exitFaults, []string{"the token lacks actor agt_1", "let that actor exchange the token"}},
		{"actor of another issuer", token(map[string]any{"act": map[string]any{"sub": "agt_1", "iss": "https://other.example/"}}), call("/a.B/Agent"), exitFaults, []string{"the token lacks actor agt_1"}},
		{"anonymous", token(map[string]any{"sub": "anon@1", "scope": "read:a"}), call("/a.B/Read"), exitFaults, []string{"the token is of an anonymous session"}},
		{"never", good, call("/a.B/Never"), exitFaults, []string{"no token can satisfy the rule"}},
		{"public", token(map[string]any{"aud": "https://other.example"}), call("/a.B/Public"), exitOK, []string{"the server looks at no token", "A server with these settings accepts the call."}},
		{"optional", good, call("/a.B/Optional"), exitOK, []string{"ok    rule"}},
		{"report-only", good, call("/a.B/Trial"), exitOK, []string{"the token lacks scope trial:a", "note  rule       the row is report-only", "reports INSUFFICIENT_SCOPE"}},
		{"bound by DPoP", tenant.BoundToken(map[string]any{"scope": "read:a"}, key), call("/a.B/Read"), exitFaults, []string{"FAIL  binding    the token is bound by DPoP", "enable Config.DPoP", "BOUND_TOKEN"}},
		{"bound by DPoP, accepted", tenant.BoundToken(map[string]any{"scope": "read:a"}, key), call("/a.B/Read", "-dpop"), exitOK, []string{"note  binding    the token is bound by DPoP: each call needs a proof"}},
		{"bound to a certificate, accepted", tenant.CertificateBoundToken(map[string]any{"scope": "read:a"}, certificate), call("/a.B/Read", "-mtls"), exitOK, []string{"note  binding    the token is bound by mTLS"}},
		{"binding required", good, []string{"-method", "/a.B/C", "-policy", file(t, `{"methods": {"/a.B/C": {"authenticated": true, "requireDPoP": true}}}`)}, exitFaults, []string{"the row requires a token bound by DPoP", "DPOP_REQUIRED"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"explain"}, test.args...)
			if contains(test.args, "-issuer") {
				args = append(args, "-offline")
			}
			status, stdout, stderr := commandWithInput(t, test.token, nil, args...)
			if status != test.status || stderr != "" {
				t.Errorf("status %d, want %d; stderr %q", status, test.status, stderr)
			}
			for _, text := range test.says {
				if !strings.Contains(stdout, text) {
					t.Errorf("does not say %q", text)
				}
			}
			wantNoToken(t, test.token, stdout+stderr)
			if t.Failed() {
				t.Logf("stdout:\n%s", stdout)
			}
		})
	}
}

func contains(args []string, arg string) bool {
	for _, a := range args {
		if a == arg {
			return true
		}
	}
	return false
}

// wantNoToken fails if an output has a part of a token, or its subject.
func wantNoToken(t *testing.T, token, output string) {
	t.Helper()
	token = strings.TrimSpace(strings.TrimPrefix(token, "Authorization: Bearer "))
	for _, part := range strings.Split(token, ".") {
		if len(part) > 10 && strings.Contains(output, part[:10]) {
			t.Errorf("the output has a part of the token: %s", output)
		}
	}
	if strings.Contains(output, auth0grpctest.Subject) {
		t.Errorf("the output has the subject: %s", output)
	}
}

// TestExplainSignature verifies tokens against the keys of a tenant.
func TestExplainSignature(t *testing.T) {
	tenant, stranger := auth0grpctest.NewTenant(t), auth0grpctest.NewTenant(t)
	ca := file(t, string(tenant.CertificatePEM()))
	run := func(token string) (int, string) {
		status, stdout, stderr := commandWithInput(t, token, nil, "explain", "-issuer", tenant.Issuer(), "-audience", auth0grpctest.Audience, "-ca", ca)
		wantNoToken(t, token, stdout+stderr)
		return status, stdout + stderr
	}
	good := tenant.Token(nil)
	parts, others := strings.Split(good, "."), strings.Split(tenant.Token(map[string]any{"scope": "x"}), ".")
	for _, test := range []struct {
		name, token string
		status      int
		says        string
	}{
		{"good", good, exitOK, "ok    signature  verified with a key of the issuer"},
		{"other signature", strings.Join([]string{parts[0], parts[1], others[2]}, "."), exitFaults, "BAD_SIGNATURE"},
		{"other key", stranger.Token(map[string]any{"iss": tenant.Issuer()}), exitFaults, "FAIL  signature"},
		{"expired", tenant.Token(map[string]any{"exp": time.Now().Add(-time.Hour), "iat": time.Now().Add(-2 * time.Hour)}), exitFaults, "?     signature  not reached"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if status, output := run(test.token); status != test.status || !strings.Contains(output, test.says) {
				t.Errorf("status %d, want %d and %q:\n%s", status, test.status, test.says, output)
			}
		})
	}
	tenant.SetDown(true)
	if status, output := run(good); status != exitFaults || !strings.Contains(output, "the keys of the issuer are unavailable") {
		t.Errorf("without the tenant: status %d\n%s", status, output)
	}
	fetches := tenant.KeyFetches()
	if _, stdout, _ := commandWithInput(t, good, nil, "explain"); tenant.KeyFetches() != fetches {
		t.Errorf("explain without -issuer fetched keys:\n%s", stdout)
	}
}

func TestExplainUsage(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiJ9.e30.secret-signature"
	for _, test := range []struct {
		name  string
		stdin string
		args  []string
		says  string
	}{
		{"token as an argument", "", []string{token}, "the token is read from standard input"},
		{"no token", " \n", nil, "standard input is empty"},
		{"too long", strings.Repeat("a", maxTokenInput+1), nil, "more than"},
		{"policy without method", token, []string{"-policy", "x"}, "-policy needs -method"},
		{"no such policy", token, []string{"-policy", "no/such/file", "-method", "/a.B/C"}, "no/such/file"},
		{"method", token, []string{"-method", "a.B/C"}, "want a full method"},
		{"issuer without a slash", token, []string{"-issuer", "http://x"}, "Issuers"},
		{"unknown flag", token, []string{"-x"}, "-x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, stdout, stderr := commandWithInput(t, test.stdin, nil, append([]string{"explain"}, test.args...)...)
			if status != exitUsage || stdout != "" || !strings.Contains(stderr, test.says) || strings.Contains(stderr, "secret-signature") {
				t.Errorf("status %d, stdout %q, stderr %q; want %q", status, stdout, stderr, test.says)
			}
		})
	}
	if status, _, stderr := commandWithInput(t, "", nil, "explain", "-h"); status != exitOK || !strings.Contains(stderr, "< token") {
		t.Errorf("-h: status %d\n%s", status, stderr)
	}
}

// A hostile token cannot write to the terminal or fill it.
func TestExplainHostileToken(t *testing.T) {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	long := strings.Repeat("x", 8<<10)
	token := encode(`{"alg":"RS256","kid":"k"}`) + "." +
		encode(fmt.Sprintf(`{"iss":"https://\u001b[31m%s/","aud":["\u001b]0;title\u0007","a","b","c","d","e","f"],"sub":"s","iat":1,"exp":99999999999}`, long)) + ".AAAA"
	status, stdout, stderr := commandWithInput(t, token, nil, "explain")
	if status != exitFaults || strings.ContainsAny(stdout+stderr, "\x1b\x07") || len(stdout) > 4<<10 {
		t.Errorf("status %d, %d bytes:\n%q %q", status, len(stdout), stdout, stderr)
	}
}
