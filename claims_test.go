package auth0grpc

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const required = `"iss":"https://a.example.com/","sub":"s","aud":"api","iat":1000,"exp":2000`

func TestParseClaims(t *testing.T) {
	c, refused := parseClaims(` { ` + required + `, "nbf": 1500.5, "azp":"app", "client_id":"app", "scope":" read:a  write:b ",
		"permissions":["p","q"], "org_id":"org_a", "cnf":{"jkt":"x"}, "nonce":"n", "https://example.com/x":{"y":[1]} } `)
	if refused != nil {
		t.Fatal(refused)
	}
	got := map[string]any{
		"issuer": c.Issuer(), "subject": c.Subject(), "audience": c.Audience(), "client": c.ClientID(), "org": c.OrganizationID(),
		"scopes": c.Scopes(), "permissions": c.Permissions(), "issued": c.IssuedAt().Unix(), "expiry": c.Expiry().Unix(),
		"notBefore": c.notBefore.UnixMilli(), "bound": c.cnf.key, "foreign": c.foreign,
	}
	want := map[string]any{
		"issuer": "https://a.example.com/", "subject": "s", "audience": []string{"api"}, "client": "app", "org": "org_a",
		"scopes": []string{"read:a", "write:b"}, "permissions": []string{"p", "q"}, "issued": int64(1000), "expiry": int64(2000),
		"notBefore": int64(1500500), "bound": "x", "foreign": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestParseClaimsRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		payload string
		cause   error
	}{
		"missing":    {`{"iss":"x"}`, errMissingClaim},
		"ill-typed":  {`{` + required + `,"scope":5}`, errIllTyped},
		"almost":     {`{` + required + `,"SCOPE":"admin"}`, errAlmostClaim},
		"clients":    {`{` + required + `,"azp":"a","client_id":"b"}`, errTwoClients},
		"syntax":     {`{` + required, errPayloadSyntax},
		"duplicates": {`{` + required + `,"sub":"t"}`, errPayloadSyntax},
		"depth":      {`{` + required + `,"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, errPayloadSyntax},
	} {
		c, refused := parseClaims(test.payload)
		if c != nil || !errors.Is(refused, test.cause) || !errors.Is(refused, ErrInvalidToken) {
			t.Errorf("%s: %v, want %v", name, refused, test.cause)
		}
	}
}

func TestSplitScope(t *testing.T) {
	for scope, want := range map[string][]string{
		"": nil, "a": {"a"}, "a b": {"a", "b"}, " a  b ": {"a", "b"}, " ": {}, "a\tb": {"a\tb"}, "a,b": {"a,b"},
	} {
		if diff := cmp.Diff(want, splitScope(scope)); diff != "" {
			t.Errorf("splitScope(%q) (-want +got):\n%s", scope, diff)
		}
	}
}

// What we accept, encoding/json, and with it go-oidc, reads in the same way
// (hashicorp/cap#191); and nothing that is accepted lacks what is required.
func FuzzClaims(f *testing.F) {
	for _, more := range []string{
		"", `,"AUD":"x"`, `,"ſub":"x"`, `,"sub":"x"`, `,"s\u0075b":"x"`, `,"nbf":1e3`, `,"scope":"a  b"`, `,"permissions":["a",null]`,
		`,"azp":"a","client_id":"b"`, `,"cnf":{}`, `,"x":{"y":{"y":1}}`, `,"x":"\ud800"`, `,"exp":"1"`,
	} {
		f.Add(`{` + required + more + `}`)
	}
	f.Add(`[]`)
	f.Add(`{"iss":"i","sub":"s","aud":["a","b"],"iat":0.5,"exp":253402300799.9}`)
	f.Fuzz(func(t *testing.T, payload string) {
		c, refused := parseClaims(payload)
		if (c == nil) == (refused == nil) {
			t.Fatalf("parseClaims = %v, %v", c, refused)
		}
		if refused != nil {
			if refused.reason != ReasonInvalidClaims && refused.reason != ReasonMalformedToken {
				t.Errorf("reason %s", refused.reason)
			}
			return
		}
		if c.Issuer() == "" || c.Subject() == "" || len(c.Audience()) == 0 || c.Expiry().Before(time.Unix(0, 0)) {
			t.Errorf("accepted without a required claim: %s", payload)
		}
		var folded struct {
			Iss, Sub, Scope, Azp string
			Aud                  any
		}
		if err := json.Unmarshal([]byte(payload), &folded); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		if folded.Iss != c.issuer || folded.Sub != c.subject || folded.Azp != c.authorizedParty {
			t.Errorf("encoding/json reads %+v in %s", folded, payload)
		}
		if diff := cmp.Diff(splitScope(folded.Scope), c.scopes); diff != "" {
			t.Errorf("scopes (-encoding/json +ours):\n%s", diff)
		}
	})
}
