package auth0grpc_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

const (
	actorText     = "the method does not accept the party that acts for the subject of the access token"
	anonymousText = "the access token is of an anonymous session, and the method requires a login"
)

// nestedActors returns an act claim of n levels, the outermost with the subject "a1".
func nestedActors(n int) json.RawMessage {
	act := ""
	for level := n; level > 0; level-- {
		nested := ""
		if act != "" {
			nested = `,"act":` + act
		}
		act = `{"sub":"a` + string(rune('0'+level)) + `"` + nested + "}"
	}
	return json.RawMessage(act)
}

// A malformed act claim is refused, also by a rule that does not name actors: a parser
// that reads it as "no actor" takes a delegated token for the subject's own.
func TestHostileActors(t *testing.T) {
	f := newFixture(t)
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	for _, test := range []struct {
		name string
		act  any
		want outcome
	}{
		{"one", raw(`{"sub":"a"}`), passes},
		{"five", nestedActors(5), passes},
		{"other members", raw(`{"sub":"a","iss":"https://i.example/","exp":1,"nbf":"x","aud":[1],"role":true}`), passes},
		{"sub escaped", raw(`{"s\u0075b":"\u0061"}`), passes},
		{"six", nestedActors(6), badClaims},
		{"nine", nestedActors(9), badClaims},
		{"null", raw(`null`), badClaims},
		{"true", raw(`true`), badClaims},
		{"false", raw(`false`), badClaims},
		{"number", raw(`5`), badClaims},
		{"zero", raw(`0`), badClaims},
		{"text", raw(`"leak"`), badClaims},
		{"empty text", raw(`""`), badClaims},
		{"empty list", raw(`[]`), badClaims},
		{"list", raw(`[{"sub":"a"}]`), badClaims},
		{"empty", raw(`{}`), badClaims},
		{"no sub", raw(`{"client_id":"leak"}`), badClaims},
		{"empty sub", raw(`{"sub":""}`), badClaims},
		{"blank sub", raw(`{"sub":" \t"}`), badClaims},
		{"blank sub beyond ASCII", raw(`{"sub":"\u00a0\u2003"}`), badClaims},
		{"sub null", raw(`{"sub":null}`), badClaims},
		{"sub number", raw(`{"sub":5}`), badClaims},
		{"sub list", raw(`{"sub":["a"]}`), badClaims},
		{"sub object", raw(`{"sub":{"sub":"a"}}`), badClaims},
		{"Sub alone", raw(`{"Sub":"a"}`), badClaims},
		{"Sub beside", raw(`{"sub":"a","Sub":"b"}`), badClaims},
		{"ſub beside", raw(`{"sub":"a","ſub":"b"}`), badClaims},
		{"iss number", raw(`{"sub":"a","iss":5}`), badClaims},
		{"nested null", raw(`{"sub":"a","act":null}`), badClaims},
		{"nested text", raw(`{"sub":"a","act":"b"}`), badClaims},
		{"nested list", raw(`{"sub":"a","act":[]}`), badClaims},
		{"nested empty", raw(`{"sub":"a","act":{}}`), badClaims},
		{"nested blank", raw(`{"sub":"a","act":{"sub":" "}}`), badClaims},
		{"nested Act", raw(`{"sub":"a","Act":{"sub":"b"}}`), badClaims},
		{"sub twice", raw(`{"sub":"a","sub":"b"}`), malformed},
		{"nested twice", raw(`{"sub":"a","act":{"sub":"b"},"act":{"sub":"c"}}`), malformed},
		{"deep", raw(strings.Repeat(`{"sub":"a","act":`, 40) + "{}" + strings.Repeat("}", 40)), malformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.everywhere(t, test.want, bearer(f.token(claims{"act": test.act}))...)
		})
	}
	t.Run("Act", func(t *testing.T) {
		f.everywhere(t, badClaims, bearer(f.token(claims{"Act": raw(`{"sub":"a"}`)}))...)
	})
}

// The tokens are those that Auth0 documents for each way to delegate.
func TestActors(t *testing.T) {
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	tokens := map[string]claims{
		"user":                               {"sub": "auth0|u"},
		"on-behalf-of":                       {"sub": "auth0|u", "azp": "mcp_client", "act": raw(`{"sub":"mcp_client","act":{"sub":"spa_client"}}`)},
		"token exchange":                     {"sub": "auth0|end", "act": raw(`{"sub":"auth0|support","sub_profile":"human","role":"support"}`)},
		"session":                            {"sub": "auth0|end", "act": raw(`{"sub":"auth0|support"}`), "scope": "read:orders"},
		"agent for a user":                   {"sub": "auth0|u", "sub_profile": "user", "azp": nil, "client_id": "c", "act": raw(`{"sub":"agt_1","sub_profile":"ai_agent","client_id":"c"}`)},
		"agent exchanged":                    {"sub": "auth0|u", "azp": nil, "client_id": "c", "act": raw(`{"sub":"agt_1","client_id":"c","iss":"ISSUER","act":{"sub":"spa","client_id":"spa"}}`)},
		"other issuer":                       {"sub": "auth0|u", "act": raw(`{"sub":"agt_1","iss":"https://other.example/"}`)},
		"other issuer, earlier ones of ours": {"sub": "auth0|u", "act": raw(`{"sub":"agt_1","iss":"https://other.example/","act":{"sub":"agt_1","act":{"sub":"agt_1","iss":"ISSUER"}}}`)},
		"earlier other issuer":               {"sub": "auth0|u", "act": raw(`{"sub":"agt_1","act":{"sub":"spa","iss":"https://other.example/"}}`)},
		"agent itself":                       {"sub": "agt_1", "sub_profile": "ai_agent", "client_profile": "service ai_agent", "azp": nil, "client_id": "c"},
	}
	refused := lacks(auth0grpc.ReasonActorNotAllowed, actorText, "")
	scoped := lacks(auth0grpc.ReasonActorNotAllowed, actorText, "read:orders")
	for _, test := range []struct {
		name   string
		rule   auth0grpc.Rule
		others outcome // for the tokens that are not in passes
		passes []string
	}{
		{"not delegated", auth0grpc.NotDelegated(), refused, []string{"user", "agent itself"}},
		{"by the agent", auth0grpc.ActedBy("agt_1"), refused, []string{"agent for a user", "agent exchanged", "earlier other issuer"}},
		{"by an earlier actor", auth0grpc.ActedBy("spa_client", "spa"), refused, nil},
		{"by the subject", auth0grpc.ActedBy("auth0|u"), refused, nil},
		{"by one of two", auth0grpc.ActedBy("mcp_client", "auth0|support"), refused, []string{"on-behalf-of", "token exchange", "session"}},
		{"with a scope", auth0grpc.AllOf(auth0grpc.Scopes("read:orders"), auth0grpc.NotDelegated()), scoped, []string{"user", "agent itself"}},
		{"either", auth0grpc.AnyOf(auth0grpc.NotDelegated(), auth0grpc.ActedBy("agt_1")), refused, []string{"user", "agent itself", "agent for a user", "agent exchanged", "earlier other issuer"}},
		{"none stated", auth0grpc.Authenticated(), passes, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, func(_ *fixture, config *auth0grpc.Config) { config.Methods[allMethods] = test.rule })
			for name, token := range tokens {
				want := test.others
				subject, _ := token["sub"].(string)
				for _, passing := range test.passes {
					if name == passing {
						want = passes
					}
				}
				if act, ok := token["act"].(json.RawMessage); ok {
					token = with(token, claims{"act": raw(strings.Replace(string(act), "ISSUER", f.tenant.Issuer(), 1))})
				}
				if want == passes {
					want.subject = subject
				}
				t.Run(name, func(t *testing.T) { f.everywhere(t, want, bearer(f.token(token))...) })
			}
		})
	}
}

func TestAnonymousSubjects(t *testing.T) {
	refused := lacks(auth0grpc.ReasonAnonymousSubject, anonymousText, "")
	for _, test := range []struct {
		name string
		rule auth0grpc.Rule
		sub  string
		want outcome
	}{
		{"scope", auth0grpc.Scopes("read:orders"), "anon@1234-5678-90", refused},
		{"authenticated", auth0grpc.Authenticated(), "anon@1", refused},
		{"not delegated", auth0grpc.NotDelegated(), "anon@1", refused},
		{"optional", auth0grpc.Optional(), "anon@1", refused},
		{"prefix alone", auth0grpc.Authenticated(), "anon@", refused},
		{"scope of another row, anonymous first", auth0grpc.Scopes("admin"), "anon@1", refused},
		{"public", auth0grpc.Public(), "anon@1", outcome{subject: "nobody"}},
		{"allowed", auth0grpc.Scopes("read:orders").AllowAnonymous(), "anon@1", passes},
		{"allowed, without the scope", auth0grpc.Scopes("admin").AllowAnonymous(), "anon@1", lacks("INSUFFICIENT_SCOPE", scopeText, "admin")},
		{"optional, allowed", auth0grpc.Optional().AllowAnonymous(), "anon@1", passes},
		{"user", auth0grpc.Authenticated(), "auth0|anon@1", passes},
		{"another case", auth0grpc.Authenticated(), "Anon@1", passes},
		{"no at sign", auth0grpc.Authenticated(), "anonymous", passes},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, func(_ *fixture, config *auth0grpc.Config) { config.Methods[allMethods] = test.rule })
			if test.want == passes {
				test.want.subject = test.sub
			}
			f.everywhere(t, test.want, bearer(f.token(claims{"sub": test.sub}))...)
		})
	}
}

func TestTokenTellsTheParty(t *testing.T) {
	type party struct {
		Actor              string
		Actors             []string
		Anonymous, Machine bool
	}
	for _, test := range []struct {
		name   string
		claims claims
		want   party
	}{
		{"user", claims{"sub": "auth0|u", "azp": "app"}, party{}},
		{"anonymous", claims{"sub": "anon@1"}, party{Anonymous: true}},
		{"client credentials", claims{"sub": "app@clients", "azp": "app"}, party{Machine: true}},
		{"the client itself", claims{"sub": "app", "azp": nil, "client_id": "app"}, party{Machine: true}},
		{"gty", claims{"sub": "external-7", "gty": "client-credentials"}, party{Machine: true}},
		{"gty of another kind", claims{"sub": "auth0|u", "gty": "password"}, party{}},
		{"agent", claims{"sub": "agt_1", "sub_profile": "ai_agent"}, party{Machine: true}},
		{"service", claims{"sub": "x", "sub_profile": "service"}, party{Machine: true}},
		{"two profiles", claims{"sub": "x", "sub_profile": "service ai_agent"}, party{Machine: true}},
		{"profile of a user", claims{"sub": "auth0|u", "sub_profile": "user"}, party{}},
		{"word within another", claims{"sub": "auth0|u", "sub_profile": "no-service"}, party{}},
		{"suffix of another client", claims{"sub": "leak@clients", "azp": "app"}, party{}},
		{"suffix without a client", claims{"sub": "@clients", "azp": nil}, party{}},
		{"ill-typed", claims{"sub": "auth0|u", "gty": []string{"client-credentials"}, "sub_profile": 5}, party{}},
		{"actors", claims{"act": nestedActors(3)}, party{Actor: "a1", Actors: []string{"a1", "a2", "a3"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			token, ok := auth0grpc.TokenFromContext(auth0grpctest.ContextWithToken(context.Background(), test.claims))
			if !ok {
				t.Fatal("no token")
			}
			got := party{token.Actor(), token.Actors(), token.IsAnonymous(), token.IsMachine()}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("token (-want +got):\n%s", diff)
			}
			if len(got.Actors) > 0 {
				got.Actors[0] = "changed"
				if token.Actor() == "changed" {
					t.Error("Actors returned the token's own slice")
				}
			}
		})
	}
}

// One claim of a machine suffices, in any order.
func TestMachinesInAnyOrder(t *testing.T) {
	f := newFixture(t, transports())
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(f.plain, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(f.claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, members := range []string{
		`"gty":"client-credentials","sub_profile":"user"`, `"sub_profile":"user","gty":"client-credentials"`,
		`"gty":"password","sub_profile":"ai_agent"`, `"sub_profile":"service","gty":"password"`,
	} {
		token := f.tenant.SignRaw(string(header), strings.TrimSuffix(string(payload), "}")+","+members+"}")
		ctx, err := f.guard.Check(t.Context(), auth0grpc.Request{FullMethod: unaryCall, Authorization: bearer(token)})
		if err != nil {
			t.Fatalf("%s: %v", members, err)
		}
		if verified, _ := auth0grpc.TokenFromContext(ctx); !verified.IsMachine() {
			t.Errorf("%s: no machine", members)
		}
	}
}

// The hook and the log fields name the actor.
func TestActorIsReported(t *testing.T) {
	f := newFixture(t, recordDecisions)
	f.everywhere(t, passes, bearer(f.token(claims{"act": nestedActors(2)}))...)
	decisions := f.decisions.take()
	if len(decisions) == 0 {
		t.Fatal("no decisions")
	}
	for _, d := range decisions {
		if d.Actor != "a1" {
			t.Errorf("Actor of %s = %q, want a1", d.FullMethod, d.Actor)
		}
	}
	ctx := auth0grpctest.ContextWithToken(context.Background(), claims{"act": nestedActors(2)})
	if fields := auth0grpc.LogFields(ctx); fields[len(fields)-2] != "auth.actor" || fields[len(fields)-1] != "a1" {
		t.Errorf("LogFields = %v, want auth.actor a1 at the end", fields)
	}
}
