package auth0grpctest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
)

// verify checks a token with go-oidc's provider, started afresh so that it has
// no key of an earlier time.
func verify(tb testing.TB, tenant *auth0grpctest.Tenant, token string, config oidc.Config) error {
	tb.Helper()
	ctx := oidc.ClientContext(tb.Context(), tenant.HTTPClient())
	provider, err := oidc.NewProvider(ctx, tenant.Issuer())
	if err != nil {
		tb.Fatalf("discovery: %v", err)
	}
	if config.ClientID == "" {
		config.ClientID = auth0grpctest.Audience
	}
	_, err = provider.VerifierContext(ctx, &config).Verify(ctx, token)
	return err
}

// decode returns the header and claims of a token, unverified.
func decode(tb testing.TB, token string) (header, claims map[string]any) {
	tb.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		tb.Fatalf("token has %d parts, want 3", len(parts))
	}
	for i, dst := range []*map[string]any{&header, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			tb.Fatalf("part %d: %v", i, err)
		}
		if err := json.Unmarshal(b, dst); err != nil {
			tb.Fatalf("part %d: %v", i, err)
		}
	}
	return header, claims
}

// get fetches an address of the tenant and returns status, header and body.
func get(tb testing.TB, tenant *auth0grpctest.Tenant, path string) (int, http.Header, string) {
	tb.Helper()
	response, err := tenant.HTTPClient().Get(tenant.Issuer() + path)
	if err != nil {
		tb.Fatalf("GET %s: %v", path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatalf("GET %s: %v", path, err)
	}
	return response.StatusCode, response.Header, string(body)
}

// frozen is a clock that stands still until it is moved.
type frozen struct {
	mu  sync.Mutex
	now time.Time
}

func (f *frozen) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *frozen) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func TestIssuerIsLoopbackWithSlash(t *testing.T) {
	t.Parallel()
	issuer := auth0grpctest.NewTenant(t).Issuer()
	if !strings.HasPrefix(issuer, "https://127.0.0.1:") || !strings.HasSuffix(issuer, "/") {
		t.Errorf("Issuer() = %q, want https://127.0.0.1:PORT/", issuer)
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	status, header, document := get(t, tenant, ".well-known/openid-configuration")
	if status != http.StatusOK {
		t.Fatalf("status %d, want 200", status)
	}
	if _, _, alias := get(t, tenant, ".well-known/oauth-authorization-server"); alias != document {
		t.Errorf("the alias differs:\n%s", cmp.Diff(document, alias))
	}
	if got, want := header.Get("Cache-Control"), "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400"; got != want {
		t.Errorf("Cache-Control %q, want %q", got, want)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(document), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"issuer":                                tenant.Issuer(),
		"authorization_endpoint":                tenant.Issuer() + "authorize",
		"token_endpoint":                        tenant.Issuer() + "oauth/token",
		"device_authorization_endpoint":         tenant.Issuer() + "oauth/device/code",
		"jwks_uri":                              tenant.Issuer() + ".well-known/jwks.json",
		"subject_types_supported":               []any{"public"},
		"id_token_signing_alg_values_supported": []any{"HS256", "RS256", "PS256"},
		"token_endpoint_auth_methods_supported": []any{"client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"},
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestOutage(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	paths := []string{
		".well-known/openid-configuration", ".well-known/oauth-authorization-server",
		".well-known/jwks.json", "oauth/token", "nowhere",
	}
	tenant.SetDown(true)
	for _, path := range paths {
		if status, _, _ := get(t, tenant, path); status != http.StatusServiceUnavailable {
			t.Errorf("GET %s while down: status %d, want 503", path, status)
		}
	}
	tenant.SetDown(false)
	if err := verify(t, tenant, tenant.Token(nil), oidc.Config{}); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}

func TestFetchCounters(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	want := func(when string, keys, discovery int) {
		t.Helper()
		if k, d := tenant.KeyFetches(), tenant.DiscoveryFetches(); k != keys || d != discovery {
			t.Errorf("%s: %d key and %d discovery fetches, want %d and %d", when, k, d, keys, discovery)
		}
	}
	want("at the start", 0, 0)
	get(t, tenant, ".well-known/jwks.json")
	want("after a fetch of keys", 1, 0)
	get(t, tenant, ".well-known/openid-configuration")
	get(t, tenant, ".well-known/oauth-authorization-server")
	want("after both discovery addresses", 1, 2)
	tenant.SetDown(true)
	get(t, tenant, ".well-known/jwks.json")
	get(t, tenant, ".well-known/openid-configuration")
	want("refused fetches", 2, 3)
	tenant.Token(nil)
	want("a token costs no fetch", 2, 3)
}

func TestCertificateIsTrustedByOwnClientOnly(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	if response, err := http.Get(tenant.Issuer() + ".well-known/jwks.json"); err == nil {
		response.Body.Close()
		t.Error("a client that was not told trusts the certificate")
	}
}

func TestSetNow(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	clock := &frozen{now: time.Unix(1_700_000_000, 0)}
	tenant.SetNow(clock.Now)
	_, claims := decode(t, tenant.Token(nil))
	if claims["iat"] != 1_700_000_000.0 || claims["exp"] != 1_700_086_400.0 {
		t.Errorf("iat %v, exp %v, want 1700000000 and a day later", claims["iat"], claims["exp"])
	}
	tenant.SetNow(nil)
	if err := verify(t, tenant, tenant.Token(nil), oidc.Config{}); err != nil {
		t.Errorf("nil does not bring back the wall clock: %v", err)
	}
}

func TestStartAndClose(t *testing.T) {
	t.Parallel()
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		t.Fatal(err)
	}
	client, address := tenant.HTTPClient(), tenant.Issuer()+".well-known/jwks.json"
	tenant.Close()
	tenant.Close()
	if response, err := client.Get(address); err == nil {
		response.Body.Close()
		t.Error("a closed tenant answers")
	}
	decode(t, tenant.Token(nil)) // must not panic
}

func TestNewTenantClosesWithItsTest(t *testing.T) {
	t.Parallel()
	var tenant *auth0grpctest.Tenant
	t.Run("inner", func(t *testing.T) { tenant = auth0grpctest.NewTenant(t) })
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tenant.Issuer(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := tenant.HTTPClient().Do(request); err == nil {
		response.Body.Close()
		t.Error("the tenant outlived its test")
	}
}

// TestConcurrentUse means something under the race detector only.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	tenant.AddClient("service", "secret", map[string][]string{auth0grpctest.Audience: {"read:msg"}})
	work := []func(){
		func() { decode(t, tenant.Token(nil)) },
		func() { decode(t, tenant.Sign(map[string]any{"alg": "ES256"}, nil)) },
		func() { tenant.RotateKeys(); tenant.RevokePreviousKey() },
		func() { tenant.PublishES256() },
		func() { tenant.SetNow(time.Now) },
		func() { tenant.SetDown(true); tenant.SetDown(false) },
		func() { tenant.AddClient("other", "secret", nil) },
		func() { tenant.AutoApproveDevices(1) },
		func() { tenant.RequireDPoPNonce("") },
		func() { tenant.Intercept(func(h http.Handler) http.Handler { return h }) },
		func() { _, _ = tenant.KeyFetches(), tenant.DiscoveryFetches() },
		func() { request(tenant, ".well-known/jwks.json", "") },
		func() { request(tenant, ".well-known/openid-configuration", "") },
		func() {
			request(tenant, "oauth/token",
				"grant_type=client_credentials&client_id=service&client_secret=secret&audience="+auth0grpctest.Audience)
		},
		func() { request(tenant, "oauth/device/code", "client_id=service&audience="+auth0grpctest.Audience) },
	}
	var group sync.WaitGroup
	for _, f := range work {
		for range 2 {
			group.Go(f)
		}
	}
	group.Wait()
}

// request sends a GET, or a POST if there is a form, and ignores the answer.
func request(tenant *auth0grpctest.Tenant, path, form string) {
	method := http.MethodGet
	if form != "" {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(context.Background(), method, tenant.Issuer()+path, strings.NewReader(form))
	if err != nil {
		return
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if response, err := tenant.HTTPClient().Do(request); err == nil {
		response.Body.Close()
	}
}

func TestStartTenantOnPort(t *testing.T) {
	t.Parallel()
	first, err := auth0grpctest.StartTenantOnPort(0)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(strings.Trim(strings.TrimPrefix(first.Issuer(), "https://127.0.0.1:"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := auth0grpctest.StartTenantOnPort(port); err == nil {
		t.Errorf("port %d was taken twice", port)
	}
	first.Close()
	second, err := auth0grpctest.StartTenantOnPort(port)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if second.Issuer() != first.Issuer() {
		t.Errorf("issuer %s, want %s", second.Issuer(), first.Issuer())
	}
	if _, err := auth0grpctest.StartTenantOnPort(-1); err == nil {
		t.Error("port -1 was accepted")
	}
}

func TestTokenLifetime(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	lifetime := func(token string) float64 {
		_, claims := decode(t, token)
		return claims["exp"].(float64) - claims["iat"].(float64)
	}
	for _, test := range []struct {
		set  time.Duration
		want float64
	}{{time.Minute, 60}, {1500 * time.Millisecond, 1}, {0, 86400}} {
		tenant.SetTokenLifetime(test.set)
		_, answer := post(t, tenant, "oauth/token", formType, form("grant_type", "client_credentials", "client_id", "service",
			"client_secret", "s3cret&", "audience", auth0grpctest.Audience))
		got := []float64{lifetime(tenant.Token(nil)), lifetime(tenant.RFC9068Token(nil)), lifetime(answer["access_token"].(string)), answer["expires_in"].(float64)}
		if want := []float64{test.want, test.want, test.want, test.want}; !slices.Equal(got, want) {
			t.Errorf("%v: lifetimes %v, want %v", test.set, got, test.want)
		}
		if got := lifetime(tenant.IDToken(nil)); got != 36000 {
			t.Errorf("%v: ID token of %v seconds, want ten hours", test.set, got)
		}
	}
	for _, bad := range []time.Duration{-time.Hour, time.Millisecond} {
		wantPanic(t, "auth0grpctest: SetTokenLifetime: ", func() { tenant.SetTokenLifetime(bad) })
	}
}

// An API has a lifetime of its own, at the token endpoint too. Other APIs keep the tenant's.
func TestAPITokenLifetime(t *testing.T) {
	t.Parallel()
	tenant := newTenantWithClients(t)
	tenant.SetTokenLifetime(time.Minute)
	const other = "https://other.example"
	tenant.SetAPITokenLifetime(other, time.Hour)
	lifetime := func(token string) float64 {
		_, claims := decode(t, token)
		return claims["exp"].(float64) - claims["iat"].(float64)
	}
	for _, test := range []struct {
		audience any
		want     float64
	}{
		{nil, 60}, // the claim is removed
		{auth0grpctest.Audience, 60},
		{other, 3600},
		{[]string{other, "https://tenant/userinfo"}, 3600},
		{[]any{other}, 3600},
		{[]string{"https://tenant/userinfo", other}, 60},
		{[]string{}, 60},
		{[]any{}, 60},
		{[]any{1}, 60},
		{1, 60},
	} {
		claims := map[string]any{"aud": test.audience}
		if got := lifetime(tenant.Token(claims)); got != test.want {
			t.Errorf("%v: lifetime %v, want %v", test.audience, got, test.want)
		}
		if got := lifetime(tenant.RFC9068Token(claims)); got != test.want {
			t.Errorf("%v: lifetime %v in the RFC 9068 profile, want %v", test.audience, got, test.want)
		}
	}
	for _, set := range []struct{ lifetime, want time.Duration }{{1500 * time.Millisecond, time.Second}, {0, time.Minute}} {
		tenant.SetAPITokenLifetime(auth0grpctest.Audience, set.lifetime)
		_, answer := post(t, tenant, "oauth/token", formType, form("grant_type", "client_credentials", "client_id", "service",
			"client_secret", "s3cret&", "audience", auth0grpctest.Audience))
		got := []float64{lifetime(tenant.Token(nil)), lifetime(answer["access_token"].(string)), answer["expires_in"].(float64)}
		if want := set.want.Seconds(); !slices.Equal(got, []float64{want, want, want}) {
			t.Errorf("%v: lifetimes %v, want %v", set.lifetime, got, want)
		}
	}
	for _, bad := range []time.Duration{-time.Hour, time.Millisecond} {
		wantPanic(t, "auth0grpctest: SetAPITokenLifetime: ", func() { tenant.SetAPITokenLifetime(other, bad) })
	}
}

// The PEM is all that another process needs to trust the tenant and the authority.
func TestCertificatePEM(t *testing.T) {
	t.Parallel()
	tenant, authority := auth0grpctest.NewTenant(t), auth0grpctest.NewCertificateAuthority()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(tenant.CertificatePEM()) {
		t.Fatal("not PEM")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get(tenant.Issuer() + ".well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()

	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority.PEM()) {
		t.Fatal("not PEM")
	}
	if _, err := authority.Server("localhost").Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost"}); err != nil {
		t.Error(err)
	}
}
