package auth0grpctest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	deviceCodeLifetime = 900 * time.Second
	// pollInterval is shorter than Auth0's 5 s: tests wait for it.
	pollInterval = time.Second
)

// A device is one device authorization, from its codes to its token.
type device struct {
	userCode string
	clientID string
	audience string
	scopes   []string
	expires  time.Time // by the tenant's clock
	decision decision
	polls    int
	lastPoll time.Time // by the wall clock
}

type decision int

const (
	pending decision = iota
	approved
	denied
)

// ApproveDevice has the user ([Subject]) enter a user code and consent: the next
// poll gets a token, however soon it comes. It stands for the page at the
// verification address, which this tenant does not have. It panics if no device
// authorization with that code is open.
func (t *Tenant) ApproveDevice(userCode string) { t.decideDevice(userCode, approved) }

// DenyDevice has the user refuse: polls get access_denied. It panics if no
// device authorization with that code is open.
func (t *Tenant) DenyDevice(userCode string) { t.decideDevice(userCode, denied) }

// AutoApproveDevices has every device authorization approved on its n-th poll,
// 1 being the first, without a user. 0, the default, leaves it to
// [Tenant.ApproveDevice].
func (t *Tenant) AutoApproveDevices(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.autoApprove = n
}

func (t *Tenant) decideDevice(userCode string, d decision) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, device := range t.devices {
		if device.userCode == userCode {
			device.decision = d
			return
		}
	}
	panic(fmt.Sprintf("auth0grpctest: no device authorization has the user code %q", userCode))
}

func (t *Tenant) serveDeviceCode(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	form, refusal := parseForm(r)
	if refusal == nil {
		refusal = t.startDevice(w, form)
	}
	if refusal != nil {
		writeJSON(w, refusal.status, refusal)
	}
}

// startDevice answers with the two codes. Without an audience Auth0 would issue
// an opaque token; this tenant has none and refuses.
func (t *Tenant) startDevice(w http.ResponseWriter, form url.Values) *oauthError {
	c := t.client(form.Get("client_id"))
	if c == nil {
		return unauthorized()
	}
	audience := form.Get("audience")
	granted, refusal := t.grantedScopes(c, audience)
	if refusal != nil {
		return refusal
	}
	// Scopes of OpenID Connect belong to the tenant, not to an API.
	grantable := slices.Concat(granted, []string{"openid", "profile", "email"})
	code, text := rand.Text(), rand.Text()
	d := &device{
		userCode: text[:4] + "-" + text[4:8],
		clientID: c.id,
		audience: audience,
		scopes:   intersect(strings.Fields(form.Get("scope")), grantable),
		expires:  t.now().Add(deviceCodeLifetime),
	}
	t.mu.Lock()
	t.devices[code] = d
	t.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{
		"device_code":               code,
		"user_code":                 d.userCode,
		"verification_uri":          t.issuer + "activate",
		"verification_uri_complete": t.issuer + "activate?user_code=" + d.userCode,
		"expires_in":                int(deviceCodeLifetime.Seconds()),
		"interval":                  int(pollInterval.Seconds()),
	})
	return nil
}

// grantDeviceCode answers a poll: with a user token once approved, and with an
// ID token and the second audience of Auth0 if openid is among the scopes.
func (t *Tenant) grantDeviceCode(r tokenRequest) (tokenResponse, *oauthError) {
	d, refusal := t.pollDevice(r.form.Get("device_code"), r.client.id)
	if refusal != nil {
		return tokenResponse{}, refusal
	}
	claims := map[string]any{"aud": d.audience, "azp": d.clientID}
	openID := slices.Contains(d.scopes, "openid")
	if openID {
		claims["aud"] = []string{d.audience, t.issuer + "userinfo"}
	}
	response := t.respond(r, claims, d.scopes)
	if openID {
		response.IDToken = t.IDToken(map[string]any{"aud": d.clientID, "nonce": nil})
	}
	return response, nil
}

// pollDevice takes an approved device authorization out, so that its code works
// once, or says why there is no token.
func (t *Tenant) pollDevice(code, clientID string) (*device, *oauthError) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.devices[code]
	if d == nil || d.clientID != clientID {
		return nil, &oauthError{http.StatusForbidden, "invalid_grant", "Invalid or expired device code."}
	}
	if !now.Before(d.expires) {
		return nil, &oauthError{http.StatusForbidden, "expired_token", "The device code has expired."}
	}
	tooSoon := d.tooSoon(time.Now())
	if d.polls == t.autoApprove && d.decision == pending {
		d.decision = approved
	}
	switch {
	case d.decision == approved:
		delete(t.devices, code)
		return d, nil
	case d.decision == denied:
		return nil, &oauthError{http.StatusForbidden, "access_denied", "The user refused to authorize the device."}
	case tooSoon:
		return nil, &oauthError{http.StatusTooManyRequests, "slow_down", "You are polling faster than the specified interval."}
	}
	return nil, &oauthError{http.StatusForbidden, "authorization_pending", "The user has yet to authorize the device."}
}

// tooSoon counts a poll and reports whether it came too soon after the one before.
// The pace follows the wall clock, as the client's waiting does, and not
// the tenant's clock. Half an interval is let pass: tickers are not exact.
func (d *device) tooSoon(now time.Time) bool {
	tooSoon := d.polls > 0 && now.Sub(d.lastPoll) < pollInterval/2
	d.polls++
	d.lastPoll = now
	return tooSoon
}
