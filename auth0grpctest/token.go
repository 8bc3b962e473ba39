package auth0grpctest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"time"
)

// defaultTokenLifetime is Auth0's default for access tokens.
const defaultTokenLifetime = 24 * time.Hour

// SetTokenLifetime sets how long access tokens live, as the setting of an API in Auth0
// does. It counts in whole seconds, as Auth0 does. The default, also for 0, is a day.
// It affects tokens issued from then on, also by the token endpoint. It affects neither
// ID tokens nor logout tokens. It panics if d is neither 0 nor at least a
// second.
func (t *Tenant) SetTokenLifetime(d time.Duration) {
	if d == 0 {
		d = defaultTokenLifetime
	}
	if d < time.Second {
		panic(fmt.Sprintf("auth0grpctest: SetTokenLifetime: %v: want at least a second", d))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lifetime = d.Truncate(time.Second)
}

// SetAPITokenLifetime sets the lifetime of access tokens for one API, named by its
// audience, in place of [Tenant.SetTokenLifetime]. A token with several audiences has
// the lifetime of the first. It counts in whole seconds; 0 removes the setting. It
// panics if d is neither 0 nor at least a second. It is safe for concurrent use.
func (t *Tenant) SetAPITokenLifetime(audience string, d time.Duration) {
	if d != 0 && d < time.Second {
		panic(fmt.Sprintf("auth0grpctest: SetAPITokenLifetime: %v: want at least a second", d))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if d == 0 {
		delete(t.apiLifetimes, audience)
		return
	}
	t.apiLifetimes[audience] = d.Truncate(time.Second)
}

// tokenLifetime returns the lifetime of an access token with these claims.
func (t *Tenant) tokenLifetime(claims map[string]any) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if lifetime, ok := t.apiLifetimes[firstAudience(claims)]; ok {
		return lifetime
	}
	return t.lifetime
}

// accessClaims returns the defaults of an access token with these claims.
func (t *Tenant) accessClaims(claims map[string]any) map[string]any {
	lifetime := t.tokenLifetime(withDefault(claims, "aud", Audience))
	return accessClaims(t.issuer, t.now(), lifetime)
}

// firstAudience returns the audience of a token with these claims, or the first of
// several.
func firstAudience(claims map[string]any) string {
	switch audience := claims["aud"].(type) {
	case string:
		return audience
	case []string:
		if len(audience) > 0 {
			return audience[0]
		}
	case []any:
		if len(audience) > 0 {
			first, _ := audience[0].(string)
			return first
		}
	}
	return ""
}

// Token returns a signed access token in Auth0's default profile. By default it
// is one that a server for [Audience] accepts: "iss" the tenant, "sub"
// [Subject], "aud" [Audience], "azp" [ClientID], "iat" now, "exp" a day later (see
// [Tenant.SetTokenLifetime] and [Tenant.SetAPITokenLifetime]).
// There is no "scope", as in a token to which none was granted.
//
// Members of claims replace or add to these; a nil value removes a claim. A
// time.Time becomes seconds since 1970. Any other value is written as
// encoding/json does. Nothing is checked: a token may be as wrong as the test
// needs. Token panics if a value has no JSON form.
func (t *Tenant) Token(claims map[string]any) string {
	return t.Sign(nil, merge(t.accessClaims(claims), claims))
}

// RFC9068Token returns a signed access token in the RFC 9068 profile, which an
// API has to be switched to in Auth0: header "typ" at+jwt, "client_id" instead
// of "azp", and a random "jti". All else is as for [Tenant.Token].
func (t *Tenant) RFC9068Token(claims map[string]any) string {
	defaults := t.accessClaims(claims)
	delete(defaults, "azp")
	defaults["client_id"] = ClientID
	defaults["jti"] = rand.Text()
	return t.Sign(map[string]any{"typ": "at+jwt"}, merge(defaults, claims))
}

// IDToken returns a signed ID token, which an API must refuse: the same issuer,
// key and "typ" as an access token, but "aud" [ClientID] and a "nonce". It has
// a "sid" and lives ten hours, Auth0's default. The argument is as for
// [Tenant.Token].
func (t *Tenant) IDToken(claims map[string]any) string {
	now := t.now()
	return t.Sign(nil, merge(map[string]any{
		"iss":   t.issuer,
		"sub":   Subject,
		"aud":   ClientID,
		"iat":   now,
		"exp":   now.Add(10 * time.Hour),
		"nonce": rand.Text(),
		"sid":   rand.Text(),
	}, claims))
}

// LogoutToken returns a signed logout token of OpenID Connect Back-Channel
// Logout, which an API must refuse as well: "aud" [ClientID], the logout event,
// "sid", "jti", no "nonce", two minutes of life. The argument is as for
// [Tenant.Token].
func (t *Tenant) LogoutToken(claims map[string]any) string {
	now := t.now()
	return t.Sign(nil, merge(map[string]any{
		"iss": t.issuer,
		"sub": Subject,
		"aud": ClientID,
		"iat": now,
		"exp": now.Add(2 * time.Minute),
		"jti": rand.Text(),
		"sid": rand.Text(),
		"events": map[string]any{
			"http://schemas.openid.net/event/backchannel-logout": map[string]any{},
		},
	}, claims))
}

// accessClaims returns the defaults of an access token in Auth0's profile.
func accessClaims(issuer string, now time.Time, lifetime time.Duration) map[string]any {
	return map[string]any{
		"iss": issuer,
		"sub": Subject,
		"aud": Audience,
		"azp": ClientID,
		"iat": now,
		"exp": now.Add(lifetime),
	}
}

// merge returns the defaults with the overrides laid over them: nil removes,
// and a time is a NumericDate (RFC 7519, section 2).
func merge(defaults, overrides map[string]any) map[string]any {
	claims := maps.Clone(defaults)
	maps.Copy(claims, overrides)
	for name, value := range claims {
		switch value := value.(type) {
		case nil:
			delete(claims, name)
		case time.Time:
			claims[name] = value.Unix()
		}
	}
	return claims
}

// withDefault returns claims with one default of the caller's under them. A nil
// value stays, so that it still removes the claim.
func withDefault(claims map[string]any, name string, value any) map[string]any {
	completed := map[string]any{name: value}
	maps.Copy(completed, claims)
	return completed
}
