package auth0grpc_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// causes are the fixed texts that may follow the text of a reason.
var causes = func() map[string][]string {
	all := map[string][]string{
		badAuthorization.message: {"more than one value was sent", "it has no token"},
		malformed.message:        {"it is not a signed JWT; request it with an audience"},
		wrongType.message: {
			"its typ is not JWT or at+jwt", "its audience is its client, as in an ID token",
			"it has the claim nonce, as an ID token", "it has the claim at_hash, as an ID token", "it has the claim c_hash, as an ID token",
			"it has the claim events, as a logout token", "it has the claim htm, as a DPoP proof", "it has the claim htu, as a DPoP proof",
		},
		badClaims.message: {"azp and client_id differ"},
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat"} {
		all[badClaims.message] = append(all[badClaims.message], name+" is missing or empty")
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "nbf", "azp", "client_id", "scope", "permissions", "org_id", "cnf", "jti"} {
		all[badClaims.message] = append(all[badClaims.message], name+" has the wrong type", name+" is spelled in another case")
	}
	all[badClaims.message] = append(all[badClaims.message], "act is malformed", "act is spelled in another case")
	for _, name := range []string{"nonce", "at_hash", "c_hash", "events", "htm", "htu", "_claim_names", "_claim_sources"} {
		all[badClaims.message] = append(all[badClaims.message], name+" is spelled in another case")
	}
	return all
}()

// Each cause has its own text, on every transport and in every shape. Nothing of the
// token is in it but the name of a registered claim.
func TestCauses(t *testing.T) {
	f := newFixture(t)
	good := f.token(nil)
	parts := strings.Split(good, ".")
	with := func(more claims) []string { return bearer(f.tenant.Sign(nil, f.claims(more))) }
	used := map[string]bool{}
	for _, test := range []struct {
		name  string
		value []string
		want  outcome
		cause string
	}{
		{"two values", append(bearer(good), bearer(good)...), badAuthorization, "more than one value was sent"},
		{"empty value", []string{""}, badAuthorization, "it has no token"},
		{"scheme alone", []string{"bearer"}, badAuthorization, "it has no token"},
		{"scheme DPoP alone", []string{"DPoP"}, badAuthorization, "it has no token"},
		{"another scheme", []string{"Basic bGVhazpsZWFr"}, badAuthorization, ""},
		{"no scheme", []string{good}, badAuthorization, ""},
		{"too long", bearer(strings.Repeat("a", 16<<10+1)), tokenTooLong, ""},
		{"too long, DPoP", []string{"DPoP " + strings.Repeat("a", 16<<10+1)}, tokenTooLong, ""},
		{"DPoP", []string{"DPoP " + good}, dpopNotAccepted, ""},
		{"dpop", []string{"dpop " + good}, dpopNotAccepted, ""},

		{"opaque", bearer("leak-opaque"), malformed, "it is not a signed JWT; request it with an audience"},
		{"JWE", bearer(strings.Join(append(parts, parts[1], parts[2]), ".")), malformed, "it is not a signed JWT; request it with an audience"},
		{"three parts", bearer("leak.leak.leak"), malformed, ""},

		{"typ", bearer(f.tenant.Sign(claims{"typ": "leak"}, f.claims(nil))), wrongType, "its typ is not JWT or at+jwt"},
		{"nonce", with(claims{"nonce": "leak"}), wrongType, "it has the claim nonce, as an ID token"},
		{"at_hash", with(claims{"at_hash": "leak"}), wrongType, "it has the claim at_hash, as an ID token"},
		{"c_hash", with(claims{"c_hash": "leak"}), wrongType, "it has the claim c_hash, as an ID token"},
		{"events", with(claims{"events": claims{}}), wrongType, "it has the claim events, as a logout token"},
		{"htm", with(claims{"htm": "leak"}), wrongType, "it has the claim htm, as a DPoP proof"},
		{"htu", with(claims{"htu": "leak"}), wrongType, "it has the claim htu, as a DPoP proof"},
		{"own audience", with(claims{"aud": auth0grpctest.ClientID}), wrongType, "its audience is its client, as in an ID token"},

		{"no aud, as Cognito", with(claims{"aud": nil}), badClaims, "aud is missing or empty"},
		{"no iss", with(claims{"iss": nil}), badClaims, "iss is missing or empty"},
		{"empty sub", with(claims{"sub": ""}), badClaims, "sub is missing or empty"},
		{"no exp", with(claims{"exp": nil}), badClaims, "exp is missing or empty"},
		{"no iat", with(claims{"iat": nil}), badClaims, "iat is missing or empty"},
		{"scope as an array", with(claims{"scope": []string{"leak"}}), badClaims, "scope has the wrong type"},
		{"null", with(claims{"aud": json.RawMessage("null")}), badClaims, "aud has the wrong type"},
		{"cnf", with(claims{"cnf": "leak"}), badClaims, "cnf has the wrong type"},
		{"act", with(claims{"act": "leak"}), badClaims, "act is malformed"},
		{"AUD", with(claims{"AUD": "leak"}), badClaims, "aud is spelled in another case"},
		{"two clients", with(claims{"client_id": "leak"}), badClaims, "azp and client_id differ"},
		{"scp alone, as Okta and Entra", with(claims{"scope": nil, "scp": []string{"read:orders"}}), lacksReadOrders, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := test.want
			if test.cause != "" {
				used[test.cause] = true
				want = want.because(test.cause)
			}
			exactly(t, f, want, test.value)
		})
	}
	for text, all := range causes {
		if text != badClaims.message && slices.ContainsFunc(all, func(cause string) bool { return !used[cause] }) {
			t.Errorf("not all causes of %q are tested: %q", text, all)
		}
	}
}

// exactly asserts the outcome with its cause and no other.
func exactly(t *testing.T, f *fixture, want outcome, value []string) {
	t.Helper()
	f.everywhere(t, want, value...)
	got := f.call(t.Context(), "tcp", shapes[0], value...)
	if reason, _ := auth0grpc.ReasonFromError(got.err); reason != want.reason {
		t.Errorf("reason %s, want %s", reason, want.reason)
	}
	if text := "auth0grpc: " + want.message; !strings.HasSuffix(got.err.Error(), text) {
		t.Errorf("%q, want it to end in %q", got.err, text)
	}
}
