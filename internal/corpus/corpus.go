// Package corpus has the authorization values by which tests compare verifiers: tokens of
// every kind of fault, and good ones. It is for tests.
package corpus

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A Case is one authorization value.
type Case struct {
	Name   string // unique, and the same in each run
	Value  string
	Good   bool   // the library accepts it for a method that asks for any token
	Reason string // of the refusal; "" if Good
}

// A Mint makes the tokens of the cases. Its tenant is the issuer of the good ones.
type Mint struct {
	*auth0grpctest.Tenant
	other    *auth0grpctest.Tenant // another tenant of Auth0
	previous string                // a good token of the key before
	revoked  string                // a good token of a key that was revoked
	cases    []Case
	now      time.Time
}

// NewMint returns a mint, whose tenants stop when the test ends.
func NewMint(t testing.TB) *Mint {
	t.Helper()
	m := &Mint{Tenant: auth0grpctest.NewTenant(t), other: auth0grpctest.NewTenant(t)}
	m.revoked = m.Token(nil)
	m.RotateKeys()
	m.RevokePreviousKey()
	m.previous = m.Token(nil)
	m.RotateKeys()
	return m
}

func (m *Mint) add(good bool, name, token string) {
	m.cases = append(m.cases, Case{Name: name, Value: "Bearer " + token, Good: good})
}

// claims adds a case for each value of one claim of a good token.
func (m *Mint) claims(good bool, claim string, values ...any) {
	for _, value := range values {
		m.add(good, claim+" is "+show(value), m.Token(map[string]any{claim: value}))
	}
}

// header adds a case for each value of one header member of a good token. For
// its effect on the signature see auth0grpctest.Tenant.Sign.
func (m *Mint) header(good bool, member string, values ...any) {
	for _, value := range values {
		m.add(good, "header "+member+" is "+show(value), m.Sign(map[string]any{member: value}, m.base(nil)))
	}
}

// base are the claims of a good token, with some replaced.
func (m *Mint) base(replaced map[string]any) map[string]any {
	now := m.now
	claims := map[string]any{
		"iss": m.Issuer(), "sub": auth0grpctest.Subject, "aud": auth0grpctest.Audience, "azp": auth0grpctest.ClientID,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(claims, replaced)
	return claims
}

// payload is a good token's payload as text, with text added before its end.
func (m *Mint) payload(added string) string {
	text, err := json.Marshal(m.base(nil))
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(string(text), "}") + added + "}"
}

// goodHeader is the header of a good token as text, with text added before its
// end.
func (m *Mint) goodHeader(added string) string {
	part, _, _ := strings.Cut(m.Token(nil), ".")
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(string(text), "}") + added + "}"
}

// null is JSON's null, where nil would remove a member.
var null = json.RawMessage("null")

func show(value any) string {
	if value == nil {
		return "missing"
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	if len(text) > 80 {
		return fmt.Sprintf("of %d bytes", len(text))
	}
	return string(text)
}

// Now returns the time at which Cases was called. Some verdicts are true for a minute, so
// a slow test should give its verifier this clock.
func (m *Mint) Now() time.Time { return m.now }

// Cases returns all cases. Call it once.
func (m *Mint) Cases(t testing.TB) []Case {
	t.Helper()
	m.now = time.Now()
	m.SetNow(m.Now)
	for _, group := range []func(){
		m.times, // first, because one of them is a matter of seconds
		m.good, m.signatures, m.algorithms, m.keyIDs, m.issuers, m.audiences, m.subjects, m.types,
		m.structures, m.payloads, m.bindings, m.clients, m.authorizations,
	} {
		group()
	}
	expected := map[string]string{}
	for reason, names := range refused {
		for _, name := range names {
			expected[name] = reason
		}
	}
	seen := map[string]bool{}
	for i, c := range m.cases {
		if seen[c.Name] {
			t.Fatalf("two cases are named %q", c.Name)
		}
		seen[c.Name] = true
		m.cases[i].Reason = expected[c.Name]
		if c.Good != (expected[c.Name] == "") {
			t.Fatalf("%q: good %t, and its reason is %q", c.Name, c.Good, expected[c.Name])
		}
		delete(expected, c.Name)
	}
	for name := range expected {
		t.Fatalf("%q has a reason and is no case", name)
	}
	return m.cases
}

func (m *Mint) good() {
	m.add(true, "Auth0's own profile", m.Token(nil))
	m.add(true, "RFC 9068 profile", m.RFC9068Token(nil))
	m.add(true, "a user's token with userinfo in aud", m.Token(map[string]any{
		"aud": []string{auth0grpctest.Audience, m.Issuer() + "userinfo"}, "scope": "openid profile read:msg",
	}))
	m.add(true, "a machine's token", m.Token(map[string]any{"sub": auth0grpctest.ClientID + "@clients", "gty": "client-credentials", "scope": "read:msg"}))
	m.add(true, "a token of the previous key", m.previous)
	m.add(true, "audiences in another order", m.Token(map[string]any{"aud": []string{m.Issuer() + "userinfo", auth0grpctest.Audience}}))
	m.add(true, "a token of 8 KiB", m.Token(map[string]any{"https://example.com/roles": strings.Repeat("x", 6<<10)}))
	m.claims(true, "scope", "", "read:msg write:msg")
	m.claims(true, "permissions", []string{}, []string{"read:msg"})
	m.claims(true, "org_id", "org_9ybsU1dN2dKfDkBi")
	m.claims(true, "https://example.com/roles", []string{"admin"}, map[string]any{"deep": map[string]any{"er": 1}}, "Ünïcødé")
	m.claims(true, "gty", []string{"refresh_token", "password"})
	m.claims(true, "act", map[string]any{"sub": "agent"})
	m.claims(true, "azp", nil)
	m.claims(true, "client_id", auth0grpctest.ClientID)
	m.claims(true, "auth_time", m.now.Unix())
	m.claims(true, "sid", "s1")
}

func (m *Mint) types() {
	m.header(true, "typ", nil, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt")
	m.header(false, "typ", "dpop+jwt", "logout+jwt", "id+jwt", "secevent+jwt", "JWE", "JOSE", 5, null)
	m.add(false, "an ID token", m.IDToken(nil))
	m.add(false, "an ID token whose audience is the API", m.IDToken(map[string]any{"aud": auth0grpctest.Audience, "azp": auth0grpctest.ClientID}))
	m.add(false, "an ID token without a nonce", m.IDToken(map[string]any{"nonce": nil}))
	m.add(false, "a logout token", m.LogoutToken(nil))
	m.add(false, "a logout token whose audience is the API", m.LogoutToken(map[string]any{"aud": auth0grpctest.Audience}))
	m.add(false, "the API as client and audience", m.Token(map[string]any{"azp": auth0grpctest.Audience}))
	m.claims(false, "nonce", "n1")
	m.claims(false, "at_hash", "abc")
	m.claims(false, "c_hash", "abc")
	m.add(false, "a DPoP proof", auth0grpctest.NewDPoPKey().Proof(m.Issuer(), "", nil))
}

func (m *Mint) issuers() {
	m.add(false, "a token of another tenant", m.other.Token(nil))
	m.claims(false, "iss", nil, null, "", 5)
	m.add(false, "iss is a list of the issuer", m.Token(map[string]any{"iss": []string{m.Issuer()}}))
	for name, iss := range map[string]string{
		"without the slash": strings.TrimSuffix(m.Issuer(), "/"),
		"with two slashes":  m.Issuer() + "/",
		"over http":         strings.Replace(m.Issuer(), "https:", "http:", 1),
		"in upper case":     strings.ToUpper(m.Issuer()),
		"with a path":       m.Issuer() + "other",
		"with a user":       strings.Replace(m.Issuer(), "//", "//auth0@", 1),
		"with a query":      m.Issuer() + "?a",
		"with a space":      m.Issuer() + " ",
		"of another tenant": m.other.Issuer(),
		"of localhost":      strings.Replace(m.Issuer(), "127.0.0.1", "localhost", 1),
	} {
		m.add(false, "iss "+name, m.Token(map[string]any{"iss": iss}))
	}
}

func (m *Mint) audiences() {
	const api = auth0grpctest.Audience
	m.claims(false, "aud", nil, null, "", 5, true, []string{}, "https://other.example.com", api+"/", "HTTPS://API.EXAMPLE.COM",
		api[:10], api+" https://other.example.com", []string{"https://other.example.com"}, [][]string{{api}}, map[string]any{api: true},
		[]any{5, api}, []any{nil, api}, []string{""}, "*")
	m.add(false, "aud is userinfo alone", m.Token(map[string]any{"aud": m.Issuer() + "userinfo"}))
	m.claims(true, "aud", []string{api}, []string{api, api})
}

func (m *Mint) times() {
	now := m.now
	m.add(false, "expired a second ago", m.Token(map[string]any{"exp": now.Add(-time.Second)}))
	m.add(false, "expired an hour ago", m.Token(map[string]any{"exp": now.Add(-time.Hour)}))
	m.add(false, "issued in an hour", m.Token(map[string]any{"iat": now.Add(time.Hour)}))
	m.add(false, "issued in a minute", m.Token(map[string]any{"iat": now.Add(time.Minute)}))
	m.add(false, "not before an hour from now", m.Token(map[string]any{"nbf": now.Add(time.Hour)}))
	m.add(false, "not before a minute from now", m.Token(map[string]any{"nbf": now.Add(time.Minute)}))
	m.add(true, "not before an hour ago", m.Token(map[string]any{"nbf": now.Add(-time.Hour)}))
	m.add(true, "issued 30 days ago", m.Token(map[string]any{"iat": now.Add(-30 * 24 * time.Hour)}))
	m.add(true, "exp with a fraction", m.Token(map[string]any{"exp": float64(now.Unix()) + 3600.5}))
	m.add(true, "iat with a fraction", m.Token(map[string]any{"iat": float64(now.Unix()) - 0.5}))
	m.add(false, "exp as a string", m.Token(map[string]any{"exp": fmt.Sprint(now.Add(time.Hour).Unix())}))
	m.add(false, "iat as a string", m.Token(map[string]any{"iat": fmt.Sprint(now.Unix())}))
	m.claims(false, "exp", nil, null, 0, -1, "soon", true, []int{1}, 1e300)
	m.claims(false, "iat", nil, null, "now", true, 1e300)
	m.claims(false, "nbf", "now", true, 1e300)
}
