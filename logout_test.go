package auth0grpc_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// postLogout sends a logout token as Auth0 does.
func postLogout(handler http.Handler, token string) *httptest.ResponseRecorder {
	return postForm(handler, url.Values{"logout_token": {token}}.Encode())
}

func postForm(handler http.Handler, form string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, "/logout", strings.NewReader(form))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer
}

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutClaims returns the claims of a sound logout token of today.
func logoutClaims(tenant *auth0grpctest.Tenant) claims {
	return claims{"iss": tenant.Issuer(), "sub": auth0grpctest.Subject, "aud": auth0grpctest.ClientID, "jti": "j",
		"iat": today.Unix(), "exp": today.Unix() + 60, "events": claims{logoutEvent: claims{}}}
}

// rawLogoutToken returns a sound logout token with one more member, which can
// double one; a null replaces one.
func rawLogoutToken(t *testing.T, tenant *auth0grpctest.Tenant, member string) string {
	t.Helper()
	sound := logoutClaims(tenant)
	name, value, _ := strings.Cut(member, ":")
	if value == "null" {
		delete(sound, strings.Trim(name, `"`))
	}
	payload, err := json.Marshal(sound)
	if err != nil {
		t.Fatal(err)
	}
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(tenant.LogoutToken(nil), ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	return tenant.SignRaw(string(header), strings.TrimSuffix(string(payload), "}")+","+member+"}")
}

// A logout at Auth0 ends the open streams of the user and refuses the calls, cached
// tokens or not.
func TestBackChannelLogout(t *testing.T) {
	s := newFixture(t, handleStreams(drain))
	handler := s.guard.BackChannelLogout("another-application", auth0grpctest.ClientID)
	access, other := s.token(nil), s.token(claims{"sub": "auth0|other"})
	passes.check(t, s.call(t.Context(), "tcp", shapes[0], bearer(access)...))
	stream := s.open(t, "tcp", streamShapes[2], bearer(access)...)
	eventually(t, "the stream is open", func() bool { return s.guard.Stats().OpenStreams == 1 })
	answer := postLogout(handler, s.tenant.LogoutToken(nil))
	if answer.Code != http.StatusOK || answer.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", answer.Code, answer.Header())
	}
	if reason, _ := auth0grpc.ReasonFromError(finish(stream, "tcp").err); reason != auth0grpc.ReasonTokenRevoked {
		t.Errorf("the stream ended with %q", reason)
	}
	revoked.check(t, s.call(t.Context(), "tcp", shapes[0], bearer(access)...), access)
	revoked.check(t, s.call(t.Context(), "tcp", shapes[0], bearer(s.token(claims{"fresh": true}))...))
	outcome{subject: "auth0|other"}.check(t, s.call(t.Context(), "tcp", shapes[0], bearer(other)...))
	s.clock.Advance(time.Second)
	passes.check(t, s.call(t.Context(), "tcp", shapes[0], bearer(s.token(nil))...))
}

func TestBadLogoutTokens(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	guard := mustNew(t, config)
	handler := guard.BackChannelLogout(auth0grpctest.ClientID, "")
	access, good := tenant.Token(claims{"scope": "read:orders"}), tenant.LogoutToken(nil)
	decideOnce(t, guard, unaryCall, passes, access)
	fetches := tenant.KeyFetches()
	typed := func(typ any) string { return tenant.Sign(claims{"typ": typ}, logoutClaims(tenant)) }
	raw := func(member string) string { return rawLogoutToken(t, tenant, member) }
	event := func(events any) string { return tenant.LogoutToken(claims{"events": events}) }
	for name, token := range map[string]string{
		"none": "", "garbage": "a.b.c", "oversize": strings.Repeat("a", 20<<10), "dots": strings.Repeat(".", 4000),
		"large":                tenant.LogoutToken(claims{"x": strings.Repeat("a", 16<<10)}),
		"another application":  tenant.LogoutToken(claims{"aud": "leak"}),
		"no application":       tenant.LogoutToken(claims{"aud": ""}),
		"for the API":          tenant.LogoutToken(claims{"aud": auth0grpctest.Audience}),
		"no aud":               tenant.LogoutToken(claims{"aud": nil}),
		"another issuer":       tenant.LogoutToken(claims{"iss": "https://leak.example.com/"}),
		"no issuer":            tenant.LogoutToken(claims{"iss": nil}),
		"nonce":                tenant.LogoutToken(claims{"nonce": "n"}),
		"expired":              tenant.LogoutToken(claims{"exp": today.Add(-time.Second)}),
		"no exp":               tenant.LogoutToken(claims{"exp": nil}),
		"from the future":      tenant.LogoutToken(claims{"iat": today.Add(time.Hour), "exp": today.Add(2 * time.Hour)}),
		"no jti":               tenant.LogoutToken(claims{"jti": nil}),
		"a session alone":      tenant.LogoutToken(claims{"sub": nil}),
		"neither sub nor sid":  tenant.LogoutToken(claims{"sub": nil, "sid": nil}),
		"another event":        event(claims{"http://schemas.openid.net/event/other": claims{}}),
		"no event":             event(nil),
		"access token":         access,
		"access token for us":  tenant.Token(claims{"aud": auth0grpctest.ClientID}),
		"ID token":             tenant.IDToken(nil),
		"none alg":             tenant.Sign(claims{"alg": "none"}, claims{}) + "AA",
		"HS256":                tenant.Sign(claims{"alg": "HS256"}, claims{"iss": tenant.Issuer(), "aud": auth0grpctest.ClientID}),
		"bad signature":        good[:len(good)-4] + "AAAA",
		"cut short":            good[:len(good)-2],
		"doubled iss":          tenant.SignRaw(`{"alg":"RS256"}`, `{"iss":"`+tenant.Issuer()+`","iss":"`+tenant.Issuer()+`"}`),
		"payload that is none": tenant.SignRaw(`{"alg":"RS256"}`, `[]`),

		"no iat":                 tenant.LogoutToken(claims{"iat": nil}),
		"iat as text":            tenant.LogoutToken(claims{"iat": "1"}),
		"iat null":               raw(`"iat":null`),
		"iat 0":                  tenant.LogoutToken(claims{"iat": 0}),
		"iat negative":           tenant.LogoutToken(claims{"iat": -1}),
		"iat before all":         tenant.LogoutToken(claims{"iat": today.Add(-25 * time.Hour)}),
		"iat just too far":       tenant.LogoutToken(claims{"iat": today.Add(5*time.Minute + time.Second), "exp": today.Add(time.Hour)}),
		"iat in year 9999":       tenant.LogoutToken(claims{"iat": int64(253402300799), "exp": int64(253402300799)}),
		"iat beyond years":       tenant.LogoutToken(claims{"iat": 1e18, "exp": 1e18}),
		"exp at iat":             tenant.LogoutToken(claims{"iat": today.Add(time.Minute), "exp": today.Add(time.Minute)}),
		"exp now":                tenant.LogoutToken(claims{"exp": today}),
		"exp as text":            tenant.LogoutToken(claims{"exp": "9999999999"}),
		"exp null":               raw(`"exp":null`),
		"exp 0":                  tenant.LogoutToken(claims{"exp": 0}),
		"jti empty":              tenant.LogoutToken(claims{"jti": ""}),
		"jti a number":           tenant.LogoutToken(claims{"jti": 1}),
		"sub empty":              tenant.LogoutToken(claims{"sub": ""}),
		"sub a number":           tenant.LogoutToken(claims{"sub": 1}),
		"sub null":               raw(`"sub":null`),
		"sid a number":           tenant.LogoutToken(claims{"sid": 1}),
		"aud empty":              tenant.LogoutToken(claims{"aud": []string{}}),
		"aud a number":           tenant.LogoutToken(claims{"aud": 1}),
		"aud with a number":      tenant.LogoutToken(claims{"aud": []any{auth0grpctest.ClientID, 1}}),
		"nonce null":             raw(`"nonce":null`),
		"nonce in capitals":      raw(`"NONCE":"n"`),
		"sub in capitals":        raw(`"SUB":"auth0|leak"`),
		"doubled sub":            raw(`"sub":"` + auth0grpctest.Subject + `"`),
		"doubled iat":            raw(`"iat":1`),
		"doubled by escape":      raw(`"\u0073ub":"auth0|leak"`),
		"doubled in events":      raw(`"x":{"a":1,"a":2}`),
		"events an array":        event([]string{logoutEvent}),
		"events a string":        event(logoutEvent),
		"events empty":           event(claims{}),
		"event null":             event(claims{logoutEvent: nil}),
		"event a string":         event(claims{logoutEvent: ""}),
		"event an array":         event(claims{logoutEvent: []any{}}),
		"event true":             event(claims{logoutEvent: true}),
		"event inside":           event(claims{"x": claims{logoutEvent: claims{}}}),
		"typ of access token":    typed("at+jwt"),
		"typ of a proof":         typed("dpop+jwt"),
		"typ of an event":        typed("secevent+jwt"),
		"typ under another tree": typed("multipart/a/jwt"),
		"typ a number":           typed(1),
	} {
		if answer := postLogout(handler, token); answer.Code != http.StatusBadRequest {
			t.Errorf("%s: %d, want 400", name, answer.Code)
		} else if got := answer.Header().Get("Content-Type"); got != "application/json" || answer.Body.String() != `{"error":"invalid_request"}` {
			t.Errorf("%s: %s %s", name, got, answer.Body)
		}
	}
	if n := tenant.KeyFetches() - fetches; n != 0 {
		t.Errorf("%d key fetches for tokens that are no logout tokens", n)
	}
	if answer := postForm(handler, "logout_token="+good+"&x="+strings.Repeat("a", 1<<20)); answer.Code != http.StatusBadRequest {
		t.Errorf("a good token in an oversized body: %d, want 400", answer.Code)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodHead} {
		answer, form := httptest.NewRecorder(), url.Values{"logout_token": {good}}.Encode()
		request := httptest.NewRequest(method, "/logout?"+form, strings.NewReader(form))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		handler.ServeHTTP(answer, request)
		if answer.Code != http.StatusMethodNotAllowed || answer.Header().Get("Allow") != http.MethodPost {
			t.Errorf("%s: %d, want 405", method, answer.Code)
		}
	}
	// The address is not where tokens belong: it gets into logs.
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/logout?logout_token="+good, nil))
	if answer.Code != http.StatusBadRequest {
		t.Errorf("in the address: %d, want 400", answer.Code)
	}
	decideOnce(t, guard, unaryCall, passes, access)
	if n := guard.RevocationsRemembered(); n != 0 {
		t.Errorf("%d revocations were made", n)
	}
	if answer := postLogout(guard.BackChannelLogout(), good); answer.Code != http.StatusBadRequest {
		t.Errorf("for no application: %d, want 400", answer.Code)
	}
	if answer := postLogout(new(auth0grpc.Interceptor).BackChannelLogout(auth0grpctest.ClientID), good); answer.Code != http.StatusServiceUnavailable {
		t.Errorf("the zero Interceptor: %d, want 503", answer.Code)
	}
}

// Logout tokens of other shapes that the standard allows are accepted.
func TestGoodLogoutTokens(t *testing.T) {
	tenant, now := newTenant(t)
	sound := func(change claims) claims { return with(logoutClaims(tenant), change) }
	for name, token := range map[string]string{
		"typ JWT":              tenant.Sign(claims{"typ": "JWT"}, sound(nil)),
		"typ logout+jwt":       tenant.Sign(claims{"typ": "logout+jwt"}, sound(nil)),
		"no typ":               tenant.Sign(claims{"typ": nil}, sound(nil)),
		"typ as a media type":  tenant.Sign(claims{"typ": "application/Logout+JWT"}, sound(nil)),
		"several audiences":    tenant.Sign(nil, sound(claims{"aud": []string{"x", auth0grpctest.ClientID}})),
		"another claim":        rawLogoutToken(t, tenant, `"x":1`),
		"sid, and other marks": tenant.Sign(nil, sound(claims{"sid": "s", "https://example.com/x": []int{1}})),
		"another event beside": tenant.Sign(nil, sound(claims{"events": claims{"x": 1, logoutEvent: claims{"y": 1}}})),
		"iat of a clock ahead": tenant.Sign(nil, sound(claims{"iat": today.Add(5 * time.Minute).Unix(), "exp": today.Add(6 * time.Minute).Unix()})),
		"an old iat":           tenant.Sign(nil, sound(claims{"iat": today.Add(-23 * time.Hour).Unix()})),
	} {
		t.Run(name, func(t *testing.T) {
			guard := mustNew(t, configFor(tenant, now))
			access := tenant.Token(claims{"scope": "read:orders", "iat": today.Add(-23 * time.Hour)})
			applications := []string{auth0grpctest.ClientID}
			handler := guard.BackChannelLogout(applications...)
			applications[0] = "another" // the handler has a copy
			if answer := postLogout(handler, token); answer.Code != http.StatusOK {
				t.Fatalf("%d, want 200", answer.Code)
			}
			decideOnce(t, guard, unaryCall, revoked, access)
		})
	}
}

// A logout token of one issuer leaves the users of the others alone.
func TestLogoutByIssuer(t *testing.T) {
	guard, a, b := twoIssuers(t, nil)
	ofA, ofB := a.Token(claims{"scope": "read:orders"}), b.Token(claims{"scope": "read:orders"})
	if answer := postLogout(guard.BackChannelLogout(auth0grpctest.ClientID), b.LogoutToken(nil)); answer.Code != http.StatusOK {
		t.Fatalf("%d, want 200", answer.Code)
	}
	decideOnce(t, guard, unaryCall, passes, ofA)
	decideOnce(t, guard, unaryCall, revoked, ofB)
}

// If keys or feed are unavailable, the sender should retry.
func TestLogoutTriesAgain(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	feed := &flakyFeed{RevocationFeed: auth0grpc.NewRevocationFeed(0), down: true}
	config.RevocationFeed = feed
	guard := mustNew(t, config)
	handler := guard.BackChannelLogout(auth0grpctest.ClientID)
	access, token := tenant.Token(claims{"scope": "read:orders"}), tenant.LogoutToken(nil)
	tenant.SetDown(true)
	if answer := postLogout(handler, token); answer.Code != http.StatusServiceUnavailable || guard.RevocationsRemembered() != 0 {
		t.Errorf("keys down: %d, %d revocations, want 503 and none", answer.Code, guard.RevocationsRemembered())
	}
	tenant.SetDown(false)
	if err := guard.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if answer := postLogout(handler, token); answer.Code != http.StatusServiceUnavailable || guard.RevocationsRemembered() != 1 {
		t.Errorf("feed down: %d, %d revocations, want 503 and one", answer.Code, guard.RevocationsRemembered())
	}
	feed.down = false
	if answer := postLogout(handler, token); answer.Code != http.StatusOK || guard.RevocationsRemembered() != 1 {
		t.Errorf("again: %d, %d revocations, want 200 and the same one", answer.Code, guard.RevocationsRemembered())
	}
	decideOnce(t, guard, unaryCall, revoked, access)
}

type flakyFeed struct {
	auth0grpc.RevocationFeed
	down bool
}

func (f *flakyFeed) Publish(ctx context.Context, r auth0grpc.Revocation) error {
	if f.down {
		return context.DeadlineExceeded
	}
	return f.RevocationFeed.Publish(ctx, r)
}
