package auth0grpctest_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
)

// startDevice begins a device authorization for the public client.
func startDevice(tb testing.TB, tenant *auth0grpctest.Tenant, scope string) (deviceCode, userCode string) {
	tb.Helper()
	status, answer := post(tb, tenant, "oauth/device/code", formType,
		form("client_id", "native", "audience", auth0grpctest.Audience, "scope", scope))
	if status != http.StatusOK {
		tb.Fatalf("status %d: %v", status, answer)
	}
	deviceCode, _ = answer["device_code"].(string)
	userCode, _ = answer["user_code"].(string)
	delete(answer, "device_code")
	delete(answer, "user_code")
	want := map[string]any{
		"verification_uri":          tenant.Issuer() + "activate",
		"verification_uri_complete": tenant.Issuer() + "activate?user_code=" + userCode,
		"expires_in":                900.0,
		"interval":                  1.0,
	}
	if diff := cmp.Diff(want, answer); diff != "" {
		tb.Errorf("answer (-want +got):\n%s", diff)
	}
	return deviceCode, userCode
}

func poll(tb testing.TB, tenant *auth0grpctest.Tenant, clientID, deviceCode string) (int, map[string]any) {
	tb.Helper()
	return post(tb, tenant, "oauth/token", formType, form(
		"grant_type", "urn:ietf:params:oauth:grant-type:device_code",
		"client_id", clientID, "device_code", deviceCode))
}

func wantRefusal(tb testing.TB, tenant *auth0grpctest.Tenant, deviceCode string, wantStatus int, wantError string) {
	tb.Helper()
	status, answer := poll(tb, tenant, "native", deviceCode)
	if status != wantStatus || answer["error"] != wantError || answer["error_description"] == "" {
		tb.Errorf("poll: status %d, %v, want %d %s", status, answer, wantStatus, wantError)
	}
}

func TestDeviceFlow(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	deviceCode, userCode := startDevice(t, tenant, "openid read:msg admin")
	wantRefusal(t, tenant, deviceCode, http.StatusForbidden, "authorization_pending")
	wantRefusal(t, tenant, deviceCode, http.StatusTooManyRequests, "slow_down")

	tenant.ApproveDevice(userCode)
	status, answer := poll(t, tenant, "native", deviceCode)
	if status != http.StatusOK || answer["scope"] != "openid read:msg" || answer["token_type"] != "Bearer" {
		t.Fatalf("status %d, %v, want a token for openid read:msg", status, answer)
	}
	_, claims := decode(t, answer["access_token"].(string))
	delete(claims, "iat")
	delete(claims, "exp")
	want := map[string]any{
		"iss": tenant.Issuer(), "sub": auth0grpctest.Subject, "azp": "native", "scope": "openid read:msg",
		"aud": []any{auth0grpctest.Audience, tenant.Issuer() + "userinfo"},
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if err := verify(t, tenant, answer["id_token"].(string), oidc.Config{ClientID: "native"}); err != nil {
		t.Errorf("ID token: %v", err)
	}
	wantRefusal(t, tenant, deviceCode, http.StatusForbidden, "invalid_grant") // a code works once
}

func TestDeviceFlowWithoutOpenID(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	tenant.AutoApproveDevices(1)
	deviceCode, _ := startDevice(t, tenant, "")
	status, answer := poll(t, tenant, "native", deviceCode)
	if status != http.StatusOK || answer["id_token"] != nil || answer["scope"] != nil {
		t.Fatalf("status %d, %v, want an access token alone", status, answer)
	}
	if _, claims := decode(t, answer["access_token"].(string)); claims["aud"] != auth0grpctest.Audience || claims["scope"] != nil {
		t.Errorf("aud %v, scope %v, want one audience and no scope", claims["aud"], claims["scope"])
	}
}

func TestDeviceRefusals(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	clock := &frozen{now: time.Unix(1_700_000_000, 0)}
	tenant.SetNow(clock.Now)

	deviceCode, userCode := startDevice(t, tenant, "read:msg")
	tenant.DenyDevice(userCode)
	wantRefusal(t, tenant, deviceCode, http.StatusForbidden, "access_denied")

	deviceCode, userCode = startDevice(t, tenant, "read:msg")
	tenant.ApproveDevice(userCode)
	if status, answer := poll(t, tenant, "service", deviceCode); status != http.StatusUnauthorized {
		t.Errorf("a confidential client without its secret: status %d, %v, want 401", status, answer)
	}
	tenant.AddClient("native2", "", map[string][]string{auth0grpctest.Audience: {"read:msg"}})
	if status, answer := poll(t, tenant, "native2", deviceCode); answer["error"] != "invalid_grant" {
		t.Errorf("a code of another client: status %d, %v, want invalid_grant", status, answer)
	}
	clock.Advance(900 * time.Second)
	wantRefusal(t, tenant, deviceCode, http.StatusForbidden, "expired_token")
	wantRefusal(t, tenant, "unknown", http.StatusForbidden, "invalid_grant")

	wantPanic(t, "auth0grpctest: ", func() { tenant.ApproveDevice("NONE-SUCH") })
	wantPanic(t, "auth0grpctest: ", func() { tenant.DenyDevice("") })
}

func TestDeviceCodeRefusals(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	tests := []struct {
		name, body string
		wantStatus int
		wantError  string
	}{
		{"unknown client", form("client_id", "nobody", "audience", auth0grpctest.Audience), 401, "access_denied"},
		{"no audience", form("client_id", "native"), 403, "access_denied"},
		{"audience of another client", form("client_id", "native", "audience", "https://other.example.com"), 403, "access_denied"},
		{"malformed", "%zz", 400, "invalid_request"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, answer := post(t, tenant, "oauth/device/code", formType, test.body)
			if status != test.wantStatus || answer["error"] != test.wantError {
				t.Errorf("status %d, %v, want %d %s", status, answer, test.wantStatus, test.wantError)
			}
		})
	}
}

// TestOAuth2DeviceFlow waits two intervals of a second: the package polls by
// the wall clock.
func TestOAuth2DeviceFlow(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	tenant.AutoApproveDevices(2)
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, tenant.HTTPClient())
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, tenant.HTTPClient()), tenant.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{ClientID: "native", Endpoint: provider.Endpoint(), Scopes: []string{"read:msg"}}
	device, err := config.DeviceAuth(ctx, oauth2.SetAuthURLParam("audience", auth0grpctest.Audience))
	if err != nil {
		t.Fatal(err)
	}
	token, err := config.DeviceAccessToken(ctx, device)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(t, tenant, token.AccessToken, oidc.Config{}); err != nil {
		t.Errorf("go-oidc: %v", err)
	}
}
