package integration

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"slices"
	"testing"
)

// A presented is a token that a flow yields, and the methods that it permits.
type presented struct {
	flow  string // as Auth0 names it
	token string // which of its tokens: access token, ID token
	asked string // the scopes asked for, and the kind of user
	raw   string
	may   []string // the methods, apart from GetStatus
}

var (
	readers = []string{"WhoAmI", "GetOrder", "WatchOrders", "Exchange"}
	writers = []string{"CreateOrder", "ImportOrders"}
	nobody  []string
)

// query returns the parameters that an application sends to /authorize.
func query(client, responseType, scope string) url.Values {
	return url.Values{
		"client_id": {client}, "response_type": {responseType}, "scope": {scope}, "audience": {tenant.Audience},
		"redirect_uri": {tenant.Callback}, "state": {rand.Text()},
	}
}

// redeem exchanges a code for tokens.
func (p *provider) redeem(t testing.TB, client string, callback url.Values, verifier string) grant {
	t.Helper()
	if callback.Get("code") == "" {
		t.Fatalf("no code for %s: %v", client, callback)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": callback["code"], "redirect_uri": {tenant.Callback}}
	if verifier != "" {
		form.Set("code_verifier", verifier)
	}
	return p.token(t, client, form)
}

func (p *provider) authorize(t testing.TB, username string, query url.Values) url.Values {
	t.Helper()
	return newBrowser(t, p.httpClient(), tenant.Callback).authorize(p.issuer, username, query)
}

func (p *provider) authorizationCode(t testing.TB) []presented {
	asked := query("web", "code", "openid offline_access read:orders write:orders")
	asked.Set("organization", tenant.Organization)
	g := p.redeem(t, "web", p.authorize(t, "ada", asked), "")
	again := p.token(t, "web", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.RefreshToken}})
	may := slices.Concat(readers, writers, []string{"RefundOrder", "ListPartnerOrders"})
	const what = "read and write, in an organization, by a user who may refund"
	return []presented{
		{"Authorization Code", "access token", what, g.AccessToken, may},
		{"Authorization Code", "access token, refreshed", what, again.AccessToken, may},
		{"Authorization Code", "ID token", what, g.IDToken, nobody},
	}
}

func (p *provider) codeWithPKCE(t testing.TB) []presented {
	verifier := rand.Text() + rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	asked := query("spa", "code", "openid read:orders")
	asked.Set("code_challenge", base64.RawURLEncoding.EncodeToString(challenge[:]))
	asked.Set("code_challenge_method", "S256")
	g := p.redeem(t, "spa", p.authorize(t, "ada", asked), verifier)
	const what = "read, by a user who may also write and refund"
	return []presented{
		{"Authorization Code with PKCE", "access token", what, g.AccessToken, slices.Concat(readers, []string{"RefundOrder"})},
		{"Authorization Code with PKCE", "ID token", what, g.IDToken, nobody},
	}
}

func (p *provider) implicitWithFormPost(t testing.TB) []presented {
	login := query("form", "id_token", "openid")
	login.Set("response_mode", "form_post")
	login.Set("nonce", rand.Text())
	call := query("form", "id_token token", "openid read:orders")
	call.Set("response_mode", "form_post")
	call.Set("nonce", rand.Text())
	posted := p.authorize(t, "bob", call)
	return []presented{
		{"Implicit with Form Post", "ID token", "login alone", p.authorize(t, "bob", login).Get("id_token"), nobody},
		{"Implicit with Form Post", "ID token, beside an access token", "read", posted.Get("id_token"), nobody},
		{"Implicit with Form Post", "access token", "read", posted.Get("access_token"), readers},
	}
}

func (p *provider) hybrid(t testing.TB) []presented {
	asked := query("hybrid", "code id_token token", "openid read:orders write:orders")
	asked.Set("response_mode", "form_post")
	asked.Set("nonce", rand.Text())
	front := p.authorize(t, "ada", asked)
	back := p.redeem(t, "hybrid", front, "")
	may := slices.Concat(readers, writers, []string{"RefundOrder"})
	const what = "read and write, by a user who may refund"
	return []presented{
		{"Hybrid", "access token of the front channel", what, front.Get("access_token"), may},
		{"Hybrid", "access token of the token endpoint", what, back.AccessToken, may},
		{"Hybrid", "ID token of the front channel", what, front.Get("id_token"), nobody},
		{"Hybrid", "ID token of the token endpoint", what, back.IDToken, nobody},
	}
}

func (p *provider) clientCredentials(t testing.TB) []presented {
	return []presented{
		{"Client Credentials", "access token", "read", p.machineToken(t, "read:orders"), slices.Concat(readers, []string{"CloseBooks"})},
		{"Client Credentials", "access token", "nothing", p.machineToken(t, ""), []string{"WhoAmI", "CloseBooks"}},
		{"Client Credentials", "access token, RFC 9068 profile", "write", p.token(t, "machine", url.Values{
			"grant_type": {"client_credentials"}, "audience": {tenant.RFC9068Audience}, "scope": {"write:orders"},
		}).AccessToken, slices.Concat([]string{"WhoAmI", "Exchange", "CloseBooks"}, writers)},
	}
}

func (p *provider) deviceAuthorization(t testing.TB) []presented {
	device := post(t, p.httpClient(), p.issuer+"oauth/device/code", "tv", url.Values{
		"scope": {"openid read:orders write:orders"}, "audience": {tenant.Audience},
	}, nil)
	form := func() url.Values {
		return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {device.DeviceCode}}
	}
	if early := post(t, p.httpClient(), p.issuer+"oauth/token", "tv", form(), nil); early.Error != "authorization_pending" {
		t.Errorf("before the user has confirmed: %q, want authorization_pending", early.Error)
	}
	user := newBrowser(t, p.httpClient(), tenant.Callback)
	confirmation := user.submit(user.open(device.Complete), nil)
	login := user.submit(confirmation, nil)
	user.submit(login, map[string]string{"username": "bob", "password": passwordOf("bob")})
	g := p.token(t, "tv", form())
	const what = "read and write, by a user who may only read"
	return []presented{
		{"Device Authorization", "access token", what, g.AccessToken, readers},
		{"Device Authorization", "ID token", what, g.IDToken, nobody},
	}
}

func (p *provider) resourceOwnerPassword(t testing.TB) []presented {
	form := func(username, scope string) url.Values {
		return url.Values{
			"grant_type": {"password"}, "audience": {tenant.Audience}, "scope": {scope},
			"username": {username}, "password": {passwordOf(username)},
		}
	}
	return []presented{
		{"Resource Owner Password", "access token", "read, by a user who may only read", p.token(t, "legacy", form("bob", "read:orders")).AccessToken, readers},
		{"Resource Owner Password", "access token", "nothing, which means all", p.token(t, "legacy", form("ada", "")).AccessToken, slices.Concat(readers, writers, []string{"RefundOrder"})},
	}
}

// flows runs the seven flows of Auth0's documentation.
func (p *provider) flows(t testing.TB) []presented {
	t.Helper()
	return slices.Concat(
		p.authorizationCode(t), p.codeWithPKCE(t), p.implicitWithFormPost(t), p.hybrid(t),
		p.clientCredentials(t), p.deviceAuthorization(t), p.resourceOwnerPassword(t),
	)
}

func TestFlows(t *testing.T) {
	a := newAuthority(t)
	p := startProvider(t, a)
	s := serve(t, a, []string{p.issuer}, nil)
	conn := s.dial(t)
	var outcomes []outcome
	for _, token := range p.flows(t) {
		if token.raw == "" {
			t.Errorf("%s: no %s", token.flow, token.token)
			continue
		}
		outcomes = append(outcomes, s.try(t, conn, token))
	}
	bound, issuers := s.bound(t, p), twoIssuers(t, p)
	document(t, "flows.md", flowsDocument(outcomes, bound, issuers))
	calls := 0
	for _, o := range outcomes {
		calls += len(o.cells)
	}
	summarize(t, "7 flows, %d tokens, %d calls; %d presentations of bound tokens; 2 issuers at once", len(outcomes), calls, len(bound))
}
