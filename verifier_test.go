package auth0grpc_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A tokenRow is a token and its expected outcome.
type tokenRow struct {
	name  string
	token string
	want  outcome
}

// runTokens runs the rows over every transport and in every shape.
func (f *fixture) runTokens(t *testing.T, rows []tokenRow) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { f.everywhere(t, row.want, bearer(row.token)...) })
	}
}

// headerRows test the first part of a token. Nothing in it is trusted; it is only
// compared with required values.
func headerRows(f *fixture) []tokenRow {
	sign := func(header claims) string { return f.tenant.Sign(header, f.claims(nil)) }
	key := claims{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(make([]byte, 256)), "e": "AQAB"}
	return []tokenRow{
		{"as Auth0 sends it", sign(nil), passes},
		{"typ absent", sign(claims{"typ": nil}), passes},
		{"typ in lower case", sign(claims{"typ": "jwt"}), passes},
		{"typ at+jwt", sign(claims{"typ": "at+jwt"}), passes},
		{"typ AT+JWT", sign(claims{"typ": "AT+JWT"}), passes},
		{"typ as media type", sign(claims{"typ": "application/at+jwt"}), passes},
		{"typ as media type in capitals", sign(claims{"typ": "Application/JWT"}), passes},
		{"typ with a letter whose lower case is another's", sign(claims{"typ": "appl\u0130cation/jwt"}), wrongType},
		{"typ under another tree", sign(claims{"typ": "multipart/a/jwt"}), wrongType},
		{"typ of a DPoP proof (CVE-2026-41164)", sign(claims{"typ": "dpop+jwt"}), wrongType},
		{"typ of a logout token", sign(claims{"typ": "logout+jwt"}), wrongType},
		{"typ of an event", sign(claims{"typ": "secevent+jwt"}), wrongType},
		{"typ of a JWE", sign(claims{"typ": "JWE"}), wrongType},
		{"typ empty", sign(claims{"typ": ""}), malformed},
		{"typ of a media type without a name", sign(claims{"typ": "application/"}), wrongType},
		{"typ with a space", sign(claims{"typ": "JWT "}), wrongType},
		{"typ twice applied", sign(claims{"typ": "application/application/jwt"}), wrongType},
		{"typ a number", sign(claims{"typ": 5}), malformed},
		{"none with a signature", sign(claims{"alg": "none"}) + "c2lnbmVk", wrongAlgorithm},
		{"none without", sign(claims{"alg": "none"}), malformed},
		{"None", sign(claims{"alg": "None"}) + "c2lnbmVk", wrongAlgorithm},
		{"HS256 keyed with the public key (CVE-2026-33322)", sign(claims{"alg": "HS256"}), wrongAlgorithm},
		{"RS512 not on the list", sign(claims{"alg": "RS512"}), wrongAlgorithm},
		{"PS256 not on the list", sign(claims{"alg": "PS256"}), wrongAlgorithm},
		{"ES256 not on the list", sign(claims{"alg": "ES256"}), wrongAlgorithm},
		{"rs256", sign(claims{"alg": "rs256"}), wrongAlgorithm},
		{"alg absent", sign(claims{"alg": nil}), malformed},
		{"alg empty", sign(claims{"alg": ""}), malformed},
		{"alg a list", sign(claims{"alg": []string{"RS256"}}), malformed},
		{"alg named ALG", f.tenant.SignRaw(`{"ALG":"RS256"}`, toJSON(f.claims(nil))), malformed},
		{"alg twice", f.tenant.SignRaw(`{"alg":"RS256","alg":"RS256"}`, toJSON(f.claims(nil))), malformed},
		{"crit", sign(claims{"crit": []string{"exp"}}), malformed},
		{"crit empty", sign(claims{"crit": []string{}}), malformed},
		{"b64", sign(claims{"b64": true}), malformed},
		{"jku ignored (CVE-2026-32301)", sign(claims{"jku": f.tenant.Issuer() + "leak"}), passes},
		{"x5u ignored", sign(claims{"x5u": f.tenant.Issuer() + "leak"}), passes},
		{"jwk ignored (CVE-2025-24976)", sign(claims{"jwk": key}), passes},
		{"x5t ignored", sign(claims{"x5t": "bGVhaw"}), passes},
		{"kid absent", sign(claims{"kid": nil}), noKeyID},
		{"kid empty", sign(claims{"kid": ""}), noKeyID},
		{"kid a number", sign(claims{"kid": 1}), malformed},
		{"kid unknown", sign(claims{"kid": "leak-unknown"}), unknownKey},
		{"kid a path", sign(claims{"kid": "../../../../dev/null"}), unknownKey},
		{"not an object", f.tenant.SignRaw(`["RS256"]`, toJSON(f.claims(nil))), malformed},
	}
}

func TestTokenHeader(t *testing.T) {
	f := newFixture(t)
	f.runTokens(t, headerRows(f))
}

// claimRows test a token's issuer, audience and kind.
func claimRows(f *fixture) []tokenRow {
	array := func(audiences ...any) claims { return claims{"aud": audiences} }
	rows := []tokenRow{
		{"own profile", f.token(nil), passes},
		{"RFC 9068 profile", f.tenant.RFC9068Token(claims{"scope": "read:orders"}), passes},
		{"distributed claims, none", f.token(claims{"_claim_names": claims{}}), passes},
		{"custom claims", f.token(claims{"https://example.com/roles": []string{"leak"}, "gty": "client-credentials"}), passes},
		{"other issuer", f.token(claims{"iss": "https://leak.example.com/"}), wrongIssuer},
		{"issuer without its slash", f.token(claims{"iss": strings.TrimSuffix(f.tenant.Issuer(), "/")}), wrongIssuer},
		{"issuer in capitals", f.token(claims{"iss": strings.ToUpper(f.tenant.Issuer())}), wrongIssuer},
		{"other audience (CVE-2026-40946)", f.token(claims{"aud": "https://leak.example.com"}), wrongAudience},
		{"audience with a slash", f.token(claims{"aud": auth0grpctest.Audience + "/"}), wrongAudience},
		{"audience as array (CVE-2020-26160)", f.token(array(auth0grpctest.Audience)), passes},
		{"audience first in array, as Auth0 issues it with openid", f.token(array(auth0grpctest.Audience, f.tenant.Issuer()+"userinfo")), passes},
		{"audience amid others", f.token(array("leak", auth0grpctest.Audience, "https://leak.example.com")), passes},
		{"audience second in array", f.token(array(f.tenant.Issuer()+"userinfo", auth0grpctest.Audience)), passes},
		{"audience array of others", f.token(array("leak", "https://leak.example.com")), wrongAudience},
		{"audience of the client alone", f.token(claims{"aud": auth0grpctest.ClientID}), wrongType},
		{"azp and client_id agree", f.token(claims{"client_id": auth0grpctest.ClientID}), passes},
		{"azp and client_id differ", f.token(claims{"client_id": "leak"}), badClaims},
		{"neither azp nor client_id", f.token(claims{"azp": nil}), passes},
		{"nonce", f.token(claims{"nonce": "leak"}), wrongType},
		{"at_hash", f.token(claims{"at_hash": "leak"}), wrongType},
		{"c_hash", f.token(claims{"c_hash": "leak"}), wrongType},
		{"events", f.token(claims{"events": claims{}}), wrongType},
		{"htm", f.token(claims{"htm": "POST"}), wrongType},
		{"htu", f.token(claims{"htu": "https://leak.example.com/"}), wrongType},
		{"ID token (CVE-2026-41164)", f.tenant.IDToken(nil), wrongType},
		{"ID token for this API", f.tenant.IDToken(claims{"aud": auth0grpctest.Audience}), wrongType},
		{"logout token", f.tenant.LogoutToken(nil), wrongType},
		{"logout token for this API", f.tenant.LogoutToken(claims{"aud": auth0grpctest.Audience}), wrongType},
		{"DPoP proof", f.tenant.Sign(claims{"typ": "dpop+jwt"}, claims{"jti": "leak", "htm": "POST", "htu": "leak", "iat": 1}), wrongType},
		{"bound by DPoP", f.token(claims{"cnf": claims{"jkt": "leak"}}), bound},
		{"bound by mTLS", f.token(claims{"cnf": claims{"x5t#S256": "leak"}}), bound},
		{"bound by nothing", f.tenant.Sign(nil, f.claims(claims{"cnf": claims{}})), boundOtherwise},
		{"bound in another way", f.token(claims{"cnf": claims{"kid": "leak"}}), boundOtherwise},
		{"subject empty (CVE-2026-23990)", f.token(claims{"sub": ""}), badClaims},
		{"issuer empty", f.token(claims{"iss": ""}), badClaims},
		{"audience empty", f.token(claims{"aud": ""}), wrongAudience},
		{"audience empty array", f.token(array()), badClaims},
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat"} { // exp: GO-2026-5732
		rows = append(rows, tokenRow{name + " missing", f.token(claims{name: nil}), badClaims})
	}
	return rows
}

func TestTokenClaims(t *testing.T) {
	f := newFixture(t)
	f.runTokens(t, claimRows(f))
}

// shapeRows test malformed payloads.
func shapeRows(f *fixture) []tokenRow {
	var rows []tokenRow
	ill := map[string][]string{
		"iss": {"5", "null", `["leak"]`}, "sub": {"5", "null", "{}"},
		"aud": {"5", "null", "true", `{"leak":1}`, `["leak",5]`, `[null]`, `[["leak"]]`},
		"exp": {`"1900000000"`, "null", "-1", "1e300", "{}", "true"}, "iat": {`"0"`, "null", "-0.5", "[]"}, "nbf": {`"0"`, "null", "1e12"},
		"azp": {"5", "null"}, "client_id": {"5", "null"}, "org_id": {"5", "null"},
		"scope": {"5", "null", `["read:orders"]`}, "permissions": {`"read:orders"`, "null", "[5]", "[null]", "{}"},
	}
	for _, name := range slices.Sorted(maps.Keys(ill)) {
		for _, value := range ill[name] {
			token := f.tenant.SignRaw(`{"alg":"RS256"}`, toJSON(f.claims(claims{name: json.RawMessage(value)})))
			rows = append(rows, tokenRow{name + " " + value, token, badClaims})
		}
	}
	// hashicorp/cap#191: encoding/json takes these for the names in lower case.
	for _, name := range []string{"ISS", "Sub", "ſub", "AUD", "eXp", "iaT", "NBF", "ſcope", "Scope", "Permissions", "ORG_ID", "Azp", "Client_ID", "Nonce", "CNF", "At_Hash"} {
		rows = append(rows, tokenRow{"name " + name, f.token(claims{name: "leak"}), badClaims})
	}
	payload := toJSON(f.claims(nil))
	member := func(text string) string { return payload[:len(payload)-1] + "," + text + "}" }
	for name, text := range map[string]string{
		"sub twice":              member(`"sub":"leak"`),
		"sub twice by escape":    member(`"\u0073ub":"leak"`),
		"aud twice":              member(`"aud":"leak"`),
		"custom twice":           member(`"x":1,"x":2`),
		"nested twice":           member(`"x":{"y":1,"y":2}`),
		"array":                  `["leak"]`,
		"string":                 `"leak"`,
		"null":                   `null`,
		"nothing":                ` `,
		"truncated":              payload[:len(payload)-1],
		"two objects":            payload + payload,
		"byte order mark":        "\ufeff" + payload,
		"invalid UTF-8":          member("\"x\":\"\xff\""),
		"comment":                payload + "//leak",
		"nested without bound":   member(`"x":` + strings.Repeat("[", 4000) + strings.Repeat("]", 4000)),
		"JSON serialization":     `{"payload":"leak","signatures":[]`,
		"single quotes":          `{'iss':'leak'}`,
		"trailing comma":         member(""),
		"exp not a JSON number":  member(`"x":0x10`),
		"control in a string":    member("\"x\":\"\n\""),
		"lone quote":             `{"`,
		"unterminated character": `{"x":"\u00"}`,
	} {
		rows = append(rows, tokenRow{"payload " + name, f.tenant.SignRaw(`{"alg":"RS256"}`, text), malformed})
	}
	return rows
}

func TestTokenShape(t *testing.T) {
	f := newFixture(t)
	f.runTokens(t, shapeRows(f))
	// Only go-oidc reads distributed claims, behind the signature.
	f.runTokens(t, []tokenRow{
		{"_claim_names a number", f.token(claims{"_claim_names": 5}), badClaims},
		{"_claim_names of numbers", f.token(claims{"_claim_names": claims{"leak": 5}}), badClaims},
		{"_claim_sources a list", f.token(claims{"_claim_sources": []string{"leak"}}), badClaims},
	})
}

func toJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// oidcRows are refused by go-oidc, after the signature.
func oidcRows(f *fixture) []tokenRow {
	return []tokenRow{
		{"distributed claims that go-oidc refuses", f.token(claims{"_claim_names": 5}), badClaims},
		{"distributed claims without a source", f.token(claims{"_claim_names": claims{"leak": "leak"}}), badClaims},
	}
}

// compactRows are about the text of the token itself (CVE-2024-5037).
func compactRows(f *fixture) []tokenRow {
	good := f.token(nil)
	parts := strings.Split(good, ".")
	header, payload, signature := parts[0], parts[1], parts[2]
	join := func(parts ...string) string { return strings.Join(parts, ".") }
	forged := base64.RawURLEncoding.EncodeToString([]byte(toJSON(f.claims(claims{"sub": "auth0|leak"}))))
	return []tokenRow{
		{"good", good, passes},
		{"one part", signature, malformed},
		{"two parts", join(header, payload), malformed},
		{"four parts", join(good, signature), malformed},
		{"JWE: five parts (CVE-2024-28180)", join(header, payload, signature, payload, signature), malformed},
		{"no header", join("", payload, signature), malformed},
		{"no payload", join(header, "", signature), malformed},
		{"no signature", join(header, payload, ""), malformed},
		{"dots alone", "..", malformed},
		{"padded", good + "=", malformed},
		{"padded inside", join(header+"=", payload, signature), badAuthorization},
		{"standard alphabet", join(header, payload, "+/"+signature[2:]), malformed},
		{"stray bits (a second spelling)", good[:len(good)-1] + string(good[len(good)-1]+1), malformed},
		{"signature cut", good[:len(good)-2], badSignature},
		{"signature longer", good + "AAAA", badSignature},
		{"payload changed", join(header, forged, signature), badSignature},
		{"signature of zeros", join(header, payload, strings.Repeat("A", 342)), badSignature},
		{"JSON serialization", `{"payload":"` + payload + `","signature":"` + signature + `"}`, badAuthorization},
	}
}

func TestTokenText(t *testing.T) {
	f := newFixture(t)
	f.runTokens(t, slices.Concat(compactRows(f), oidcRows(f)))
}

// The boundaries: a token is expired on its exp (RFC 7519, section 4.1.4), and
// valid on its nbf and iat.
func TestTokenTimes(t *testing.T) {
	for _, skew := range []time.Duration{0, 30 * time.Second} {
		f := newFixture(t, func(_ *fixture, config *auth0grpc.Config) { config.ClockSkew = skew })
		at := func(claim string, d time.Duration) string {
			return f.token(claims{claim: float64(today.Add(d).UnixMilli()) / 1000})
		}
		t.Run(skew.String(), func(t *testing.T) {
			f.runTokens(t, []tokenRow{
				{"exp just ahead", at("exp", time.Second-skew), passes},
				{"exp a fraction ahead", at("exp", 500*time.Millisecond-skew), passes},
				{"exp now", at("exp", -skew), expired},
				{"exp just past", at("exp", -time.Second-skew), expired},
				{"exp long past", f.token(claims{"exp": 0}), expired},
				{"exp beyond an int", f.token(claims{"exp": json.Number("253402300799")}), passes},
				{"nbf now", at("nbf", skew), passes},
				{"nbf a fraction ahead", at("nbf", skew+500*time.Millisecond), notYet},
				{"nbf just ahead", at("nbf", skew+time.Second), notYet},
				{"nbf long past", f.token(claims{"nbf": 0}), passes},
				{"iat now", at("iat", skew), passes},
				{"iat just ahead", at("iat", skew+time.Second), notYet},
				{"iat long past", f.token(claims{"iat": 0}), passes},
			})
		})
	}
}

// A token is judged by the clock at each use, also one that was accepted before.
func TestTokenExpiresBetweenCalls(t *testing.T) {
	f := newFixture(t)
	token := f.token(claims{"exp": today.Add(time.Minute)})
	f.everywhere(t, passes, bearer(token)...)
	f.clock.Advance(time.Minute)
	f.everywhere(t, expired, bearer(token)...)
}

// A verified token is found in the cache, also if its header is too long to be remembered.
// A token with a remembered header and another fault is refused for that fault.
func TestTokensOfSeveralHeaders(t *testing.T) {
	f := newFixture(t, recordDecisions)
	for i, member := range []string{"first", "second", strings.Repeat("long", 1<<10), "later"} {
		header := claims{"x": member}
		token := f.tenant.Sign(header, f.claims(nil))
		f.everywhere(t, passes, bearer(token)...)
		f.everywhere(t, expired, bearer(f.tenant.Sign(header, f.claims(claims{"exp": today.Unix()})))...)
		f.everywhere(t, badSignature, bearer(token[:len(token)-4]+"AAAA")...)
		ends := len(f.conns) * (len(shapes) - 1) // of the good streams
		f.decisions.told(t, 3*len(f.conns)*len(shapes)+ends)
		misses := 0
		for _, d := range f.decisions.take() {
			if d.Outcome != auth0grpc.OutcomeRefused && !d.CacheHit {
				misses++
			}
		}
		if misses != 1 {
			t.Errorf("header %d: the cache did not have the good token %d times, want once", i, misses)
		}
	}
}

// Cheap checks refuse a token before any network access: a garbage token must cost no
// fetch, and an issuer that is not on the list gets no request (CVE-2025-52477,
// CVE-2026-41413).
func TestGarbageCostsNoFetch(t *testing.T) {
	tenant, now := newTenant(t)
	other := auth0grpctest.NewTenant(t)
	f := &fixture{tenant: tenant, clock: now}
	needKey := map[auth0grpc.Reason]bool{"": true, unknownKey.reason: true, badSignature.reason: true}
	guard := mustNew(t, configFor(tenant, now))
	rows := slices.Concat(headerRows(f), claimRows(f), shapeRows(f), compactRows(f), []tokenRow{
		{"of another tenant", other.Token(nil), wrongIssuer},
		{"expired", f.token(claims{"exp": today}), expired},
		{"from the future", f.token(claims{"iat": today.Add(time.Second)}), notYet},
	})
	for _, row := range rows {
		if needKey[row.want.reason] || strings.HasPrefix(row.name, "distributed claims") { // go-oidc refuses these after the signature
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			for _, r := range direct(t, t.Context(), guard, unaryCall, metadata.Pairs("authorization", "Bearer "+row.token)) {
				row.want.check(t, r, row.token)
			}
		})
		for _, asked := range []*auth0grpctest.Tenant{tenant, other} {
			if n := asked.KeyFetches() + asked.DiscoveryFetches(); n != 0 {
				t.Fatalf("%s: %d fetches, want none", row.name, n)
			}
		}
	}
}

// The tap gives the verdict of the interceptor, only earlier: before the message, and
// without a key or network.
func TestTapAgrees(t *testing.T) {
	f := newFixture(t)
	tapped := grpc.NewServer(append(f.guard.ServerOptions(), grpc.InTapHandle(f.guard.TapHandle()))...)
	testgrpc.RegisterTestServiceServer(tapped, service{})
	conn := auth0grpctest.Connect(t, tapped, "")
	rows := slices.Concat(headerRows(f), claimRows(f), shapeRows(f), compactRows(f), []tokenRow{
		{"expired", f.token(claims{"exp": today}), expired},
		{"opaque", "leak-opaque", malformed},
		{"wrong scope", f.token(claims{"scope": "leak"}), lacksReadOrders},
	})
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for _, m := range shapes {
				ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+row.token)
				got := status.Convert(exchange(ctx, conn, m).err)
				if row.want.kind == nil {
					if got.Code() != codes.OK {
						t.Errorf("%s: %v, want a call that passes", m.name, got)
					}
					continue
				}
				if got.Code() != row.want.code || got.Message() != "auth0grpc: "+row.want.withCause(got).message {
					t.Errorf("%s: %v, want %v %q", m.name, got, row.want.code, row.want.message)
				}
				row.want.checkDetails(t, got)
			}
		})
	}
}

// An unknown kid is asked for once in a while and not once per token, and a bad
// signature under a known kid never.
func TestForgedTokensFetchLittle(t *testing.T) {
	f := newFixture(t)
	f.everywhere(t, passes, bearer(f.token(nil))...)
	before := f.tenant.KeyFetches()
	compact := f.token(nil)
	f.everywhere(t, badSignature, bearer(compact[:len(compact)-2])...)
	if n := f.tenant.KeyFetches() - before; n != 0 {
		t.Errorf("bad signatures caused %d fetches, want none", n)
	}
	for i := range 20 {
		token := f.tenant.Sign(claims{"kid": fmt.Sprint("leak-", i)}, f.claims(nil))
		unknownKey.check(t, f.call(t.Context(), "bufconn", shapes[0], bearer(token)...), token)
	}
	if n := f.tenant.KeyFetches() - before; n != 1 {
		t.Errorf("20 unknown key ids caused %d fetches, want 1", n)
	}
}

// A kid means nothing outside the issuer that published it (CVE-2026-49998).
func TestIssuersKeepTheirKeys(t *testing.T) {
	a, now := newTenant(t)
	b := auth0grpctest.NewTenant(t)
	b.SetNow(now.Now)
	config := configFor(a, now)
	config.Issuers = append(config.Issuers, b.Issuer())
	config.Audiences = append(config.Audiences, "https://second.example.com")
	guard := mustNew(t, config)
	fromA := &fixture{tenant: a, clock: now}
	fromB := &fixture{tenant: b, clock: now}
	for _, row := range []tokenRow{
		{"first issuer", fromA.token(nil), passes},
		{"second issuer", fromB.token(nil), passes},
		{"second audience", fromB.token(claims{"aud": "https://second.example.com"}), passes},
		{"both audiences", fromA.token(claims{"aud": []string{"https://second.example.com", auth0grpctest.Audience}}), passes},
		{"neither audience", fromA.token(claims{"aud": "https://leak.example.com"}), wrongAudience},
		{"first issuer, key of the second", b.Sign(nil, fromA.claims(nil)), unknownKey},
		{"first issuer and its kid, key of the second", b.Sign(claims{"kid": kidOf(t, a)}, fromA.claims(nil)), badSignature},
	} {
		t.Run(row.name, func(t *testing.T) {
			for range 2 { // the second time there may be a verdict in memory
				for _, r := range direct(t, t.Context(), guard, unaryCall, metadata.Pairs("authorization", "Bearer "+row.token)) {
					row.want.check(t, r, row.token)
				}
			}
		})
	}
}

// A token names a published key, is signed by another one, and has that one in its
// header in each form that RFC 7515 knows (CVE-2025-24976).
func TestKeyInTheToken(t *testing.T) {
	f := newFixture(t)
	attacker := auth0grpctest.NewTenant(t)
	response, err := attacker.HTTPClient().Get(attacker.Issuer() + ".well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var set struct{ Keys []claims }
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	key := set.Keys[0]
	kid := kidOf(t, f.tenant)
	own := maps.Clone(key)
	own["kid"] = kid
	var rows []tokenRow
	for name, header := range map[string]claims{
		"jwk": {"jwk": key}, "jwk with our kid": {"jwk": own},
		"jku": {"jku": attacker.Issuer() + ".well-known/jwks.json"}, "x5u": {"x5u": attacker.Issuer() + "certificate.pem"},
		"x5c": {"x5c": key["x5c"]}, "x5t": {"x5t": key["x5t"]}, "none": {},
	} {
		header["kid"] = kid
		rows = append(rows, tokenRow{name, attacker.Sign(header, f.claims(nil)), badSignature})
	}
	fetches := attacker.KeyFetches()
	f.runTokens(t, rows)
	if n := attacker.KeyFetches() - fetches; n != 0 {
		t.Errorf("%d fetches of the attacker's keys", n)
	}
}

// kidOf returns the id of the tenant's current key.
func kidOf(t *testing.T, tenant *auth0grpctest.Tenant) string {
	t.Helper()
	encoded, _, _ := strings.Cut(tenant.Token(nil), ".")
	decoded, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ Kid string }
	if err := json.Unmarshal(decoded, &header); err != nil {
		t.Fatal(err)
	}
	return header.Kid
}

// Rotation needs no restart, and a withdrawn key stops verifying, also for
// tokens that were accepted before (CVE-2025-22149).
func TestRotation(t *testing.T) {
	f := newFixture(t)
	old := f.token(claims{"exp": today.Add(24 * time.Hour)})
	f.everywhere(t, passes, bearer(old)...)
	f.tenant.RotateKeys()
	f.everywhere(t, passes, bearer(f.token(nil))...)
	f.tenant.RotateKeys()
	f.everywhere(t, passes, bearer(f.token(nil))...)
	f.clock.Advance(11 * time.Minute)
	f.everywhere(t, unknownKey, bearer(old)...)
	f.everywhere(t, passes, bearer(f.token(nil))...)
	last := f.token(nil)
	f.tenant.RotateKeys()
	f.tenant.RevokePreviousKey()
	f.clock.Advance(11 * time.Minute)
	f.everywhere(t, unknownKey, bearer(last)...)
}

// Other algorithms count when they are asked for, each with its own kind of key.
func TestAlgorithms(t *testing.T) {
	f := newFixture(t, func(_ *fixture, config *auth0grpc.Config) {
		config.Algorithms = []string{"ES256", "RS256", "RS512"}
	})
	f.tenant.PublishES256()
	sign := func(header claims) string { return f.tenant.Sign(header, f.claims(nil)) }
	f.runTokens(t, []tokenRow{
		{"RS256", sign(nil), passes},
		{"ES256", sign(claims{"alg": "ES256"}), passes},
		{"ES256 under an RSA kid", sign(claims{"alg": "ES256", "kid": kidOf(t, f.tenant)}), unknownKey},
		{"RS512 under a key for RS256", sign(claims{"alg": "RS512"}), unknownKey},
		{"PS256", sign(claims{"alg": "PS256"}), wrongAlgorithm},
		{"HS512", sign(claims{"alg": "HS512"}), wrongAlgorithm},
	})
}

// Many callers with one token and with many: the first fetch is shared.
func TestConcurrentCallers(t *testing.T) {
	f := newFixture(t)
	same := f.token(nil)
	done := make(chan error)
	const callers = 32
	for i := range callers {
		token := same
		if i%2 == 1 {
			token = f.token(claims{"jti": fmt.Sprint(i)})
		}
		go func() {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
			done <- exchange(ctx, f.conns["tcp"], shapes[i%len(shapes)]).err
		}()
	}
	for range callers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := f.tenant.KeyFetches(); n != 1 {
		t.Errorf("%d fetches of keys, want 1", n)
	}
}

// For any text, only tokens that the tenant signed pass: base64url and PKCS #1 v1.5
// leave no second spelling of a token.
func FuzzToken(f *testing.F) {
	tenant, now := newTenant(f)
	config := configFor(tenant, now)
	guard := mustNew(f, config)
	config.CacheSize = auth0grpc.NoCache
	uncached := mustNew(f, config)
	fixture := &fixture{tenant: tenant, clock: now}
	genuine := map[string]bool{}
	for _, row := range slices.Concat(headerRows(fixture), claimRows(fixture), shapeRows(fixture), compactRows(fixture)) {
		genuine[row.token] = row.want.kind == nil
		f.Add(row.token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		for shape, r := range direct(t, t.Context(), guard, unaryCall, metadata.Pairs("authorization", "Bearer "+token)) {
			if passed := r.err == nil; passed != genuine[token] {
				t.Errorf("%s: passed = %t, want %t", shape, passed, genuine[token])
			}
			if _, ok := auth0grpc.ReasonFromError(r.err); !ok && r.err != nil {
				t.Errorf("%s: no reason: %v", shape, r.err)
			}
		}
		// With the cache and without, the verdict is the same.
		for shape, r := range direct(t, t.Context(), uncached, unaryCall, metadata.Pairs("authorization", "Bearer "+token)) {
			if passed := r.err == nil; passed != genuine[token] {
				t.Errorf("%s, cache off: passed = %t, want %t", shape, passed, genuine[token])
			}
		}
	})
}
