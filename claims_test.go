package auth0grpc

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"strconv"
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
		"notBefore": c.notBefore.UnixMilli(), "bound": c.cnf.jkt, "foreign": c.foreignClaim != "",
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
		"ill-typed":  {`{` + required + `,"scope":5}`, errClaimType},
		"almost":     {`{` + required + `,"SCOPE":"admin"}`, errMiscasedClaim},
		"clients":    {`{` + required + `,"azp":"a","client_id":"b"}`, errClientMismatch},
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

// encoding/json, and with it go-oidc, reads every accepted payload in the same way
// (hashicorp/cap#191), and no accepted payload lacks a required claim.
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

// hostileTokens are tokens of 16 KiB that an attacker can send before any
// signature, by the part that is large.
func hostileTokens() map[string]string {
	encode := base64.RawURLEncoding.EncodeToString
	token := func(header, payload string) string {
		return encode([]byte(header)) + "." + encode([]byte(payload)) + ".AAAA"
	}
	fill := func(opening, item, closing string) string {
		var b strings.Builder
		b.WriteString(opening)
		for i := 0; b.Len() < 12_000; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strings.ReplaceAll(item, "#", strconv.Itoa(i)))
		}
		return b.String() + closing
	}
	header := `{"alg":"RS256","kid":"x"}`
	tokens := map[string]string{
		"plain":                    token(header, `{"x":"`+strings.Repeat("a", 12_000)+`"}`),
		"escapes":                  token(header, `{"sub":"`+strings.Repeat(`\u0061`, 2000)+`"}`),
		"scope":                    token(header, `{"scope":"`+strings.Repeat("a ", 6000)+`"}`),
		"escaped scope":            token(header, `{"scope":"`+strings.Repeat(`a\u0020`, 1700)+`"}`),
		"digits of exp":            token(header, `{"exp":1`+strings.Repeat("0", 12_000)+`}`),
		"fraction of exp":          token(header, `{"exp":1.`+strings.Repeat("1", 12_000)+`}`),
		"escaped header members":   token(fill("{", `"\/":0`, "}"), `{}`),
		"distinct header members":  token(fill("{", `"\/#":0`, "}"), `{}`),
		"escaped alg":              token(`{"alg":"`+strings.Repeat(`\/`, 6000)+`"}`, `{}`),
		"cnf members":              token(header, fill(`{"cnf":{`, `"\/#":0`, "}}")),
		"names of claims in case":  token(header, fill("{", `"AUD#":0`, "}")),
		"names of claims with ſ":   token(header, fill("{", `"ſub#":0`, "}")),
		"objects in objects":       token(header, fill(`{"cnf":[`, `{"":{}}`, "]}")),
		"escaped names in objects": token(header, fill(`{"x":[`, `{"\/":0}`, "]}")),
	}
	for name, item := range map[string]string{
		"members": `"#":0`, "members near claims": `"_claim_n#":0`, "escaped members": `"\/":0`, "distinct escaped members": `"\/#":0`,
	} {
		tokens[name] = token(header, fill("{", item, "}"))
	}
	for name, item := range map[string]string{
		"strings": `""`, "escaped strings": `"\/"`, "brackets": `[]`, "objects": `{"":0}`, "quotes": `"` + strings.Repeat(`\"`, 3000) + `"`,
	} {
		tokens[name+" in aud"] = token(header, fill(`{"aud":[`, item, "]}"))
		tokens[name+" in permissions"] = token(header, fill(`{"permissions":[`, item, "]}"))
		tokens[name+" elsewhere"] = token(header, fill(`{"x":[`, item, "]}"))
	}
	return tokens
}

// precheckAlone makes the checks of a token before its signature.
func precheckAlone(v *verifier, raw string) *refusal {
	a := newUnverifiedToken(raw, nil)
	defer a.release()
	return v.precheck(a, time.Now())
}

// No token costs a multiple of a plain one of its length before its signature:
// memory is compared here, time by BenchmarkHostileTokens.
func TestHostileTokensCostLittle(t *testing.T) {
	v := newTestVerifier(&Config{Algorithms: []string{"RS256"}, Issuers: []string{"https://a.example.com/"}, Audiences: []string{"api"}, CacheSize: NoCache})
	cost := func(raw string) uint64 {
		const runs = 20
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			if refused := precheckAlone(v, raw); refused == nil {
				t.Fatal("accepted")
			}
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / runs
	}
	tokens := hostileTokens()
	plain := cost(tokens["plain"])
	for name, raw := range tokens {
		if got := cost(raw); got > 7*plain {
			t.Errorf("%s: %d bytes of memory for a token of %d, a plain one costs %d", name, got, len(raw), plain)
		}
		if allocations := testing.AllocsPerRun(10, func() { precheckAlone(v, raw) }); allocations > 30 {
			t.Errorf("%s: %v allocations", name, allocations)
		}
	}
}

func BenchmarkHostileTokens(b *testing.B) {
	v := newTestVerifier(&Config{Algorithms: []string{"RS256"}, Issuers: []string{"https://a.example.com/"}, Audiences: []string{"api"}, CacheSize: NoCache})
	for name, raw := range hostileTokens() {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				precheckAlone(v, raw)
			}
		})
	}
}

// A name is refused if and only if it differs from a claim in case alone.
func TestAlmostClaim(t *testing.T) {
	names := slices.Concat(checkedClaims[:], []string{"", "x", "AUDI", "_CLAIM_SOURCES_", "SCOPES", "\u017fub\u017f", "aud\u0301", "\u212a", "é"})
	for _, name := range slices.Clone(names) {
		names = append(names, strings.ToUpper(name), strings.ReplaceAll(name, "s", "\u017f"), strings.ReplaceAll(name, "k", "\u212a"))
	}
	for _, name := range names {
		want := slices.ContainsFunc(checkedClaims[:], func(claim string) bool { return claim != name && strings.EqualFold(claim, name) })
		if got := checkMiscased(name); (got != nil) != want {
			t.Errorf("almostClaim(%q) = %v, want an error: %t", name, got, want)
		}
	}
}

// The client among several audiences is no sign of an ID token.
func TestAudienceIsClient(t *testing.T) {
	for _, test := range []struct {
		audience []string
		client   string
		want     bool
	}{
		{[]string{"c"}, "c", true}, {[]string{"api"}, "c", false}, {[]string{"c", "api"}, "c", false}, {[]string{"api", "c"}, "c", false},
	} {
		c := claims{Token: Token{audience: test.audience, clientID: test.client}}
		if got := c.audienceIsClient(); got != test.want {
			t.Errorf("audience %q of client %q: %t", test.audience, test.client, got)
		}
	}
}
